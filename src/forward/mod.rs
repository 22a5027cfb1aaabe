//! A forward pass that streams its weights. It reads a matrix, applies it to all tokens and drops it. So its memory depends on the widest
//! part of one block and on the activations, not on the size of the model.
//!
//! The pass executes an [`Architecture`] in f32 on a device ([`kernels`]). It shows its caller the output of every norm, under the norm's
//! name in the report, and the residual stream after every block. It can resume from such a stream, even on another device. An encoder
//! runs before its decoder, as a separate pass, and its blocks are counted first. A pass can also run with edited linear maps
//! ([`Edit`]).
//!
//! [`Input`] is what it reads, and `embed` turns that into the stream (`sounds` for features of sounds). `weights` reads tensors, and
//! `ahead` reads the next ones early. `aside` is what blocks read beside the stream. `projector` goes from a tower of images to a decoder. `attention`, `delta_rule` (linear attention) and
//! `feed_forward` are the parts of a block, `disentangled` makes DeBERTa's keys and queries of positions, and `local` is a convolution beside
//! a block. [`head`] computes logits and losses. `parts` runs a pass whose activations do not fit into memory, a part of its sequences at a
//! time, `versions` runs blocks on one of several versions of the stream, and `held` keeps the matrices of a block for all of them. `written` says how strongly a block writes along a direction.

mod ahead;
mod aside;
mod attention;
mod delta_rule;
mod disentangled;
mod edit;
mod embed;
mod feed_forward;
pub mod head;
mod held;
mod input;
pub mod kernels;
mod latent;
mod local;
mod memory;
mod observer;
mod parts;
mod projector;
mod sounds;
mod standing;
mod versions;
mod weights;
mod written;

use crate::checkpoint::Checkpoint;
use crate::model::architecture::{Architecture, Block, Branch, Linear, Mixer, Norm};
use crate::model::operation::Centring;
use crate::model::operation::Reads;
use crate::scratch::ScratchError;
use crate::source::{ByteSource, SourceError};
use aside::Aside;
use attention::Encoded;
use futures_util::future::LocalBoxFuture;
use held::Held;
use input::Sequences;
use kernels::{Cpu, Kernels};
use observer::Observer;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::rc::Rc;
use weights::{Loaded, Weights};

pub use edit::Edit;
pub use input::{Features, Input, Inputs, Pixels};
pub use memory::{block_bytes, memory, memory_in_parts};
pub use parts::{Parts, scratch_bytes};
pub use standing::Standing;
pub use weights::AHEAD;
pub use written::energies;

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
        "tensor `{tensor}` is stored as {dtype}, which is not decoded: open the model in F32, F16, BF16 or one of GGUF's {}, or measure activations of your own code instead",
        crate::quantised::names()
    )]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// Sequences of unequal length.
    #[error("{tokens} tokens are not a whole number of sequences of {length}: give a multiple, at least one")]
    Uneven {
        /// Number of tokens.
        tokens: usize,
        /// Length of a sequence.
        length: usize,
    },
    /// A sequence that is longer than the model's positions.
    #[error(
        "sequences of {length} tokens are longer than the {longest} that a run of this model supports: shorten them"
    )]
    TooLong {
        /// Length of the sequence.
        length: usize,
        /// The longest possible length.
        longest: usize,
    },
    /// A token that is not in the vocabulary.
    #[error(
        "token {at} is {id}, and the vocabulary has {vocabulary} rows: the tokenizer belongs to another model"
    )]
    Id {
        /// Place of the token.
        at: usize,
        /// Its id.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// An input of a kind that the model does not read.
    #[error("the model reads {}, and was given {}: give it the other", named(*reads), named(*given))]
    Reads {
        /// What the model reads.
        reads: Reads,
        /// The kind of the input.
        given: Reads,
    },
    /// One input for a model with two stacks, or two for a model with one.
    #[error("{}", both_or_one(*encoder, *own))]
    Both {
        /// What the encoder reads, if there is one.
        encoder: Option<Reads>,
        /// What the model or its decoder reads.
        own: Reads,
    },
    /// The sequences of a decoder cannot be divided evenly among those of its encoder.
    #[error(
        "{own} sequences of token ids cannot be dealt out evenly to {encoder} inputs of the encoder: give as many for each, at least one"
    )]
    Shared {
        /// Sequences of the encoder.
        encoder: usize,
        /// Sequences of the decoder.
        own: usize,
    },
    /// Another number of image tokens than a tower gives vectors of an image.
    #[error(
        "sequence {sequence} has {found} image tokens (id {token}), and the tower gives {expected} vectors of its image: put exactly {expected} of that id where the image belongs"
    )]
    ImageTokens {
        /// From 0.
        sequence: usize,
        /// Image tokens of it.
        found: usize,
        /// Vectors of an image.
        expected: usize,
        /// The id of an image token.
        token: u32,
    },
    /// No images at all.
    #[error(
        "pixels of the shape {shape:?} (images, frames, channels, rows, columns) are none: give one image at least"
    )]
    NoPixels {
        /// Images, frames, channels, rows and columns.
        shape: [usize; 5],
    },
    /// The number of values does not match the shape.
    #[error("{found} values do not fit the shape {shape:?} (images, frames, channels, rows, columns)")]
    PixelCount {
        /// Images, frames, channels, rows and columns.
        shape: [usize; 5],
        /// Number of values.
        found: usize,
    },
    /// Images with another number of channels.
    #[error("the images have {found} channels, and the model reads {expected}: convert them")]
    Channels {
        /// Channels of the images.
        found: usize,
        /// Channels that the model reads.
        expected: usize,
    },
    /// Images of a size for which the model has no positions.
    #[error(
        "the images have {}, and the model has positions for {} only: resize or crop them to that",
        sized(*found), sized(*expected)
    )]
    Size {
        /// Frames, rows and columns of the images.
        found: [usize; 3],
        /// Size that the model has positions for.
        expected: [usize; 3],
    },
    /// Images that are not a whole number of patches.
    #[error(
        "the images have {}, which are not whole patches of {} × {}: resize or crop them to multiples of that, best to the {} that the model was trained on",
        sized(*found), patch[1], patch[2], sized(*trained)
    )]
    Patches {
        /// Frames, rows and columns of the images.
        found: [usize; 3],
        /// Frames, rows and columns of a patch.
        patch: [usize; 3],
        /// Size that the model was trained on.
        trained: [usize; 3],
    },
    /// The number of feature values does not match the shape, or is zero.
    #[error(
        "{found} values do not fit sounds of the shape {shape:?} (sounds, channels, frames), with at least one of each"
    )]
    FeatureCount {
        /// Sounds, channels and frames.
        shape: [usize; 3],
        /// Number of values.
        found: usize,
    },
    /// Sounds with another length or number of channels.
    #[error(
        "the sounds have {} channels and {} frames, and the model reads {} channels and {} frames: pad or cut them, and make the features with its feature extractor",
        found[0], found[1], expected[0], expected[1]
    )]
    Features {
        /// Channels and frames of the sounds.
        found: [usize; 2],
        /// Channels and frames that the model reads.
        expected: [usize; 2],
    },
    /// Sounds with another number of channels.
    #[error(
        "the sounds have {found} channels, and the model reads {expected}, which is one for a waveform: make the features with its feature extractor"
    )]
    SoundChannels {
        /// Channels of the sounds.
        found: usize,
        /// Channels that the model reads.
        expected: usize,
    },
    /// Sounds that are too short for a token.
    #[error(
        "the sounds have {found} samples, and the model makes its first token of {least}: give longer ones"
    )]
    ShortSound {
        /// Samples of a sound.
        found: usize,
        /// Samples that the first token needs.
        least: usize,
    },
    /// More tokens than fit in a u32.
    #[error("{count} sequences of {length} tokens are more than a pass can count: give fewer")]
    TooMany {
        /// Number of sequences.
        count: usize,
        /// Tokens of each sequence.
        length: usize,
    },
    /// A block uses keys and values of an earlier block that did not run.
    #[error(
        "a block uses the keys and values of an earlier one, which are not there: run the model from its first block"
    )]
    NotLent,
    /// The device failed.
    #[error("{reason}")]
    Device {
        /// The device's own message.
        reason: String,
    },
    /// The scratch of a pass in parts failed.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The caller stopped the pass.
    #[error("the pass was stopped after {blocks} blocks")]
    Stopped {
        /// Blocks that are complete.
        blocks: usize,
    },
    /// The stream contains NaN or an infinity.
    #[error(
        "after block {block} the residual stream holds {value} (token {token}, channel {channel}): the weights of that block overflow f32, or hold such values themselves"
    )]
    NotFinite {
        /// The first block after which this happens.
        block: usize,
        /// Token.
        token: usize,
        /// Channel.
        channel: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// The edit does not have the size of the linear map.
    #[error(
        "the edit of `{tensor}` has {} × {} values, but the linear map has {} outputs and {} inputs",
        found[0], found[1], expected[0], expected[1]
    )]
    Edit {
        /// Name of the weight.
        tensor: String,
        /// Values of a and of v.
        found: [usize; 2],
        /// m and k.
        expected: [usize; 2],
    },
    /// The logits contain NaN or infinities.
    #[error(
        "the logits of token {token} are not finite: the head overflows f32, or holds such values itself"
    )]
    Logits {
        /// Token.
        token: usize,
    },
    /// There are no logits, because the checkpoint has no head.
    #[error(
        "the checkpoint has no language-model head, so there are no logits and no loss, but its norms can still be measured"
    )]
    NoHead,
}

/// Says what the model reads, for an error message.
fn both_or_one(encoder: Option<Reads>, own: Reads) -> String {
    let own = named(own);
    match encoder {
        Some(encoder) => {
            let encoder = named(encoder);
            format!("the model reads {encoder} in its encoder and {own} in its decoder: give it both")
        }
        None => format!("the model has no encoder and reads {own} alone: give it only these"),
    }
}

/// Names a kind of input, for an error message.
fn named(reads: Reads) -> &'static str {
    match reads {
        Reads::Tokens => "token ids",
        Reads::Pixels => "images",
        Reads::Sounds => "features of sounds",
    }
}

/// Writes frames, rows and columns for an error message.
fn sized([frames, rows, columns]: [usize; 3]) -> String {
    match frames {
        1 => format!("{rows} × {columns} pixels"),
        _ => format!("{frames} frames of {rows} × {columns} pixels"),
    }
}

/// What a pass shows while it runs.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A norm, with n × width values. Norms of queries and keys have a row for each head.
    Norm {
        /// Name of the norm in the report.
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
        /// Index of the block from 0. Blocks of an encoder come before those of its decoder.
        index: usize,
        /// d.
        width: usize,
        /// n × d values.
        stream: &'a [f32],
        /// What the pass goes on with: the stream, with all its versions if there are several (n × V·d).
        state: &'a [f32],
        /// The stream (n × d) between the block's attention parts and its feed-forward part, if the caller wants it.
        after_attention: Option<&'a [f32]>,
        /// Its keys and values (n × key heads·h each), if later blocks use them too. Where a pass runs in parts, they are in the scratch.
        lent: Option<[&'a [f32]; 2]>,
        /// Name in the report of the norm that reads the stream next.
        next: Option<&'a str>,
    },
}

/// An observer of a running pass.
#[allow(async_fn_in_trait, reason = "passes run on one thread")]
pub trait Watch {
    /// Whether to show this norm. Otherwise a GPU need not copy its values back.
    fn wants(&self, site: &str) -> bool;

    /// Whether to show the residual stream after each block.
    fn wants_stream(&self) -> bool;

    /// Whether to show the stream between a block's attention and its feed-forward part too.
    fn wants_after_attention(&self) -> bool {
        false
    }

    /// Sees one value. A break ends the pass.
    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()>;
}

impl<See: AsyncFnMut(Seen<'_>)> Watch for See {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn wants_stream(&self) -> bool {
        true
    }

    async fn see(&mut self, seen: Seen<'_>) -> ControlFlow<()> {
        self(seen).await;
        ControlFlow::Continue(())
    }
}

/// An observer that wants nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn wants(&self, _: &str) -> bool {
        false
    }

    fn wants_stream(&self) -> bool {
        false
    }

    async fn see(&mut self, _: Seen<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A pass calls this before every matrix of a block, so that it can stop inside a block. A break stops it.
pub type Pause = dyn Fn() -> LocalBoxFuture<'static, ControlFlow<()>>;

/// Where one stack continues.
struct Resumed<Values> {
    /// Blocks that are done.
    blocks: usize,
    /// The stream after them.
    stream: Values,
    /// Keys and values of blocks that later ones use too.
    lent: Vec<[Vec<f32>; 2]>,
}

/// A model and the tokens to run it on, on a device.
pub struct Pass<'a, S, K: Kernels = Cpu> {
    architecture: &'a Architecture,
    weights: Rc<Weights<'a, S>>,
    kernels: &'a K,
    input: Input<'a>,
    sequences: Sequences,
    /// The pass of the encoder, which runs first.
    encoder: Option<Box<Pass<'a, S, K>>>,
    /// The kind that is assumed for every norm of the stream, instead of the architecture's. Norms inside a part keep theirs.
    assumed_kind: Option<Centring>,
    pause: Option<&'a Pause>,
    /// Matrices that stay on the device, if this is a part of a pass.
    held: Option<Rc<Held<K>>>,
}

/// Loads the first bytes of one of the architecture's tensors on a device, so that the caller can time it. Returns how many bytes.
pub async fn load_some<S: ByteSource, K: Kernels>(
    checkpoint: &Checkpoint<S>,
    architecture: &Architecture,
    tensor: usize,
    kernels: &K,
) -> Result<u64, ForwardError> {
    let weights = Weights::new(checkpoint, &architecture.tensors);
    let (weight, bytes) = weights.first_piece(kernels, tensor).await?;
    // A GPU has only received them once it returns a value.
    kernels.get(&kernels.zeros(1)).await?;
    drop(weight);
    Ok(bytes)
}

impl<'a, S: ByteSource> Pass<'a, S> {
    /// Makes a pass on the CPU. Checks that each stack gets the input that it reads, and that the model has a row and a position for each
    /// token, or a patch for each part of an image.
    pub fn new(
        checkpoint: &'a Checkpoint<S>,
        architecture: &'a Architecture,
        inputs: impl Into<Inputs<'a>>,
    ) -> Result<Self, ForwardError> {
        let inputs: Inputs<'a> = inputs.into();
        let own = Self::alone(checkpoint, architecture, inputs.own);
        let before = match (&architecture.encoder, inputs.encoder) {
            (None, None) => return own,
            (Some(encoder), Some(input)) => Self::alone(checkpoint, encoder, input)?,
            (encoder, _) => {
                let encoder = encoder.as_ref().map(|encoder| encoder.embedding.reads());
                return Err(ForwardError::Both { encoder, own: architecture.embedding.reads() });
            }
        };
        let own = own?;
        let [encoder, decoder] = [&before, &own].map(|pass| pass.sequences.count());
        if decoder < encoder || !decoder.is_multiple_of(encoder) {
            return Err(ForwardError::Shared { encoder, own: decoder });
        }
        if let Some(projector) = architecture.embedding.projector() {
            own.input.has_places_for(projector)?;
        }
        Ok(Self { encoder: Some(Box::new(before)), ..own })
    }

    /// Makes the pass of one stack.
    fn alone(
        checkpoint: &'a Checkpoint<S>,
        architecture: &'a Architecture,
        input: Input<'a>,
    ) -> Result<Self, ForwardError> {
        let weights = Weights::new(checkpoint, &architecture.tensors);
        weights.are_decoded(architecture)?;
        Ok(Self {
            architecture,
            weights: Rc::new(weights),
            kernels: &Cpu,
            input,
            sequences: input.sequences(architecture)?,
            encoder: None,
            assumed_kind: None,
            pause: None,
            held: None,
        })
    }

    /// Moves the pass to another device.
    pub fn on<K: Kernels>(self, kernels: &'a K) -> Pass<'a, S, K> {
        let Self { architecture, weights, input, sequences, encoder, assumed_kind, pause, .. } = self;
        let encoder = encoder.map(|encoder| Box::new(encoder.on(kernels)));
        Pass { architecture, weights, kernels, input, sequences, encoder, assumed_kind, pause, held: None }
    }
}

impl<'a, S: ByteSource, K: Kernels> Pass<'a, S, K> {
    /// Returns the same pass with only these edits of linear maps.
    pub fn edited<'b>(&self, edits: &'b [Edit]) -> Pass<'b, S, K>
    where
        'a: 'b,
    {
        let Self { architecture, weights, kernels, input, sequences, encoder, assumed_kind, pause, .. } =
            self;
        Pass {
            architecture,
            weights: Rc::new(weights.edited(edits)),
            kernels,
            input: *input,
            sequences: *sequences,
            encoder: encoder.as_ref().map(|encoder| Box::new(encoder.edited(edits))),
            assumed_kind: *assumed_kind,
            pause: *pause,
            held: None,
        }
    }

    /// Returns γ and β of a norm (d values each) as the pass uses them. `None` means γ = 1 or β = 0.
    pub(crate) async fn parameters(&self, norm: &Norm) -> Result<[Option<Vec<f32>>; 2], ForwardError> {
        let mut scale = self.weights.optional(norm.scale).await?;
        if let Some(scale) = scale.as_mut().filter(|_| norm.one_plus) {
            scale.iter_mut().for_each(|w| *w += 1.0);
        }
        Ok([scale, self.weights.optional(norm.shift).await?])
    }

    /// Returns ‖W‖_F of a linear map as stored, without edits.
    pub(crate) async fn frobenius(&self, linear: &Linear) -> Result<f64, ForwardError> {
        Ok(self.weights.squares(linear).await?.sqrt())
    }

    /// Returns the same pass, but assumes this kind for every norm of the stream.
    pub fn assumed_kind(self, centring: Centring) -> Self {
        let encoder = self.encoder.map(|encoder| Box::new(encoder.assumed_kind(centring)));
        Self { assumed_kind: Some(centring), encoder, ..self }
    }

    /// Returns the same pass, which calls `pause` before every matrix.
    pub fn pausing(self, pause: Option<&'a Pause>) -> Self {
        let encoder = self.encoder.map(|encoder| Box::new(encoder.pausing(pause)));
        Self { pause, encoder, ..self }
    }

    /// Runs the pass. Returns the last hidden states, n × d, after the final norm.
    pub async fn run(&self, watch: &mut impl Watch) -> Result<K::Values, ForwardError> {
        let encoded = self.encode(watch).await?;
        self.stack(None, encoded.as_ref(), watch).await
    }

    /// What the stack reads of its encoder: the last hidden states, or what a projector makes of them; `None` without an encoder.
    pub async fn encoded(&self, watch: &mut impl Watch) -> Result<Option<K::Values>, ForwardError> {
        self.encode(watch).await
    }

    async fn encode(&self, watch: &mut dyn Observer) -> Result<Option<K::Values>, ForwardError> {
        match &self.encoder {
            Some(encoder) => {
                let hidden = encoder.stack(None, None, watch).await?;
                Ok(Some(self.projected(encoder, hidden).await?))
            }
            None => Ok(None),
        }
    }

    /// Continues a pass from where it stood.
    pub async fn resume(
        &self,
        standing: Standing,
        watch: &mut impl Watch,
    ) -> Result<K::Values, ForwardError> {
        let Standing { blocks, stream, encoded, lent } = standing;
        let from = |blocks: usize| Resumed { blocks, stream: self.kernels.put(stream), lent };
        let Some(encoder) = &self.encoder else {
            return self.stack(Some(from(blocks)), None, watch).await;
        };
        let before = encoder.architecture.blocks.len();
        if blocks <= before {
            let encoded = encoder.stack(Some(from(blocks)), None, watch).await?;
            let encoded = self.projected(encoder, encoded).await?;
            return self.stack(None, Some(&encoded), watch).await;
        }
        // The last norm of the encoder has already been shown.
        let encoded = Resumed { blocks: before, stream: self.kernels.put(encoded), lent: Vec::new() };
        let encoded = encoder.stack(Some(encoded), None, &mut Unwatched).await?;
        let encoded = self.projected(encoder, encoded).await?;
        self.stack(Some(from(blocks - before)), Some(&encoded), watch).await
    }

    /// Number of blocks that run before those of this stack.
    fn blocks_before(&self) -> usize {
        self.encoder.as_ref().map_or(0, |encoder| encoder.architecture.blocks.len())
    }

    /// Runs this stack from its input, or from the stream after some of its blocks. `hidden` is what it reads of its encoder.
    /// Returns its own last hidden states.
    async fn stack(
        &self,
        from: Option<Resumed<K::Values>>,
        hidden: Option<&K::Values>,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let encoded = self.encoder.as_ref().zip(hidden).map(|(encoder, hidden)| Encoded {
            hidden,
            length: encoder.sequences.length,
            sharing: self.sequences.count() / encoder.sequences.count(),
        });
        let mut aside = Aside::with_places(self.architecture.lent_widths().len());
        let (done, mut stream, inputs) = match from {
            Some(Resumed { blocks, stream, lent }) => {
                for (place, lent) in aside.lent.iter_mut().zip(lent) {
                    *place = Some(lent.map(|values| self.kernels.put(values)));
                }
                // The norm in the embedding has already been shown.
                let inputs = match self.architecture.embedding.inputs() {
                    Some(_) => {
                        let first = self.embed(encoded.as_ref(), &mut Unwatched).await?;
                        self.block_inputs(&first, &mut Unwatched).await?
                    }
                    None => Vec::new(),
                };
                (blocks, stream, inputs)
            }
            None => {
                let first = self.embed(encoded.as_ref(), watch).await?;
                let inputs = self.block_inputs(&first, watch).await?;
                (0, self.begin_versions(first).await?, inputs)
            }
        };
        let mut inputs = inputs.into_iter().skip(done);
        let (width, before) = (self.architecture.width, self.blocks_before());
        self.weights.look_ahead(self.architecture.reads_from(done));
        for (at, block) in self.architecture.blocks.iter().enumerate().skip(done) {
            let index = before + at;
            let after_attention;
            aside.input = inputs.next();
            (stream, after_attention) =
                self.block(block, stream, encoded.as_ref(), &mut aside, watch).await?;
            // This also waits for the device, so that at most one block is queued on it.
            self.is_finite(&stream, index, 0).await?;
            if watch.wants_stream() {
                let state = self.kernels.get(&stream).await?;
                let active = self.active(&state);
                let lent = match block.lends().and_then(|place| aside.lent[place].as_ref()) {
                    Some([k, v]) => Some([self.kernels.get(k).await?, self.kernels.get(v).await?]),
                    None => None,
                };
                let seen = Seen::Block {
                    index,
                    width,
                    stream: &active,
                    state: &state,
                    after_attention: after_attention.as_deref(),
                    lent: lent.as_ref().map(|both| both.each_ref().map(Vec::as_slice)),
                    next: self.architecture.norm_after(at).and_then(|norm| norm.site.as_deref()),
                };
                if watch.see(seen).await.is_break() {
                    return Err(ForwardError::Stopped { blocks: index + 1 });
                }
            }
        }
        let stream = self.end_versions(stream).await?;
        match &self.architecture.final_norm {
            Some(norm) => self.norm(norm, &stream, watch).await,
            None => Ok(stream),
        }
    }

    /// Returns the active version of a state (n × V·d) as the stream (n × d).
    fn active<'s>(&self, state: &'s [f32]) -> Cow<'s, [f32]> {
        let (width, of) = (self.architecture.width, self.architecture.state_width());
        match &self.architecture.versions {
            Some(versions) => {
                let from = versions.active * width;
                Cow::Owned(state.chunks_exact(of).flat_map(|row| &row[from..from + width]).copied().collect())
            }
            None => Cow::Borrowed(state),
        }
    }

    /// Checks that the stream after a block, from token `first` on, holds only finite values.
    async fn is_finite(&self, stream: &K::Values, block: usize, first: usize) -> Result<(), ForwardError> {
        let Some(at) = self.kernels.first_not_finite(stream).await? else { return Ok(()) };
        let value = self.kernels.get(&self.kernels.part(stream, at, 1)).await?[0];
        let (width, of) = (self.architecture.width, self.architecture.state_width());
        let (token, channel) = (first + at / of, at % width);
        Err(ForwardError::NotFinite { block, token, channel, value })
    }

    async fn norm(
        &self,
        norm: &Norm,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        self.norm_told(self.assumed_kind.unwrap_or(norm.centring), norm, x, watch).await
    }

    async fn norm_told(
        &self,
        centring: Centring,
        norm: &Norm,
        x: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        let before_scale = self.kernels.normalise(centring, x, norm.width, norm.epsilon);
        let y = self.scaled_and_shifted(&before_scale, self.parameters(norm).await?);
        self.show(norm, &before_scale, &y, watch).await?;
        Ok(y)
    }

    /// γ ⊙ x̂ + β. The number of values in γ and β is taken as the width of x̂.
    fn scaled_and_shifted(&self, x: &K::Values, parameters: [Option<Vec<f32>>; 2]) -> K::Values {
        let width = parameters.iter().flatten().map(Vec::len).next().unwrap_or(1);
        let [scale, shift] = parameters.map(|values| values.map(|values| self.kernels.put(values)));
        self.kernels.scale_and_shift(x, scale.as_ref(), shift.as_ref(), width)
    }

    /// Shows the output of a norm to the observer, if it wants it.
    async fn show(
        &self,
        norm: &Norm,
        before_scale: &K::Values,
        output: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<(), ForwardError> {
        let Some(site) = norm.site.as_deref().filter(|site| watch.wants(site)) else { return Ok(()) };
        let (before_scale, output) = (self.kernels.get(before_scale).await?, self.kernels.get(output).await?);
        let seen = Seen::Norm { site, width: norm.width, before_scale: &before_scale, output: &output };
        match watch.see(seen).await {
            ControlFlow::Break(()) => Err(ForwardError::Stopped { blocks: 0 }),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// Runs a block. Returns the stream after it, and the stream between its parts if the observer wants it.
    async fn block(
        &self,
        block: &Block,
        stream: K::Values,
        encoded: Option<&Encoded<'_, K::Values>>,
        aside: &mut Aside<K::Values>,
        watch: &mut dyn Observer,
    ) -> Result<(K::Values, Option<Vec<f32>>), ForwardError> {
        if let Some((alternating, versions)) =
            block.alternating.as_ref().zip(self.architecture.versions.as_ref())
        {
            let predicted = self.predict(versions, alternating, &stream, watch).await?;
            let active = self.version(&predicted, versions.active);
            let (output, between) = self.both_parts(block, active, encoded, aside, watch).await?;
            let mut state = self.correct(versions, alternating, predicted, output, watch).await?;
            if let Some((part, input)) = block.input.as_ref().zip(aside.input.take()) {
                let part = (alternating, part);
                state = self.with_input_for_others(versions, part, &input, state, watch).await?;
            }
            return Ok((state, between));
        }
        let convolved = match &block.convolution {
            Some(convolution) => Some((convolution, self.convolved_tokens(convolution, &stream).await?)),
            None => None,
        };
        let (mut stream, between) = self.both_parts(block, stream, encoded, aside, watch).await?;
        if let Some((part, input)) = block.input.as_ref().zip(aside.input.take()) {
            let output = self.of_input(part, &input, &stream, watch).await?;
            self.kernels.add(&mut stream, &output, 1.0);
        }
        if let Some((convolution, convolved)) = convolved {
            self.kernels.add(&mut stream, &convolved, 1.0);
            stream = self.norm(&convolution.norm, &stream, watch).await?;
        }
        Ok(match self.weights.optional(block.scale).await? {
            Some(scale) => (self.scaled_and_shifted(&stream, [Some(scale), None]), between),
            None => (stream, between),
        })
    }

    /// Runs attention and feed-forward part of a block. Returns the same as `block`, before the block's own factor.
    async fn both_parts(
        &self,
        block: &Block,
        stream: K::Values,
        encoded: Option<&Encoded<'_, K::Values>>,
        aside: &mut Aside<K::Values>,
        watch: &mut dyn Observer,
    ) -> Result<(K::Values, Option<Vec<f32>>), ForwardError> {
        let (around_attention, around_feed_forward) = (&block.around_attention, &block.around_feed_forward);
        let input = self.before(around_attention, &stream, watch).await?;
        let read = input.as_ref().unwrap_or(&stream);
        let attended = match &block.attention {
            Mixer::Softmax(attention) => self.attention(attention, read, aside, watch).await?,
            Mixer::Linear(rule) => self.delta_rule(rule, read, watch).await?,
        };
        if block.parallel {
            // Some blocks have one norm before both parts.
            let own = match around_feed_forward.before == around_attention.before {
                true => None,
                false => self.before(around_feed_forward, &stream, watch).await?,
            };
            let fed = self.feed_forward(&block.feed_forward, own.as_ref().unwrap_or(read), watch).await?;
            let stream = self.merge(around_attention, stream, attended, watch).await?;
            let between = self.between(&stream, watch).await?;
            return Ok((self.merge(around_feed_forward, stream, fed, watch).await?, between));
        }
        let laurel = match &block.laurel {
            Some(laurel) => Some(self.laurel(laurel, read, watch).await?),
            None => None,
        };
        let mut stream = self.merge(around_attention, stream, attended, watch).await?;
        if let Some(laurel) = laurel {
            stream = self.with_laurel(stream, &laurel);
        }
        if let (Some(cross), Some(encoded)) = (&block.cross, encoded) {
            let input = self.before(&cross.around, &stream, watch).await?;
            let read = input.as_ref().unwrap_or(&stream);
            let attended = self.cross_attention(&cross.attention, read, encoded).await?;
            stream = self.merge(&cross.around, stream, attended, watch).await?;
        }
        let between = self.between(&stream, watch).await?;
        let input = self.before(around_feed_forward, &stream, watch).await?;
        let mut fed =
            self.feed_forward(&block.feed_forward, input.as_ref().unwrap_or(&stream), watch).await?;
        if let Some(beside) = &block.beside {
            fed = self.with_experts(beside, &fed, &stream, watch).await?;
        }
        Ok((self.merge(around_feed_forward, stream, fed, watch).await?, between))
    }

    /// Returns the stream between a block's parts, if the observer wants it.
    async fn between(
        &self,
        stream: &K::Values,
        watch: &dyn Observer,
    ) -> Result<Option<Vec<f32>>, ForwardError> {
        match watch.wants_after_attention() {
            true => Ok(Some(self.kernels.get(stream).await?)),
            false => Ok(None),
        }
    }

    /// Returns the input of a part, if it is not the stream itself.
    async fn before(
        &self,
        branch: &Branch,
        stream: &K::Values,
        watch: &mut dyn Observer,
    ) -> Result<Option<K::Values>, ForwardError> {
        match &branch.before {
            Some(norm) => Ok(Some(self.norm(norm, stream, watch).await?)),
            None => Ok(None),
        }
    }

    /// Adds the output of a part to the stream.
    async fn merge(
        &self,
        branch: &Branch,
        mut stream: K::Values,
        mut part: K::Values,
        watch: &mut dyn Observer,
    ) -> Result<K::Values, ForwardError> {
        if let Some(norm) = &branch.inner_after {
            part = self.norm(norm, &part, watch).await?;
        }
        if let Some(scale) = branch.layer_scale {
            let scale = self.weights.all(scale).await?;
            let width = scale.len();
            part = self.kernels.scale_and_shift(&part, Some(&self.kernels.put(scale)), None, width);
        }
        self.kernels.add(&mut stream, &part, branch.multiplier);
        match &branch.after {
            Some(norm) => self.norm(norm, &stream, watch).await,
            None => Ok(stream),
        }
    }

    /// Calls `pause`, and fails if it stops the pass.
    async fn pause(&self) -> Result<(), ForwardError> {
        match self.pause {
            Some(pause) if pause().await.is_break() => Err(ForwardError::Stopped { blocks: 0 }),
            _ => Ok(()),
        }
    }

    /// Loads a matrix and its bias, unless they are held.
    async fn load(&self, linear: &Linear) -> Result<Rc<Loaded<K>>, ForwardError> {
        let load = async || self.weights.linear(self.kernels, linear).await;
        match &self.held {
            Some(held) => held.get(linear, load).await,
            None => Ok(Rc::new(load().await?)),
        }
    }

    /// Loads a linear map and applies it to x (n × k).
    async fn linear(&self, linear: &Linear, x: &K::Values) -> Result<K::Values, ForwardError> {
        self.pause().await?;
        Ok(self.load(linear).await?.apply(self.kernels, x))
    }
}
