//! A forward pass that streams its weights: a matrix is read, used on all tokens and dropped, so that memory is bounded by the
//! widest part of one block and by the activations, whatever the size of the model.
//!
//! The pass carries out an [`Architecture`], in f32 with the kernels of [`crate::cpu`], and shows what it computes to a visitor:
//! what every norm gives, under its name in the report, and the residual stream after every block.
//! `weights` reads tensors, `attention` and `feed_forward` are the parts of a block, [`head`] goes on to logits and losses.

mod attention;
mod feed_forward;
pub mod head;
mod weights;

use crate::checkpoint::Checkpoint;
use crate::cpu::embedding::gather;
use crate::cpu::linear::add_to_rows;
use crate::cpu::norm::{Centring, normalise, scale_and_shift};
use crate::model::architecture::{Architecture, Block, Branch, Norm};
use crate::source::{ByteSource, SourceError};
use weights::Weights;

/// Why a forward pass ended early.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForwardError {
    /// A tensor could not be read.
    #[error("tensor `{tensor}`: {error}")]
    Source {
        /// The tensor.
        tensor: String,
        /// Why.
        error: SourceError,
    },
    /// A tensor is stored in a type that is not decoded.
    #[error(
        "tensor `{tensor}` is stored as {dtype}, which is not decoded: a forward pass wants F32, F16 or BF16; measure activations of your own code instead"
    )]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// Sequences that do not come out even.
    #[error("{tokens} tokens are not a whole number of sequences of {length}: give a multiple, at least one")]
    Uneven {
        /// Tokens.
        tokens: usize,
        /// Of a sequence.
        length: usize,
    },
    /// A sequence that has no positions.
    #[error(
        "sequences of {length} tokens are longer than the {longest} that the model has positions for: shorten them"
    )]
    TooLong {
        /// Of a sequence.
        length: usize,
        /// The most.
        longest: usize,
    },
    /// A token that is not in the vocabulary.
    #[error(
        "token {at} is {id}, and the vocabulary has {vocabulary} rows: the tokenizer is of another model"
    )]
    Id {
        /// Which token.
        at: usize,
        /// Its id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// No logits without a head.
    #[error(
        "the checkpoint has no language-model head, so there are no logits and no loss: its norms are measured all the same"
    )]
    NoHead,
}

/// Sequences of one length, one after the other, without padding.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Ids of all of them.
    pub ids: &'a [u32],
    /// t, of each.
    pub length: usize,
}

impl<'a> Tokens<'a> {
    /// That they come out even.
    pub fn new(ids: &'a [u32], length: usize) -> Result<Self, ForwardError> {
        if length == 0 || ids.is_empty() || !ids.len().is_multiple_of(length) {
            return Err(ForwardError::Uneven { tokens: ids.len(), length });
        }
        Ok(Self { ids, length })
    }
}

/// What a pass shows on its way.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A norm: n × width values; of queries and keys, a row a head.
    Norm {
        /// Its name in the report.
        site: &'a str,
        /// d.
        width: usize,
        /// x̂, before scale and shift.
        before_scale: &'a [f32],
        /// y.
        output: &'a [f32],
    },
    /// The residual stream after a block.
    Block {
        /// From 0.
        index: usize,
        /// d.
        width: usize,
        /// n × d values.
        stream: &'a [f32],
    },
}

/// A model and the tokens to run it on.
pub struct Pass<'a, S> {
    architecture: &'a Architecture,
    weights: Weights<'a, S>,
    tokens: Tokens<'a>,
    /// What the norms of the stream are taken to subtract, against what the architecture says; those of queries and keys stay.
    told: Option<Centring>,
}

impl<'a, S: ByteSource> Pass<'a, S> {
    /// Checks that the model has a row and a position for each token.
    pub fn new(
        checkpoint: &'a Checkpoint<S>,
        architecture: &'a Architecture,
        tokens: Tokens<'a>,
    ) -> Result<Self, ForwardError> {
        let vocabulary = architecture.vocabulary;
        if let Some((at, &id)) = tokens.ids.iter().enumerate().find(|(_, id)| **id as usize >= vocabulary) {
            return Err(ForwardError::Id { at, id, vocabulary });
        }
        if let Some(longest) = architecture.longest.filter(|longest| tokens.length > *longest) {
            return Err(ForwardError::TooLong { length: tokens.length, longest });
        }
        Ok(Self { architecture, weights: Weights::new(checkpoint), tokens, told: None })
    }

    /// The same pass with every norm of the stream told to be of this kind.
    pub fn told(self, centring: Centring) -> Self {
        Self { told: Some(centring), ..self }
    }

    /// The last hidden states, n × d, after the final norm.
    pub async fn run(&self, visit: &mut impl AsyncFnMut(Seen<'_>)) -> Result<Vec<f32>, ForwardError> {
        let mut stream = self.embed(visit).await?;
        for (index, block) in self.architecture.blocks.iter().enumerate() {
            stream = self.block(block, stream, visit).await?;
            visit(Seen::Block { index, width: self.architecture.width, stream: &stream }).await;
        }
        match &self.architecture.final_norm {
            Some(norm) => self.norm(norm, stream, visit).await,
            None => Ok(stream),
        }
    }

    async fn embed(&self, visit: &mut impl AsyncFnMut(Seen<'_>)) -> Result<Vec<f32>, ForwardError> {
        let embedding = &self.architecture.embedding;
        let (width, ids) = (embedding.width, self.tokens.ids);
        let mut x = self.rows(embedding.tokens, ids, width, embedding.multiplier).await?;
        if let Some(positions) = &embedding.positions {
            let mut rows = Vec::with_capacity(ids.len());
            for sequence in ids.chunks(self.tokens.length) {
                let mut next = positions.offset as u32;
                for &id in sequence {
                    let skipped = positions.skip == Some(id);
                    rows.push(if skipped { positions.offset as u32 - 1 } else { next });
                    next += u32::from(!skipped);
                }
            }
            let rows = self.rows(positions.table, &rows, width, 1.0).await?;
            x.iter_mut().zip(rows).for_each(|(x, row)| *x += row);
        }
        if let Some(segments) = embedding.segments {
            add_to_rows(&mut x, &self.rows(segments, &[0], width, 1.0).await?);
        }
        if let Some(norm) = &embedding.norm {
            x = self.norm(norm, x, visit).await?;
        }
        match &embedding.projection {
            Some(projection) => Ok(self.weights.linear(projection).await?.apply(&x)),
            None => Ok(x),
        }
    }

    /// Rows of a table; only those that are asked for are kept.
    async fn rows(&self, table: usize, ids: &[u32], width: usize, by: f32) -> Result<Vec<f32>, ForwardError> {
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let rows = self.weights.rows(table, &wanted, width).await?;
        let places: Vec<u32> =
            ids.iter().map(|id| wanted.partition_point(|other| other < id) as u32).collect();
        let at = |id: Option<&u32>| id.copied().unwrap_or_default();
        gather(&rows, width, &places, by).ok_or_else(|| ForwardError::Id {
            at: 0,
            id: at(wanted.last()),
            vocabulary: rows.len() / width,
        })
    }

    async fn norm(
        &self,
        norm: &Norm,
        x: Vec<f32>,
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        self.norm_told(self.told.unwrap_or(norm.centring), norm, x, visit).await
    }

    async fn norm_told(
        &self,
        centring: Centring,
        norm: &Norm,
        mut x: Vec<f32>,
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        let mut scale = self.weights.optional(norm.scale).await?;
        if let Some(scale) = scale.as_mut().filter(|_| norm.one_plus) {
            scale.iter_mut().for_each(|w| *w += 1.0);
        }
        let shift = self.weights.optional(norm.shift).await?;
        normalise(centring, &mut x, norm.width, norm.epsilon);
        let before_scale = norm.site.is_some().then(|| x.clone());
        scale_and_shift(&mut x, scale.as_deref(), shift.as_deref());
        if let (Some(site), Some(before_scale)) = (&norm.site, &before_scale) {
            visit(Seen::Norm { site, width: norm.width, before_scale, output: &x }).await;
        }
        Ok(x)
    }

    async fn block(
        &self,
        block: &Block,
        stream: Vec<f32>,
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        let (around_attention, around_feed_forward) = (&block.around_attention, &block.around_feed_forward);
        let input = self.before(around_attention, &stream, visit).await?;
        let attended = self.attention(&block.attention, &input, visit).await?;
        if block.parallel {
            // Some have one norm before both.
            let input = match around_feed_forward.before == around_attention.before {
                true => input,
                false => self.before(around_feed_forward, &stream, visit).await?,
            };
            let fed = self.feed_forward(&block.feed_forward, &input).await?;
            let stream = self.merge(around_attention, stream, attended, visit).await?;
            return self.merge(around_feed_forward, stream, fed, visit).await;
        }
        let stream = self.merge(around_attention, stream, attended, visit).await?;
        let input = self.before(around_feed_forward, &stream, visit).await?;
        let fed = self.feed_forward(&block.feed_forward, &input).await?;
        self.merge(around_feed_forward, stream, fed, visit).await
    }

    /// What a part reads.
    async fn before(
        &self,
        branch: &Branch,
        stream: &[f32],
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        match &branch.before {
            Some(norm) => self.norm(norm, stream.to_vec(), visit).await,
            None => Ok(stream.to_vec()),
        }
    }

    /// The stream with what a part gives.
    async fn merge(
        &self,
        branch: &Branch,
        mut stream: Vec<f32>,
        mut part: Vec<f32>,
        visit: &mut impl AsyncFnMut(Seen<'_>),
    ) -> Result<Vec<f32>, ForwardError> {
        if let Some(norm) = &branch.inner_after {
            part = self.norm(norm, part, visit).await?;
        }
        stream.iter_mut().zip(part).for_each(|(stream, part)| *stream += branch.multiplier * part);
        match &branch.after {
            Some(norm) => self.norm(norm, stream, visit).await,
            None => Ok(stream),
        }
    }
}
