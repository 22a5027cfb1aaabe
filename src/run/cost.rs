//! What a run takes: bytes, operations, memory and time.

use super::device::PassDevice;
use super::fit::Fit;
use super::machines::{Machine, machines};
use super::planned::{MOVED_SEQUENCES, PassSpeeds, Run, StackRun, macs};
use crate::measure::plan::{Speeds, block_operations, operations};
use crate::model::Architecture;
use crate::report::plan::{MachinePlan, RunPlan};
use crate::report::{Warning, WarningCode};

/// The work of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Work {
    /// Multiplications of the pass.
    macs: f64,
    /// Bytes of weights to read.
    bytes: f64,
    /// Operations of the exact sums, and of the eigenvalues.
    measuring: [f64; 2],
}

impl Work {
    /// Seconds of the products, and of loading what they read.
    fn parts_of_pass(&self, speeds: PassSpeeds) -> [f64; 2] {
        [self.macs / speeds.multiplications, self.bytes / speeds.loading]
    }

    /// Seconds of the pass.
    fn of_pass(&self, speeds: PassSpeeds) -> f64 {
        let [products, loading] = self.parts_of_pass(speeds);
        products + loading
    }

    /// Seconds of the measurements, one after the other.
    fn of_measuring(&self, speeds: Speeds) -> f64 {
        self.measuring[0] / speeds.sums + self.measuring[1] / speeds.eigen
    }

    /// Seconds of all on a machine, with this many norms measured at once.
    fn seconds(&self, machine: &Machine, at_once: usize) -> f64 {
        let [products, loading] = self.parts_of_pass(machine.pass);
        let measuring = self.of_measuring(machine.speeds);
        let apart = measuring / at_once as f64;
        if !machine.shared {
            return apart.max(products + loading);
        }
        // The products take all cores. One of them loads, and the others measure meanwhile.
        let together = (loading + measuring) / machine.threads.max(1) as f64;
        products + loading.max(together).max(apart)
    }
}

impl Run {
    /// Returns the multiplications of a pass up to the last hidden states, and those of its encoder alone.
    fn multiplications(&self) -> [f64; 2] {
        let stacks: Vec<StackRun<'_>> = self.stacks().collect();
        let of_stack = |stack: &StackRun<'_>| stack.tokens as f64 * stack.architecture.macs(stack.length);
        let [encoder, decoder] = &stacks[..] else { return [stacks.iter().map(of_stack).sum(), 0.0] };
        let [products, of_encoder] = decoder.architecture.cross_macs(encoder.length);
        let cross = decoder.tokens as f64 * products + encoder.tokens as f64 * of_encoder;
        [of_stack(encoder) + of_stack(decoder) + cross, of_stack(encoder)]
    }

    /// The work of the run if the loss decides at its first look, and at its last. Without a loss both are the same.
    fn work(&self) -> [Work; 2] {
        let mut measuring = [0.0; 2];
        let mut add = |[sums, eigen]: [f64; 2]| {
            measuring[0] += sums;
            measuring[1] += eigen;
        };
        for stack in self.stacks() {
            // A norm with no more rows than channels is not measured.
            for (width, rows) in self.sizes(&stack).filter(|(width, rows)| rows > width) {
                add(operations(rows as f64, width as f64));
            }
            let StackRun { architecture, tokens, .. } = stack;
            let measured = !self.stream_is_normalised() && tokens > architecture.width;
            // One after the attention of each block, and one after the block.
            let streams = if measured { 2 * architecture.blocks.len() } else { 0 };
            for _ in 0..streams {
                add(block_operations(tokens as f64, architecture.width as f64));
            }
        }
        let [whole, of_encoder] = self.multiplications();
        let of_moves = self.macs_of_moves(of_encoder);
        let bytes = self.matrices().map(|linear| linear.bytes(self.tensors())).sum::<u64>() as f64;
        let most = self.most_for_loss().max(self.tokens());
        [self.tokens(), most].map(|tokens| {
            if !self.has_loss() {
                return Work { macs: whole + of_moves, bytes, measuring };
            }
            // The loss takes a pass under each kind, both with the head. One of them is also the pass that is measured.
            let of_head = macs(&self.architecture, self.length) - self.architecture.macs(self.length);
            let of_token = whole / self.tokens() as f64 + of_head;
            let passes = 2.0 * tokens.div_ceil(self.tokens()) as f64;
            Work { macs: 2.0 * tokens as f64 * of_token + of_moves, bytes: bytes * passes, measuring }
        })
    }

    /// Multiplications of the passes with moved readers. Each runs the later blocks, half of all on average, and the head.
    fn macs_of_moves(&self, of_encoder: f64) -> f64 {
        let (moves, tokens) = (self.moves() as f64, self.tokens().min(MOVED_SEQUENCES * self.length) as f64);
        let first = self.stacks().next().map_or(1, |first| first.tokens / first.length.max(1));
        moves * tokens * macs(&self.architecture, self.length) / 2.0 + moves * of_encoder / first as f64
    }

    /// Plans the run on a machine, and for the named ones.
    pub fn cost(&self, device: &PassDevice, machine: &Machine) -> RunPlan {
        let architecture: &Architecture = &self.architecture;
        let [least, most] = self.work();
        let fit = self.fit(machine.memory);
        let at_once = fit.measured_at_once(machine.memory, machine.threads);
        RunPlan {
            family: architecture.family.clone(),
            assumed_kind: self.assumed_kind(),
            sequences: (self.tokens() / self.length) as u64,
            length: self.length as u64,
            blocks: self.blocks() as u64,
            left_out: self.left_out as u64,
            sites: self.stacks().map(|stack| self.sizes(&stack).count() as u64).sum(),
            stacks: self.summaries(),
            input: self.input(),
            losses: self.has_loss(),
            moves: self.moves() as u64,
            loss_tokens: self.most_for_loss() as u64,
            bytes: most.bytes as u64,
            operations: 2.0 * most.macs + most.measuring.iter().sum::<f64>(),
            memory: fit.pass,
            memory_of_site: fit.site,
            parts: fit.parts as u64,
            scratch: fit.scratch,
            least_pass_seconds: least.of_pass(machine.pass),
            pass_seconds: most.of_pass(machine.pass),
            measuring_seconds: most.of_measuring(machine.speeds),
            seconds: [least, most].map(|work| work.seconds(machine, at_once)),
            shared: machine.shared,
            measured_at_once: at_once as u64,
            device: machine.name.clone(),
            gram_device: machine.gram_name.clone(),
            machines: machines().iter().map(|machine| self.on_machine(machine, [least, most])).collect(),
            warnings: self
                .warnings()
                .into_iter()
                .chain(self.too_large(device, fit))
                .chain(too_much(fit.least(), machine))
                .collect(),
        }
    }

    fn on_machine(&self, machine: &Machine, work: [Work; 2]) -> MachinePlan {
        let fit = self.fit(machine.memory);
        let at_once = fit.measured_at_once(machine.memory, machine.threads);
        MachinePlan {
            name: machine.name.clone(),
            memory: fit.pass + fit.site * at_once as u64,
            fits: machine.memory.is_none_or(|memory| fit.least() <= memory),
            parts: fit.parts as u64,
            scratch: fit.scratch,
            seconds: work.map(|work| work.seconds(machine, at_once)),
        }
    }

    /// Warns if a buffer of the run is larger than the GPU allows.
    fn too_large(&self, machine: &PassDevice, fit: Fit) -> Option<Warning> {
        let matrix = self.matrices().map(|linear| linear.bytes(self.tensors())).max().unwrap_or(0);
        let part = fit.sequences * self.length;
        let at_once = |tokens: usize| if fit.parts > 1 { part } else { tokens };
        let streams =
            self.stacks().map(|stack| 4 * (at_once(stack.tokens) * stack.architecture.width) as u64);
        let needed = matrix.max(streams.max().unwrap_or(0));
        let has = machine.largest_buffer().filter(|has| *has < needed)?;
        Some(Warning::new(
            WarningCode::GpuTooSmall,
            machine.name().to_owned(),
            format!(
                "`{}` allows buffers of {has} bytes, and one of {needed} is needed: the run will continue on the CPU. Run fewer tokens, or choose the CPU",
                machine.name()
            ),
        ))
    }
}

/// Warns if a run takes more memory than it may, even in parts.
fn too_much(least: u64, machine: &Machine) -> Option<Warning> {
    let memory = machine.memory.filter(|memory| *memory < least)?;
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    Some(Warning::new(
        WarningCode::MemoryTooSmall,
        "memory",
        format!(
            "the run takes about {} MB of memory, and may take {} MB: run fewer tokens, or measure the final norm alone",
            megabytes(least),
            megabytes(memory)
        ),
    ))
}
