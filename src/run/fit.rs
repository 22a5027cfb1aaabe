//! How a run fits into the memory that it may take: whole, or in parts with a scratch.

use super::cut::Cut;
use super::planned::{Run, StackRun};
use crate::forward::{self, Parts};
use crate::measure::plan;
use crate::model::architecture::Norm;
use crate::scratch::Scratch;
use crate::scratch::memory::MemoryScratch;
use std::cell::RefCell;
use std::rc::Rc;

/// How a run fits into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Sequences that run at once.
    pub sequences: usize,
    /// In how many parts the sequences run.
    pub parts: usize,
    /// Bytes of matrices of a block that stay on the device, if it runs in parts.
    pub held: u64,
    /// Bytes of the pass, and of the outputs that it hands over to be measured.
    pub pass: u64,
    /// Bytes for measuring a norm.
    pub site: u64,
    /// Bytes in the scratch. 0 if the run is whole.
    pub scratch: u64,
}

impl Fit {
    /// Bytes of a run that measures one norm at a time.
    pub fn least(&self) -> u64 {
        self.pass.saturating_add(self.site)
    }

    /// How many norms can be measured at once in this memory, by at most this many threads.
    pub fn measured_at_once(&self, memory: Option<u64>, threads: usize) -> usize {
        let Some(memory) = memory else { return threads.max(1) };
        let further = memory.saturating_sub(self.least()) / self.site.max(1);
        usize::try_from(further).unwrap_or(usize::MAX).saturating_add(1).min(threads.max(1))
    }
}

impl Run {
    /// Decides how the run fits into this many bytes. It is whole if that fits, or if the model has two stacks.
    pub fn fit(&self, memory: Option<u64>) -> Fit {
        let encoded = self.stacks().next().map_or(0, |first| first.tokens);
        let of_stack = |StackRun { architecture, tokens, .. }: StackRun<'_>| {
            forward::memory(architecture, tokens, encoded)
        };
        // An output and what it was before the scale, read from the device and copied for a thread that measures.
        let handed = |tokens: usize, width: usize| 16 * (tokens * width) as u64;
        let stacks =
            || self.stacks().map(|StackRun { architecture, tokens, .. }| (tokens, architecture.width));
        let of_site = |(tokens, width): (usize, usize)| {
            let (tokens, width) = (tokens as u64, width as u64);
            plan::memory(8 * tokens * width, tokens, width)
        };
        let site = stacks().map(of_site).max().unwrap_or(0);
        let handed = stacks().map(|(tokens, width)| handed(tokens, width)).max().unwrap_or(0);
        let count = self.tokens() / self.length.max(1);
        let pass = self.stacks().map(of_stack).max().unwrap_or(0) + handed;
        let whole = Fit { sequences: count, parts: 1, held: 0, pass, site, scratch: 0 };
        let Some(memory) = memory.filter(|memory| whole.least() > *memory) else { return whole };
        if self.architecture.encoder.is_some() || count < 2 {
            return whole;
        }
        let left = memory.saturating_sub(site).saturating_sub(handed);
        let held = forward::block_bytes(&self.architecture).min(left / 2);
        let of_part =
            |sequences: usize| forward::memory_in_parts(&self.architecture, sequences * self.length, held);
        let fitting: Vec<usize> = (1..=count).collect();
        let sequences = fitting.partition_point(|sequences| of_part(*sequences) <= left).max(1);
        let tokens = self.tokens() as u64;
        Fit {
            sequences,
            parts: count.div_ceil(sequences),
            held,
            pass: of_part(sequences) + handed,
            site,
            scratch: forward::scratch_bytes(&self.architecture, tokens, self.shown_by_a_block()),
        }
    }

    /// Most values that the measured norms of a block, or of the vectors beside the stream, give, all tokens together.
    fn shown_by_a_block(&self) -> u64 {
        let tokens = self.tokens() as u64;
        let values = |(norm, rows): (&Norm, usize)| (norm.width * rows) as u64;
        let of_block = |norms: Vec<(&Norm, usize)>| norms.into_iter().map(values).sum::<u64>();
        let blocks = self.architecture.blocks.iter().map(|block| of_block(block.norms_with_rows().collect()));
        let of_inputs = self.architecture.embedding.inputs().map_or(0, |inputs| inputs.map.outputs as u64);
        tokens * blocks.max().unwrap_or(0).max(of_inputs)
    }

    /// Returns the same run in parts, as `fit` says. Its activations lie in memory until it gets another scratch.
    pub(super) fn in_parts(mut self, fit: Fit) -> Self {
        self.cut_into = (fit.parts > 1).then(|| Cut {
            sequences: fit.sequences,
            held: fit.held,
            scratch: Rc::new(RefCell::new(Box::<MemoryScratch>::default())),
        });
        self
    }

    /// Returns the same run with its activations in `scratch`, if it runs in parts.
    pub(super) fn with_scratch(mut self, scratch: Box<dyn Scratch>) -> Self {
        if let Some(cut) = &mut self.cut_into {
            cut.scratch = Rc::new(RefCell::new(scratch));
        }
        self
    }

    /// Returns the same run in the parts of another one, with its scratch.
    pub(super) fn cut_like(mut self, other: &Self) -> Self {
        self.cut_into.clone_from(&other.cut_into);
        self
    }

    /// The parts in which it runs, if it is not whole.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let Cut { sequences, held, scratch } = self.cut_into.as_ref()?;
        Some(Parts { sequences: *sequences, held: *held, scratch, base: 0 })
    }
}
