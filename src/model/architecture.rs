//! One model, fully resolved: plain data. Tensors are indices into the catalogue; shapes have been checked.

use crate::model::operation::Activation;
use crate::model::operation::Centring;
use crate::model::operation::Gate;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;
use crate::model::operation::Reads;
use crate::model::operation::Resizing;
use std::borrow::Cow;
use std::ops::Range;

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// `model_type`.
    pub family: String,
    /// Width d of the residual stream.
    pub width: usize,
    /// Rows of the token embedding; 0 in a model that reads no tokens.
    pub vocabulary: usize,
    /// The longest sequence that has positions; `None` where there is no end.
    pub longest: Option<usize>,
    /// Whether a token sees no later one.
    pub causal: bool,
    /// Where the stream begins.
    pub embedding: Embedding,
    /// In order.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub final_norm: Option<Norm>,
    /// `None` for a checkpoint without one.
    pub head: Option<Head>,
    /// Of a decoder: the stack that runs before it, whose last hidden states its cross-attention reads, or its projector. It has no
    /// encoder itself.
    pub encoder: Option<Box<Architecture>>,
    /// Token ids that each sequence of a decoder begins with: those that the configuration names, or the image tokens of one image.
    pub start: Vec<u32>,
}

/// A matrix with an optional bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Tensor.
    pub weight: usize,
    /// Tensor.
    pub bias: Option<usize>,
    /// k.
    pub inputs: usize,
    /// m.
    pub outputs: usize,
    /// Which is the outer one.
    pub layout: Layout,
}

/// A norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Its name in the report; `None` where it is no site of it.
    pub site: Option<String>,
    /// Tensor of w.
    pub scale: Option<usize>,
    /// Tensor of β.
    pub shift: Option<usize>,
    /// d.
    pub width: usize,
    /// LayerNorm or RMSNorm.
    pub centring: Centring,
    /// Whether γ is 1 + w.
    pub one_plus: bool,
    /// ε.
    pub epsilon: f32,
}

/// From what is read to the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Embedding {
    /// From token ids.
    Tokens(TokenEmbedding),
    /// From images or videos.
    Patches(PatchEmbedding),
    /// From features of sounds.
    Sounds(SoundEmbedding),
}

/// From the features of sounds to the stream: convolutions over time, a map to the width of the stream where there is one, and
/// positions.
#[derive(Debug, Clone, PartialEq)]
pub struct SoundEmbedding {
    /// Of the features; 1 for a waveform.
    pub channels: usize,
    /// In order, at least one.
    pub convolutions: Vec<Convolution>,
    /// On what they give.
    pub norm: Option<Norm>,
    /// From that to the width of the stream.
    pub projection: Option<Linear>,
    /// Added to that.
    pub positions: SoundPositions,
    /// On the sum.
    pub last_norm: Option<Norm>,
}

/// A convolution over time, with what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// From the frames that it reads at once (channels, and in each its frames) to one frame.
    pub map: Linear,
    /// Which frames these are.
    pub reach: Reach,
    /// On what it gives.
    pub norm: Option<ConvolutionNorm>,
    /// Last.
    pub activation: Activation,
}

/// Which frames a convolution over time reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Frames that it reads at once.
    pub kernel: usize,
    /// Frames from one place to the next.
    pub stride: usize,
    /// Frames of zeros at either end.
    pub padding: usize,
}

/// A norm between convolutions.
#[derive(Debug, Clone, PartialEq)]
pub enum ConvolutionNorm {
    /// Over the channels of each frame: a LayerNorm.
    Channels(Norm),
    /// Of each channel over all frames of a sound: a GroupNorm with as many groups as channels.
    Time(Norm),
}

/// How an embedding of sounds says where a frame is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SoundPositions {
    /// A table, which fixes the length of a sound.
    Table {
        /// Tensor: tokens × d.
        tensor: usize,
        /// t, of a sound, neither more nor fewer.
        tokens: usize,
        /// Frames of that.
        frames: usize,
    },
    /// What a convolution over the tokens gives.
    Convolution(PositionalConvolution),
}

/// A convolution over the tokens of a sound, in groups of channels, with a normalised weight: g ⊙ v/‖v‖, the length of v taken at
/// each place of the kernel. A token is in the middle of those that it reads, of an even number at the beginning of the second half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionalConvolution {
    /// Tensor of g: 1 × 1 × kernel.
    pub gain: usize,
    /// Tensor of v: d × d over groups × kernel.
    pub direction: usize,
    /// Tensor: d.
    pub bias: usize,
    /// Which tokens it reads.
    pub reach: Reach,
    /// Each of as many channels.
    pub groups: usize,
    /// Last.
    pub activation: Activation,
}

/// From pixels to the stream: extra tokens, then a vector for each patch, rows of patches one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchEmbedding {
    /// From a patch (channels, then frames, rows and columns) to its vector.
    pub projection: Linear,
    /// Channels of the pixels.
    pub channels: usize,
    /// Frames, rows and columns of a patch; one frame in models of images.
    pub patch: [usize; 3],
    /// Frames, rows and columns of the images that it was trained on.
    pub trained: [usize; 3],
    /// Class, distillation and register tokens.
    pub extra: Vec<ExtraTokens>,
    /// Added to the patches, and to extra tokens with positions.
    pub positions: ImagePositions,
    /// On the stream, before the blocks.
    pub norm: Option<Norm>,
}

/// Learned tokens beside those of the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraTokens {
    /// Tensor: count × d.
    pub tensor: usize,
    /// How many.
    pub count: usize,
    /// Row of the first in the table of positions; `None` where they have none.
    pub position: Option<usize>,
}

/// How an embedding says where a patch is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImagePositions {
    /// It does not.
    None,
    /// A table: tensor, and row of the first patch.
    Table {
        /// Tensor: rows × d.
        tensor: usize,
        /// Row of the first patch.
        first: usize,
        /// How it is fitted to images of another size.
        resized: Option<Resizing>,
    },
    /// Sines and cosines of a patch's place in the sequence.
    Sines,
}

/// From ids to the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEmbedding {
    /// Tensor: vocabulary × its width.
    pub tokens: usize,
    /// Its width: d, unless there is a projection.
    pub width: usize,
    /// What rows are multiplied by.
    pub multiplier: f32,
    /// A learned vector a position.
    pub positions: Option<LearnedPositions>,
    /// Tensor; the row of segment 0 is added.
    pub segments: Option<usize>,
    /// After the sum.
    pub norm: Option<Norm>,
    /// To the width of the stream.
    pub projection: Option<Linear>,
    /// Whether that comes before positions are added, which then have the width of the stream, or after the norm.
    pub projection_first: bool,
    /// What takes the place of the rows of image tokens, behind a tower of images.
    pub projector: Option<Projector>,
}

/// From the last hidden states of a tower of images to vectors of the stream of a text model, which take the place of the rows of one
/// id: a linear map of the vectors of a square of patches, beside one another, row after row (the pixel shuffle of Idefics3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projector {
    /// From the width of the tower times the patches of a square, to d.
    pub map: Linear,
    /// Rows and columns of patches of an image, multiples of `side`.
    pub grid: [usize; 2],
    /// Rows, and columns, of patches of a square.
    pub side: usize,
    /// The id of an image token.
    pub token: u32,
}

/// A table of positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedPositions {
    /// Tensor: positions × width.
    pub table: usize,
    /// Row of the first token.
    pub offset: usize,
    /// Tokens of this id are not counted and have the row before the first (RoBERTa's padding).
    pub skip: Option<u32>,
}

/// Attention and feed-forward part, each on a branch of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Attention.
    pub attention: Attention,
    /// Norms around it.
    pub around_attention: Branch,
    /// After that, in the blocks of a decoder.
    pub cross: Option<CrossAttention>,
    /// Feed-forward part.
    pub feed_forward: FeedForward,
    /// Norms around it.
    pub around_feed_forward: Branch,
    /// Whether both read the stream as it was before the block; never in a block with cross-attention.
    pub parallel: bool,
}

/// Attention of a decoder's tokens to those of its encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossAttention {
    /// Its queries come from the stream, and its keys and values from the last hidden states of the encoder: three matrices.
    pub attention: Attention,
    /// Norms around it.
    pub around: Branch,
}

/// stream ← after(stream + multiplier · layer_scale ⊙ inner_after(part(before(stream)))).
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// On what the part reads.
    pub before: Option<Norm>,
    /// On what it gives.
    pub inner_after: Option<Norm>,
    /// On the sum.
    pub after: Option<Norm>,
    /// Of what is added.
    pub multiplier: f32,
    /// Tensor of a vector that what is added is multiplied by (LayerScale).
    pub layer_scale: Option<usize>,
}

/// Attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_heads: usize,
    /// h.
    pub head_width: usize,
    /// To queries, keys and values.
    pub projections: Projections,
    /// Tensors of biases of queries, keys and values that are no part of the maps.
    pub biases: [Option<usize>; 3],
    /// Back to the stream.
    pub output: Linear,
    /// On queries.
    pub query_norm: Option<HeadNorm>,
    /// On keys.
    pub key_norm: Option<HeadNorm>,
    /// How it knows where tokens are.
    pub position: Position,
    /// See [`crate::cpu::attention::Attention::window`].
    pub window: Option<usize>,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
    /// c of c tanh(score/c).
    pub cap: Option<f32>,
    /// Queries, keys and values are kept within ± this.
    pub clip: Option<f32>,
}

/// A norm of queries or keys.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadNorm {
    /// Of each head alike, or of all of them together: its width says which. Its scale may have a row for each head all the
    /// same; then it is no site of the report.
    One(Norm),
    /// One for each head.
    Each(Vec<Norm>),
}

/// To queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Projections {
    /// A matrix each.
    Separate([Linear; 3]),
    /// One matrix: all queries, all keys, all values.
    Concatenated(Linear),
    /// One matrix: for each key head its queries, its key, its value.
    Grouped(Linear),
}

/// How attention knows where tokens are.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// It does not, or the embedding says.
    None,
    /// Turned queries and keys.
    Rotary(Rotary),
    /// A slope a head.
    Alibi(Vec<f32>),
    /// The same in BF16, from the first key on, added before products are scaled.
    CoarseAlibi(Vec<f32>),
    /// A learned bias a head and bucket of distances, both ways.
    Relative {
        /// Tensor: buckets × heads.
        table: usize,
        /// Buckets.
        buckets: usize,
        /// Distances beyond this share a bucket.
        furthest: usize,
    },
    /// A learned bias a head and distance in rows and columns of patches, after one class token (BEiT).
    Window {
        /// Tensor: (2·rows − 1)·(2·columns − 1) + 3 × heads; its last rows are from the class token, to it, and to itself.
        table: usize,
    },
}

/// A rotary code.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Half as many as turned channels.
    pub frequencies: Vec<f32>,
    /// Others in long sequences.
    pub longer: Option<Longer>,
    /// On cosines and sines.
    pub factor: f32,
    /// Which channels are a pair.
    pub pairing: Pairing,
}

/// Frequencies of a rotary code in sequences of more than `than` tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Longer {
    /// Tokens.
    pub than: usize,
    /// Which they are.
    pub stretch: Stretch,
}

/// How long sequences are fitted into the turns that a model knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Stretch {
    /// By these frequencies (LongRoPE).
    Listed(Vec<f32>),
    /// By a base that grows with the length (dynamic NTK).
    Dynamic {
        /// Of the frequencies of short sequences.
        base: f64,
        /// How much more than `than` tokens are fitted in.
        factor: f64,
    },
}

/// The part that acts on each token alone.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForward {
    /// down(act(up x)).
    Plain {
        /// To the hidden width.
        up: Linear,
        /// And back.
        down: Linear,
        /// Between them.
        activation: Activation,
    },
    /// A gated one.
    Gated(Gated),
    /// Σ weight · expert(x) over the chosen experts.
    Experts {
        /// Scores of the experts.
        router: Linear,
        /// All of them.
        experts: Vec<Gated>,
        /// How many a token goes to.
        chosen: usize,
        /// From scores to weights.
        gate: Gate,
        /// Whether the weights of the chosen sum to 1.
        normalised: bool,
    },
}

/// down(act(gate x) ⊙ up x).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gated {
    /// Gate, then up.
    pub inputs: GatedInputs,
    /// Back to the stream.
    pub down: Linear,
    /// On the gate.
    pub activation: Activation,
}

/// Gate and up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GatedInputs {
    /// A matrix each.
    Separate([Linear; 2]),
    /// One matrix, the gate's rows first.
    Concatenated(Linear),
}

/// From the last hidden states to logits: cap(multiplier · unembedding(transform(x))).
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Before the unembedding.
    pub transform: Option<Transform>,
    /// Vocabulary × width.
    pub unembedding: Linear,
    /// Of the logits.
    pub multiplier: f32,
    /// c of c tanh(logit/c).
    pub cap: Option<f32>,
}

/// What the unembedding reads, from the last hidden states: norm(act(dense x)), in models that fill in masked tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// To the width of the embedding.
    pub dense: Linear,
    /// `None`: nothing.
    pub activation: Option<Activation>,
    /// `None`: nothing.
    pub norm: Option<Norm>,
}

impl Rotary {
    /// Frequencies in sequences of `length` tokens.
    pub fn frequencies_of(&self, length: usize) -> Cow<'_, [f32]> {
        let Some(Longer { than, stretch }) = self.longer.as_ref().filter(|longer| length > longer.than)
        else {
            return Cow::Borrowed(&self.frequencies);
        };
        match stretch {
            Stretch::Listed(frequencies) => Cow::Borrowed(frequencies),
            Stretch::Dynamic { base, factor } => {
                let channels = 2.0 * self.frequencies.len() as f64;
                let share = factor * length as f64 / *than as f64 - (factor - 1.0);
                let base = base * share.powf(channels / (channels - 2.0));
                let of = |pair| base.powf(-2.0 * pair as f64 / channels) as f32;
                Cow::Owned((0..self.frequencies.len()).map(of).collect())
            }
        }
    }
}

impl Embedding {
    /// What it reads.
    pub fn reads(&self) -> Reads {
        match self {
            Self::Tokens(_) => Reads::Tokens,
            Self::Patches(_) => Reads::Pixels,
            Self::Sounds(_) => Reads::Sounds,
        }
    }

    /// The norms of the embedding that a pass shows, in order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        let (convolutions, norms): (&[Convolution], _) = match self {
            Self::Tokens(tokens) => (&[], [tokens.norm.as_ref(), None]),
            Self::Patches(patches) => (&[], [patches.norm.as_ref(), None]),
            Self::Sounds(sounds) => (&sounds.convolutions, [sounds.norm.as_ref(), sounds.last_norm.as_ref()]),
        };
        let over_channels = |convolution: &'_ Convolution| match &convolution.norm {
            Some(ConvolutionNorm::Channels(_)) => true,
            Some(ConvolutionNorm::Time(_)) | None => false,
        };
        let of_convolutions = convolutions.iter().filter(move |one| over_channels(one));
        of_convolutions
            .filter_map(|one| one.norm.as_ref())
            .map(ConvolutionNorm::norm)
            .chain(norms.into_iter().flatten())
    }

    /// The one of tokens.
    pub fn tokens(&self) -> Option<&TokenEmbedding> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Patches(_) | Self::Sounds(_) => None,
        }
    }

    /// What makes vectors of the stream of a tower's last hidden states.
    pub fn projector(&self) -> Option<&Projector> {
        self.tokens()?.projector.as_ref()
    }

    /// The norm that the stream is the output of where the blocks begin, if it is.
    pub(crate) fn last_norm(&self) -> Option<&Norm> {
        match self {
            Self::Tokens(tokens) => tokens.norm.as_ref().filter(|_| tokens.projection.is_none()),
            Self::Patches(patches) => patches.norm.as_ref(),
            Self::Sounds(sounds) => sounds.last_norm.as_ref(),
        }
    }

    /// Multiplications a token, of the convolutions and what follows them; those of other embeddings are few.
    fn macs(&self) -> f64 {
        match self {
            Self::Tokens(_) | Self::Patches(_) => 0.0,
            Self::Sounds(sounds) => sounds.macs(),
        }
    }
}

impl Projector {
    /// Vectors that it makes of an image.
    pub fn features(&self) -> usize {
        self.patches() / self.square()
    }

    /// Patches of an image.
    pub fn patches(&self) -> usize {
        self.grid[0].saturating_mul(self.grid[1])
    }

    /// Patches of which it makes one vector.
    pub fn square(&self) -> usize {
        self.side.saturating_mul(self.side).max(1)
    }

    /// The patches of an image, square after square, each row after row.
    pub fn order(&self) -> Vec<usize> {
        let ([rows, columns], side) = (self.grid, self.side.max(1));
        let squares = (0..rows / side).flat_map(|row| (0..columns / side).map(move |column| (row, column)));
        squares
            .flat_map(|(row, column)| {
                let within = (0..side).flat_map(move |i| (0..side).map(move |j| (i, j)));
                within.map(move |(i, j)| (row * side + i) * columns + column * side + j)
            })
            .collect()
    }
}

impl Reach {
    /// Places that it has in so many frames.
    pub fn outputs(&self, frames: usize) -> usize {
        let padded = frames.saturating_add(self.padding.saturating_mul(2));
        padded.checked_sub(self.kernel).map_or(0, |left| left / self.stride + 1)
    }

    /// The frames, of so many, that it reads at these places, of which there is at least one.
    pub fn inputs(&self, places: &Range<usize>, frames: usize) -> Range<usize> {
        let last = places.end.saturating_sub(1).saturating_mul(self.stride).saturating_add(self.kernel);
        let start = places.start.saturating_mul(self.stride).saturating_sub(self.padding);
        start..last.saturating_sub(self.padding).clamp(start, frames.max(start))
    }

    /// The fewest frames that have so many places.
    fn fewest(&self, places: usize) -> usize {
        let reached = places.saturating_sub(1).saturating_mul(self.stride).saturating_add(self.kernel);
        reached.saturating_sub(2 * self.padding).max(1)
    }
}

impl ConvolutionNorm {
    fn norm(&self) -> &Norm {
        match self {
            Self::Channels(norm) | Self::Time(norm) => norm,
        }
    }
}

impl SoundEmbedding {
    /// Tokens of a sound of so many frames.
    pub fn tokens(&self, frames: usize) -> usize {
        match self.positions {
            SoundPositions::Table { tokens, .. } => tokens,
            SoundPositions::Convolution(_) => {
                self.convolutions.iter().fold(frames, |frames, one| one.reach.outputs(frames))
            }
        }
    }

    /// Frames of a sound of so many tokens: the fewest, where there may be more.
    pub fn frames(&self, tokens: usize) -> usize {
        match self.positions {
            SoundPositions::Table { frames, .. } => frames,
            SoundPositions::Convolution(_) => {
                self.convolutions.iter().rev().fold(tokens, |places, one| one.reach.fewest(places))
            }
        }
    }

    /// Frames after each convolution for one token, as strides have it.
    pub fn frames_a_token(&self) -> Vec<usize> {
        let mut all = vec![1usize; self.convolutions.len()];
        for at in (1..all.len()).rev() {
            all[at - 1] = all[at].saturating_mul(self.convolutions[at].reach.stride);
        }
        all
    }

    fn macs(&self) -> f64 {
        let of = |map: &Linear| map.inputs as f64 * map.outputs as f64;
        let frames = self.frames_a_token();
        let convolutions =
            self.convolutions.iter().zip(frames).map(|(one, frames)| of(&one.map) * frames as f64);
        let of_positions = match (&self.positions, &self.projection) {
            (SoundPositions::Convolution(positions), Some(projection)) => {
                let d = projection.outputs as f64;
                d * d * positions.reach.kernel as f64 / positions.groups as f64
            }
            _ => 0.0,
        };
        convolutions.sum::<f64>() + self.projection.as_ref().map_or(0.0, of) + of_positions
    }
}

impl PatchEmbedding {
    /// Frames, rows and columns of patches of an image of this size. A convolution leaves out what is left over.
    pub fn grid(&self, size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|side| size[side] / self.patch[side].max(1))
    }

    /// Tokens of an image of this size.
    pub fn tokens(&self, size: [usize; 3]) -> usize {
        let patches = self.grid(size).into_iter().fold(1, usize::saturating_mul);
        self.extra.iter().fold(patches, |all, extra| all.saturating_add(extra.count))
    }
}

impl HeadNorm {
    /// One, or one for each head.
    pub(crate) fn norms(&self) -> &[Norm] {
        match self {
            Self::One(norm) => std::slice::from_ref(norm),
            Self::Each(norms) => norms,
        }
    }
}

impl Architecture {
    /// Its stacks in the order in which they run: an encoder, then the one that this is.
    pub fn stacks(&self) -> impl Iterator<Item = &Architecture> {
        self.encoder.as_deref().into_iter().chain([self])
    }

    /// Blocks of all stacks.
    pub fn all_blocks(&self) -> usize {
        self.stacks().map(|stack| stack.blocks.len()).sum()
    }

    /// What its first stack reads.
    pub fn reads(&self) -> Reads {
        self.encoder.as_deref().unwrap_or(self).embedding.reads()
    }

    /// The norm that reads the stream after block `index`: the next block's first, or the final one.
    pub fn norm_after(&self, index: usize) -> Option<&Norm> {
        match self.blocks.get(index + 1) {
            Some(next) => next.around_attention.before.as_ref(),
            None => self.final_norm.as_ref(),
        }
    }

    /// Whether it takes images of any size that is whole patches: its positions are fitted to them.
    pub fn fits_size(&self) -> bool {
        let fitted = match &self.embedding {
            Embedding::Tokens(_) | Embedding::Sounds(_) => false,
            Embedding::Patches(patches) => match patches.positions {
                ImagePositions::None => true,
                ImagePositions::Table { resized, .. } => resized.is_some(),
                ImagePositions::Sines => false,
            },
        };
        fitted && !self.blocks.iter().any(|block| matches!(block.attention.position, Position::Window { .. }))
    }

    /// Every linear map of the blocks, and how often a token goes through it: a share of the experts. That of a projector is one, too,
    /// through which tokens of the tower go.
    fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let projector = self.embedding.projector().map(|projector| (&projector.map, 0.0));
        projector.into_iter().chain(self.blocks.iter().flat_map(Block::linear_maps))
    }

    /// The matrices that a pass reads whole.
    pub fn tensors(&self) -> impl Iterator<Item = usize> {
        self.linear_maps().map(|(linear, _)| linear.weight)
    }

    /// The tensors that a pass reads from block `done` on, each with its block, about in the order in which it reads them; those of
    /// the final norm are of the block after the last.
    pub fn reads_from(&self, done: usize) -> impl Iterator<Item = (usize, usize)> {
        let of_blocks = self
            .blocks
            .iter()
            .enumerate()
            .skip(done)
            .flat_map(|(block, of)| of.reads().map(move |read| (block, read)));
        let last = self.final_norm.iter().flat_map(Norm::tensors);
        of_blocks.chain(last.map(|tensor| (self.blocks.len(), tensor)))
    }

    /// The norms that a pass shows, in any order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        self.norms_with_rows().map(|(norm, _)| norm)
    }

    /// The same, each with the vectors that it reads for a token: those of queries and keys may read one a head.
    pub fn norms_with_rows(&self) -> impl Iterator<Item = (&Norm, usize)> {
        let once = |norm| (norm, 1);
        let of_blocks = self.blocks.iter().flat_map(Block::norms_with_rows);
        self.embedding.norms().map(once).chain(of_blocks).chain(self.final_norm.iter().map(once))
    }

    /// The same model without its blocks from the `count`th on and without its head: the final norm reads the stream after those
    /// that are left. The blocks of an encoder come first; where no others are left, it is the encoder alone.
    pub fn first_blocks(self, count: usize) -> Self {
        let of_encoder = self.encoder.as_ref().map_or(0, |encoder| encoder.blocks.len());
        match self.encoder {
            Some(encoder) if count <= of_encoder => encoder.first_blocks(count),
            encoder => {
                let mut blocks = self.blocks;
                blocks.truncate(count - of_encoder);
                Self { blocks, head: None, encoder, ..self }
            }
        }
    }

    /// Multiplications a token in the embedding and the blocks, in sequences of `length` tokens.
    pub fn macs(&self, length: usize) -> f64 {
        let linear: f64 =
            self.linear_maps().map(|(map, share)| share * map.inputs as f64 * map.outputs as f64).sum();
        let attention = |block: &Block| {
            let attention = &block.attention;
            let keys = attention.window.map_or(length, |window| window.min(length)) as f64;
            2.0 * keys * (attention.heads * attention.head_width) as f64
        };
        linear + self.blocks.iter().map(attention).sum::<f64>() + self.embedding.macs()
    }

    /// Multiplications beside those: of products with `keys` tokens of an encoder for each token, and for each token of the encoder,
    /// those of a projector too.
    pub fn cross_macs(&self, keys: usize) -> [f64; 2] {
        let attentions = || self.blocks.iter().filter_map(|block| Some(&block.cross.as_ref()?.attention));
        let products = |one: &Attention| 2.0 * keys as f64 * (one.heads * one.head_width) as f64;
        let of_encoder = attentions().flat_map(Attention::cross_maps).filter(|(_, share)| *share == 0.0);
        let size = |map: &Linear| map.inputs as f64 * map.outputs as f64;
        let of_projector = |one: &Projector| size(&one.map) / one.square() as f64;
        let of_projector = self.embedding.projector().map_or(0.0, of_projector);
        [attentions().map(products).sum(), of_encoder.map(|(map, _)| size(map)).sum::<f64>() + of_projector]
    }
}

impl Linear {
    fn tensors(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.weight).chain(self.bias)
    }
}

impl Norm {
    fn tensors(&self) -> impl Iterator<Item = usize> {
        self.scale.into_iter().chain(self.shift)
    }
}

impl Block {
    fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let cross = self.cross.iter().flat_map(|cross| cross.attention.cross_maps());
        self.attention.linear_maps().chain(cross).chain(self.feed_forward.linear_maps())
    }

    /// Tensors, about in the order in which they are read.
    fn reads(&self) -> impl Iterator<Item = usize> {
        let attention = self.attention.linear_maps().map(|(map, _)| map).flat_map(Linear::tensors);
        let of_heads = self.attention.qk_norm();
        let feed_forward = self.feed_forward.linear_maps().map(|(map, _)| map).flat_map(Linear::tensors);
        let before = |branch: &Branch| branch.before.iter().flat_map(Norm::tensors).collect::<Vec<_>>();
        let after = |branch: &Branch| {
            let norms = branch.inner_after.iter().chain(&branch.after).flat_map(Norm::tensors);
            norms.chain(branch.layer_scale).collect::<Vec<_>>()
        };
        let cross = self.cross.iter().flat_map(move |cross| {
            let maps = cross.attention.linear_maps().flat_map(|(map, _)| map.tensors());
            before(&cross.around).into_iter().chain(maps).chain(after(&cross.around)).collect::<Vec<_>>()
        });
        before(&self.around_attention)
            .into_iter()
            .chain(attention)
            .chain(self.attention.biases.into_iter().flatten())
            .chain(of_heads.flat_map(Norm::tensors))
            .chain(after(&self.around_attention))
            .chain(cross)
            .chain(before(&self.around_feed_forward))
            .chain(feed_forward)
            .chain(after(&self.around_feed_forward))
    }

    fn norms_with_rows(&self) -> impl Iterator<Item = (&Norm, usize)> {
        let of_branches = [&self.around_attention]
            .into_iter()
            .chain(self.cross.as_ref().map(|cross| &cross.around))
            .chain([&self.around_feed_forward])
            .flat_map(|branch| [&branch.before, &branch.inner_after, &branch.after]);
        of_branches.flatten().map(|norm| (norm, 1)).chain(self.attention.qk_norm_with_rows())
    }
}

impl Attention {
    fn qk_norm(&self) -> impl Iterator<Item = &Norm> {
        [&self.query_norm, &self.key_norm].into_iter().flatten().flat_map(HeadNorm::norms)
    }

    /// The same, each with the vectors that it reads for a token.
    fn qk_norm_with_rows(&self) -> impl Iterator<Item = (&Norm, usize)> {
        let of_heads = [(&self.query_norm, self.heads), (&self.key_norm, self.key_heads)];
        of_heads.into_iter().flat_map(move |(norm, heads)| {
            let rows = move |norm: &Norm, each: bool| {
                if each { 1 } else { (heads * self.head_width / norm.width.max(1)).max(1) }
            };
            let each = matches!(norm, Some(HeadNorm::Each(_)));
            let norms = norm.iter().flat_map(HeadNorm::norms);
            norms.map(move |norm| (norm, rows(norm, each)))
        })
    }

    /// The maps to queries, keys and values and back, each for every token.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let inputs: &[Linear] = match &self.projections {
            Projections::Separate(all) => all,
            Projections::Concatenated(all) | Projections::Grouped(all) => std::slice::from_ref(all),
        };
        inputs.iter().chain([&self.output]).map(|map| (map, 1.0))
    }

    /// The same of attention to an encoder: a token of the decoder does not go through the maps to keys and values.
    fn cross_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let (shares, last) = ([1.0, 0.0, 0.0], (&self.output, 1.0));
        let inputs: &[Linear] = match &self.projections {
            Projections::Separate(all) => all,
            Projections::Concatenated(_) | Projections::Grouped(_) => &[],
        };
        inputs.iter().zip(shares).chain([last])
    }
}

impl Gated {
    /// The maps to hidden values and back.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        let inputs: &[Linear] = match &self.inputs {
            GatedInputs::Separate(both) => both,
            GatedInputs::Concatenated(both) => std::slice::from_ref(both),
        };
        inputs.iter().chain([&self.down])
    }
}

impl FeedForward {
    /// All maps, and how often a token goes through each: a share of the experts.
    pub(crate) fn linear_maps(&self) -> Box<dyn Iterator<Item = (&Linear, f64)> + '_> {
        match self {
            Self::Plain { up, down, .. } => Box::new([(up, 1.0), (down, 1.0)].into_iter()),
            Self::Gated(gated) => Box::new(gated.linear_maps().map(|map| (map, 1.0))),
            Self::Experts { router, experts, chosen, .. } => {
                let share = *chosen as f64 / experts.len().max(1) as f64;
                let of_experts = experts.iter().flat_map(Gated::linear_maps).map(move |map| (map, share));
                Box::new([(router, 1.0)].into_iter().chain(of_experts))
            }
        }
    }
}
