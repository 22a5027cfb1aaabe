//! A forward pass that streams its weights: a matrix is read, used on all tokens and dropped, so that memory is bounded by the
//! widest part of one block and by the activations, whatever the size of the model.
//!
//! The pass executes an [`Architecture`], in f32 on a device ([`kernels`]), and shows what it computes to its caller:
//! what every norm gives, under its name in the report, and the residual stream after every block. From such a stream it can be
//! resumed, on another device if need be. An encoder runs before its decoder, as a pass of its own; its blocks are counted first.
//! It can be run with linear maps edited ([`Edit`]). [`Input`] is what is read, and `embed` makes the stream of it. `weights` reads tensors, `ahead` the next of them before they are wanted, `sounds` that of features of sounds, `projector` goes from a tower of images to a decoder, `attention` and `feed_forward` are the parts of a block, [`head`] goes on to logits and losses.

mod ahead;
mod attention;
mod edit;
mod embed;
mod feed_forward;
pub mod head;
mod input;
pub mod kernels;
mod memory;
mod projector;
mod sounds;
mod standing;
mod weights;

use crate::checkpoint::Checkpoint;
use crate::model::architecture::{Architecture, Block, Branch, Linear, Norm};
use crate::model::operation::Centring;
use crate::model::operation::Reads;
use crate::source::{ByteSource, SourceError};
use attention::Encoded;
use futures_util::future::LocalBoxFuture;
use input::Sequences;
use kernels::{Cpu, Kernels};
use std::ops::ControlFlow;
use weights::{Loaded, Weights};

pub use edit::Edit;
pub use input::{Features, Input, Inputs, Pixels};
pub use memory::memory;
pub use standing::Standing;
pub use weights::AHEAD;

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
    /// Something else than the model reads.
    #[error("the model reads {}, and was given {}: give it the other", named(*reads), named(*given))]
    Reads {
        /// What it reads.
        reads: Reads,
        /// What was given.
        given: Reads,
    },
    /// One input for two stacks, or two for one.
    #[error("{}", both_or_one(*encoder, *own))]
    Both {
        /// What its encoder reads, if it has one.
        encoder: Option<Reads>,
        /// What the model itself reads, or its decoder.
        own: Reads,
    },
    /// Sequences of a decoder that cannot be dealt out to those of its encoder.
    #[error(
        "{own} sequences of token ids cannot be dealt out evenly to {encoder} inputs of the encoder: give as many for each, at least one"
    )]
    Shared {
        /// Of the encoder.
        encoder: usize,
        /// Of the decoder.
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
    /// No images.
    #[error(
        "pixels of the shape {shape:?} (images, frames, channels, rows, columns) are none: give one image at least"
    )]
    NoPixels {
        /// Images, frames, channels, rows and columns.
        shape: [usize; 5],
    },
    /// Values of another number than their shape says.
    #[error("{found} values are not those of the shape {shape:?} (images, frames, channels, rows, columns)")]
    PixelCount {
        /// Images, frames, channels, rows and columns.
        shape: [usize; 5],
        /// Values.
        found: usize,
    },
    /// Images of more or fewer colours.
    #[error("the images have {found} channels, and the model reads {expected}: convert them")]
    Channels {
        /// Of the images.
        found: usize,
        /// Of the model.
        expected: usize,
    },
    /// Images of another size than the model has positions for.
    #[error(
        "the images have {}, and the model has positions for {} only: resize or crop them to that",
        sized(*found), sized(*expected)
    )]
    Size {
        /// Frames, rows and columns of the images.
        found: [usize; 3],
        /// Those that fit.
        expected: [usize; 3],
    },
    /// Images that are no whole number of patches.
    #[error(
        "the images have {}, which are not whole patches of {} × {}: resize or crop them to multiples of that, best to the {} that the model was trained on",
        sized(*found), patch[1], patch[2], sized(*trained)
    )]
    Patches {
        /// Frames, rows and columns of the images.
        found: [usize; 3],
        /// Of a patch.
        patch: [usize; 3],
        /// What the model was trained on.
        trained: [usize; 3],
    },
    /// Features of another number than their shape says, or none.
    #[error(
        "{found} values are not those of sounds of the shape {shape:?} (sounds, channels, frames), each at least one"
    )]
    FeatureCount {
        /// Sounds, channels and frames.
        shape: [usize; 3],
        /// Values.
        found: usize,
    },
    /// Sounds of another length, or of other channels.
    #[error(
        "the sounds have {} channels and {} frames, and the model reads {} channels and {} frames: pad or cut them, and make the features that its feature extractor makes",
        found[0], found[1], expected[0], expected[1]
    )]
    Features {
        /// Channels and frames.
        found: [usize; 2],
        /// Those of the model.
        expected: [usize; 2],
    },
    /// Sounds of other channels.
    #[error(
        "the sounds have {found} channels, and the model reads {expected}, which is one for a waveform: make the features that its feature extractor makes"
    )]
    SoundChannels {
        /// Of the sounds.
        found: usize,
        /// Of the model.
        expected: usize,
    },
    /// Sounds of which no token comes.
    #[error(
        "the sounds have {found} samples, and the model makes its first token of {least}: give longer ones"
    )]
    ShortSound {
        /// Samples.
        found: usize,
        /// Those of a token.
        least: usize,
    },
    /// More tokens than are counted.
    #[error("{count} sequences of {length} tokens are more than a pass counts: give fewer")]
    TooMany {
        /// Images.
        count: usize,
        /// Tokens of each.
        length: usize,
    },
    /// The device failed.
    #[error("{reason}")]
    Device {
        /// Its own sentence.
        reason: String,
    },
    /// The caller stopped it.
    #[error("the pass was stopped after {blocks} blocks")]
    Stopped {
        /// Blocks that were done.
        blocks: usize,
    },
    /// The stream is no number any more.
    #[error(
        "after block {block} the residual stream holds {value} (token {token}, channel {channel}): the weights of that block overflow f32, or hold such values themselves"
    )]
    NotFinite {
        /// The first block that gives it.
        block: usize,
        /// Token.
        token: usize,
        /// Channel.
        channel: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// An edit of another size than the linear map.
    #[error(
        "the edit of `{tensor}` is of {} × {} values, and the linear map has {} outputs and {} inputs",
        found[0], found[1], expected[0], expected[1]
    )]
    Edit {
        /// The weight.
        tensor: String,
        /// Values of a and of v.
        found: [usize; 2],
        /// m and k.
        expected: [usize; 2],
    },
    /// The logits are no numbers.
    #[error(
        "the logits of token {token} are no finite numbers: the head overflows f32, or holds such values itself"
    )]
    Logits {
        /// Token.
        token: usize,
    },
    /// No logits without a head.
    #[error(
        "the checkpoint has no language-model head, so there are no logits and no loss: its norms are measured all the same"
    )]
    NoHead,
}

/// In a message.
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

/// In a message.
fn named(reads: Reads) -> &'static str {
    match reads {
        Reads::Tokens => "token ids",
        Reads::Pixels => "images",
        Reads::Sounds => "features of sounds",
    }
}

/// Frames, rows and columns in a message.
fn sized([frames, rows, columns]: [usize; 3]) -> String {
    match frames {
        1 => format!("{rows} × {columns} pixels"),
        _ => format!("{frames} frames of {rows} × {columns} pixels"),
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
        /// From 0; the blocks of an encoder are counted before those of its decoder.
        index: usize,
        /// d.
        width: usize,
        /// n × d values.
        stream: &'a [f32],
        /// The same between the block's attention, that to an encoder included, and its feed-forward part, where that was wanted.
        after_attention: Option<&'a [f32]>,
        /// The norm that reads the stream next, by its name in the report.
        next: Option<&'a str>,
    },
}

/// Who looks on while a pass runs.
#[allow(async_fn_in_trait, reason = "passes run on one thread")]
pub trait Watch {
    /// Whether the values of this norm are wanted. They need not come back from a GPU otherwise.
    fn wants(&self, site: &str) -> bool;

    /// Whether the residual stream after the blocks is wanted.
    fn wants_stream(&self) -> bool;

    /// Whether the stream between a block's attention and its feed-forward part is wanted as well.
    fn wants_after_attention(&self) -> bool {
        false
    }

    /// Sees one thing; a break ends the pass.
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

/// Nobody looks on.
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

/// Asked before every matrix of a block, so that a pass can be stopped in the middle of one; a break stops it.
pub type Pause = dyn Fn() -> LocalBoxFuture<'static, ControlFlow<()>>;

/// A model and the tokens to run it on, on a device.
pub struct Pass<'a, S, K = Cpu> {
    architecture: &'a Architecture,
    weights: Weights<'a, S>,
    kernels: &'a K,
    input: Input<'a>,
    sequences: Sequences,
    /// What runs before it.
    encoder: Option<Box<Pass<'a, S, K>>>,
    /// What the norms of the stream are taken to subtract, against what the architecture says; those of queries and keys stay.
    assumed_kind: Option<Centring>,
    pause: Option<&'a Pause>,
}

/// Takes the first bytes of a tensor to a device, for who wants to know how long that takes; gives how many they are.
pub async fn load_some<S: ByteSource, K: Kernels>(
    checkpoint: &Checkpoint<S>,
    tensor: usize,
    kernels: &K,
) -> Result<u64, ForwardError> {
    let weights = Weights::new(checkpoint);
    let (weight, bytes) = weights.first_piece(kernels, tensor).await?;
    // A GPU has not taken them before it gives something back.
    kernels.get(&kernels.zeros(1)).await?;
    drop(weight);
    Ok(bytes)
}

impl<'a, S: ByteSource> Pass<'a, S> {
    /// On the CPU. Checks that the model has a row and a position for each token, or a patch for each part of an image, and that it
    /// is given what each of its stacks reads.
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

    /// Of one stack.
    fn alone(
        checkpoint: &'a Checkpoint<S>,
        architecture: &'a Architecture,
        input: Input<'a>,
    ) -> Result<Self, ForwardError> {
        Ok(Self {
            architecture,
            weights: Weights::new(checkpoint),
            kernels: &Cpu,
            input,
            sequences: input.sequences(architecture)?,
            encoder: None,
            assumed_kind: None,
            pause: None,
        })
    }

    /// The same pass on another device.
    pub fn on<K: Kernels>(self, kernels: &'a K) -> Pass<'a, S, K> {
        let Self { architecture, weights, input, sequences, encoder, assumed_kind, pause, .. } = self;
        let encoder = encoder.map(|encoder| Box::new(encoder.on(kernels)));
        Pass { architecture, weights, kernels, input, sequences, encoder, assumed_kind, pause }
    }
}

impl<'a, S: ByteSource, K: Kernels> Pass<'a, S, K> {
    /// The same pass with these edits of linear maps, and no others.
    pub fn edited<'b>(&self, edits: &'b [Edit]) -> Pass<'b, S, K>
    where
        'a: 'b,
    {
        let Self { architecture, weights, kernels, input, sequences, encoder, assumed_kind, pause } = self;
        Pass {
            architecture,
            weights: weights.edited(edits),
            kernels,
            input: *input,
            sequences: *sequences,
            encoder: encoder.as_ref().map(|encoder| Box::new(encoder.edited(edits))),
            assumed_kind: *assumed_kind,
            pause: *pause,
        }
    }

    /// γ and β of a norm (d values each) as the pass has them; `None` for γ = 1 and for β = 0.
    pub(crate) async fn parameters(&self, norm: &Norm) -> Result<[Option<Vec<f32>>; 2], ForwardError> {
        let mut scale = self.weights.optional(norm.scale).await?;
        if let Some(scale) = scale.as_mut().filter(|_| norm.one_plus) {
            scale.iter_mut().for_each(|w| *w += 1.0);
        }
        Ok([scale, self.weights.optional(norm.shift).await?])
    }

    /// ‖W‖_F of a linear map as it is stored.
    pub(crate) async fn frobenius(&self, linear: &Linear) -> Result<f64, ForwardError> {
        Ok(self.weights.squares(linear.weight).await?.sqrt())
    }

    /// The same pass with every norm of the stream taken to be of this kind.
    pub fn assumed_kind(self, centring: Centring) -> Self {
        let encoder = self.encoder.map(|encoder| Box::new(encoder.assumed_kind(centring)));
        Self { assumed_kind: Some(centring), encoder, ..self }
    }

    /// The same pass, which asks `pause` before every matrix whether it goes on.
    pub fn pausing(self, pause: Option<&'a Pause>) -> Self {
        let encoder = self.encoder.map(|encoder| Box::new(encoder.pausing(pause)));
        Self { pause, encoder, ..self }
    }

    /// The last hidden states, n × d, after the final norm.
    pub async fn run(&self, watch: &mut impl Watch) -> Result<K::Values, ForwardError> {
        let encoded = self.encoded(watch).await?;
        self.stack(None, encoded.as_ref(), watch).await
    }

    /// What the stack reads of its encoder: the last hidden states, or what a projector makes of them; `None` without an encoder.
    pub async fn encoded(&self, watch: &mut impl Watch) -> Result<Option<K::Values>, ForwardError> {
        match &self.encoder {
            Some(encoder) => {
                let hidden = encoder.stack(None, None, watch).await?;
                Ok(Some(self.projected(encoder, hidden).await?))
            }
            None => Ok(None),
        }
    }

    /// The same from where a pass stood.
    pub async fn resume(
        &self,
        standing: Standing,
        watch: &mut impl Watch,
    ) -> Result<K::Values, ForwardError> {
        let Standing { blocks, stream, encoded } = standing;
        let stream = self.kernels.put(stream);
        let Some(encoder) = &self.encoder else {
            return self.stack(Some((blocks, stream)), None, watch).await;
        };
        let before = encoder.architecture.blocks.len();
        if blocks <= before {
            let encoded = encoder.stack(Some((blocks, stream)), None, watch).await?;
            let encoded = self.projected(encoder, encoded).await?;
            return self.stack(None, Some(&encoded), watch).await;
        }
        // Its last norm has been seen.
        let encoded = (before, self.kernels.put(encoded));
        let encoded = encoder.stack(Some(encoded), None, &mut Unwatched).await?;
        let encoded = self.projected(encoder, encoded).await?;
        self.stack(Some((blocks - before, stream)), Some(&encoded), watch).await
    }

    /// Blocks that run before those of this stack.
    fn blocks_before(&self) -> usize {
        self.encoder.as_ref().map_or(0, |encoder| encoder.architecture.blocks.len())
    }

    /// The last hidden states of this stack, from its input on or from the stream after some of its blocks; `hidden` is what it reads
    /// of its encoder.
    async fn stack(
        &self,
        from: Option<(usize, K::Values)>,
        hidden: Option<&K::Values>,
        watch: &mut impl Watch,
    ) -> Result<K::Values, ForwardError> {
        let encoded = self.encoder.as_ref().zip(hidden).map(|(encoder, hidden)| Encoded {
            hidden,
            length: encoder.sequences.length,
            sharing: self.sequences.count() / encoder.sequences.count(),
        });
        let (done, mut stream) = match from {
            Some(from) => from,
            None => (0, self.embed(encoded.as_ref(), watch).await?),
        };
        let (width, before) = (self.architecture.width, self.blocks_before());
        self.weights.look_ahead(self.architecture.reads_from(done));
        for (at, block) in self.architecture.blocks.iter().enumerate().skip(done) {
            let index = before + at;
            let after_attention;
            (stream, after_attention) = self.block(block, stream, encoded.as_ref(), watch).await?;
            // Also waits for the device, so that no more than a block is ahead of it.
            if let Some(first) = self.kernels.first_not_finite(&stream).await? {
                let value = self.kernels.get(&self.kernels.part(&stream, first, 1)).await?[0];
                let (token, channel) = (first / width, first % width);
                return Err(ForwardError::NotFinite { block: index, token, channel, value });
            }
            if watch.wants_stream() {
                let values = self.kernels.get(&stream).await?;
                let seen = Seen::Block {
                    index,
                    width,
                    stream: &values,
                    after_attention: after_attention.as_deref(),
                    next: self.architecture.norm_after(at).and_then(|norm| norm.site.as_deref()),
                };
                if watch.see(seen).await.is_break() {
                    return Err(ForwardError::Stopped { blocks: index + 1 });
                }
            }
        }
        match &self.architecture.final_norm {
            Some(norm) => self.norm(norm, &stream, watch).await,
            None => Ok(stream),
        }
    }

    async fn norm(
        &self,
        norm: &Norm,
        x: &K::Values,
        watch: &mut impl Watch,
    ) -> Result<K::Values, ForwardError> {
        self.norm_told(self.assumed_kind.unwrap_or(norm.centring), norm, x, watch).await
    }

    async fn norm_told(
        &self,
        centring: Centring,
        norm: &Norm,
        x: &K::Values,
        watch: &mut impl Watch,
    ) -> Result<K::Values, ForwardError> {
        let before_scale = self.kernels.normalise(centring, x, norm.width, norm.epsilon);
        let y = self.scaled_and_shifted(&before_scale, self.parameters(norm).await?);
        self.show(norm, &before_scale, &y, watch).await?;
        Ok(y)
    }

    /// γ ⊙ x̂ + β, both of as many values as rows of x̂ are taken to have.
    fn scaled_and_shifted(&self, x: &K::Values, parameters: [Option<Vec<f32>>; 2]) -> K::Values {
        let width = parameters.iter().flatten().map(Vec::len).next().unwrap_or(1);
        let [scale, shift] = parameters.map(|values| values.map(|values| self.kernels.put(values)));
        self.kernels.scale_and_shift(x, scale.as_ref(), shift.as_ref(), width)
    }

    /// Shows what a norm gave to who wants to see it.
    async fn show(
        &self,
        norm: &Norm,
        before_scale: &K::Values,
        output: &K::Values,
        watch: &mut impl Watch,
    ) -> Result<(), ForwardError> {
        let Some(site) = norm.site.as_deref().filter(|site| watch.wants(site)) else { return Ok(()) };
        let (before_scale, output) = (self.kernels.get(before_scale).await?, self.kernels.get(output).await?);
        let seen = Seen::Norm { site, width: norm.width, before_scale: &before_scale, output: &output };
        match watch.see(seen).await {
            ControlFlow::Break(()) => Err(ForwardError::Stopped { blocks: 0 }),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// The stream after a block; and between its parts, where that is wanted.
    async fn block(
        &self,
        block: &Block,
        stream: K::Values,
        encoded: Option<&Encoded<'_, K::Values>>,
        watch: &mut impl Watch,
    ) -> Result<(K::Values, Option<Vec<f32>>), ForwardError> {
        let (around_attention, around_feed_forward) = (&block.around_attention, &block.around_feed_forward);
        let input = self.before(around_attention, &stream, watch).await?;
        let read = input.as_ref().unwrap_or(&stream);
        let attended = self.attention(&block.attention, read, watch).await?;
        if block.parallel {
            // Some have one norm before both.
            let own = match around_feed_forward.before == around_attention.before {
                true => None,
                false => self.before(around_feed_forward, &stream, watch).await?,
            };
            let fed = self.feed_forward(&block.feed_forward, own.as_ref().unwrap_or(read)).await?;
            let stream = self.merge(around_attention, stream, attended, watch).await?;
            let between = self.between(&stream, watch).await?;
            return Ok((self.merge(around_feed_forward, stream, fed, watch).await?, between));
        }
        let mut stream = self.merge(around_attention, stream, attended, watch).await?;
        if let (Some(cross), Some(encoded)) = (&block.cross, encoded) {
            let input = self.before(&cross.around, &stream, watch).await?;
            let read = input.as_ref().unwrap_or(&stream);
            let attended = self.cross_attention(&cross.attention, read, encoded).await?;
            stream = self.merge(&cross.around, stream, attended, watch).await?;
        }
        let between = self.between(&stream, watch).await?;
        let input = self.before(around_feed_forward, &stream, watch).await?;
        let fed = self.feed_forward(&block.feed_forward, input.as_ref().unwrap_or(&stream)).await?;
        Ok((self.merge(around_feed_forward, stream, fed, watch).await?, between))
    }

    /// The stream between a block's parts, where that is wanted.
    async fn between(
        &self,
        stream: &K::Values,
        watch: &impl Watch,
    ) -> Result<Option<Vec<f32>>, ForwardError> {
        match watch.wants_after_attention() {
            true => Ok(Some(self.kernels.get(stream).await?)),
            false => Ok(None),
        }
    }

    /// What a part reads, if that is not the stream itself.
    async fn before(
        &self,
        branch: &Branch,
        stream: &K::Values,
        watch: &mut impl Watch,
    ) -> Result<Option<K::Values>, ForwardError> {
        match &branch.before {
            Some(norm) => Ok(Some(self.norm(norm, stream, watch).await?)),
            None => Ok(None),
        }
    }

    /// The stream with what a part gives.
    async fn merge(
        &self,
        branch: &Branch,
        mut stream: K::Values,
        mut part: K::Values,
        watch: &mut impl Watch,
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

    /// Goes on unless somebody has stopped the pass.
    async fn pause(&self) -> Result<(), ForwardError> {
        match self.pause {
            Some(pause) if pause().await.is_break() => Err(ForwardError::Stopped { blocks: 0 }),
            _ => Ok(()),
        }
    }

    /// A matrix and its bias on the device.
    async fn load(&self, linear: &Linear) -> Result<Loaded<K>, ForwardError> {
        self.weights.linear(self.kernels, linear).await
    }

    /// It applied to n × k.
    async fn linear(&self, linear: &Linear, x: &K::Values) -> Result<K::Values, ForwardError> {
        self.pause().await?;
        Ok(self.load(linear).await?.apply(self.kernels, x))
    }
}
