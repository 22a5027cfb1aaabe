//! A model run here and measured while it runs: what is run, what that takes, and all that came of it.

use super::ids::{TokenIds, Wanted};
use super::loss::{is_a_guess, kind_by_loss};
use super::pass::{Measured, Sample, Sites};
use super::preservation;
use crate::checkpoint::Checkpoint;
use crate::forward::kernels::{Cpu, Kernels};
use crate::forward::{self, ForwardError, Pass, Seen, Tokens, Watch, load_some};
use crate::inspect::{Inspection, Opened};
use crate::measure::plan::{self, Speeds, block_operations, operations};
use crate::measure::residual;
use crate::model::architecture::Norm;
use crate::model::operation::Centring;
use crate::model::{self, Architecture, ModelError};
use crate::report::measured::Outcomes;
use crate::report::plan::RunPlan;
use crate::report::{KindByLoss, NormKind, PassSummary, Preservation, Verification, Warning, WarningCode};
use crate::run::device::Machine;
use crate::source::ByteSource;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Tokens for each channel of the stream where nothing else is asked for.
const USUAL_RATIO: usize = 4;
/// Tokens that the loss takes at most, where it decides nothing earlier.
const TOKENS_FOR_LOSS: usize = 4096;
/// Multiplications that the loss of a small model may take beyond that: seconds.
const MACS_FOR_LOSS: f64 = 6e10;
/// Tokens of a sequence where nothing else is asked for.
pub const USUAL_LENGTH: usize = 128;

/// Sequences on which readers are moved: each of the many moves is a pass.
const MOVED_SEQUENCES: usize = 1;

/// Why a run is not begun, or ended early.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunError {
    /// It is no model that can be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The pass failed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A number of blocks that the model does not have.
    #[error("{asked} blocks cannot be run of a model that has {has}: ask for 1 to {has}")]
    Blocks {
        /// What was asked for.
        asked: usize,
        /// Of the model.
        has: usize,
    },
    /// Too few tokens for any norm.
    #[error(
        "{tokens} tokens are no more than the {width} channels of the narrowest norm to be measured, and any {tokens} vectors leave a kernel: run at least {}, better {}",
        width + 1, USUAL_RATIO * width
    )]
    FewTokens {
        /// That would be run.
        tokens: usize,
        /// d of the norm that needs the fewest.
        width: usize,
    },
}

/// How much of a model is run, on how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Tokens, rounded up to whole sequences; without, four for each channel of the stream.
    pub tokens: Option<usize>,
    /// Tokens of a sequence.
    pub sequence: usize,
    /// Blocks, from the first on; without, all of them.
    pub blocks: Option<usize>,
}

impl Default for Extent {
    fn default() -> Self {
        Self { tokens: None, sequence: USUAL_LENGTH, blocks: None }
    }
}

/// A model that can be run, and how many tokens of which sequences.
#[derive(Debug, Clone)]
pub struct Model {
    architecture: Architecture,
    tokens: usize,
    /// Tokens after those that the loss may take.
    further: usize,
    length: usize,
    /// Blocks after those that are run.
    left_out: usize,
}

/// A model that is ready to be run.
#[derive(Debug, Clone)]
pub struct Run {
    architecture: Architecture,
    input: TokenIds,
    length: usize,
    left_out: usize,
    sites: Sites,
    preserves: bool,
}

/// How far a run has come: it goes on from there.
#[derive(Debug, Clone, Default)]
pub struct RunState {
    /// Blocks that are done.
    pub blocks: usize,
    /// The stream after them, n × d.
    stream: Vec<f32>,
}

/// What came of a run, beside what was measured on its way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The kind of the norms by loss.
    pub loss: Option<KindByLoss>,
    /// What moving readers does to the function.
    #[serde(default)]
    pub preservation: Vec<Preservation>,
    /// Mean loss, in nats.
    pub mean_loss: Option<f64>,
    /// Blocks that were run, if not all of them.
    pub stopped: Option<usize>,
    /// What went wrong on the way.
    pub warnings: Vec<Warning>,
}

/// All that came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Norms and streams, in any order; of two of the same the later one counts.
    pub measured: Vec<Measured>,
    /// Of the pass itself.
    pub outcome: RunOutcome,
    /// What was run.
    pub pass: PassSummary,
    /// On what.
    pub input: String,
    /// Where the pass ran, and where the exact sums were computed.
    pub device: String,
    /// Wall time.
    pub seconds: f64,
}

/// How fast a pass is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassSpeeds {
    /// Multiplications a second.
    pub multiplications: f64,
    /// Bytes of weights a second, from the checkpoint to the device.
    pub loading: f64,
}

/// Whether it can be better or worse at predicting the next token.
fn predicts(architecture: &Architecture, length: usize) -> bool {
    architecture.causal && architecture.head.is_some() && length > 1
}

/// Multiplications for a token, those of the head included, in sequences of `length`.
fn macs(architecture: &Architecture, length: usize) -> f64 {
    let head = architecture.head.as_ref().map_or(0.0, |head| {
        let unembedding = head.unembedding;
        unembedding.inputs as f64 * unembedding.outputs as f64
    });
    architecture.macs(length) + head
}

/// Tokens for the loss at most, if `macs` is what one takes: [`TOKENS_FOR_LOSS`], or of a small model as many as take no more
/// than [`MACS_FOR_LOSS`] under both kinds.
fn most_for_loss(macs: f64) -> usize {
    ((MACS_FOR_LOSS / (2.0 * macs)) as usize).max(TOKENS_FOR_LOSS)
}

impl Model {
    /// Resolves it. Where no number of tokens is asked for, the loss has as many more as are worth their time; no sequence is longer
    /// than the model has positions for.
    pub fn new<S: ByteSource>(checkpoint: &Checkpoint<S>, extent: Extent) -> Result<Self, RunError> {
        let Extent { tokens, sequence, blocks } = extent;
        let whole = model::resolve(checkpoint)?;
        let has = whole.blocks.len();
        let blocks = blocks.unwrap_or(has);
        if blocks > has || blocks == 0 {
            return Err(RunError::Blocks { asked: blocks, has });
        }
        let left_out = has - blocks;
        let architecture = if left_out == 0 { whole } else { whole.first_blocks(blocks) };
        let length = architecture.longest.map_or(sequence, |longest| sequence.min(longest));
        let usual = USUAL_RATIO * architecture.width;
        let further = match tokens {
            None if predicts(&architecture, length) => {
                most_for_loss(macs(&architecture, length)).saturating_sub(usual)
            }
            // Whoever asks for a number of tokens gets no more.
            _ => 0,
        };
        Ok(Self { architecture, tokens: tokens.unwrap_or(usual), further, length, left_out })
    }

    /// How many ids it is run on.
    pub fn wanted(&self) -> Wanted {
        let Self { architecture, tokens, further, length, .. } = self;
        let vocabulary = architecture.vocabulary;
        Wanted { tokens: *tokens, further: *further, length: *length, vocabulary }
    }

    /// With fewer tokens than these any norm has a kernel.
    pub fn least(&self) -> usize {
        self.architecture.width + 1
    }
}

impl Run {
    /// Of these sites, on these tokens: whole sequences; with `preserves`, readers are moved too, on the first of them.
    pub fn new<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        model: Model,
        input: TokenIds,
        sites: Sites,
        preserves: bool,
    ) -> Result<Self, RunError> {
        let Model { architecture, length, left_out, .. } = model;
        let run = Self { architecture, input, length, left_out, sites, preserves };
        // What cannot be run, or would end with nothing measured, is refused before anything is planned.
        run.pass(checkpoint)?;
        match run.widths().min() {
            Some(width) if run.rows(width) <= width => {
                Err(RunError::FewTokens { tokens: run.input.ids.len(), width })
            }
            _ => Ok(run),
        }
    }

    /// d of every norm that is to be measured.
    fn widths(&self) -> impl Iterator<Item = usize> {
        let Architecture { final_norm, .. } = &self.architecture;
        let wanted = |norm: &&Norm| self.sites == Sites::All || Some(*norm) == final_norm.as_ref();
        self.architecture.norms().filter(|norm| norm.site.is_some()).filter(wanted).map(|norm| norm.width)
    }

    /// Vectors that a norm of this width reads: those of queries and keys read one a head.
    fn rows(&self, width: usize) -> usize {
        self.input.ids.len() * (self.architecture.width / width).max(1)
    }

    /// The same run, of norms alone, of the same architecture with other weights.
    pub fn of_twin<S: ByteSource>(&self, checkpoint: &Checkpoint<S>) -> Result<Self, RunError> {
        let blocks = Some(self.blocks());
        let extent = Extent { tokens: Some(self.input.ids.len()), sequence: self.length, blocks };
        let model = Model::new(checkpoint, extent)?;
        // Weights that nobody trained predict no token: a loss would only cost two more passes.
        let input = TokenIds { is_text: false, ..self.input.clone() };
        Self::new(checkpoint, model, input, self.sites, false)
    }

    fn pass<'a, S: ByteSource>(&'a self, checkpoint: &'a Checkpoint<S>) -> Result<Pass<'a, S>, RunError> {
        self.pass_on(checkpoint, &self.input.ids)
    }

    fn pass_on<'a, S: ByteSource>(
        &'a self,
        checkpoint: &'a Checkpoint<S>,
        ids: &'a [u32],
    ) -> Result<Pass<'a, S>, RunError> {
        let tokens = Tokens::new(ids, self.length)?;
        Ok(Pass::new(checkpoint, &self.architecture, tokens)?)
    }

    /// Blocks of the model.
    pub fn blocks(&self) -> usize {
        self.architecture.blocks.len()
    }

    /// The tokens on which readers are moved.
    fn moved_tokens(&self) -> Tokens<'_> {
        let few = MOVED_SEQUENCES.min(self.input.ids.len() / self.length).max(1);
        Tokens { ids: &self.input.ids[..few * self.length], length: self.length }
    }

    /// Passes of readers that are moved.
    fn moves(&self) -> usize {
        if self.preserves { preservation::runs(&self.architecture) } else { 0 }
    }

    /// Whether every block ends in a norm, so that the stream has that norm's kernel.
    fn stream_is_normalised(&self) -> bool {
        self.architecture.blocks.iter().any(|block| block.around_feed_forward.after.is_some())
    }

    fn assumed_kind(&self) -> NormKind {
        let first =
            || self.architecture.blocks.first().and_then(|block| block.around_attention.after.as_ref());
        match self.architecture.final_norm.as_ref().or_else(first).map(|norm| norm.centring) {
            Some(Centring::Mean) => NormKind::LayerNorm,
            Some(Centring::None) => NormKind::RmsNorm,
            None => NormKind::Unknown,
        }
    }

    /// Whether the kind is judged by loss.
    fn has_loss(&self) -> bool {
        self.input.is_text && predicts(&self.architecture, self.length)
    }

    /// Tokens that the kind is judged by at most; 0 where it is not.
    pub fn most_for_loss(&self) -> usize {
        if self.has_loss() { self.input.ids.len() + self.input.further.len() } else { 0 }
    }

    /// Bytes of weights a second from the checkpoint to `machine`: the first of the largest matrix are read. `clock` gives seconds,
    /// perhaps by the millisecond.
    pub async fn loading_speed<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &Machine,
        clock: impl Fn() -> f64,
    ) -> Result<f64, RunError> {
        let checkpoint = opened.checkpoint();
        let bytes = |tensor: &usize| checkpoint.tensors[*tensor].bytes();
        let Some(tensor) = self.architecture.tensors().max_by_key(bytes) else { return Ok(f64::INFINITY) };
        let began = clock();
        let bytes = match machine {
            Machine::Cpu => load_some(checkpoint, tensor, &Cpu).await?,
            #[cfg(feature = "gpu")]
            Machine::Gpu(kernels) => load_some(checkpoint, tensor, kernels.as_ref()).await?,
        };
        Ok(bytes as f64 / (clock() - began).max(1e-3))
    }

    /// What carrying it out takes, at these speeds of the pass and of what is measured.
    pub fn cost<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &Machine,
        gram_device: &str,
        pass: PassSpeeds,
        speeds: Speeds,
    ) -> RunPlan {
        let (n, architecture) = (self.input.ids.len() as f64, &self.architecture);
        let widths: Vec<usize> = self.widths().collect();
        let mut work = [0.0; 2];
        let add = |work: &mut [f64; 2], [sums, eigen]: [f64; 2]| {
            work[0] += sums;
            work[1] += eigen;
        };
        // With no more rows than channels nothing is measured.
        for &width in widths.iter().filter(|width| self.rows(**width) > **width) {
            add(&mut work, operations(self.rows(width) as f64, width as f64));
        }
        let measured = !self.stream_is_normalised() && n > architecture.width as f64;
        let streams = if measured { self.blocks() } else { 0 };
        for _ in 0..streams {
            add(&mut work, block_operations(n, architecture.width as f64));
        }
        // The loss takes a pass under either kind, both with the head; what is measured is seen in one of them.
        let most_for_loss = self.most_for_loss();
        let macs = if self.has_loss() {
            2.0 * most_for_loss as f64 * macs(architecture, self.length)
        } else {
            n * architecture.macs(self.length)
        };
        let passes = if self.has_loss() { 2 * most_for_loss.div_ceil(self.input.ids.len()) } else { 1 };
        // A moved reader's pass runs the blocks after it, half of them on the whole, and the head.
        let moved = self.moves() as f64 * self.moved_tokens().ids.len() as f64;
        let macs = macs + moved * self::macs(architecture, self.length) / 2.0;
        let tensors = &opened.checkpoint().tensors;
        let bytes = architecture.tensors().map(|tensor| tensors[tensor].bytes()).sum::<u64>();
        let width = architecture.width as u64;
        let bytes = bytes * passes as u64;
        RunPlan {
            family: architecture.family.clone(),
            assumed_kind: self.assumed_kind(),
            sequences: (self.input.ids.len() / self.length) as u64,
            length: self.length as u64,
            blocks: self.blocks() as u64,
            left_out: self.left_out as u64,
            sites: widths.len() as u64,
            input: self.input.what.clone(),
            losses: self.has_loss(),
            moves: self.moves() as u64,
            loss_tokens: most_for_loss as u64,
            bytes,
            operations: 2.0 * macs + work[0] + work[1],
            memory: forward::memory(opened.checkpoint(), architecture, self.input.ids.len()),
            memory_of_site: plan::memory(
                8 * self.input.ids.len() as u64 * width,
                self.input.ids.len() as u64,
                width,
            ),
            pass_seconds: macs / pass.multiplications + bytes as f64 / pass.loading,
            measuring_seconds: work[0] / speeds.sums + work[1] / speeds.eigen,
            device: machine.name().to_owned(),
            gram_device: gram_device.to_owned(),
            warnings: self.warnings().into_iter().chain(self.too_large(opened, machine)).collect(),
        }
    }

    /// That a buffer of the run is larger than the GPU allows.
    fn too_large<S: ByteSource>(&self, opened: &Opened<S>, machine: &Machine) -> Option<Warning> {
        let tensors = &opened.checkpoint().tensors;
        let matrix = self.architecture.tensors().map(|tensor| tensors[tensor].bytes()).max().unwrap_or(0);
        let stream = 4 * (self.input.ids.len() * self.architecture.width) as u64;
        let needed = matrix.max(stream);
        let has = machine.largest_buffer().filter(|has| *has < needed)?;
        let message = format!(
            "`{}` allows buffers of {has} bytes, and one of {needed} is needed: the run will go on on the CPU. Run fewer tokens, or choose the CPU",
            machine.name()
        );
        Some(Warning::new(WarningCode::GpuTooSmall, machine.name(), message))
    }

    fn measures(&self, inspection: &Inspection, site: &str) -> bool {
        self.sites == Sites::All || inspection.report.model.final_norm.as_deref() == Some(site)
    }

    /// What is to be known of it whatever comes out.
    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.stream_is_normalised() {
            let message = "every block ends in a norm, so the least singular value of the residual stream is that norm's kernel: it is not listed";
            warnings.push(Warning::new(WarningCode::ResidualNormalised, "residual", message));
        }
        if self.left_out > 0 {
            let (blocks, all) = (self.blocks(), self.blocks() + self.left_out);
            let message = format!(
                "the first {blocks} of {all} blocks are run: the final norm reads the stream after those, which is not what it was trained on, and there are no logits and no loss"
            );
            let place = format!("block {}", blocks - 1);
            warnings.push(Warning::new(WarningCode::BlocksLeftOut, place, message));
        }
        if self.input.ids.len() <= self.architecture.width {
            let (tokens, width) = (self.input.ids.len(), self.architecture.width);
            let message = format!(
                "{tokens} tokens are no more than the width {width}: any {tokens} vectors leave a kernel, so norms of that width will not be measured. Run more than {width}, better {}",
                USUAL_RATIO * width
            );
            warnings.push(Warning::new(WarningCode::FewTokens, "tokens", message));
        }
        warnings
    }

    /// Runs it from where it stands, to the end or until `give`, which takes what is to be measured, breaks. A GPU that fails
    /// leaves the rest to the CPU.
    pub async fn execute<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &Machine,
        state: &mut RunState,
        mut give: impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        #[cfg(feature = "gpu")]
        if let Machine::Gpu(kernels) = machine {
            match self.on(opened, kernels.as_ref(), state, &mut give).await {
                Err(RunError::Forward(ForwardError::Device { reason })) => {
                    let done = state.blocks;
                    let mut outcome = self.on(opened, &Cpu, state, &mut give).await?;
                    let message = format!("{reason}. The run went on on the CPU, from block {done} on");
                    outcome.warnings.push(Warning::new(WarningCode::GpuFailed, kernels.name(), message));
                    return Ok(outcome);
                }
                other => return other,
            }
        }
        let _ = machine;
        self.on(opened, &Cpu, state, &mut give).await
    }

    async fn on<S: ByteSource, K: Kernels>(
        &self,
        opened: &Opened<S>,
        kernels: &K,
        state: &mut RunState,
        give: &mut impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<RunOutcome, RunError> {
        let pass = || Ok::<_, RunError>(self.pass(opened.checkpoint())?.on(kernels));
        let (blocks, stream) = (state.blocks, state.stream.clone());
        let residual = !self.stream_is_normalised();
        let inspection = &opened.inspection;
        let mut watching = Watching { run: self, inspection, residual, state: &mut *state, give };
        let hidden = match blocks {
            0 => pass()?.run(&mut watching).await,
            _ => pass()?.resume(blocks, stream, &mut watching).await,
        };
        let hidden = match hidden {
            Ok(hidden) => hidden,
            Err(ForwardError::Stopped { .. }) => {
                let stopped = Some(state.blocks);
                return Ok(RunOutcome { stopped, ..RunOutcome::default() });
            }
            Err(error) => return Err(error.into()),
        };
        // Also where the device has failed without anybody asking for values since.
        kernels.get(&hidden).await?;
        let (mut loss, mut mean_loss, mut warnings) = (None, None, Vec::new());
        if self.has_loss() {
            let own = pass()?.losses(&hidden).await?;
            mean_loss = Some(own.iter().sum::<f64>() / own.len() as f64);
            let judged = self.judge_by_loss(opened.checkpoint(), kernels, own, give).await?;
            loss = judged.filter(|loss| !is_a_guess(loss, self.architecture.vocabulary));
            warnings
                .extend(judged.filter(|_| loss.is_none()).map(|judged| self.no_better_than_a_guess(&judged)));
        }
        let mut preservation = Vec::new();
        if self.preserves {
            let moved = async |done, of| give(Shown::Moved(done, of)).await;
            let (architecture, tokens) = (&self.architecture, self.moved_tokens());
            preservation =
                preservation::preservation(opened.checkpoint(), architecture, tokens, kernels, moved).await?;
        }
        Ok(RunOutcome { loss, mean_loss, preservation, stopped: None, warnings })
    }

    /// The kind by loss, on the tokens of the run, whose losses under its assumed kind are `as_told`; and while those decide
    /// nothing, on as many of the text again.
    async fn judge_by_loss<S: ByteSource, K: Kernels>(
        &self,
        checkpoint: &Checkpoint<S>,
        kernels: &K,
        mut as_told: Vec<f64>,
        give: &mut impl AsyncFnMut(Shown) -> ControlFlow<()>,
    ) -> Result<Option<KindByLoss>, RunError> {
        let assumed_kind = self.assumed_kind();
        let other = match assumed_kind {
            NormKind::LayerNorm => Centring::None,
            _ => Centring::Mean,
        };
        let mut as_other = self.pass(checkpoint)?.on(kernels).assumed_kind(other).run_to_losses().await?;
        if give(Shown::Losses(as_told.len())).await.is_break() {
            return Ok(None);
        }
        // In parts that take no more memory than the run itself.
        let mut parts = self.input.further.chunks(self.input.ids.len());
        loop {
            let [layer, rms] = if assumed_kind == NormKind::LayerNorm {
                [&as_told, &as_other]
            } else {
                [&as_other, &as_told]
            };
            let judged = kind_by_loss(layer, rms, self.length - 1);
            // Each look is a chance to be wrong: with as many tokens again each time there are few of them.
            let enough = 2 * as_told.len();
            let open = |loss: KindByLoss| {
                loss.kind == NormKind::Unknown && !is_a_guess(&loss, self.architecture.vocabulary)
            };
            if !judged.is_some_and(open) || parts.len() == 0 {
                return Ok(judged);
            }
            for part in parts.by_ref() {
                as_told.extend(self.pass_on(checkpoint, part)?.on(kernels).run_to_losses().await?);
                as_other.extend(
                    self.pass_on(checkpoint, part)?.on(kernels).assumed_kind(other).run_to_losses().await?,
                );
                if give(Shown::Losses(as_told.len())).await.is_break() {
                    return Ok(judged);
                }
                if as_told.len() >= enough {
                    break;
                }
            }
        }
    }

    fn no_better_than_a_guess(&self, loss: &KindByLoss) -> Warning {
        let (vocabulary, best) = (self.architecture.vocabulary, loss.layernorm.min(loss.rmsnorm));
        let message = format!(
            "the model predicts the next token about as well as a guess among {vocabulary} does ({best:.2} nats, a guess {:.2}): its weights are untrained, or the tokens are of another tokenizer, so the loss says nothing of the kind",
            (vocabulary as f64).ln()
        );
        Warning::new(WarningCode::LossOfAGuess, "tokens", message)
    }

    /// All that came of it.
    pub fn result(
        &self,
        measured: Vec<Measured>,
        outcome: RunOutcome,
        device: String,
        seconds: f64,
    ) -> RunResult {
        let pass = PassSummary {
            family: self.architecture.family.clone(),
            assumed_kind: self.assumed_kind(),
            sequences: (self.input.ids.len() / self.length) as u64,
            length: self.length as u64,
            loss: outcome.mean_loss,
            left_out: self.left_out as u64,
        };
        let mut outcome = outcome;
        outcome.warnings.extend(self.warnings());
        let input =
            format!("{}, through a forward pass that was told the kind of every norm", self.input.what);
        RunResult { measured, outcome, pass, input, device, seconds }
    }
}

/// What a run shows: something to be measured, or that a block is done.
#[derive(Debug)]
pub enum Shown {
    /// To be measured.
    Sample(Box<Sample>),
    /// So many blocks are done.
    Blocks(usize),
    /// The kind is judged by the losses of so many tokens.
    Losses(usize),
    /// So many of all moved readers have been tried.
    Moved(usize, usize),
}

/// Hands on what is to be measured, and keeps where the run stands.
struct Watching<'a, Give> {
    run: &'a Run,
    inspection: &'a Inspection,
    residual: bool,
    state: &'a mut RunState,
    give: &'a mut Give,
}

impl<Give: AsyncFnMut(Shown) -> ControlFlow<()>> Watch for Watching<'_, Give> {
    fn wants(&self, site: &str) -> bool {
        self.run.measures(self.inspection, site)
    }

    fn wants_stream(&self) -> bool {
        true
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        if let Some(sample) = Sample::of(seen, self.inspection, self.run.sites, self.residual) {
            (self.give)(Shown::Sample(Box::new(sample))).await?;
        }
        if let Seen::Block { index, stream, .. } = seen {
            self.state.blocks = index + 1;
            self.state.stream.clear();
            self.state.stream.extend_from_slice(stream);
            (self.give)(Shown::Blocks(index + 1)).await?;
        }
        ControlFlow::Continue(())
    }
}

impl RunResult {
    /// The part of the report, and what there is to warn of; why, where nothing was measured.
    pub fn verification(self) -> Result<(Verification, Vec<Warning>), String> {
        let Self { measured, outcome, pass, input, device, seconds } = self;
        let (mut sites, mut blocks) = (Vec::new(), Vec::new());
        for measured in measured {
            match measured {
                Measured::Site(site, outcome) => sites.push((site, *outcome)),
                Measured::Block(block, stream) => blocks.push((block, stream)),
            }
        }
        // Stable, so that of two of the same the later one is kept.
        sites.sort_by_key(|(site, _)| *site);
        sites.reverse();
        sites.dedup_by_key(|(site, _)| *site);
        sites.reverse();
        blocks.sort_by_key(|(block, _)| *block);
        blocks.reverse();
        blocks.dedup_by_key(|(block, _)| *block);
        blocks.reverse();
        let mut warnings = outcome.warnings;
        let mut streams = Vec::new();
        for (place, (block, stream)) in blocks.into_iter().enumerate() {
            match stream {
                Ok(stream) if block == place => streams.push(stream),
                // A profile with a gap would number its blocks wrongly.
                Ok(_) => break,
                Err(message) => {
                    let place = format!("block {block}");
                    warnings.push(Warning::new(WarningCode::ResidualNotMeasured, place, message));
                    break;
                }
            }
        }
        if let Some(blocks) = outcome.stopped {
            let message =
                format!("the run was stopped after {blocks} blocks: what comes after them was not measured");
            warnings.push(Warning::new(WarningCode::RunStopped, format!("block {blocks}"), message));
        }
        let outcomes = sites.into_iter().map(|(_, outcome)| outcome).collect();
        let (mut verification, warnings) =
            Outcomes { outcomes, warnings, device, input, seconds }.verification()?;
        verification.residual = residual::profile(&streams);
        verification.falls = residual::falls(&streams);
        verification.loss = outcome.loss;
        verification.preservation = outcome.preservation;
        verification.pass = Some(pass);
        Ok((verification, warnings))
    }
}
