//! Makes the stream before the first block from the input.

use super::attention::Encoded;
use super::input::Pixels;
use super::kernels::Kernels;
use super::observer::Observer;
use super::{ForwardError, Input, Pass};
use crate::cpu::embedding::gather;
use crate::cpu::patches::Canvas;
use crate::cpu::positions::sines;
use crate::cpu::resize::resized;
use crate::model::architecture::{Embedding, ImagePositions, Linear, PatchEmbedding, TokenEmbedding};
use crate::model::operation::ProjectionPlace;
use crate::source::ByteSource;

impl<S: ByteSource, K: Kernels> Pass<'_, S, K> {
    /// Embeds the input. `encoded` is the output of a tower of images, if there is one. Returns n × d.
    pub(super) async fn embed(
        &self,
        encoded: Option<&Encoded<'_, K::Values>>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        match (self.input, &self.architecture.embedding) {
            (Input::TokenIds { ids, .. }, Embedding::Tokens(tokens)) => {
                self.embed_tokens(tokens, ids, encoded, watch).await
            }
            (Input::Pixels(pixels), Embedding::Patches(patches)) => {
                self.embed_patches(patches, &pixels, watch).await
            }
            (Input::Features(features), Embedding::Sounds(sounds)) => {
                self.embed_sounds(sounds, &features, watch).await
            }
            (input, embedding) => Err(ForwardError::Reads { reads: embedding.reads(), given: input.reads() }),
        }
    }

    async fn embed_tokens(
        &self,
        embedding: &TokenEmbedding,
        ids: &[u32],
        encoded: Option<&Encoded<'_, K::Values>>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let rows = self.rows(embedding.tokens, ids, embedding.width, embedding.multiplier).await?;
        let mut x = match embedding.projector.as_ref().zip(encoded) {
            Some((projector, encoded)) => self.with_images(projector, encoded, ids, rows),
            None => self.kernels.put(rows),
        };
        let at = |place: ProjectionPlace| -> Option<&Linear> {
            embedding.projection.as_ref().filter(|_| embedding.projection_place == place)
        };
        let first = at(ProjectionPlace::First);
        if let Some(projection) = first {
            x = self.linear(projection, &x).await?;
        }
        // Width of the vectors that are added to the rows.
        let width = first.map_or(embedding.width, |projection| projection.outputs);
        if let Some(positions) = &embedding.positions {
            let mut rows = Vec::with_capacity(ids.len());
            for sequence in ids.chunks(self.sequences.length) {
                let mut next = positions.offset as u32;
                for &id in sequence {
                    let skipped = positions.skip == Some(id);
                    rows.push(if skipped { positions.offset as u32 - 1 } else { next });
                    next += u32::from(!skipped);
                }
            }
            let rows = self.rows(positions.table, &rows, width, 1.0).await?;
            self.kernels.add(&mut x, &self.kernels.put(rows), 1.0);
        }
        if let Some(segments) = embedding.segments {
            let rows = self.rows(segments, &vec![0; ids.len()], width, 1.0).await?;
            self.kernels.add(&mut x, &self.kernels.put(rows), 1.0);
        }
        if let Some(projection) = at(ProjectionPlace::BeforeNorm) {
            x = self.linear(projection, &x).await?;
        }
        if let Some(norm) = &embedding.norm {
            x = self.norm(norm, &x, watch).await?;
        }
        match at(ProjectionPlace::Last) {
            Some(projection) => self.linear(projection, &x).await,
            None => Ok(x),
        }
    }

    /// Embeds patches: makes the extra tokens and the positions of all tokens, and adds the patches.
    async fn embed_patches(
        &self,
        embedding: &PatchEmbedding,
        pixels: &Pixels<'_>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let Pixels { values, count, channels, size } = *pixels;
        let (width, length) = (self.architecture.width, self.sequences.length);
        let canvas = Canvas { count, channels, size, patch: embedding.patch };
        let mut patches =
            self.linear(&embedding.projection, &self.kernels.put(canvas.patches(values))).await?;
        if let Some(norm) = &embedding.patch_norm {
            patches = self.norm(norm, &patches, watch).await?;
        }
        let sequence = self.before_patches(embedding).await?;
        let mut x = self.kernels.put(sequence.repeat(count));
        let extra = embedding.extra.iter().map(|extra| extra.count).sum::<usize>();
        let places = (0..count).flat_map(|image| (extra..length).map(move |token| image * length + token));
        let places: Vec<(u32, f32)> = places.map(|place| (place as u32, 1.0)).collect();
        self.kernels.add_rows(&mut x, width, &places, &patches);
        match &embedding.norm {
            Some(norm) => self.norm(norm, &x, watch).await,
            None => Ok(x),
        }
    }

    /// One sequence (t × d) without its patches: the extra tokens, and all positions.
    async fn before_patches(&self, embedding: &PatchEmbedding) -> Result<Vec<f32>, ForwardError> {
        let (width, [frames, rows, columns]) = (self.architecture.width, self.sequences.grid);
        let (table, of_patches) = match embedding.positions {
            ImagePositions::None => (Vec::new(), vec![0.0; frames * rows * columns * width]),
            ImagePositions::Sines => (Vec::new(), sines(frames * rows * columns, width)),
            ImagePositions::Table { tensor, first, resized: how } => {
                let table = self.weights.all(tensor).await?;
                let [_, trained @ ..] = embedding.grid(embedding.trained);
                let stored = &table[first * width..];
                let of_patches = match how.filter(|_| trained != [rows, columns]) {
                    Some(how) => resized(stored, trained, [rows, columns], width, how),
                    None => stored.to_vec(),
                };
                (table, of_patches)
            }
        };
        let mut sequence = Vec::with_capacity(self.sequences.length * width);
        for extra in &embedding.extra {
            let from = sequence.len();
            sequence.extend(self.weights.all(extra.tensor).await?);
            if let Some(row) = extra.position {
                let positions = &table[row * width..];
                sequence[from..].iter_mut().zip(positions).for_each(|(value, add)| *value += add);
            }
        }
        sequence.extend(of_patches);
        Ok(sequence)
    }

    /// Looks up rows of a table, and keeps only those in memory.
    pub(super) async fn rows(
        &self,
        table: usize,
        ids: &[u32],
        width: usize,
        by: f32,
    ) -> Result<Vec<f32>, ForwardError> {
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
}
