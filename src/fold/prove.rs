//! Runs a checkpoint and what was made of it on the same tokens. The floor is the original once more, with the last bit of half of its
//! weights flipped: a difference of that size is rounding.

use crate::checkpoint::{Checkpoint, Tensor};
use crate::cpu::divergence::Divergence;
use crate::forward::{ForwardError, Input, Pass, Seen};
use crate::model::operation::Reads;
use crate::model::{Accepted, Architecture, ModelError, resolve_reading};
use crate::report::fold::{FoldDifference, FoldProof};
use crate::source::generated::mixed;
use crate::source::{ByteSource, SourceError};
use crate::text::ids::uniform;
use std::ops::Range;

/// Tokens of a proof.
const TOKENS: usize = 128;
/// Tokens of a sequence, if the model has positions for as many.
const LENGTH: usize = 32;
/// A difference that is this many times the floor is more than rounding.
const MARGIN: f64 = 10.0;

/// Why nothing could be proved by running.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is no model that runs.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A pass failed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// Another input than text.
    #[error(
        "only models that read token ids are run to prove it; leave --prove out, and compare the outputs in your own code"
    )]
    Input,
}

/// A file whose weights are moved by their own rounding: the last bit of half of the values is flipped.
#[derive(Debug)]
pub struct Moved<S> {
    source: S,
    /// The bytes of tensors, and the size of their elements.
    weights: Vec<(Range<u64>, u64)>,
}

impl<S: ByteSource> Moved<S> {
    /// The floating-point tensors of `checkpoint` that are in this file are moved. Other files stay as they are.
    pub fn of<T: ByteSource>(source: S, checkpoint: &Checkpoint<T>) -> Self {
        let shard = checkpoint.shards.iter().position(|shard| shard.path() == source.path());
        let here = |tensor: &&Tensor| Some(tensor.shard) == shard && tensor.dtype.is_floating();
        let sized = |tensor: &Tensor| Some((tensor.range.clone(), tensor.dtype.piece()?.1));
        Self { source, weights: checkpoint.tensors.iter().filter(here).filter_map(sized).collect() }
    }
}

impl<S: ByteSource> ByteSource for Moved<S> {
    fn path(&self) -> &str {
        self.source.path()
    }

    fn length(&self) -> u64 {
        self.source.length()
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let mut bytes = self.source.read(range.clone()).await?;
        for (weight, size) in &self.weights {
            let (from, to) = (range.start.max(weight.start), range.end.min(weight.end));
            // The lowest byte of an element comes first.
            let mut at = weight.start + from.saturating_sub(weight.start).div_ceil(*size) * size;
            while at < to {
                if let Some(byte) = bytes.get_mut((at - range.start) as usize) {
                    *byte ^= (mixed(at) & 1) as u8;
                }
                at += size;
            }
        }
        Ok(bytes)
    }
}

/// What a pass gives.
struct Run {
    blocks: Vec<Vec<f32>>,
    hidden: Vec<f32>,
    /// The logits, and the size of the vocabulary.
    logits: Option<(Vec<f32>, usize)>,
}

/// Runs the original, what was made of it, and the original with moved weights. `centred` says whether writers of the stream lost their
/// mean: the stream is then compared without it. Unknown fields of the configuration are an error, unless they are `accepted`.
pub async fn prove<S: ByteSource, T: ByteSource, M: ByteSource>(
    original: &Checkpoint<S>,
    folded: &Checkpoint<T>,
    moved: &Checkpoint<M>,
    centred: bool,
    accepted: Accepted<'_>,
) -> Result<FoldProof, ProofError> {
    let architecture = resolve_reading(original, None, accepted)?;
    if architecture.reads() != Reads::Tokens || architecture.encoder.is_some() {
        return Err(ProofError::Input);
    }
    let length = architecture.longest.unwrap_or(LENGTH).clamp(1, LENGTH);
    let ids = uniform(TOKENS / length * length, architecture.vocabulary);
    let before = run(original, &architecture, &ids, length).await?;
    let after = run(folded, &resolve_reading(folded, None, accepted)?, &ids, length).await?;
    let floor = run(moved, &resolve_reading(moved, None, accepted)?, &ids, length).await?;
    let width = architecture.width;
    let difference = |of: &dyn Fn(&Run) -> Option<Vec<f64>>| {
        let before = of(&before)?;
        Some(FoldDifference {
            found: relative(&before, &of(&after)?),
            floor: relative(&before, &of(&floor)?),
        })
    };
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
    let stream = |values: &[f32]| {
        let mut values = wide(values);
        if centred {
            values.chunks_mut(width.max(1)).for_each(super::change::centre);
        }
        values
    };
    let blocks: Vec<FoldDifference> = (0..before.blocks.len())
        .filter_map(|at| difference(&|run| Some(stream(run.blocks.get(at)?))))
        .collect();
    let logits = difference(&|run| Some(wide(&run.logits.as_ref()?.0)));
    let hidden = difference(&|run| Some(wide(&run.hidden))).filter(|_| logits.is_none());
    let same = |one: FoldDifference| one.found <= MARGIN * one.floor;
    Ok(FoldProof {
        tokens: ids.len() as u64,
        same: logits.or(hidden).is_some_and(same),
        divergence: divergence(&before, &after)
            .zip(divergence(&before, &floor))
            .map(|(found, floor)| FoldDifference { found, floor }),
        blocks,
        hidden,
        logits,
    })
}

async fn run<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    ids: &[u32],
    length: usize,
) -> Result<Run, ForwardError> {
    let pass = Pass::new(checkpoint, architecture, Input::token_ids(ids, length)?)?;
    let mut blocks = Vec::new();
    let mut keep = async |seen: Seen<'_>| {
        if let Seen::Block { stream, .. } = seen {
            blocks.push(stream.to_vec());
        }
    };
    let hidden = pass.run(&mut keep).await?;
    let logits = match &architecture.head {
        None => None,
        Some(head) => {
            let vocabulary = head.unembedding.outputs;
            let mut logits = vec![0.0; ids.len() * vocabulary];
            pass.logits(&hidden, |first, width, slice| {
                let rows = logits.chunks_exact_mut(vocabulary.max(1));
                for (row, slice) in rows.zip(slice.chunks_exact(width.max(1))) {
                    row[first..first + width].copy_from_slice(slice);
                }
            })
            .await?;
            Some((logits, vocabulary))
        }
    };
    Ok(Run { blocks, hidden, logits })
}

/// ‖after − before‖/‖before‖.
fn relative(before: &[f64], after: &[f64]) -> f64 {
    if before.len() != after.len() {
        return f64::INFINITY;
    }
    let size: f64 = before.iter().map(|value| value * value).sum();
    let change: f64 = before.iter().zip(after).map(|(before, after)| (after - before).powi(2)).sum();
    // A difference that is not a number is no agreement.
    let relative = (change / size).sqrt();
    if change == 0.0 {
        0.0
    } else if relative.is_nan() {
        f64::INFINITY
    } else {
        relative
    }
}

/// Mean KL(p‖q) in nats.
fn divergence(before: &Run, after: &Run) -> Option<f64> {
    let ((before, vocabulary), (after, _)) = (before.logits.as_ref()?, after.logits.as_ref()?);
    let tokens = before.len() / (*vocabulary).max(1);
    let mut divergence = Divergence::new(tokens);
    divergence.take(before, after, *vocabulary);
    Some(divergence.per_token().iter().sum::<f64>() / tokens.max(1) as f64)
}
