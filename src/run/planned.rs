//! A model that is to be run: how much of it, on how many tokens, and what that takes.

use super::content::Content;
use super::device::{NoGpu, PassDevice};
use super::pass::Sites;
use super::preservation;
use crate::checkpoint::Checkpoint;
use crate::forward::kernels::Cpu;
use crate::forward::{self, ForwardError, Input, Pass, load_some};
use crate::inspect::{Inspection, Opened};
use crate::measure::plan::{self, Speeds, block_operations, operations};
use crate::model::architecture::{Embedding, Norm};
use crate::model::operation::{Centring, Reads};
use crate::model::{self, Architecture, ModelError};
use crate::pixels::{PixelChoice, PixelError, PixelValues, noise, of_images, processor};
use crate::report::plan::RunPlan;
use crate::report::{KindByLoss, NormKind, Report, ScaleConvention, Warning, WarningCode};
use crate::sounds::{self, SoundError, SoundFeatures};
use crate::source::ByteSource;
use crate::source::memory::MemorySource;
use crate::text::TextError;
use crate::text::ids::Wanted;

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
    /// The chosen input gives no token ids.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The chosen input gives no pixels.
    #[error(transparent)]
    Pixels(Box<PixelError>),
    /// The chosen input gives no features of sounds.
    #[error(transparent)]
    Sounds(Box<SoundError>),
    /// A GPU was asked for by name, and there is none.
    #[error(transparent)]
    Device(#[from] NoGpu),
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
    /// The file stores its scales differently from what the code of its family expects.
    #[error(
        "`{site}` cannot be run: the run takes its scale as {taken}, but {reason}. Run the checkpoint that the file was made from, or measure activations of the code that the file is for"
    )]
    Scale {
        /// The norm.
        site: String,
        /// What the family's code does.
        taken: &'static str,
        /// What is known of the file.
        reason: String,
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

impl From<PixelError> for RunError {
    fn from(error: PixelError) -> Self {
        Self::Pixels(Box::new(error))
    }
}

impl From<SoundError> for RunError {
    fn from(error: SoundError) -> Self {
        Self::Sounds(Box::new(error))
    }
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
    pub(super) architecture: Architecture,
    pub(super) content: Content,
    pub(super) length: usize,
    pub(super) left_out: usize,
    pub(super) sites: Sites,
    pub(super) preserves: bool,
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
    /// [`Model::reading`] of a checkpoint with one model; of two towers the one that reads images.
    pub fn new<S: ByteSource>(checkpoint: &Checkpoint<S>, extent: Extent) -> Result<Self, RunError> {
        Self::reading(checkpoint, extent, None)
    }

    /// Resolves it; of two towers the one that reads `reads`. Where no number of tokens is asked for, the loss has as many more as are worth their time; no sequence is longer
    /// than the model has positions for. A sequence of patches is an image.
    pub fn reading<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        extent: Extent,
        reads: Option<Reads>,
    ) -> Result<Self, RunError> {
        let Extent { tokens, sequence, blocks } = extent;
        let whole = model::resolve_reading(checkpoint, reads)?;
        let has = whole.blocks.len();
        let blocks = blocks.unwrap_or(has);
        if blocks > has || blocks == 0 {
            return Err(RunError::Blocks { asked: blocks, has });
        }
        let left_out = has - blocks;
        let architecture = if left_out == 0 { whole } else { whole.first_blocks(blocks) };
        let length = match &architecture.embedding {
            Embedding::Tokens(_) => architecture.longest.map_or(sequence, |longest| sequence.min(longest)),
            Embedding::Patches(patches) => patches.tokens(patches.trained),
            Embedding::Sounds(sounds) => sounds.tokens(sounds.frames(sequence.max(1))),
        };
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

    /// What it reads.
    pub fn reads(&self) -> Reads {
        self.architecture.embedding.reads()
    }

    /// What was chosen, with what to know of it, or noise where nothing was: of a file of values and of noise as many images as give
    /// the tokens that are wanted, where there are so many.
    pub async fn pixels<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        choice: Option<&PixelChoice>,
    ) -> Result<(PixelValues, Vec<Warning>), RunError> {
        let Embedding::Patches(patches) = &self.architecture.embedding else {
            return Err(ForwardError::Reads { reads: self.reads(), given: Reads::Pixels }.into());
        };
        let images = |length: usize| self.tokens.div_ceil(length.max(1)).max(1);
        let [frames, rows, columns] = patches.trained;
        let pixels = match choice {
            None => noise([images(self.length), frames, patches.channels, rows, columns])?,
            Some(PixelChoice::Images(files)) => {
                return Ok(of_images(files, &processor(checkpoint).await?, frames)?);
            }
            Some(PixelChoice::Values(file)) => {
                // How many are wanted depends on their size.
                let [_, frames, _, rows, columns] = PixelValues::read(file, Some(1)).await?.shape;
                PixelValues::read(file, Some(images(patches.tokens([frames, rows, columns])))).await?
            }
        };
        Ok((pixels, Vec::new()))
    }

    /// Features of the sound files that were chosen, with what to know of them; without files as much noise as gives the tokens that
    /// are wanted.
    pub async fn sounds<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        files: Option<&[MemorySource]>,
    ) -> Result<(SoundFeatures, Vec<Warning>), RunError> {
        let Embedding::Sounds(embedding) = &self.architecture.embedding else {
            return Err(ForwardError::Reads { reads: self.reads(), given: Reads::Sounds }.into());
        };
        let Some(files) = files else {
            let count = self.tokens.div_ceil(self.length.max(1)).max(1);
            let shape = [count, embedding.channels, embedding.frames(self.length)];
            return Ok((sounds::noise(shape)?, Vec::new()));
        };
        let extractor = sounds::extractor(checkpoint, &self.architecture.family, embedding.channels).await?;
        Ok(sounds::of_files(files, &extractor)?)
    }

    /// How many ids it is run on.
    pub fn wanted(&self) -> Wanted {
        let Self { architecture, tokens, further, length, .. } = self;
        let vocabulary = architecture.vocabulary;
        Wanted { tokens: *tokens, further: *further, length: *length, vocabulary }
    }

    /// Whether the scales are stored as the code of the family takes them, which a conversion may have changed.
    pub fn fits(&self, report: &Report) -> Result<(), RunError> {
        for norm in self.architecture.norms() {
            let site = report.norms.iter().find(|site| Some(&site.name) == norm.site.as_ref());
            let Some(site) = site else { continue };
            let fits = match site.scale_convention {
                ScaleConvention::OnePlusWeight => norm.one_plus,
                ScaleConvention::Weight => !norm.one_plus,
                ScaleConvention::None => true,
                ScaleConvention::Unknown => false,
            };
            if !fits {
                return Err(RunError::Scale {
                    site: site.name.clone(),
                    taken: if norm.one_plus { "1 + w" } else { "w" },
                    reason: site.convention_reason.clone(),
                });
            }
        }
        Ok(())
    }

    /// With fewer tokens than these any norm has a kernel.
    pub fn least(&self) -> usize {
        self.architecture.width + 1
    }
}

impl Run {
    /// Of these sites, on this: whole sequences; with `preserves`, readers are moved too, on the first of them.
    pub fn new<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        model: Model,
        content: Content,
        sites: Sites,
        preserves: bool,
    ) -> Result<Self, RunError> {
        let Model { architecture, mut length, left_out, .. } = model;
        if let (Embedding::Patches(patches), Content::Pixels(pixels)) = (&architecture.embedding, &content) {
            let [_, frames, _, rows, columns] = pixels.shape;
            length = patches.tokens([frames, rows, columns]);
        }
        if let (Embedding::Sounds(embedding), Content::Sounds(sounds)) = (&architecture.embedding, &content) {
            length = embedding.tokens(sounds.shape[2]).max(1);
        }
        let run = Self { architecture, content, length, left_out, sites, preserves };
        // What cannot be run, or would end with nothing measured, is refused before anything is planned.
        run.pass(checkpoint)?;
        match run.sizes().min() {
            Some((width, rows)) if rows <= width => Err(RunError::FewTokens { tokens: run.tokens(), width }),
            _ => Ok(run),
        }
    }

    /// n.
    pub(super) fn tokens(&self) -> usize {
        self.content.tokens(self.length)
    }

    /// d of every norm that is to be measured, and the vectors that it reads.
    fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        let Architecture { final_norm, .. } = &self.architecture;
        let wanted = |norm: &Norm| self.sites == Sites::All || Some(norm) == final_norm.as_ref();
        let sites =
            self.architecture.norms_with_rows().filter(move |(norm, _)| norm.site.is_some() && wanted(norm));
        sites.map(|(norm, rows)| (norm.width, self.tokens() * rows))
    }

    /// The same run, of norms alone, of the same architecture with other weights.
    pub fn of_twin<S: ByteSource>(&self, checkpoint: &Checkpoint<S>) -> Result<Self, RunError> {
        let blocks = Some(self.blocks());
        let extent = Extent { tokens: Some(self.tokens()), sequence: self.length, blocks };
        let model = Model::reading(checkpoint, extent, Some(self.architecture.embedding.reads()))?;
        // Weights that nobody trained predict no token: a loss would only cost two more passes.
        Self::new(checkpoint, model, self.content.without_text(), self.sites, false)
    }

    pub(super) fn pass<'a, S: ByteSource>(
        &'a self,
        checkpoint: &'a Checkpoint<S>,
    ) -> Result<Pass<'a, S>, RunError> {
        self.pass_on(checkpoint, self.content.input(self.length, None)?)
    }

    pub(super) fn pass_on<'a, S: ByteSource>(
        &'a self,
        checkpoint: &'a Checkpoint<S>,
        input: Input<'a>,
    ) -> Result<Pass<'a, S>, RunError> {
        Ok(Pass::new(checkpoint, &self.architecture, input)?)
    }

    /// Blocks of the model.
    pub fn blocks(&self) -> usize {
        self.architecture.blocks.len()
    }

    /// What readers are moved on.
    pub(super) fn moved(&self) -> Result<Input<'_>, ForwardError> {
        self.content.input(self.length, Some(MOVED_SEQUENCES))
    }

    /// Passes of readers that are moved.
    fn moves(&self) -> usize {
        if self.preserves { preservation::runs(&self.architecture) } else { 0 }
    }

    /// Whether every block ends in a norm, so that the stream has that norm's kernel.
    pub(super) fn stream_is_normalised(&self) -> bool {
        self.architecture.blocks.iter().any(|block| block.around_feed_forward.after.is_some())
    }

    pub(super) fn assumed_kind(&self) -> NormKind {
        let first =
            || self.architecture.blocks.first().and_then(|block| block.around_attention.after.as_ref());
        match self.architecture.final_norm.as_ref().or_else(first).map(|norm| norm.centring) {
            Some(Centring::Mean) => NormKind::LayerNorm,
            Some(Centring::None) => NormKind::RmsNorm,
            None => NormKind::Unknown,
        }
    }

    /// Whether the kind is judged by loss.
    pub(super) fn has_loss(&self) -> bool {
        self.content.is_text() && predicts(&self.architecture, self.length)
    }

    /// Tokens that the kind is judged by at most; 0 where it is not.
    pub fn most_for_loss(&self) -> usize {
        if self.has_loss() { self.tokens() + self.content.further().len() } else { 0 }
    }

    /// Bytes of weights a second from the checkpoint to `machine`: the first of the largest matrix are read. `clock` gives seconds,
    /// perhaps by the millisecond.
    pub async fn loading_speed<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &PassDevice,
        clock: impl Fn() -> f64,
    ) -> Result<f64, RunError> {
        let checkpoint = opened.checkpoint();
        let bytes = |tensor: &usize| checkpoint.tensors[*tensor].bytes();
        let Some(tensor) = self.architecture.tensors().max_by_key(bytes) else { return Ok(f64::INFINITY) };
        let began = clock();
        let bytes = match machine {
            PassDevice::Cpu => load_some(checkpoint, tensor, &Cpu).await?,
            #[cfg(feature = "gpu")]
            PassDevice::Gpu(kernels) => load_some(checkpoint, tensor, kernels.as_ref()).await?,
        };
        Ok(bytes as f64 / (clock() - began).max(1e-3))
    }

    /// What the run takes, at these speeds of the pass and of what is measured.
    pub fn cost<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &PassDevice,
        gram_device: &str,
        pass: PassSpeeds,
        speeds: Speeds,
    ) -> RunPlan {
        let (n, architecture) = (self.tokens() as f64, &self.architecture);
        let sizes: Vec<(usize, usize)> = self.sizes().collect();
        let mut work = [0.0; 2];
        let add = |work: &mut [f64; 2], [sums, eigen]: [f64; 2]| {
            work[0] += sums;
            work[1] += eigen;
        };
        // With no more rows than channels nothing is measured.
        for &(width, rows) in sizes.iter().filter(|(width, rows)| rows > width) {
            add(&mut work, operations(rows as f64, width as f64));
        }
        let measured = !self.stream_is_normalised() && n > architecture.width as f64;
        // After the attention of each block, and after the whole of it.
        let streams = if measured { 2 * self.blocks() } else { 0 };
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
        let passes = if self.has_loss() { 2 * most_for_loss.div_ceil(self.tokens()) } else { 1 };
        // A moved reader's pass runs the blocks after it, half of them on the whole, and the head.
        let moved = self.moves() as f64 * self.tokens().min(MOVED_SEQUENCES * self.length) as f64;
        let macs = macs + moved * self::macs(architecture, self.length) / 2.0;
        let tensors = &opened.checkpoint().tensors;
        let bytes = architecture.tensors().map(|tensor| tensors[tensor].bytes()).sum::<u64>();
        let width = architecture.width as u64;
        let bytes = bytes * passes as u64;
        RunPlan {
            family: architecture.family.clone(),
            assumed_kind: self.assumed_kind(),
            sequences: (self.tokens() / self.length) as u64,
            length: self.length as u64,
            blocks: self.blocks() as u64,
            left_out: self.left_out as u64,
            sites: sizes.len() as u64,
            input: self.content.what().to_owned(),
            losses: self.has_loss(),
            moves: self.moves() as u64,
            loss_tokens: most_for_loss as u64,
            bytes,
            operations: 2.0 * macs + work[0] + work[1],
            memory: forward::memory(opened.checkpoint(), architecture, self.tokens()),
            memory_of_site: plan::memory(8 * self.tokens() as u64 * width, self.tokens() as u64, width),
            pass_seconds: macs / pass.multiplications + bytes as f64 / pass.loading,
            measuring_seconds: work[0] / speeds.sums + work[1] / speeds.eigen,
            device: machine.name().to_owned(),
            gram_device: gram_device.to_owned(),
            warnings: self.warnings().into_iter().chain(self.too_large(opened, machine)).collect(),
        }
    }

    /// That a buffer of the run is larger than the GPU allows.
    fn too_large<S: ByteSource>(&self, opened: &Opened<S>, machine: &PassDevice) -> Option<Warning> {
        let tensors = &opened.checkpoint().tensors;
        let matrix = self.architecture.tensors().map(|tensor| tensors[tensor].bytes()).max().unwrap_or(0);
        let stream = 4 * (self.tokens() * self.architecture.width) as u64;
        let needed = matrix.max(stream);
        let has = machine.largest_buffer().filter(|has| *has < needed)?;
        Some(Warning::new(
            WarningCode::GpuTooSmall,
            machine.name().to_owned(),
            format!(
                "`{}` allows buffers of {has} bytes, and one of {needed} is needed: the run will go on on the CPU. Run fewer tokens, or choose the CPU",
                machine.name()
            ),
        ))
    }

    /// Whether the norm that the model's own code calls `site` is measured.
    pub(super) fn measures(&self, inspection: &Inspection, site: &str) -> bool {
        self.sites == Sites::All || self.final_site(inspection) == Some(site)
    }

    /// The final norm of what is run, which may be one tower of the checkpoint; where it has none of its own, that of the report.
    fn final_site<'a>(&'a self, inspection: &'a Inspection) -> Option<&'a str> {
        let own = self.architecture.final_norm.as_ref().and_then(|norm| norm.site.as_deref());
        own.or_else(|| {
            let report = &inspection.report;
            let at =
                report.norms.iter().position(|norm| report.model.final_norm.as_ref() == Some(&norm.name))?;
            inspection.own_names.get(at).map(String::as_str)
        })
    }

    /// What is to be known of it whatever comes out.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.stream_is_normalised() {
            warnings.push(Warning::new(WarningCode::ResidualNormalised, "residual", "every block ends in a norm, so the least singular value of the residual stream is that norm's kernel: it is not listed"));
        }
        if self.left_out > 0 {
            let (blocks, all) = (self.blocks(), self.blocks() + self.left_out);
            warnings.push(Warning::new(WarningCode::BlocksLeftOut, format!("block {}", blocks - 1), format!("the first {blocks} of {all} blocks are run: the final norm reads the stream after those, which is not what it was trained on, and there are no logits and no loss")));
        }
        if self.tokens() <= self.architecture.width {
            let (tokens, width) = (self.tokens(), self.architecture.width);
            warnings.push(Warning::new(WarningCode::FewTokens, "tokens", format!("{tokens} tokens are no more than the width {width}: any {tokens} vectors leave a kernel, so norms of that width will not be measured. Run more than {width}, better {}", USUAL_RATIO * width)));
        }
        warnings
    }

    pub(super) fn no_better_than_a_guess(&self, loss: &KindByLoss) -> Warning {
        let (vocabulary, best) = (self.architecture.vocabulary, loss.layernorm.min(loss.rmsnorm));
        let message = format!(
            "the model predicts the next token about as well as a guess among {vocabulary} does ({best:.2} nats, a guess {:.2}): its weights are untrained, or the tokens are of another tokenizer, so the loss says nothing of the kind",
            (vocabulary as f64).ln()
        );
        Warning::new(WarningCode::LossOfAGuess, "tokens", message)
    }
}
