//! What sampled weights show about the streams they write.

use crate::checkpoint::Checkpoint;
use crate::kernel::energy::{self, Energy};
use crate::norm::NormSite;
use crate::norm::evidence::Stream;
use crate::order;
use crate::report::{WriterPart, WriterReport};
use crate::writer::sample::Sampled;

/// A sample of the weights.
#[derive(Debug)]
pub struct WeightSample {
    /// Each writer with its energy.
    pub(super) sampled: Vec<Sampled>,
    /// Whether it was not ended early.
    pub(super) complete: bool,
    /// Unembeddings whose values are those of the embedding.
    pub(super) tied: Vec<usize>,
}

impl WeightSample {
    /// Whether it was ended early, and so says nothing.
    pub fn is_partial(&self) -> bool {
        !self.complete
    }
}

/// The streams of a checkpoint, with the energies of their writers.
#[derive(Debug)]
pub(super) struct Streams {
    sampled: Vec<(Sampled, Energy)>,
    /// Stack, width and what is known about it: a checkpoint has few.
    pooled: Vec<(String, u64, Stream)>,
    why_not: &'static str,
    refused: bool,
    /// Unembeddings whose values are those of the embedding.
    pub(super) tied: Vec<usize>,
}

impl Default for Streams {
    fn default() -> Self {
        let why_not = "the weights have not been sampled";
        Self { sampled: Vec::new(), pooled: Vec::new(), why_not, refused: true, tied: Vec::new() }
    }
}

impl Streams {
    pub(super) fn new(sample: WeightSample) -> Self {
        if !sample.complete {
            return Self { why_not: "the sampling of the weights was stopped", ..Self::default() };
        }
        let tied = sample.tied;
        let found = !sample.sampled.is_empty();
        let sampled: Vec<(Sampled, Energy)> = sample
            .sampled
            .into_iter()
            .filter_map(|sampled| Some((sampled.energy?, sampled)))
            .map(|(energy, sampled)| (sampled, energy))
            .collect();
        let in_blocks = sampled.iter().filter(|(sampled, _)| sampled.writer.part != WriterPart::Embedding);
        let stacks = order::groups(
            in_blocks
                .map(|(sampled, energy)| (sampled.writer.stack.as_str(), (sampled.writer.rows, *energy))),
        );
        let embedding = |stack: &str| {
            let of = |sampled: &Sampled| {
                sampled.writer.part == WriterPart::Embedding && sampled.writer.stack == stack
            };
            sampled.iter().find(|(sampled, _)| of(sampled)).map(|(_, energy)| energy.energy)
        };
        let pooled = stacks
            .into_iter()
            .filter_map(|(stack, writers)| {
                let (rows, _) = *writers.first()?;
                let energies: Vec<Energy> = writers.into_iter().map(|(_, energy)| energy).collect();
                let stream = Stream { writers: energy::pool(&energies)?, embedding: embedding(stack) };
                Some((stack.to_owned(), rows, stream))
            })
            .collect();
        let why_not = if found {
            "the writers of its stream are all zero, constant, not finite or could not be read"
        } else {
            "no writer of its stream was recognised, or none is stored in a type that can be decoded"
        };
        Self { sampled, pooled, why_not, refused: false, tied }
    }

    /// What is known about a site's stream.
    pub(super) fn of(&self, site: &NormSite) -> Option<&Stream> {
        let wanted = site.stream.as_deref()?;
        let (_, rows, stream) = self.pooled.iter().find(|(stack, ..)| stack == wanted)?;
        (*rows == site.width).then_some(stream)
    }

    /// Why there is nothing for a site.
    pub(super) fn why_not(&self) -> &'static str {
        self.why_not
    }

    /// Whether nothing was sampled, because it was not requested or was refused.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    pub(super) fn reports<S>(&self, checkpoint: &Checkpoint<S>) -> Vec<WriterReport> {
        let report = |(sampled, energy): &(Sampled, Energy)| WriterReport {
            name: checkpoint.stored_name(&checkpoint.tensors[sampled.writer.tensor].name).to_owned(),
            stack: sampled.writer.stack.clone(),
            block: sampled.writer.block,
            part: sampled.writer.part,
            rows: sampled.writer.rows,
            columns: energy.columns as u32,
            energy: energy.energy,
            null_deviation: energy.null_deviation,
            row_dispersion: energy.row_dispersion,
        };
        self.sampled.iter().map(report).collect()
    }
}
