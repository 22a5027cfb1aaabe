//! A planned run: how much of the model, on how many tokens, and what that takes.

use super::content::Content;
use super::cut::Cut;
use super::device::{NoGpu, PassDevice};
use super::pass::Sites;
use super::preservation;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::forward::kernels::Cpu;
use crate::forward::{ForwardError, Inputs, Pass, load_some};
use crate::inspect::{Inspection, Opened};
use crate::model::architecture::{Embedding, Linear, Norm, Projector};
use crate::model::operation::{Centring, Reads};
use crate::model::{self, Accepted, Architecture, ModelError};
use crate::pixels::{PixelChoice, PixelError, PixelValues, noise, of_images, processor};
use crate::report::{
    KindByLoss, NormKind, Report, ScaleConvention, StackName, StackSummary, Warning, WarningCode,
};
use crate::sounds::{self, SoundError, SoundFeatures};
use crate::source::ByteSource;
use crate::source::memory::MemorySource;
use crate::text::TextError;
use crate::text::ids::Wanted;

/// Default number of tokens for each channel of the stream.
const USUAL_RATIO: usize = 4;
/// Most tokens for the loss, if fewer decide nothing.
const TOKENS_FOR_LOSS: usize = 4096;
/// Multiplications that the loss of a small model may use for more tokens than that. They take seconds.
const MACS_FOR_LOSS: f64 = 6e10;
/// Default number of tokens of a sequence.
pub const USUAL_LENGTH: usize = 128;

/// Sequences for moving readers. There is only one, because each of the many moves is a pass.
pub(super) const MOVED_SEQUENCES: usize = 1;

/// Why a run did not begin, or ended early.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunError {
    /// The model cannot be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The chosen input has no token ids.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The chosen input has no pixels.
    #[error(transparent)]
    Pixels(Box<PixelError>),
    /// The chosen input has no features of sounds.
    #[error(transparent)]
    Sounds(Box<SoundError>),
    /// The user named a GPU, but there is none.
    #[error(transparent)]
    Device(#[from] NoGpu),
    /// The pass failed.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// Sequences that hold no token beside those of their image.
    #[error(
        "sequences of {length} tokens leave nothing for a text behind the {image} tokens of their image: ask for {} at least, better {}",
        image + 1, image + USUAL_LENGTH
    )]
    OnlyImages {
        /// Tokens of a sequence.
        length: usize,
        /// Image tokens of it.
        image: usize,
    },
    /// A number of blocks that the model does not have.
    #[error("{asked} blocks cannot be run of a model that has {has}: ask for 1 to {has}")]
    Blocks {
        /// The number that the user gave.
        asked: usize,
        /// Blocks of the model.
        has: usize,
    },
    /// The file stores its scales differently from what the code of its family expects.
    #[error(
        "`{site}` cannot be run: the run takes its scale as {taken}, but {reason}. Run the checkpoint that the file was made from, or measure activations of the code that the file is for"
    )]
    Scale {
        /// Name of the norm.
        site: String,
        /// How the family's code uses the scale.
        taken: &'static str,
        /// What is known about the file's scale.
        reason: String,
    },
    /// There are too few tokens for any norm.
    #[error(
        "{tokens} tokens are no more than the {width} channels of the narrowest norm to be measured, and any {tokens} vectors leave a kernel: run at least {}, better {}",
        width + 1, USUAL_RATIO * width
    )]
    FewTokens {
        /// Tokens of the run.
        tokens: usize,
        /// Width d of the norm that needs the fewest tokens.
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

/// How much of a model to run, on how many tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Tokens of each stack, rounded up to whole sequences. The default is four for each channel of the stream.
    pub tokens: Option<usize>,
    /// Tokens of a sequence. The default is [`USUAL_LENGTH`], or for a decoder behind an encoder as many as it has positions for.
    pub sequence: Option<usize>,
    /// How many blocks to run. The default is all.
    pub blocks: Option<usize>,
}

/// A model that can be run, with the number and length of its sequences.
#[derive(Debug, Clone)]
pub struct Model {
    architecture: Architecture,
    tokens: usize,
    /// Further tokens that the loss may use.
    further: usize,
    length: usize,
    /// Tokens of the first stack, and of each of its sequences. Same as above, unless that stack is an encoder.
    first: (usize, usize),
    /// Number of blocks that are left out.
    left_out: usize,
    /// Whether the last stack runs only in part.
    cut: bool,
}

/// A run that is ready to start.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) architecture: Architecture,
    pub(super) content: Content,
    pub(super) length: usize,
    /// Tokens of a sequence of the encoder.
    encoder_length: usize,
    pub(super) left_out: usize,
    cut: bool,
    pub(super) sites: Sites,
    pub(super) preserves: bool,
    /// The parts in which it runs, if it is not whole.
    pub(super) cut_into: Option<Cut>,
}

/// A stack of a model, and its number of tokens.
pub(super) struct StackRun<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) tokens: usize,
    /// Tokens of a sequence.
    pub(super) length: usize,
}

/// Most fields that a warning names.
const NAMED: usize = 6;

/// Speeds of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassSpeeds {
    /// Multiplications per second.
    pub multiplications: f64,
    /// Bytes of weights per second, from the checkpoint to the device.
    pub loading: f64,
}

/// Whether the model predicts next tokens.
fn predicts(architecture: &Architecture, length: usize) -> bool {
    // Behind a tower the two stacks have norms of two kinds: one loss for both says nothing of either.
    let alone = architecture.embedding.projector().is_none();
    architecture.causal && architecture.head.is_some() && length > 1 && alone
}

/// What the first of two stacks is called.
fn first_name(architecture: &Architecture) -> StackName {
    match architecture.embedding.projector() {
        Some(_) => StackName::Tower,
        None => StackName::Encoder,
    }
}

/// Image tokens of a sequence.
fn image_tokens(architecture: &Architecture) -> usize {
    architecture.embedding.projector().map_or(0, Projector::features)
}

/// Multiplications for a token, including the head, in sequences of `length`.
pub(super) fn macs(architecture: &Architecture, length: usize) -> f64 {
    let head = architecture.head.as_ref().map_or(0.0, |head| {
        let unembedding = head.unembedding;
        unembedding.inputs as f64 * unembedding.outputs as f64
    });
    architecture.macs(length) + head
}

/// Most tokens for the loss, if a token takes `macs`: [`TOKENS_FOR_LOSS`], or for a small model as many as take [`MACS_FOR_LOSS`] under
/// both kinds.
fn most_for_loss(macs: f64) -> usize {
    ((MACS_FOR_LOSS / (2.0 * macs)) as usize).max(TOKENS_FOR_LOSS)
}

impl Model {
    /// Resolves the model of a checkpoint, as [`Model::reading`] does. Of two towers it takes the one that reads images.
    pub fn new<S: ByteSource>(checkpoint: &Checkpoint<S>, extent: Extent) -> Result<Self, RunError> {
        Self::reading(checkpoint, extent, None, Accepted::Only(&[]))
    }

    /// Resolves the model of a checkpoint. Of two towers it takes the one that reads `reads`. If the user gives no number of tokens, the
    /// loss gets more tokens within its time limit, but not behind an encoder, which would then need more input too. No sequence is
    /// longer than the model's positions. A sequence of patches is an image. Unknown fields of the configuration are an error, unless they
    /// are `accepted`.
    pub fn reading<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        extent: Extent,
        reads: Option<Reads>,
        accepted: Accepted<'_>,
    ) -> Result<Self, RunError> {
        if checkpoint.has_graph() {
            return Err(ModelError::Graph.into());
        }
        let Extent { tokens, sequence, blocks } = extent;
        let whole = model::resolve_reading(checkpoint, reads, accepted)?;
        let has = whole.all_blocks();
        let blocks = blocks.unwrap_or(has);
        if blocks > has || blocks == 0 {
            return Err(RunError::Blocks { asked: blocks, has });
        }
        let left_out = has - blocks;
        let cut = left_out > 0 && whole.encoder.as_ref().is_none_or(|encoder| encoder.blocks.len() != blocks);
        let architecture = if left_out == 0 { whole } else { whole.first_blocks(blocks) };
        // Sequences of an encoder are costly, so the decoder of each runs on long sequences. An image comes before its text.
        let usual_length = match (&architecture.encoder, architecture.longest) {
            (Some(_), Some(longest)) => longest,
            _ => USUAL_LENGTH.saturating_add(image_tokens(&architecture)),
        };
        let sequence = sequence.unwrap_or(usual_length);
        let length_of = |stack: &Architecture| match &stack.embedding {
            Embedding::Tokens(_) => stack.longest.map_or(sequence, |longest| sequence.min(longest)),
            Embedding::Patches(patches) => patches.tokens(patches.trained),
            Embedding::Sounds(sounds) => sounds.tokens(sounds.frames(sequence.max(1))),
        };
        let length = length_of(&architecture);
        let usual = USUAL_RATIO * architecture.width;
        let of_first = |first: &Architecture| (tokens.unwrap_or(USUAL_RATIO * first.width), length_of(first));
        let first = architecture.stacks().next().map_or((usual, length), of_first);
        let further = match tokens {
            None if architecture.encoder.is_none() && predicts(&architecture, length) => {
                most_for_loss(macs(&architecture, length)).saturating_sub(usual)
            }
            // If the user gives a number of tokens, the run uses no more.
            _ => 0,
        };
        Ok(Self { architecture, tokens: tokens.unwrap_or(usual), further, length, first, left_out, cut })
    }

    /// Returns what the model reads. If it has an encoder, what that reads.
    pub fn reads(&self) -> Reads {
        self.architecture.reads()
    }

    /// Returns what the decoder behind an encoder reads.
    pub(super) fn decoder_reads(&self) -> Option<Reads> {
        self.architecture.encoder.as_ref().map(|_| self.architecture.embedding.reads())
    }

    /// Returns the embedding of the first stack.
    fn embedding(&self) -> &Embedding {
        &self.architecture.encoder.as_deref().unwrap_or(&self.architecture).embedding
    }

    /// Returns how many sequences of the first stack give the wanted tokens.
    fn first_sequences(&self, length: usize) -> usize {
        self.first.0.div_ceil(length.max(1)).max(1)
    }

    /// Returns the chosen pixels with warnings, or noise if none were chosen. Of a file of values and of noise, it takes as many images
    /// as give the wanted tokens, if there are that many.
    pub async fn pixels<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        choice: Option<&PixelChoice>,
    ) -> Result<(PixelValues, Vec<Warning>), RunError> {
        let Embedding::Patches(patches) = self.embedding() else {
            return Err(ForwardError::Reads { reads: self.reads(), given: Reads::Pixels }.into());
        };
        let images = |length: usize| self.first_sequences(length);
        let [frames, rows, columns] = patches.trained;
        let pixels = match choice {
            None => noise([images(self.first.1), frames, patches.channels, rows, columns])?,
            Some(PixelChoice::Images(files)) => {
                return Ok(of_images(files, &processor(checkpoint).await?, frames)?);
            }
            Some(PixelChoice::Values(file)) => {
                // The number of images depends on their size.
                let [_, frames, _, rows, columns] = PixelValues::read(file, Some(1)).await?.shape;
                PixelValues::read(file, Some(images(patches.tokens([frames, rows, columns])))).await?
            }
        };
        Ok((pixels, Vec::new()))
    }

    /// Returns the features of the chosen sound files with warnings. Without files, it makes as much noise as gives the wanted tokens.
    pub async fn sounds<S: ByteSource>(
        &self,
        checkpoint: &Checkpoint<S>,
        files: Option<&[MemorySource]>,
    ) -> Result<(SoundFeatures, Vec<Warning>), RunError> {
        let Embedding::Sounds(embedding) = self.embedding() else {
            return Err(ForwardError::Reads { reads: self.reads(), given: Reads::Sounds }.into());
        };
        let Some(files) = files else {
            let count = self.first_sequences(self.first.1);
            let shape = [count, embedding.channels, embedding.frames(self.first.1)];
            return Ok((sounds::noise(shape)?, Vec::new()));
        };
        let extractor = sounds::extractor(checkpoint, &self.architecture.family, embedding.channels).await?;
        Ok(sounds::of_files(files, &extractor)?)
    }

    /// Returns how many ids the run needs.
    pub fn wanted(&self) -> Wanted {
        let Self { architecture, tokens, further, length, .. } = self;
        let vocabulary = architecture.vocabulary;
        Wanted { tokens: *tokens, further: *further, length: *length, vocabulary }
    }

    /// Returns how many ids a decoder needs, if each sequence begins with `begun` other ids. Each of the `encoder` inputs gets equally
    /// many sequences.
    pub(super) fn wanted_behind(&self, encoder: usize, begun: usize) -> Wanted {
        let Self { architecture, tokens, length, .. } = self;
        let length = length.saturating_sub(begun);
        let sequences = tokens.div_ceil(self.length.max(1)).max(1).next_multiple_of(encoder.max(1));
        let tokens = sequences.saturating_mul(length);
        Wanted { tokens, further: 0, length, vocabulary: architecture.vocabulary }
    }

    /// Returns the token ids that each sequence of a decoder begins with.
    pub(super) fn start(&self) -> &[u32] {
        &self.architecture.start
    }

    /// The id of an image token, and how many a sequence has, behind a tower of images.
    pub(super) fn image_tokens(&self) -> Option<(u32, usize)> {
        self.architecture.embedding.projector().map(|projector| (projector.token, projector.features()))
    }

    /// What the first of its two stacks is called.
    pub(super) fn first_name(&self) -> StackName {
        first_name(&self.architecture)
    }

    /// Tokens of a sequence of the stack that runs last.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Checks that the scales are stored as the family's code expects. A conversion may have changed them.
    pub fn fits(&self, report: &Report) -> Result<(), RunError> {
        for norm in self.architecture.stacks().flat_map(Architecture::norms) {
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

    /// With fewer tokens than this, any norm has a kernel.
    pub fn least(&self) -> usize {
        self.architecture.width + 1
    }
}

impl Run {
    /// Prepares a run on whole sequences that measures these sites. With `preserves`, it also moves readers, on the first sequences.
    pub fn new<S: ByteSource>(
        checkpoint: &Checkpoint<S>,
        model: Model,
        content: Content,
        sites: Sites,
        preserves: bool,
    ) -> Result<Self, RunError> {
        let Model { architecture, length, first, left_out, cut, .. } = model;
        let length_of = |embedding: &Embedding, content: &Content| match (embedding, content) {
            (Embedding::Patches(patches), Content::Pixels(pixels)) => {
                let [_, frames, _, rows, columns] = pixels.shape;
                Some(patches.tokens([frames, rows, columns]))
            }
            (Embedding::Sounds(embedding), Content::Sounds(sounds)) => {
                Some(embedding.tokens(sounds.shape[2]).max(1))
            }
            _ => None,
        };
        let encoder = architecture.encoder.as_ref().zip(content.of_encoder());
        let encoder_length = encoder.and_then(|(encoder, content)| length_of(&encoder.embedding, content));
        let encoder_length = encoder_length.unwrap_or(first.1);
        let length = length_of(&architecture.embedding, &content).unwrap_or(length);
        let cut_into = None;
        let run =
            Self { architecture, content, length, encoder_length, left_out, cut, sites, preserves, cut_into };
        // Fails before anything is planned, if the run is impossible or would measure nothing.
        run.pass(checkpoint)?;
        let few = |stack: StackRun<'_>| run.sizes(&stack).min().filter(|(width, rows)| rows <= width);
        let few: Option<Vec<(usize, usize)>> = run.stacks().map(few).collect();
        match few.and_then(|few| few.last().copied()) {
            Some((width, _)) => Err(RunError::FewTokens { tokens: run.tokens(), width }),
            None => Ok(run),
        }
    }

    /// Returns its stacks in running order.
    pub(super) fn stacks(&self) -> impl Iterator<Item = StackRun<'_>> {
        let Self { architecture, content, length, encoder_length, .. } = self;
        let encoder = architecture.encoder.as_deref().zip(content.of_encoder());
        let encoder = encoder.map(|(architecture, content)| StackRun {
            architecture,
            tokens: content.tokens(*encoder_length),
            length: *encoder_length,
        });
        encoder.into_iter().chain([StackRun { architecture, tokens: self.tokens(), length: *length }])
    }

    /// What its two stacks are called.
    pub(super) fn stack_names(&self) -> [StackName; 2] {
        [first_name(&self.architecture), StackName::Decoder]
    }

    /// What it is run on, for the report.
    pub(super) fn input(&self) -> String {
        self.content.what(self.stack_names())
    }

    /// Describes the run of an encoder and a decoder. Empty for a model of one stack.
    pub(super) fn summaries(&self) -> Vec<StackSummary> {
        if self.architecture.encoder.is_none() {
            return Vec::new();
        }
        let names = self.stack_names();
        let summary = |(stack, StackRun { architecture, tokens, length }): (_, StackRun<'_>)| StackSummary {
            stack,
            blocks: architecture.blocks.len() as u64,
            sequences: (tokens / length.max(1)) as u64,
            length: length as u64,
        };
        names.into_iter().zip(self.stacks()).map(summary).collect()
    }

    /// Number of tokens n.
    pub(super) fn tokens(&self) -> usize {
        self.content.tokens(self.length)
    }

    /// Returns the width d of every norm of a stack that will be measured, and the number of its vectors.
    pub(super) fn sizes<'a>(
        &'a self,
        stack: &StackRun<'a>,
    ) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let (tokens, architecture) = (stack.tokens, stack.architecture);
        let wanted = |norm: &Norm| self.sites == Sites::All || Some(norm) == architecture.final_norm.as_ref();
        let sites =
            architecture.norms_with_rows().filter(move |(norm, _)| norm.site.is_some() && wanted(norm));
        sites.map(move |(norm, rows)| (norm.width, tokens * rows))
    }

    /// Returns the same run, of norms only, of the same architecture with other weights.
    pub fn of_twin<S: ByteSource>(&self, checkpoint: &Checkpoint<S>) -> Result<Self, RunError> {
        let blocks = Some(self.blocks());
        let extent = Extent { tokens: Some(self.tokens()), sequence: Some(self.length), blocks };
        let model = Model::reading(checkpoint, extent, Some(self.architecture.reads()), Accepted::All)?;
        // Untrained weights predict no token, so a loss would only cost two more passes.
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
        input: impl Into<Inputs<'a>>,
    ) -> Result<Pass<'a, S>, RunError> {
        Ok(Pass::new(checkpoint, &self.architecture, input)?)
    }

    /// Number of blocks of all stacks.
    pub fn blocks(&self) -> usize {
        self.architecture.all_blocks()
    }

    /// Number of blocks of the encoder.
    pub(super) fn blocks_of_encoder(&self) -> usize {
        self.architecture.encoder.as_ref().map_or(0, |encoder| encoder.blocks.len())
    }

    /// What its first stack is called, and the blocks of it, where there are two.
    pub(super) fn first_of_two(&self) -> Option<(StackName, usize)> {
        let encoder = self.architecture.encoder.as_ref()?;
        Some((self.stack_names()[0], encoder.blocks.len()))
    }

    /// Returns the input for moving readers.
    pub(super) fn moved(&self) -> Result<Inputs<'_>, ForwardError> {
        self.content.input(self.length, Some(MOVED_SEQUENCES))
    }

    /// Number of passes with moved readers.
    pub(super) fn moves(&self) -> usize {
        if self.preserves { preservation::runs(&self.architecture) } else { 0 }
    }

    /// Whether every block ends in a norm. The stream then has that norm's kernel.
    pub(super) fn stream_is_normalised(&self) -> bool {
        let mut blocks = self.architecture.stacks().flat_map(|stack| &stack.blocks);
        blocks.any(|block| block.around_feed_forward.after.is_some())
    }

    /// The kind of the norms of all stacks; unknown where they differ.
    pub(super) fn assumed_kind(&self) -> NormKind {
        let of_stack = |stack: &Architecture| {
            let first = || stack.blocks.first().and_then(|block| block.around_attention.after.as_ref());
            stack.final_norm.as_ref().or_else(first).map(|norm| norm.centring)
        };
        let kinds: Vec<Option<Centring>> = self.architecture.stacks().map(of_stack).collect();
        match kinds.first().copied().flatten().filter(|kind| kinds.iter().all(|other| *other == Some(*kind)))
        {
            Some(Centring::Mean) => NormKind::LayerNorm,
            Some(Centring::None) => NormKind::RmsNorm,
            None => NormKind::Unknown,
        }
    }

    /// Whether the run judges the kind by loss.
    pub(super) fn has_loss(&self) -> bool {
        self.content.is_text() && predicts(&self.architecture, self.length)
    }

    /// Most tokens for the kind by loss. 0 if there is none.
    pub fn most_for_loss(&self) -> usize {
        if self.has_loss() { self.tokens() + self.content.further().len() } else { 0 }
    }

    /// Measures the bytes of weights per second from the checkpoint to `machine`, with the first bytes of the largest matrix. `clock`
    /// returns seconds, perhaps only to a millisecond.
    pub async fn loading_speed<S: ByteSource>(
        &self,
        opened: &Opened<S>,
        machine: &PassDevice,
        clock: impl Fn() -> f64,
    ) -> Result<f64, RunError> {
        let checkpoint = opened.checkpoint();
        let bytes = |linear: &&Linear| linear.bytes(self.tensors());
        let Some(&Linear { weight: tensor, .. }) = self.matrices().max_by_key(bytes) else {
            return Ok(f64::INFINITY);
        };
        let began = clock();
        let bytes = match machine {
            PassDevice::Cpu => load_some(checkpoint, &self.architecture, tensor, &Cpu).await?,
            #[cfg(feature = "gpu")]
            PassDevice::Gpu(kernels) => {
                load_some(checkpoint, &self.architecture, tensor, kernels.as_ref()).await?
            }
        };
        Ok(bytes as f64 / (clock() - began).max(1e-3))
    }

    /// Returns the tensors that the architecture refers to.
    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.architecture.tensors
    }

    /// Returns the linear maps whose matrices a pass reads whole.
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Linear> {
        self.architecture.stacks().flat_map(Architecture::matrices)
    }

    /// Whether the norm with the name `site` in the model's own code is measured.
    pub(super) fn measures(&self, inspection: &Inspection, site: &str) -> bool {
        let is_last = |stack: &Architecture| {
            stack.final_norm.as_ref().is_some_and(|norm| norm.site.as_deref() == Some(site))
        };
        self.sites == Sites::All
            || self.architecture.encoder.as_deref().is_some_and(is_last)
            || self.final_site(inspection) == Some(site)
    }

    /// Returns the final norm of what is run, which may be one tower of the checkpoint. If it has none, returns that of the report.
    fn final_site<'a>(&'a self, inspection: &'a Inspection) -> Option<&'a str> {
        let own = self.architecture.final_norm.as_ref().and_then(|norm| norm.site.as_deref());
        own.or_else(|| {
            let report = &inspection.report;
            let at =
                report.norms.iter().position(|norm| report.model.final_norm.as_ref() == Some(&norm.name))?;
            inspection.own_names.get(at).map(String::as_str)
        })
    }

    /// Returns the warnings that do not depend on the results.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.stream_is_normalised() {
            warnings.push(Warning::new(WarningCode::ResidualNormalised, "residual", "every block ends in a norm, so the least singular value of the residual stream is that norm's kernel: it is not listed"));
        }
        for architecture in self.architecture.stacks() {
            let fields = &architecture.left_out_fields;
            if let Some(first) = fields.first() {
                let named: Vec<String> = fields.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
                let more = fields.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let message = format!(
                    "the run leaves out these fields of the configuration, because transformers' code of `{}` does not read them or you assume that they change nothing: {}{more}",
                    architecture.family,
                    named.join(", ")
                );
                warnings.push(Warning::new(WarningCode::FieldsLeftOut, first.clone(), message));
            }
        }
        if self.left_out > 0 {
            let (blocks, all) = (self.blocks(), self.blocks() + self.left_out);
            let (code, place) = (WarningCode::BlocksLeftOut, format!("block {}", blocks - 1));
            let of_norm = match self.cut {
                true => ": the final norm reads the stream after those, which is not what it was trained on, and there are no logits and no loss".to_owned(),
                false => {
                    let alone = match self.architecture.reads() {
                        Reads::Pixels => StackName::Tower,
                        Reads::Tokens | Reads::Sounds => StackName::Encoder,
                    };
                    format!(", the {} alone: there are no logits and no loss", alone.text())
                }
            };
            warnings.push(Warning::new(
                code,
                place,
                format!("the first {blocks} of {all} blocks are run{of_norm}"),
            ));
        }
        let names = self.summaries();
        for (at, StackRun { architecture, tokens, .. }) in self.stacks().enumerate() {
            let width = architecture.width;
            if tokens > width {
                continue;
            }
            let of = names.get(at).map_or(String::new(), |one| format!(" of the {}", one.stack.text()));
            warnings.push(Warning::new(WarningCode::FewTokens, "tokens", format!("{tokens} tokens{of} are no more than the width {width}: any {tokens} vectors leave a kernel, so norms of that width{of} will not be measured. Run more than {width}, better {}", USUAL_RATIO * width)));
        }
        warnings
    }

    pub(super) fn no_better_than_a_guess(&self, loss: &KindByLoss) -> Warning {
        let (vocabulary, best) = (self.architecture.vocabulary, loss.layernorm.min(loss.rmsnorm));
        let message = format!(
            "the model predicts the next token about as well as a guess among {vocabulary} does ({best:.2} nats, a guess {:.2}): its weights are untrained, or the tokens come from another tokenizer, so the loss says nothing about the kind",
            (vocabulary as f64).ln()
        );
        Warning::new(WarningCode::LossOfAGuess, "tokens", message)
    }
}
