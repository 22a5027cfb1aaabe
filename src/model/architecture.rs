//! One model, fully resolved, as plain data. Tensors are indices into the catalogue. Their shapes have been checked.

use crate::checkpoint::Tensor;
use crate::model::operation::Activation;
use crate::model::operation::Centring;
use crate::model::operation::Gate;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;
use crate::model::operation::ProjectionPlace;
use crate::model::operation::Reads;
use crate::model::operation::Resizing;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// `model_type`.
    pub family: String,
    /// The tensors that the numbers in all parts refer to, in the files of the checkpoint. An encoder has the same.
    pub tensors: Arc<[Tensor]>,
    /// Width d of the residual stream.
    pub width: usize,
    /// Rows of the token embedding. 0 if the model reads no tokens.
    pub vocabulary: usize,
    /// Length of the longest sequence: the model has no more positions, or its code treats longer ones in another way than a run. `None` if
    /// there is no limit.
    pub longest: Option<usize>,
    /// Whether a token sees no later tokens.
    pub causal: bool,
    /// How the stream begins.
    pub embedding: Embedding,
    /// The versions of the stream, if there are several.
    pub versions: Option<Versions>,
    /// Blocks in the order in which they run.
    pub blocks: Vec<Block>,
    /// The norm after the last block.
    pub final_norm: Option<Norm>,
    /// The language-model head. `None` if the checkpoint has none.
    pub head: Option<Head>,
    /// The encoder of a decoder. It runs first. The decoder's cross-attention, or its projector, reads its last hidden states. Blocks that
    /// do not matter to them are left out. It has no encoder itself.
    pub encoder: Option<Box<Architecture>>,
    /// Token ids that each sequence of a decoder begins with: those of the configuration, or the image tokens of one image. Empty if there
    /// are none.
    pub start: Vec<u32>,
    /// Fields of the configuration that were left out, because they do not change what the model computes.
    pub left_out_fields: Vec<String>,
}

/// A matrix with an optional bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Tensor of the weight.
    pub weight: usize,
    /// Values of that tensor before those of the matrix. 0, unless it holds several matrices, as for experts.
    pub first: u64,
    /// Tensor of the bias.
    pub bias: Option<usize>,
    /// Values of that tensor before those of the bias. 0, unless it holds several biases, as for experts.
    pub first_bias: u64,
    /// k.
    pub inputs: usize,
    /// m.
    pub outputs: usize,
    /// Which dimension is the outer one.
    pub layout: Layout,
}

/// A norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Its name in the report. `None` if it is not a site of the report.
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

/// The part of a model that makes the stream from its input.
#[derive(Debug, Clone, PartialEq)]
pub enum Embedding {
    /// Embeds token ids.
    Tokens(TokenEmbedding),
    /// Embeds images or videos.
    Patches(PatchEmbedding),
    /// Embeds features of sounds.
    Sounds(SoundEmbedding),
}

/// Makes the stream from features of sounds: convolutions over time, an optional map to the width of the stream, and positions.
#[derive(Debug, Clone, PartialEq)]
pub struct SoundEmbedding {
    /// Channels of the features. 1 for a waveform.
    pub channels: usize,
    /// Convolutions in order, at least one.
    pub convolutions: Vec<Convolution>,
    /// Norm of the convolutions' output.
    pub norm: Option<Norm>,
    /// Map from there to the width of the stream.
    pub projection: Option<Linear>,
    /// Positions added to the result.
    pub positions: SoundPositions,
    /// Norm of the sum.
    pub last_norm: Option<Norm>,
}

/// A convolution over time, with its norm and activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Map from the frames that it reads at once (channels, and in each its frames) to one frame.
    pub map: Linear,
    /// Which frames it reads.
    pub reach: Reach,
    /// Norm of its output.
    pub norm: Option<ConvolutionNorm>,
    /// Activation after the norm.
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
    /// Over all frames of a sound, for each channel: a GroupNorm with as many groups as channels.
    Time(Norm),
}

/// How an embedding of sounds encodes the positions of frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SoundPositions {
    /// A table, which fixes the length of a sound.
    Table {
        /// Tensor: tokens × d.
        tensor: usize,
        /// Exact number t of tokens of a sound.
        tokens: usize,
        /// Frames of such a sound.
        frames: usize,
    },
    /// The output of a convolution over the tokens.
    Convolution(PositionalConvolution),
}

/// A convolution over the tokens of a sound, in groups of channels. Its weight is normalised: g ⊙ v/‖v‖, with the length of v at each
/// place of the kernel. A token is in the middle of the tokens that it reads. If their number is even, it begins the second half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionalConvolution {
    /// Tensor of g: 1 × 1 × kernel.
    pub gain: usize,
    /// Tensor of v: d × d/groups × kernel.
    pub direction: usize,
    /// Tensor of the bias: d.
    pub bias: usize,
    /// Which tokens it reads.
    pub reach: Reach,
    /// Number of groups, which have equally many channels.
    pub groups: usize,
    /// Activation after the bias.
    pub activation: Activation,
}

/// Makes the stream from pixels: extra tokens, followed by a vector for each patch, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchEmbedding {
    /// Map from a patch (channels, then frames, rows and columns) to its vector.
    pub projection: Linear,
    /// Channels of the pixels.
    pub channels: usize,
    /// Frames, rows and columns of a patch. Models of images have one frame.
    pub patch: [usize; 3],
    /// Frames, rows and columns of the images that the model was trained on.
    pub trained: [usize; 3],
    /// Class, distillation and register tokens.
    pub extra: Vec<ExtraTokens>,
    /// On the vectors of the patches, before anything is added.
    pub patch_norm: Option<Norm>,
    /// Added to the patches, and to extra tokens with positions.
    pub positions: ImagePositions,
    /// Norm of the stream before the blocks.
    pub norm: Option<Norm>,
}

/// Learned tokens before those of the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraTokens {
    /// Tensor: count × d.
    pub tensor: usize,
    /// Number of tokens.
    pub count: usize,
    /// Row of the first one in the table of positions. `None` if they have no positions.
    pub position: Option<usize>,
}

/// How an embedding encodes the positions of patches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImagePositions {
    /// Not at all.
    None,
    /// By a table.
    Table {
        /// Tensor: rows × d.
        tensor: usize,
        /// Row of the first patch.
        first: usize,
        /// How the table is resized for images of another size.
        resized: Option<Resizing>,
    },
    /// Sines and cosines of a patch's place in the sequence.
    Sines,
}

/// Makes the stream from token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEmbedding {
    /// Tensor: vocabulary × width.
    pub tokens: usize,
    /// Width of its rows: d, unless there is a projection.
    pub width: usize,
    /// Factor of the rows.
    pub multiplier: f32,
    /// Learned vectors for positions.
    pub positions: Option<LearnedPositions>,
    /// Tensor of segments. Row 0 is added.
    pub segments: Option<usize>,
    /// Norm of the sum.
    pub norm: Option<Norm>,
    /// Map to the width of the stream.
    pub projection: Option<Linear>,
    /// Where that map comes.
    pub projection_place: ProjectionPlace,
    /// What takes the place of the rows of image tokens, behind a tower of images.
    pub projector: Option<Projector>,
    /// Vectors that blocks read beside the stream.
    pub inputs: Option<Box<BlockInputs>>,
}

/// A vector of p values for each token and each block: (norm(map x) + √p · row)/√2, where x is the stream before the first block (the
/// per-layer embeddings of Gemma 4).
#[derive(Debug, Clone, PartialEq)]
pub struct BlockInputs {
    /// Tensor: vocabulary × blocks·p.
    pub table: usize,
    /// p.
    pub width: usize,
    /// Map to the vectors of all blocks, one block after the other.
    pub map: Linear,
    /// Norm of each vector.
    pub norm: Norm,
}

/// From the hidden states of a tower of images to vectors of the stream of a text model, which take the place of the rows of one id. The
/// first linear map reads the vectors of a square of patches, beside one another, row after row (the pixel shuffle of Idefics3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projector {
    /// From the width of the tower times the patches of a square. To d, if there is no second map.
    pub map: Linear,
    /// The activation after that map, and a second map, to d (LLaVA).
    pub second: Option<(Activation, Linear)>,
    /// Tokens of the tower before those of its patches, which are left out.
    pub left_out: usize,
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
    /// Tokens with this id are not counted and get the row before the first (RoBERTa's padding).
    pub skip: Option<u32>,
}

/// V versions of the stream beside one another (AltUp, Baykal et al., 2023). A block runs on the active one.
#[derive(Debug, Clone, PartialEq)]
pub struct Versions {
    /// V.
    pub count: usize,
    /// The active one, from 0. What the pass shows as the stream.
    pub active: usize,
    /// Maps from the embedding, which is version 0, to each of the others.
    pub begin: Vec<Linear>,
    /// Maps of these before the mean of all versions, which the final norm reads.
    pub end: Vec<Linear>,
}

/// How a block changes the versions of the stream. Weights are map(tanh(router(norm(x))/d)).
#[derive(Debug, Clone, PartialEq)]
pub struct Alternating {
    /// Norm of the active version, before the block and after it.
    pub norm: Norm,
    /// Map to V values.
    pub router: Linear,
    /// Map of these to V·V weights: before the block, each version gets a sum of all added to it.
    pub predict: Linear,
    /// Map of these to V weights: after the block, each version gets 1 + weight times the change of the active one added to it.
    pub correct: Linear,
    /// Tensor of the factors of the active version where the block's own vectors apply to it. All versions but the first get the result.
    pub output_scale: Option<usize>,
}

/// Beside attention: stream ← (stream + x + after(right(left x)))/√2, where x is the input of attention (LAuReL, Menghani et al., 2024).
#[derive(Debug, Clone, PartialEq)]
pub struct Laurel {
    /// Map to a few values.
    pub left: Linear,
    /// Map back.
    pub right: Linear,
    /// Norm of its output.
    pub after: Norm,
}

/// Attention and feed-forward part, each on a branch of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Attention.
    pub attention: Mixer,
    /// Norms around it.
    pub around_attention: Branch,
    /// Attention to the encoder, after the first attention, in blocks of a decoder.
    pub cross: Option<CrossAttention>,
    /// Feed-forward part.
    pub feed_forward: FeedForward,
    /// Norms around it.
    pub around_feed_forward: Branch,
    /// Experts beside it. Never in a block whose parts are parallel.
    pub beside: Option<Box<ExpertsBeside>>,
    /// What it does, after both parts, with its own vectors for each token.
    pub input: Option<BlockInput>,
    /// Tensor of one number that multiplies the stream after the block.
    pub scale: Option<usize>,
    /// Convolution over the tokens of a sequence. Its output is added to the stream after the block.
    pub convolution: Option<LocalConvolution>,
    /// Whether both parts read the stream as it was before the block. Never true in a block with cross-attention.
    pub parallel: bool,
    /// A map beside attention. Never in a block whose parts are parallel.
    pub laurel: Option<Laurel>,
    /// What it does with the versions of the stream, in a model with several. Such a block has no factor and no convolution.
    pub alternating: Option<Alternating>,
}

/// stream ← stream + after(projection(act(gate stream) ⊙ v)), where v is the vector of [`BlockInputs`] for this block and token.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockInput {
    /// Map from the stream to p values.
    pub gate: Linear,
    /// Activation of the gate.
    pub activation: Activation,
    /// Map back to the stream.
    pub projection: Linear,
    /// Norm of its output.
    pub after: Norm,
}

/// A convolution over the tokens of a sequence: stream ← norm(stream + act(conv(x))). x is the stream before the block.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalConvolution {
    /// Map from the tokens that it reads at once (channels, and in each its tokens) to one token.
    pub map: Linear,
    /// Which tokens it reads. There are as many places as tokens.
    pub reach: Reach,
    /// Activation after the map.
    pub activation: Activation,
    /// Norm of the sum.
    pub norm: Norm,
}

/// Attention of a decoder's tokens to those of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossAttention {
    /// The attention. Its queries come from the stream, and its keys and values from the last hidden states of the encoder: three
    /// matrices.
    pub attention: Attention,
    /// Norms around it.
    pub around: Branch,
}

/// stream ← after(stream + multiplier · layer_scale ⊙ inner_after(part(before(stream)))).
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Norm of the part's input.
    pub before: Option<Norm>,
    /// Norm of the part's output.
    pub inner_after: Option<Norm>,
    /// Norm of the sum.
    pub after: Option<Norm>,
    /// Factor of the part's output.
    pub multiplier: f32,
    /// Tensor of a vector that multiplies the part's output (LayerScale).
    pub layer_scale: Option<usize>,
}

/// The part of a block in which the tokens of a sequence read each other.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a model has few blocks, and most have the larger variant")]
pub enum Mixer {
    /// Attention with a softmax.
    Softmax(Attention),
    /// Linear attention.
    Linear(DeltaRule),
}

/// Linear attention by the gated delta rule ([`crate::cpu::delta_rule`]), as in Qwen3.5. A causal convolution and an activation come
/// before queries, keys and values; queries and keys then get unit length. The output is norm(y) ⊙ silu(gate x), mapped back.
#[derive(Debug, Clone, PartialEq)]
pub struct DeltaRule {
    /// Value heads. Each has a state.
    pub heads: usize,
    /// Query and key heads: a divisor of the value heads.
    pub key_heads: usize,
    /// Width of a query and of a key.
    pub key_width: usize,
    /// Width of a value.
    pub value_width: usize,
    /// Maps to queries, keys and values, to the gates of the output, and to β and α.
    pub projections: DeltaProjections,
    /// Tensor of the convolution over these channels: channels × 1 × kernel.
    pub convolution: usize,
    /// Tokens that the convolution reads at once.
    pub kernel: usize,
    /// Activation after the convolution.
    pub activation: Activation,
    /// Tensor of the logarithm of each head's rate.
    pub rates: usize,
    /// Tensor of each head's bias.
    pub biases: usize,
    /// Norm of the output of each head.
    pub norm: Norm,
    /// Map back to the stream.
    pub output: Linear,
}

/// Maps of linear attention. Those to β and to a number a give a number for each value head. β is the sigmoid of the first, and α is
/// e^(−rate · softplus(a + bias)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DeltaProjections {
    /// A map for each purpose (Qwen3.5).
    Separate {
        /// Map to all queries, then all keys, then all values.
        all: Linear,
        /// Map to the gates of the output.
        gate: Linear,
        /// Map to the numbers whose sigmoids are β.
        strength: Linear,
        /// Map to the numbers a.
        decay: Linear,
    },
    /// Two maps, each with the outputs of a key head and of its value heads in turn (Qwen3-Next).
    Grouped {
        /// Map to the query, the key, the values and the gates.
        all: Linear,
        /// Map to the numbers whose sigmoids are β, then the numbers a.
        both: Linear,
    },
}

impl DeltaProjections {
    /// The map to queries, keys and values.
    pub fn main(&self) -> &Linear {
        match self {
            Self::Separate { all, .. } | Self::Grouped { all, .. } => all,
        }
    }

    /// Returns all maps.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        let maps = match self {
            Self::Separate { all, gate, strength, decay } => vec![all, decay, strength, gate],
            Self::Grouped { all, both } => vec![all, both],
        };
        maps.into_iter()
    }
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
    /// Maps to queries, keys and values.
    pub projections: Projections,
    /// Whether the map to queries gives a gate behind the query of each head. The output is multiplied by its sigmoid.
    pub gated: bool,
    /// Tensors of biases of queries, keys and values that are stored separately from the maps.
    pub biases: [Option<usize>; 3],
    /// Map back to the stream.
    pub output: Linear,
    /// Norm of what all heads give together, before that map (EVA-02's tower in CLIP).
    pub inner_norm: Option<Norm>,
    /// Norm of the queries.
    pub query_norm: Option<HeadNorm>,
    /// Norm of the keys.
    pub key_norm: Option<HeadNorm>,
    /// Norm of the values, of each head separately. It stores nothing, and is not a site of the report.
    pub value_norm: Option<Norm>,
    /// Position code.
    pub position: Position,
    /// See [`crate::cpu::attention::Attention::window`].
    pub window: Option<usize>,
    /// Factor of the products of queries and keys.
    pub scale: f32,
    /// c of c tanh(score/c).
    pub cap: Option<f32>,
    /// Tensor of a score for each query head, to which no value belongs (the sinks of gpt-oss).
    pub sinks: Option<usize>,
    /// Bound: queries, keys and values are clamped to ± this.
    pub clip: Option<f32>,
    /// Where the pass keeps its keys and values for later blocks, if these use them too. The first place is 0.
    pub lends: Option<usize>,
}

/// A norm of queries or keys.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadNorm {
    /// One norm, of each head separately or of all heads together, as its width says. If its scale stores a row for each head, it is not
    /// a site of the report.
    One(Norm),
    /// One for each head.
    Each(Vec<Norm>),
}

/// Maps to queries, keys and values.
#[derive(Debug, Clone, PartialEq)]
pub enum Projections {
    /// A matrix for each.
    Separate([Linear; 3]),
    /// A matrix for queries, and one for the keys, which are the values too.
    Shared([Linear; 2]),
    /// One matrix, with all queries, then all keys, then all values.
    Concatenated(Linear),
    /// One matrix, with the queries, the key and the value of each key head in turn.
    Grouped(Linear),
    /// By a narrow vector for keys and values.
    Latent(Box<Latent>),
    /// One matrix, for queries. The keys and values are those of an earlier block, after their norms and positions.
    Borrowed {
        /// The matrix.
        queries: Linear,
        /// Where the pass keeps them ([`Attention::lends`]).
        place: usize,
    },
}

/// Keys and values from a narrow vector for each token (multi-head latent attention, DeepSeek-V2, 2024). Queries and keys have channels
/// that do not turn, then `turned` channels that do. The turned channels of the keys are the same for all heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Latent {
    /// Narrow vector of the queries: its map and its norm. `None` if queries come from the stream.
    pub narrow: Option<(Linear, Norm)>,
    /// Map to the queries of all heads.
    pub queries: Linear,
    /// Map to the narrow vector of keys and values, then the turned channels of the keys.
    pub compress: Linear,
    /// Norm of that vector.
    pub norm: Norm,
    /// Map from it to the plain channels of the key, then the value, of each head.
    pub expand: Linear,
    /// Channels of a query or key that do not turn.
    pub plain: usize,
    /// Channels that turn.
    pub turned: usize,
    /// Channels of a value.
    pub value_width: usize,
    /// How they turn.
    pub rotary: Rotary,
}

impl Latent {
    /// Returns all maps in running order.
    fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        let narrow = self.narrow.iter().map(|(map, _)| map);
        narrow.chain([&self.queries, &self.compress, &self.expand])
    }

    /// Returns the norms of the narrow vectors.
    fn norms(&self) -> impl Iterator<Item = &Norm> {
        self.narrow.iter().map(|(_, norm)| norm).chain([&self.norm])
    }
}

/// How attention encodes positions.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Not at all, or in the embedding.
    None,
    /// By rotating queries and keys.
    Rotary(Rotary),
    /// By rotating queries and keys of patches. Tokens before the patches do not turn.
    Axial(AxialRotary),
    /// By a slope for each head.
    Alibi(Vec<f32>),
    /// Like `Alibi`, but in BF16 and counted from the first key, and added before products are scaled.
    CoarseAlibi(Vec<f32>),
    /// By a learned bias for each head and bucket of distances, in both directions.
    Relative {
        /// Tensor: buckets × heads.
        table: usize,
        /// Number of buckets.
        buckets: usize,
        /// Distances beyond this share a bucket.
        furthest: usize,
    },
    /// By scores of keys and queries of positions (DeBERTa).
    Disentangled(Disentangled),
    /// By a learned bias for each head and distance in rows and columns of patches, after one class token (BEiT).
    Window {
        /// Tensor: (2·rows − 1)·(2·columns − 1) + 3 × heads. Its last rows are from the class token, to it, and to itself.
        table: usize,
    },
}

/// Keys and queries of positions, which are made from a table with a row for each bucket of distances. A score is the product of query and
/// key, plus that of the query and the key of their distance, plus that of the key and the query of their distance.
///
/// He et al., DeBERTa, 2021.
#[derive(Debug, Clone, PartialEq)]
pub struct Disentangled {
    /// Tensor: 2·span × d.
    pub table: usize,
    /// Norm of its rows. It is no site: what it reads is the same for every input.
    pub norm: Option<Norm>,
    /// Map from its rows to keys, and map to queries. They may be those of the tokens.
    pub maps: [Option<Linear>; 2],
    /// Rows for either direction.
    pub span: usize,
    /// How distances share rows. `None` means that each has its own.
    pub buckets: Option<LogBuckets>,
}

/// Distances up to `exact` have a bucket each. Farther ones share as many by their logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBuckets {
    /// At least 1.
    pub exact: usize,
    /// The distance of the last bucket, more than `exact`.
    pub furthest: usize,
}

/// A rotary code.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Frequencies: half as many as turned channels.
    pub frequencies: Vec<f32>,
    /// Other frequencies for long sequences.
    pub longer: Option<Longer>,
    /// Factor of cosines and sines.
    pub factor: f32,
    /// Which channels form a pair.
    pub pairing: Pairing,
}

/// A rotary code of patches. The first half of the pairs of channels turns by a patch's row, the other half by its column.
#[derive(Debug, Clone, PartialEq)]
pub struct AxialRotary {
    /// Frequencies of rows, and of columns: a quarter as many as channels of a head.
    pub frequencies: Vec<f32>,
    /// What they multiply.
    pub coordinates: Coordinates,
    /// Which channels form a pair.
    pub pairing: Pairing,
}

/// Coordinates of patches, along each side of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// The centres of patches in an image from -2π to 2π (DINOv3).
    Centres,
    /// The number of a patch, from 0. If a grid of rows and columns is given, the image is stretched to it (EVA-02).
    Numbers(Option<[usize; 2]>),
}

/// Frequencies of a rotary code in sequences of more than `than` tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Longer {
    /// Length limit in tokens.
    pub than: usize,
    /// How the frequencies change.
    pub stretch: Stretch,
}

/// How long sequences are fitted into the range of a model's positions.
#[derive(Debug, Clone, PartialEq)]
pub enum Stretch {
    /// By a list of other frequencies (LongRoPE).
    Listed(Vec<f32>),
    /// By a base that grows with the length (dynamic NTK).
    Dynamic {
        /// Base of the frequencies of short sequences.
        base: f64,
        /// How many times `than` tokens are fitted in.
        factor: f64,
    },
}

/// The part of a block that processes each token separately.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a model has few blocks")]
pub enum FeedForward {
    /// down(act(up x)).
    Plain {
        /// Map to the hidden width.
        up: Linear,
        /// Map back to the stream.
        down: Linear,
        /// Activation between them.
        activation: Activation,
    },
    /// down(act(gate x) ⊙ up x).
    Gated(Gated),
    /// Σ weight · expert(x) over the chosen experts.
    Experts(Experts),
}

/// Experts: Σ weight · expert(x) over those that are chosen for a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Experts {
    /// Scores of the experts.
    pub router: Linear,
    /// All experts.
    pub all: Vec<Gated>,
    /// Which of them process a token, and with what weights.
    pub routing: Routing,
    /// The expert of all tokens, if there is one.
    pub shared: Option<SharedExpert>,
}

/// Experts beside the feed-forward part of a block. They read the stream as the part does, through norms of their own. Together both
/// give part_after(part(x)) + after(experts(before(stream))), to which the norms around the part apply (Gemma 4).
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertsBeside {
    /// Norm of the output of the part.
    pub part_after: Norm,
    /// Norm of the stream before the experts.
    pub before: Norm,
    /// Norm of the stream before the router. It is not a site of the report.
    pub router_norm: Norm,
    /// The experts. None of them is shared.
    pub experts: Experts,
    /// Norm of their output.
    pub after: Norm,
}

/// Which experts process a token, and with what weights ([`crate::cpu::experts`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routing {
    /// How many experts process each token.
    pub chosen: usize,
    /// Factor of the scores.
    pub of_scores: f32,
    /// How scores become weights.
    pub gate: Gate,
    /// Tensor of a number for each expert, which is added to its weight while experts are chosen.
    pub correction: Option<usize>,
    /// Groups of experts, and of these, how many a token may choose from.
    pub groups: Option<[usize; 2]>,
    /// Whether the weights of the chosen experts sum to 1.
    pub normalised: bool,
    /// Factor of the weights after that.
    pub multiplier: f32,
    /// Tensor of a number for each expert, which multiplies its weight after that.
    pub factors: Option<usize>,
    /// Whether a weight multiplies the input of its expert instead of the output (Llama 4).
    pub of_inputs: bool,
}

/// An expert that processes every token: σ(gate x) · expert(x).
#[derive(Debug, Clone, PartialEq)]
pub struct SharedExpert {
    /// Map to one number. `None` means that nothing multiplies the output.
    pub gate: Option<Linear>,
    /// The expert.
    pub expert: Gated,
}

impl SharedExpert {
    /// Returns all maps.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        self.gate.iter().chain(self.expert.linear_maps())
    }
}

/// down(inner_norm(act(gate x) ⊙ up x)), with a cut k of max(gate x − mean − k · deviation, 0) instead of gate x, or with a limit L, down(act(min(gate x, L)) ⊙ (clamp(up x, ± L) + 1)).
#[derive(Debug, Clone, PartialEq)]
pub struct Gated {
    /// Maps to gate and up.
    pub inputs: GatedInputs,
    /// L (gpt-oss).
    pub limit: Option<f32>,
    /// k (Gemma 3n). Mean and standard deviation are those of a token's gate.
    pub cut: Option<f32>,
    /// Norm of the hidden values (EVA-02).
    pub inner_norm: Option<Norm>,
    /// Map back to the stream.
    pub down: Linear,
    /// Activation of the gate.
    pub activation: Activation,
}

/// Maps to gate and up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GatedInputs {
    /// A matrix for each.
    Separate([Linear; 2]),
    /// One matrix, the gate's outputs first.
    Concatenated(Linear),
    /// One matrix, in which outputs of gate and up alternate.
    Interleaved(Linear),
}

/// Computes logits from the last hidden states: cap(multiplier · unembedding(transform(x))).
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Transform before the unembedding.
    pub transform: Option<Transform>,
    /// Vocabulary × width.
    pub unembedding: Linear,
    /// Factor of the logits.
    pub multiplier: f32,
    /// c of c tanh(logit/c).
    pub cap: Option<f32>,
}

/// Computes the input of the unembedding in models that fill in masked tokens: norm(act(dense x)) of the last hidden states.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// Map to the width of the embedding.
    pub dense: Linear,
    /// Activation, if any.
    pub activation: Option<Activation>,
    /// Norm, if any.
    pub norm: Option<Norm>,
}

impl Rotary {
    /// Returns the frequencies for sequences of `length` tokens.
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

impl Coordinates {
    /// Returns the coordinates of the rows and of the columns of a grid.
    pub fn of(&self, grid: [usize; 2]) -> [Vec<f32>; 2] {
        std::array::from_fn(|side| {
            let count = grid[side];
            let of = |place: usize| match self {
                Self::Centres => std::f32::consts::TAU * (2.0 * ((place as f32 + 0.5) / count as f32) - 1.0),
                Self::Numbers(None) => place as f32,
                Self::Numbers(Some(reference)) => place as f32 / count as f32 * reference[side] as f32,
            };
            (0..count).map(of).collect()
        })
    }
}

impl Embedding {
    /// Returns what the embedding reads.
    pub fn reads(&self) -> Reads {
        match self {
            Self::Tokens(_) => Reads::Tokens,
            Self::Patches(_) => Reads::Pixels,
            Self::Sounds(_) => Reads::Sounds,
        }
    }

    /// Returns the norms of the embedding that a pass shows, in order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        let (convolutions, norms): (&[Convolution], _) = match self {
            Self::Tokens(tokens) => (&[], [tokens.norm.as_ref(), None]),
            Self::Patches(patches) => (&[], [patches.patch_norm.as_ref(), patches.norm.as_ref()]),
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

    /// Returns the embedding of tokens, if it is one.
    pub fn tokens(&self) -> Option<&TokenEmbedding> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Patches(_) | Self::Sounds(_) => None,
        }
    }

    /// Returns the vectors that blocks read beside the stream.
    pub fn inputs(&self) -> Option<&BlockInputs> {
        self.tokens()?.inputs.as_deref()
    }

    /// What makes vectors of the stream of a tower's last hidden states.
    pub fn projector(&self) -> Option<&Projector> {
        self.tokens()?.projector.as_ref()
    }

    /// Returns the norm whose output is the stream at the first block, if there is one.
    pub(crate) fn last_norm(&self) -> Option<&Norm> {
        match self {
            Self::Tokens(tokens) => {
                let is_last = tokens.projection.is_none() || tokens.projection_place != ProjectionPlace::Last;
                tokens.norm.as_ref().filter(|_| is_last)
            }
            Self::Patches(patches) => patches.norm.as_ref(),
            Self::Sounds(sounds) => sounds.last_norm.as_ref(),
        }
    }

    /// Multiplications for each token in the convolutions and the maps after them. Those of other embeddings are negligible.
    fn macs(&self) -> f64 {
        match self {
            Self::Tokens(_) | Self::Patches(_) => 0.0,
            Self::Sounds(sounds) => sounds.macs(),
        }
    }
}

impl BlockInputs {
    /// Number of blocks that have a vector.
    pub fn count(&self) -> usize {
        self.map.outputs / self.width.max(1)
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

    /// Returns its maps.
    pub fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        [Some(&self.map), self.second.as_ref().map(|(_, map)| map)].into_iter().flatten()
    }

    /// The tokens of an image that are patches, square after square, each row after row.
    pub fn order(&self) -> Vec<usize> {
        let ([rows, columns], side, first) = (self.grid, self.side.max(1), self.left_out);
        let squares = (0..rows / side).flat_map(|row| (0..columns / side).map(move |column| (row, column)));
        squares
            .flat_map(|(row, column)| {
                let within = (0..side).flat_map(move |i| (0..side).map(move |j| (i, j)));
                within.map(move |(i, j)| first + (row * side + i) * columns + column * side + j)
            })
            .collect()
    }
}

impl Reach {
    /// Number of places in this many frames.
    pub fn outputs(&self, frames: usize) -> usize {
        let padded = frames.saturating_add(self.padding.saturating_mul(2));
        padded.checked_sub(self.kernel).map_or(0, |left| left / self.stride + 1)
    }

    /// Returns the frames, out of `frames`, that the convolution reads at these places. There must be at least one place.
    pub fn inputs(&self, places: &Range<usize>, frames: usize) -> Range<usize> {
        let last = places.end.saturating_sub(1).saturating_mul(self.stride).saturating_add(self.kernel);
        let start = places.start.saturating_mul(self.stride).saturating_sub(self.padding);
        start..last.saturating_sub(self.padding).clamp(start, frames.max(start))
    }

    /// Returns the least number of frames with this many places.
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
    /// Returns the tokens of a sound of this many frames.
    pub fn tokens(&self, frames: usize) -> usize {
        match self.positions {
            SoundPositions::Table { tokens, .. } => tokens,
            SoundPositions::Convolution(_) => {
                self.convolutions.iter().fold(frames, |frames, one| one.reach.outputs(frames))
            }
        }
    }

    /// Returns the frames of a sound of this many tokens: the least number, if there are several.
    pub fn frames(&self, tokens: usize) -> usize {
        match self.positions {
            SoundPositions::Table { frames, .. } => frames,
            SoundPositions::Convolution(_) => {
                self.convolutions.iter().rev().fold(tokens, |places, one| one.reach.fewest(places))
            }
        }
    }

    /// Returns the number of frames after each convolution for one token, by the strides.
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
    /// Returns the frames, rows and columns of patches of an image of this size. A remainder is left out, as in a convolution.
    pub fn grid(&self, size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|side| size[side] / self.patch[side].max(1))
    }

    /// Returns the tokens of an image of this size.
    pub fn tokens(&self, size: [usize; 3]) -> usize {
        let patches = self.grid(size).into_iter().fold(1, usize::saturating_mul);
        self.extra.iter().fold(patches, |all, extra| all.saturating_add(extra.count))
    }
}

impl HeadNorm {
    /// Returns the one norm, or one for each head.
    pub(crate) fn norms(&self) -> &[Norm] {
        match self {
            Self::One(norm) => std::slice::from_ref(norm),
            Self::Each(norms) => norms,
        }
    }
}

impl Architecture {
    /// Returns the stacks in running order: the encoder if there is one, then this one.
    pub fn stacks(&self) -> impl Iterator<Item = &Architecture> {
        self.encoder.as_deref().into_iter().chain([self])
    }

    /// Number of blocks in all stacks.
    pub fn all_blocks(&self) -> usize {
        self.stacks().map(|stack| stack.blocks.len()).sum()
    }

    /// Returns what the first stack reads.
    pub fn reads(&self) -> Reads {
        self.encoder.as_deref().unwrap_or(self).embedding.reads()
    }

    /// Number of values for each token that go from block to block: the channels of all versions of the stream.
    pub fn state_width(&self) -> usize {
        self.versions.as_ref().map_or(1, |versions| versions.count).saturating_mul(self.width)
    }

    /// Returns the norm that reads the stream after block `index`: the next block's first norm, or the final one. None reads one of
    /// several versions alone.
    pub fn norm_after(&self, index: usize) -> Option<&Norm> {
        if self.versions.is_some() {
            return None;
        }
        match self.blocks.get(index + 1) {
            Some(next) => next.around_attention.before.as_ref(),
            None => self.final_norm.as_ref(),
        }
    }

    /// Whether the model accepts images of any size in whole patches, because its positions can be resized.
    pub fn fits_size(&self) -> bool {
        let fitted = match &self.embedding {
            Embedding::Tokens(_) | Embedding::Sounds(_) => false,
            Embedding::Patches(patches) => match patches.positions {
                ImagePositions::None => true,
                ImagePositions::Table { resized, .. } => resized.is_some(),
                ImagePositions::Sines => false,
            },
        };
        let by_window = |block: &Block| match &block.attention {
            Mixer::Softmax(attention) => matches!(attention.position, Position::Window { .. }),
            Mixer::Linear(_) => false,
        };
        fitted && !self.blocks.iter().any(by_window)
    }

    /// Returns every linear map of the blocks, and how often a token passes through it: for experts, a fraction. Tokens of a tower pass
    /// through the projector.
    fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let projector = self.embedding.projector().into_iter().flat_map(Projector::linear_maps);
        let inputs = self.embedding.inputs().map(|inputs| (&inputs.map, 1.0));
        let versions = self.versions.iter().flat_map(|versions| versions.begin.iter().chain(&versions.end));
        let of_embedding =
            projector.map(|map| (map, 0.0)).chain(inputs).chain(versions.map(|map| (map, 1.0)));
        of_embedding.chain(self.blocks.iter().flat_map(Block::linear_maps))
    }

    /// Returns the linear maps whose matrices a pass reads whole.
    pub fn matrices(&self) -> impl Iterator<Item = &Linear> {
        self.linear_maps().map(|(linear, _)| linear)
    }

    /// Returns what a pass reads from block `done` on, each with its block, roughly in reading order. Reads of the final norm count as
    /// those of the block after the last.
    pub fn reads_from(&self, done: usize) -> impl Iterator<Item = (usize, Read)> {
        let of_blocks = self
            .blocks
            .iter()
            .enumerate()
            .skip(done)
            .flat_map(|(block, of)| of.reads().map(move |read| (block, read)));
        let last = self.final_norm.iter().flat_map(Norm::reads);
        of_blocks.chain(last.map(|read| (self.blocks.len(), read)))
    }

    /// Returns the norms that a pass shows, in any order.
    pub fn norms(&self) -> impl Iterator<Item = &Norm> {
        self.norms_with_rows().map(|(norm, _)| norm)
    }

    /// Returns these norms, each with the number of vectors that it reads for a token. A norm of queries or keys may read one for each
    /// head.
    pub fn norms_with_rows(&self) -> impl Iterator<Item = (&Norm, usize)> {
        let once = |norm| (norm, 1);
        let of_blocks = self.blocks.iter().flat_map(Block::norms_with_rows);
        let inputs = self.embedding.inputs().map(|inputs| (&inputs.norm, inputs.count()));
        let of_embedding = self.embedding.norms().map(once).chain(inputs);
        of_embedding.chain(of_blocks).chain(self.final_norm.iter().map(once))
    }

    /// Returns the widths of the keys, and of the values, that blocks lend to later ones, by their places.
    pub fn lent_widths(&self) -> Vec<usize> {
        let attentions = self.blocks.iter().filter_map(|block| match &block.attention {
            Mixer::Softmax(attention) => attention.lends.map(|_| attention),
            Mixer::Linear(_) => None,
        });
        attentions.map(|attention| attention.key_heads * attention.head_width).collect()
    }

    /// Number of values for each token that a pass keeps beside the stream: the vectors of blocks, and the keys and values that are lent.
    pub fn beside_stream(&self) -> usize {
        let inputs = self.embedding.inputs().map_or(0, |inputs| inputs.map.outputs);
        self.lent_widths().into_iter().fold(inputs, |all, width| all.saturating_add(2 * width))
    }

    /// Returns the model with its first `count` blocks only and without its head. The final norm then reads the stream after them. Blocks
    /// of an encoder come first. If only those are left, the result is the encoder alone.
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

    /// Multiplications for each token in the embedding and the blocks, in sequences of `length` tokens.
    pub fn macs(&self, length: usize) -> f64 {
        let linear: f64 =
            self.linear_maps().map(|(map, share)| share * map.inputs as f64 * map.outputs as f64).sum();
        let attention: f64 = self.blocks.iter().map(|block| block.attention.macs(length)).sum();
        linear + attention + self.embedding.macs()
    }

    /// Additional multiplications: of cross-attention, those for each token with `keys` tokens of an encoder; and those for each token of
    /// the encoder, a projector's included.
    pub fn cross_macs(&self, keys: usize) -> [f64; 2] {
        let attentions = || self.blocks.iter().filter_map(|block| Some(&block.cross.as_ref()?.attention));
        let products = |one: &Attention| 2.0 * keys as f64 * (one.heads * one.head_width) as f64;
        let of_encoder = attentions().flat_map(Attention::cross_maps).filter(|(_, share)| *share == 0.0);
        let size = |map: &Linear| map.inputs as f64 * map.outputs as f64;
        let of_projector = |one: &Projector| one.linear_maps().map(size).sum::<f64>() / one.square() as f64;
        let of_projector = self.embedding.projector().map_or(0.0, of_projector);
        [attentions().map(products).sum(), of_encoder.map(|(map, _)| size(map)).sum::<f64>() + of_projector]
    }
}

/// A tensor that a pass reads, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The tensor.
    pub tensor: usize,
    /// Which of its values. `None` means all.
    pub values: Option<Range<u64>>,
}

impl Read {
    /// The whole of a tensor.
    pub fn all(tensor: usize) -> Self {
        Self { tensor, values: None }
    }
}

impl Linear {
    /// Returns the values of the tensor that are the matrix.
    pub fn values(&self) -> Range<u64> {
        let count = (self.inputs as u64).saturating_mul(self.outputs as u64);
        self.first..self.first.saturating_add(count)
    }

    /// Returns the values of the bias's tensor that are the bias.
    pub fn bias_values(&self) -> Range<u64> {
        self.first_bias..self.first_bias.saturating_add(self.outputs as u64)
    }

    /// Returns the bytes of the matrix in its file.
    pub fn bytes(&self, tensors: &[Tensor]) -> u64 {
        let (tensor, values) = (&tensors[self.weight], self.values());
        let share = u128::from(values.end - values.start) * u128::from(tensor.stored_bytes());
        (share / u128::from(tensor.elements().max(1))) as u64
    }

    fn reads(&self) -> impl Iterator<Item = Read> {
        let matrix = Read { tensor: self.weight, values: Some(self.values()) };
        std::iter::once(matrix)
            .chain(self.bias.map(|tensor| Read { tensor, values: Some(self.bias_values()) }))
    }
}

impl Norm {
    fn reads(&self) -> impl Iterator<Item = Read> {
        self.scale.into_iter().chain(self.shift).map(Read::all)
    }
}

impl Block {
    /// Returns its linear maps, each with the share of the tokens that it reads.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let cross = self.cross.iter().flat_map(|cross| cross.attention.cross_maps());
        let convolution = self.convolution.iter().map(|convolution| (&convolution.map, 1.0));
        let beside = self.beside.iter().flat_map(|beside| beside.experts.linear_maps());
        let feed_forward = self.feed_forward.linear_maps().chain(beside);
        let input = self.input.iter().flat_map(|input| [&input.gate, &input.projection]);
        let laurel = self.laurel.iter().flat_map(|laurel| [&laurel.left, &laurel.right]);
        let versions = self.alternating.iter().flat_map(Alternating::linear_maps);
        let others = input.chain(laurel).chain(versions).map(|map| (map, 1.0));
        self.attention.linear_maps().chain(cross).chain(feed_forward).chain(others).chain(convolution)
    }

    /// Returns where the pass keeps its keys and values, if later blocks use them too.
    pub(crate) fn lends(&self) -> Option<usize> {
        match &self.attention {
            Mixer::Softmax(attention) => attention.lends,
            Mixer::Linear(_) => None,
        }
    }

    /// Returns where the pass keeps the keys and values that it uses, if they are those of an earlier block.
    pub(crate) fn borrows(&self) -> Option<usize> {
        match &self.attention {
            Mixer::Softmax(Attention { projections: Projections::Borrowed { place, .. }, .. }) => {
                Some(*place)
            }
            Mixer::Softmax(_) | Mixer::Linear(_) => None,
        }
    }

    /// Returns what the block reads, roughly in reading order.
    fn reads(&self) -> impl Iterator<Item = Read> {
        let feed_forward = self.feed_forward.linear_maps().map(|(map, _)| map).flat_map(Linear::reads);
        let before = |branch: &Branch| branch.before.iter().flat_map(Norm::reads).collect::<Vec<_>>();
        let after = |branch: &Branch| {
            let norms = branch.inner_after.iter().chain(&branch.after).flat_map(Norm::reads);
            norms.chain(branch.layer_scale.map(Read::all)).collect::<Vec<_>>()
        };
        let cross = self.cross.iter().flat_map(move |cross| {
            let maps = cross.attention.linear_maps().flat_map(|(map, _)| map.reads());
            before(&cross.around).into_iter().chain(maps).chain(after(&cross.around)).collect::<Vec<_>>()
        });
        let laurel = self
            .laurel
            .iter()
            .flat_map(|laurel| laurel.left.reads().chain(laurel.right.reads()).chain(laurel.after.reads()));
        let versions = self.alternating.iter().flat_map(|part| {
            let maps = part.linear_maps().flat_map(Linear::reads);
            part.norm.reads().chain(maps).chain(part.output_scale.map(Read::all))
        });
        versions
            .chain(before(&self.around_attention))
            .chain(laurel)
            .chain(self.attention.reads())
            .chain(after(&self.around_attention))
            .chain(cross)
            .chain(before(&self.around_feed_forward))
            .chain(feed_forward)
            .chain(self.feed_forward.vectors())
            .chain(self.feed_forward.inner_norm().into_iter().flat_map(Norm::reads))
            .chain(self.beside.iter().flat_map(|beside| beside.reads()))
            .chain(after(&self.around_feed_forward))
            .chain(self.input.iter().flat_map(|input| input.reads()))
            .chain(self.scale.map(Read::all))
            .chain(self.convolution.iter().flat_map(|one| one.map.reads().chain(one.norm.reads())))
    }

    pub(crate) fn norms_with_rows(&self) -> impl Iterator<Item = (&Norm, usize)> {
        let of_branches = [&self.around_attention]
            .into_iter()
            .chain(self.cross.as_ref().map(|cross| &cross.around))
            .chain([&self.around_feed_forward])
            .flat_map(|branch| [&branch.before, &branch.inner_after, &branch.after]);
        let beside = self.beside.iter().flat_map(|beside| beside.norms());
        let inner = self.feed_forward.inner_norm();
        let input = self.input.iter().map(|input| &input.after);
        let laurel = self.laurel.iter().map(|laurel| &laurel.after);
        let input = input.chain(laurel).chain(self.alternating.iter().map(|part| &part.norm));
        let last = self.convolution.iter().map(|convolution| &convolution.norm);
        let of_stream = of_branches.flatten().chain(inner).chain(beside).chain(input).chain(last);
        of_stream.map(|norm| (norm, 1)).chain(self.attention.norms_with_rows())
    }
}

impl Mixer {
    /// Returns all maps. Every token passes through each.
    pub(crate) fn linear_maps(&self) -> Box<dyn Iterator<Item = (&Linear, f64)> + '_> {
        match self {
            Self::Softmax(attention) => Box::new(attention.linear_maps()),
            Self::Linear(rule) => Box::new(rule.linear_maps().map(|map| (map, 1.0))),
        }
    }

    /// Returns what it reads, roughly in reading order.
    fn reads(&self) -> Box<dyn Iterator<Item = Read> + '_> {
        let maps = self.linear_maps().flat_map(|(map, _)| map.reads());
        match self {
            Self::Softmax(attention) => {
                let biases = attention.biases.into_iter().flatten().map(Read::all);
                let sinks = attention.sinks.map(Read::all);
                let inner = attention.latent_norms().chain(attention.inner_norm.iter());
                let norms = attention.qk_norm().chain(inner).flat_map(Norm::reads);
                Box::new(maps.chain(biases).chain(sinks).chain(norms))
            }
            Self::Linear(rule) => {
                let vectors = [rule.convolution, rule.rates, rule.biases].into_iter().map(Read::all);
                Box::new(maps.chain(vectors).chain(rule.norm.reads()))
            }
        }
    }

    /// Returns the norms inside it, each with the number of vectors that it reads for a token.
    fn norms_with_rows(&self) -> Box<dyn Iterator<Item = (&Norm, usize)> + '_> {
        match self {
            Self::Softmax(attention) => {
                let inner = attention.latent_norms().chain(&attention.inner_norm).map(|norm| (norm, 1));
                Box::new(inner.chain(attention.qk_norm_with_rows()))
            }
            Self::Linear(rule) => Box::new(std::iter::once((&rule.norm, rule.heads))),
        }
    }

    /// Multiplications for each token between the maps, in sequences of `length` tokens.
    fn macs(&self, length: usize) -> f64 {
        match self {
            Self::Softmax(attention) => {
                let keys = attention.window.map_or(length, |window| window.min(length)) as f64;
                let products = match &attention.position {
                    Position::Disentangled(positions) => 2 + positions.maps.iter().flatten().count(),
                    _ => 2,
                };
                products as f64 * keys * (attention.heads * attention.head_width) as f64
            }
            Self::Linear(rule) => {
                let states = rule.heads as f64 * rule.key_width as f64 * rule.value_width as f64;
                4.0 * states + rule.channels() as f64 * rule.kernel as f64
            }
        }
    }
}

impl DeltaRule {
    /// Channels of queries, keys and values together.
    pub fn channels(&self) -> usize {
        2 * self.key_heads * self.key_width + self.heads * self.value_width
    }

    /// Returns all maps.
    fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        self.projections.linear_maps().chain([&self.output])
    }
}

impl Attention {
    fn latent_norms(&self) -> impl Iterator<Item = &Norm> {
        let latent = match &self.projections {
            Projections::Latent(latent) => Some(latent),
            _ => None,
        };
        latent.into_iter().flat_map(|latent| latent.norms())
    }

    fn qk_norm(&self) -> impl Iterator<Item = &Norm> {
        [&self.query_norm, &self.key_norm].into_iter().flatten().flat_map(HeadNorm::norms)
    }

    /// Returns the norms of queries and keys, each with the number of vectors that it reads for a token.
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

    /// Returns the maps to queries, keys and values and back, through which every token passes, and maps of positions, through which none
    /// does.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let (inputs, latent): (&[Linear], _) = match &self.projections {
            Projections::Separate(all) => (all, None),
            Projections::Shared(both) => (both, None),
            Projections::Borrowed { queries, .. } => (std::slice::from_ref(queries), None),
            Projections::Concatenated(all) | Projections::Grouped(all) => (std::slice::from_ref(all), None),
            Projections::Latent(latent) => (&[], Some(latent)),
        };
        let of_positions: &[Option<Linear>] = match &self.position {
            Position::Disentangled(positions) => &positions.maps,
            _ => &[],
        };
        let of_positions = of_positions.iter().flatten().filter(|map| !inputs.contains(map));
        let latent = latent.into_iter().flat_map(|latent| latent.linear_maps());
        let of_tokens = inputs.iter().chain(latent).map(|map| (map, 1.0));
        of_tokens.chain(of_positions.map(|map| (map, 0.0))).chain([(&self.output, 1.0)])
    }

    /// Returns the same maps for attention to an encoder. A token of the decoder does not pass through the maps to keys and values.
    fn cross_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let (shares, last) = ([1.0, 0.0, 0.0], (&self.output, 1.0));
        let inputs: &[Linear] = match &self.projections {
            Projections::Separate(all) => all,
            Projections::Shared(_)
            | Projections::Borrowed { .. }
            | Projections::Concatenated(_)
            | Projections::Grouped(_)
            | Projections::Latent(_) => &[],
        };
        inputs.iter().zip(shares).chain([last])
    }
}

impl Gated {
    /// Returns the maps to hidden values and back.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        let inputs: &[Linear] = match &self.inputs {
            GatedInputs::Separate(both) => both,
            GatedInputs::Concatenated(both) | GatedInputs::Interleaved(both) => std::slice::from_ref(both),
        };
        inputs.iter().chain([&self.down])
    }
}

impl FeedForward {
    /// Returns the vectors that it reads beside its maps and its norm.
    fn vectors(&self) -> impl Iterator<Item = Read> {
        let experts = match self {
            Self::Experts(experts) => Some(experts),
            Self::Plain { .. } | Self::Gated(_) => None,
        };
        experts.into_iter().flat_map(|experts| experts.routing.reads())
    }

    /// Returns the norm of the hidden values, if there is one.
    pub(crate) fn inner_norm(&self) -> Option<&Norm> {
        match self {
            Self::Gated(gated) => gated.inner_norm.as_ref(),
            Self::Plain { .. } | Self::Experts(_) => None,
        }
    }

    /// Returns all maps, and how often a token passes through each: for experts, a fraction.
    pub(crate) fn linear_maps(&self) -> Box<dyn Iterator<Item = (&Linear, f64)> + '_> {
        match self {
            Self::Plain { up, down, .. } => Box::new([(up, 1.0), (down, 1.0)].into_iter()),
            Self::Gated(gated) => Box::new(gated.linear_maps().map(|map| (map, 1.0))),
            Self::Experts(experts) => Box::new(experts.linear_maps()),
        }
    }
}

impl Alternating {
    /// Returns its maps.
    fn linear_maps(&self) -> impl Iterator<Item = &Linear> {
        [&self.router, &self.predict, &self.correct].into_iter()
    }
}

impl BlockInput {
    /// Returns what it reads, in order.
    fn reads(&self) -> impl Iterator<Item = Read> {
        self.gate.reads().chain(self.projection.reads()).chain(self.after.reads())
    }
}

impl Routing {
    /// Returns the vectors that it reads.
    fn reads(&self) -> impl Iterator<Item = Read> {
        self.correction.into_iter().chain(self.factors).map(Read::all)
    }
}

impl Experts {
    /// Returns all maps, and how often a token passes through each: for those of experts, a fraction.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = (&Linear, f64)> {
        let share = self.routing.chosen as f64 / self.all.len().max(1) as f64;
        let of_experts = self.all.iter().flat_map(Gated::linear_maps).map(move |map| (map, share));
        let shared = self.shared.iter().flat_map(SharedExpert::linear_maps).map(|map| (map, 1.0));
        [(&self.router, 1.0)].into_iter().chain(of_experts).chain(shared)
    }
}

impl ExpertsBeside {
    /// Returns the norms that a pass shows.
    fn norms(&self) -> impl Iterator<Item = &Norm> {
        [&self.part_after, &self.before, &self.after].into_iter()
    }

    /// Returns what it reads, roughly in reading order.
    fn reads(&self) -> impl Iterator<Item = Read> {
        let maps = self.experts.linear_maps().flat_map(|(map, _)| map.reads());
        let norms = self.norms().chain([&self.router_norm]).flat_map(Norm::reads);
        norms.chain(maps).chain(self.experts.routing.reads())
    }
}
