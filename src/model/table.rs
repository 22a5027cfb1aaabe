//! The families, one row each: the names of their tensors, their order, norms, position code, activation and multipliers, and the values
//! of the configuration for which the row is right.
//!
//! A row is found by `model_type` and by the values it is `given`. The first one that fits is taken. Each row describes transformers'
//! code and uses its names. `{layer}` and `{expert}` are numbers.

use crate::model::operation::Centring;
use crate::model::operation::Gate;
use crate::model::operation::Layout;
use crate::model::operation::Pairing;
use crate::model::operation::ProjectionPlace;
use crate::model::operation::Reads;
use crate::model::operation::Resizing;

/// One family, or one variant of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Values of `model_type`.
    pub families: &'static [&'static str],
    /// Values that the configuration must have for the row to be right.
    pub given: &'static [(&'static str, Given)],
    /// Name of the nested configuration for this row, if the checkpoint holds more than one model (the towers of CLIP).
    pub part: Option<&'static str>,
    /// Whether the fields around that part speak for it too, and first.
    pub around_part: bool,
    /// Counts in the family's code for fields that the configuration leaves out.
    pub usual: &'static [(&'static str, usize)],
    /// Fields that do not change the function here. Most are sizes that tensors show.
    pub neutral: &'static [&'static str],
    /// Possible prefixes of the names below. The first one with the token embedding is used.
    pub prefixes: &'static [&'static str],
    /// Prefix of the names of a block.
    pub block: &'static str,
    /// Field with the number of stored blocks, where layers share them (ALBERT). Each is used by as many layers in a row.
    pub stored_blocks: Option<&'static str>,
    /// Fields with its sizes.
    pub sizes: Sizes,
    /// Whether a token sees no later tokens.
    pub causal: bool,
    /// How matrices are stored.
    pub layout: Layout,
    /// How the stream begins.
    pub embedding: EmbeddingRow,
    /// How it begins in a model that reads images. `embedding` is then not used.
    pub patches: Option<PatchesRow>,
    /// How it begins in a model that reads sounds.
    pub sounds: Option<SoundsRow>,
    /// Which norm.
    pub norm: NormRow,
    /// Norms around attention: of its input, of its output, and of the sum.
    pub around_attention: [Option<&'static str>; 3],
    /// The same norms around the feed-forward part.
    pub around_feed_forward: [Option<&'static str>; 3],
    /// Tensors that multiply the outputs of attention and of the feed-forward part, if the checkpoint has them.
    pub layer_scale: [Option<LayerScaleRow>; 2],
    /// Tensor of one number that multiplies the stream after a block.
    pub block_scale: Option<&'static str>,
    /// Whether both parts read the same stream: fixed, or by a field with a default.
    pub parallel: Switch,
    /// Attention.
    pub attention: AttentionRow,
    /// Linear attention, in layers that have it instead.
    pub delta_rule: Option<DeltaRow>,
    /// Attention of a decoder to its encoder. The family's other row describes the encoder.
    pub cross: Option<CrossRow>,
    /// What takes the place of image tokens, in a decoder: the other row of the family is that of the tower of images.
    pub projector: Option<ProjectorRow>,
    /// Feed-forward part.
    pub feed_forward: FeedForwardRow,
    /// Experts beside it.
    pub beside: Option<BesideRow>,
    /// Vectors that blocks read beside the stream.
    pub inputs: Option<InputsRow>,
    /// Versions of the stream.
    pub versions: Option<VersionsRow>,
    /// A map beside attention.
    pub laurel: Option<LaurelRow>,
    /// Field with the share of the gate's values, for each layer, that a cut sets to zero, if they are normally distributed. Without it,
    /// the first ten of more than ten layers have 0.95, and the others 0.
    pub sparsity: Option<&'static str>,
    /// Convolution over the tokens after the first block.
    pub convolution: Option<LocalRow>,
    /// Norm after the last block.
    pub final_norm: Option<&'static str>,
    /// Whether that norm is present.
    pub final_norm_present: Switch,
    /// Map to logits.
    pub head: HeadRow,
    /// Field and default of the hidden states of a tower that its decoder reads: the number of blocks before them, or if it is negative,
    /// counted from the last block, which is −1. `None` means those after all blocks and the final norm.
    pub feature_layer: Option<(&'static str, i64)>,
    /// Field of the factor of the branches. Default 1.
    pub residual_multiplier: Option<&'static str>,
    /// Beginnings or ends of the names of tensors that take no part: masks, poolers, other heads.
    pub apart: &'static [&'static str],
    /// Field with the number of further blocks, which predict later tokens and take no part.
    pub later_blocks: Option<&'static str>,
    /// Further tensors and sizes, for catalogues from a configuration alone.
    pub stored: StoredRow,
}

impl Row {
    /// Returns what a model of this row reads.
    pub fn reads(&self) -> Reads {
        match (&self.patches, &self.sounds) {
            (Some(_), _) => Reads::Pixels,
            (None, Some(_)) => Reads::Sounds,
            (None, None) => Reads::Tokens,
        }
    }

    /// Whether it is that of a decoder with an encoder or a tower before it.
    pub(super) fn is_behind(&self) -> bool {
        self.cross.is_some() || self.projector.is_some()
    }

    /// Whether a matrix of this name holds the scales of heads.
    pub(super) fn is_scale(&self, name: &str) -> bool {
        let rows = self.attention.qk_norm.filter(|norms| norms.scales == HeadScales::Matrix);
        let module = name.strip_suffix(".weight");
        rows.zip(module).is_some_and(|(rows, module)| rows.names.iter().any(|norm| module.ends_with(norm)))
    }
}

/// A value that a row is written for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Given {
    /// This truth value, or no field.
    Usually(bool),
    /// This truth value. The field must exist.
    Only(bool),
    /// This text, or no field.
    Text(&'static str),
    /// This text. The field must exist.
    OnlyText(&'static str),
    /// This number, or no field.
    Number(f64),
    /// No field, or null.
    Absent,
    /// 0 or null. The field must exist, because the family's code has another default.
    Zero,
    /// Any value, here or in this field, because the family's code has a default that the row does not.
    Or(&'static str),
}

/// A truth value that is fixed or read from a field.
#[derive(Debug, Clone, Copy)]
pub enum Switch {
    /// A fixed value.
    Is(bool),
    /// The value of this field, with its default.
    Field(&'static str, bool),
    /// The opposite of this field, with the default of the field.
    Unless(&'static str, bool),
}

/// Names of the fields that hold sizes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// d.
    pub width: &'static str,
    /// Blocks.
    pub layers: &'static str,
    /// Query heads.
    pub heads: &'static str,
    /// Key heads.
    pub key_heads: KeyHeads,
    /// Width of a head. `None` means d over heads.
    pub head_width: Option<&'static str>,
    /// Width of a head if the field is missing. `None` means d over heads.
    pub usual_head_width: Option<usize>,
}

/// Number of key heads.
#[derive(Debug, Clone, Copy)]
pub enum KeyHeads {
    /// As many as query heads.
    All,
    /// One.
    One,
    /// By this field. If it is missing, this many, or as many as query heads.
    Field(&'static str, Option<usize>),
}

/// Names of the embedding.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingRow {
    /// Table of tokens.
    pub tokens: &'static str,
    /// Table of positions, its row for the first position, and the field with the id that has none.
    pub positions: Option<(&'static str, usize, Option<&'static str>)>,
    /// Whether there are such positions.
    pub positioned: Switch,
    /// Table of segments, unless `type_vocab_size` is 0.
    pub segments: Option<&'static str>,
    /// Norm of the sum.
    pub norm: Option<&'static str>,
    /// Map to the width of the stream, if the checkpoint has it.
    pub projection: Option<&'static str>,
    /// Where that map comes.
    pub projection_place: ProjectionPlace,
    /// Factor of the rows.
    pub multiplier: Multiplier,
}

/// Names of an embedding that makes a vector from each patch of an image.
#[derive(Debug, Clone, Copy)]
pub struct PatchesRow {
    /// A convolution whose stride is its kernel.
    pub projection: &'static str,
    /// Whether it has a bias.
    pub bias: Switch,
    /// Whether a patch spans frames of a video, `tubelet_size` of them.
    pub video: bool,
    /// Tokens before those of the patches, in this order.
    pub extra: &'static [ExtraRow],
    /// Norm of the patch vectors, before anything is added.
    pub patch_norm: Option<&'static str>,
    /// How it encodes the positions of patches.
    pub positions: ImagePositionsRow,
    /// Rows of patches, and columns, of whose positions the code is known to take each once and in their order; `None`: any.
    pub sides: Option<&'static [usize]>,
    /// Norm of the sum, and whether it is present.
    pub norm: Option<(&'static str, Switch)>,
}

/// Names of an embedding that makes vectors from the features of a sound: convolutions over time, and positions.
#[derive(Debug, Clone, Copy)]
pub struct SoundsRow {
    /// Field with the channels of the features. `None` means the waveform, with one channel.
    pub channels: Option<&'static str>,
    /// Convolutions in order.
    pub convolutions: ConvolutionsRow,
    /// Map after the convolutions.
    pub projection: Option<SoundProjectionRow>,
    /// How it encodes the positions of frames.
    pub positions: SoundPositionsRow,
    /// Norm of the sum.
    pub norm: Option<&'static str>,
}

/// Convolutions over time.
#[derive(Debug, Clone, Copy)]
pub enum ConvolutionsRow {
    /// These convolutions, with their strides. Each reads three frames, with a frame of zeros at either end, and has d channels, a bias
    /// and a GELU.
    Named(&'static [(&'static str, usize)]),
    /// Convolutions from the lists `conv_dim`, `conv_kernel` and `conv_stride`. They have biases if `conv_bias` says so, and
    /// `feat_extract_activation` follows each (wav2vec 2.0). `{layer}` is a number.
    Listed {
        /// Name of each convolution.
        map: &'static str,
        /// Name of its norm. If `feat_extract_norm` is `group`, only the first has one, over time. If it is `layer`, all have one, over
        /// channels.
        norm: &'static str,
    },
}

/// Map from the channels of the last convolution to the width of the stream.
#[derive(Debug, Clone, Copy)]
pub struct SoundProjectionRow {
    /// Norm before the map, and whether it is present.
    pub norm: (&'static str, Switch),
    /// Name of the map.
    pub map: &'static str,
}

/// How an embedding of sounds encodes the positions of frames.
#[derive(Debug, Clone, Copy)]
pub enum SoundPositionsRow {
    /// By a table with a row for each token, which fixes the number of tokens.
    Table {
        /// Name of its tensor.
        name: &'static str,
        /// Field with the number of rows.
        tokens: &'static str,
    },
    /// By a convolution over `num_conv_pos_embeddings` tokens in `num_conv_pos_embedding_groups` groups of channels. Its weight is
    /// normalised, and `feat_extract_activation` follows it.
    Convolution(&'static str),
}

/// Learned tokens beside those of the patches: class, distillation or register tokens.
#[derive(Debug, Clone, Copy)]
pub struct ExtraRow {
    /// Name of their tensor.
    pub name: &'static str,
    /// Field with their number, and its default. `None` means one.
    pub count: Option<(&'static str, usize)>,
    /// Whether they are present.
    pub present: Switch,
    /// Whether the table of positions has rows for them.
    pub positioned: Switch,
    /// Whether they are stored as a vector instead of 1 × count × d.
    pub bare: bool,
}

/// How an embedding encodes the positions of patches.
#[derive(Debug, Clone, Copy)]
pub enum ImagePositionsRow {
    /// By a table with a row for each extra token that has a position, then one for each patch.
    Table {
        /// Name of its tensor.
        name: &'static str,
        /// Whether it is present.
        present: Switch,
        /// Whether it is stored as rows × d instead of 1 × rows × d.
        bare: bool,
        /// How the family's code resizes it for images of another size. `None` means that it does not.
        resized: Option<Resizing>,
        /// Its content at the initialisation.
        initial: InitialPositions,
    },
    /// By sines and cosines, which are not stored (VideoMAE).
    Sines,
    /// Not at all: attention does it.
    None,
}

/// The content of a table of positions at the initialisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialPositions {
    /// Random values.
    Random,
    /// Sines and cosines of rows and columns (MAE).
    Sines,
}

/// A vector that multiplies a part's output.
#[derive(Debug, Clone, Copy)]
pub struct LayerScaleRow {
    /// Name of its tensor.
    pub name: &'static str,
    /// Field and default of its initial values. 0 or null means that there is no such vector.
    pub initial: (&'static str, f64),
}

/// A factor.
#[derive(Debug, Clone, Copy)]
pub enum Multiplier {
    /// 1.
    None,
    /// √d.
    RootOfWidth,
    /// A field, with default 1.
    Field(&'static str),
    /// A field, with its default.
    Usually(&'static str, f64),
    /// 1 over a field, with default 1.
    Inverse(&'static str),
}

/// Which norm.
#[derive(Debug, Clone, Copy)]
pub struct NormRow {
    /// LayerNorm or RMSNorm.
    pub centring: Centring,
    /// Whether γ = 1 + w.
    pub one_plus: bool,
    /// Whether it stores any parameters.
    pub parametric: bool,
    /// Whether the first block has no norm before attention.
    pub bare_first: bool,
    /// Field of ε. Empty if the code fixes it.
    pub epsilon: &'static str,
    /// ε if the field is missing.
    pub usual_epsilon: f64,
}

/// Names and shape of attention.
#[derive(Debug, Clone, Copy)]
pub struct AttentionRow {
    /// Maps to queries, keys and values.
    pub projections: ProjectionsRow,
    /// Whether the map to queries gives a gate of the output behind the query of each head.
    pub gated: bool,
    /// Separately stored biases of queries, keys and values, if the checkpoint has them.
    pub biases: [Option<&'static str>; 3],
    /// Map back to the stream.
    pub output: &'static str,
    /// Norm of what all heads give together, before that map, and whether it is present.
    pub inner_norm: Option<(&'static str, Switch)>,
    /// Norms of queries and keys.
    pub qk_norm: Option<HeadNormsRow>,
    /// Whether each head of the values has an RMSNorm that stores nothing.
    pub value_norm: bool,
    /// Heads of layers that see everything, if they differ.
    pub global: Option<GlobalRow>,
    /// Position code.
    pub position: PositionRow,
    /// Which layers have no position code.
    pub unplaced: Unplaced,
    /// Which layers only see a window.
    pub windows: Windows,
    /// Field and default of the number of layers, the last ones, that use the keys and values of earlier layers. Each uses those of the last layer
    /// with keys of its own that sees as much as it does: a window, or everything.
    pub borrowers: Option<(&'static str, usize)>,
    /// Factor of the products of queries and keys.
    pub scale: ScaleRow,
    /// Field of c in c tanh(score/c), and its default; 0 for none.
    pub cap: Option<(&'static str, f64)>,
    /// Field with a bound for queries, keys and values.
    pub clip: Option<&'static str>,
    /// Tensor of a score for each query head, to which no value belongs.
    pub sinks: Option<&'static str>,
    /// Fields, with their defaults, of lengths. In longer sequences the code does something that a run does not: it divides them into
    /// chunks, or makes the queries of later tokens larger.
    pub longest: &'static [(&'static str, Option<usize>)],
}

/// Fields with the heads of layers that have no window, if these differ from those that have one (Gemma 4).
#[derive(Debug, Clone, Copy)]
pub struct GlobalRow {
    /// Width of a head, and its default.
    pub head_width: (&'static str, usize),
    /// Number of key heads, where the keys are the values too.
    pub key_heads: &'static str,
    /// Whether they are. False if the field is missing.
    pub keys_are_values: &'static str,
}

/// Names of linear attention by the gated delta rule. Layers that `layer_types` calls `linear_attention` have it, or else all except
/// every `full_attention_interval`-th. Its sizes are in the fields that begin with `linear_`.
#[derive(Debug, Clone, Copy)]
pub struct DeltaRow {
    /// Maps to queries, keys and values, to gates, and to the numbers that β and α are made of.
    pub projections: DeltaProjectionsRow,
    /// Tensor of the convolution over queries, keys and values.
    pub convolution: &'static str,
    /// Tensor of the logarithms of the rates of decay.
    pub rates: &'static str,
    /// Tensor of the biases of decay.
    pub biases: &'static str,
    /// Norm of the output of each head. γ is w, whatever the other norms have.
    pub norm: &'static str,
    /// Map back to the stream.
    pub output: &'static str,
}

/// Names of the maps of linear attention.
#[derive(Debug, Clone, Copy)]
pub enum DeltaProjectionsRow {
    /// Maps to queries, keys and values; to the gates of the output; to the numbers whose sigmoids are β; to those of which α is made.
    Separate([&'static str; 4]),
    /// A map to the query, the key, the values and the gates of each key head in turn, and one to both numbers of its value heads.
    Grouped([&'static str; 2]),
}

/// Names of a decoder's attention to its encoder. Its heads, its scale and its memory layout are those of the decoder's other attention.
#[derive(Debug, Clone, Copy)]
pub struct CrossRow {
    /// Maps to queries, keys and values.
    pub projections: [&'static str; 3],
    /// Map back to the stream.
    pub output: &'static str,
    /// Norms around it: of its input, of its output, and of the sum.
    pub around: [Option<&'static str>; 3],
}

/// A linear map, or two, from the hidden states of a tower of images to the stream.
#[derive(Debug, Clone, Copy)]
pub struct ProjectorRow {
    /// The first map, under each of the row's prefixes.
    pub maps: &'static [&'static str],
    /// The second map, under the same prefixes, and field and default of the activation before it.
    pub second: Option<(&'static [&'static str], (&'static str, &'static str))>,
    /// Whether the maps have biases.
    pub bias: Switch,
    /// Field and default of the rows and columns of a square of patches, which are read at once, beside one another. `None` means that
    /// each patch is read alone.
    pub side: Option<(&'static str, usize)>,
    /// Field and default of the id of image tokens.
    pub token: (&'static str, usize),
}

/// Norms of queries and keys.
#[derive(Debug, Clone, Copy)]
pub struct HeadNormsRow {
    /// Names of the norm of queries and of the norm of keys.
    pub names: [&'static str; 2],
    /// How their scales are stored.
    pub scales: HeadScales,
    /// Whether they have a shift.
    pub shift: Switch,
    /// Whether they are present.
    pub present: Switch,
}

/// Scales of the norms of queries or keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadScales {
    /// A vector of h values, shared by all heads.
    Shared,
    /// A vector over all heads, which are normalised together.
    Whole,
    /// A matrix, heads × h: each head is normalised separately and has its own row.
    Matrix,
    /// A vector of h values for each head, `NAME.norms.HEAD`.
    Listed,
    /// None. Only layers with a position code have such norms. It comes before them: turns do not change the length of a vector.
    Nothing,
}

/// Maps to queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub enum ProjectionsRow {
    /// A matrix for each.
    Separate([&'static str; 3]),
    /// One matrix, with all queries, then all keys, then all values.
    Concatenated(&'static str),
    /// One matrix, with the queries, the key and the value of each key head in turn.
    Grouped(&'static str),
    /// By a narrow vector for keys and values.
    Latent(LatentRow),
}

/// Names of multi-head latent attention. Its sizes are in `q_lora_rank`, `kv_lora_rank`, `qk_nope_head_dim`, `qk_rope_head_dim` and
/// `v_head_dim`.
#[derive(Debug, Clone, Copy)]
pub struct LatentRow {
    /// Map to queries, if `q_lora_rank` is null.
    pub queries: &'static str,
    /// Otherwise the map to their narrow vector, its norm, and the map from there to queries.
    pub narrow: [&'static str; 3],
    /// Map to the narrow vector of keys and values, and to the turned channels of the keys.
    pub compress: &'static str,
    /// Norm of that vector.
    pub norm: &'static str,
    /// Map from it to keys and values.
    pub expand: &'static str,
    /// ε of both norms. No field states it.
    pub epsilon: f64,
    /// Whether the channels that turn are neighbours.
    pub interleaved: Switch,
}

/// Position code of attention.
#[derive(Debug, Clone, Copy)]
pub enum PositionRow {
    /// None, or in the embedding.
    None,
    /// Rotated queries and keys.
    Rotary {
        /// Which channels form a pair.
        pairing: Pairing,
        /// Fields with the base of the frequencies in older configurations.
        theta: &'static [&'static str],
        /// Base if no field has it.
        usual_theta: f64,
        /// How many channels turn.
        turned: Turned,
        /// Field and default of the base in layers that see a window, if it differs.
        local_theta: Option<(&'static str, f64)>,
    },
    /// Rotated queries and keys of patches.
    Axial(AxialRow),
    /// A slope for each head.
    Alibi,
    /// Like `Alibi`, but in BF16 and counted from the first key, and added before products are scaled (Falcon).
    CoarseAlibi,
    /// Buckets of distances (T5): table, fields of the number of buckets and of the furthest distance.
    Relative(&'static str),
    /// Keys and queries of positions (DeBERTa).
    Disentangled(DisentangledRow),
    /// A bias for each head and distance in rows and columns of patches (BEiT).
    Window {
        /// Table of each block, if this field says so.
        own: (&'static str, Switch),
        /// One table for all blocks, if this field says so.
        shared: (&'static str, Switch),
    },
}

/// Names of disentangled attention. Its fields are those of transformers' DeBERTa v2.
#[derive(Debug, Clone, Copy)]
pub struct DisentangledRow {
    /// Table of positions, in the stack.
    pub table: &'static str,
    /// Norm of its rows, in the stack, if `norm_rel_ebd` asks for it.
    pub norm: Option<&'static str>,
    /// Maps of a block to the keys and to the queries of positions, unless `share_att_key` says that they are those of the tokens.
    pub maps: [&'static str; 2],
    /// Whether these maps have biases.
    pub biases: [Switch; 2],
}

/// A rotary code of the rows and columns of patches, which turns all channels of a head.
#[derive(Debug, Clone, Copy)]
pub struct AxialRow {
    /// Whether there is one.
    pub present: Switch,
    /// Whether channels i and i + h/2 are a pair. Otherwise neighbours are.
    pub halves: Switch,
    /// Whether the coordinates are the centres of patches. Otherwise they are their numbers.
    pub centres: Switch,
    /// Field and default of the base of the frequencies.
    pub theta: (&'static str, f64),
    /// Field with the rows and columns to which the numbers of patches are stretched.
    pub reference: Option<&'static str>,
}

/// How many channels of a head turn.
#[derive(Debug, Clone, Copy)]
pub enum Turned {
    /// All channels.
    All,
    /// A share: its fields in older configurations, and its default.
    Share(&'static [&'static str], f64),
    /// A number: its field and default.
    Count(&'static str, usize),
}

/// Which layers have no position code, although others have one.
#[derive(Debug, Clone, Copy)]
pub enum Unplaced {
    /// None.
    None,
    /// Those without a window. If a field is named and is null, none.
    Wide(Option<&'static str>),
    /// Those with a 0 in this list, or else every p-th, by this field with its default.
    Listed(&'static str, (&'static str, usize)),
}

/// Which layers only see a window.
#[derive(Debug, Clone, Copy)]
pub enum Windows {
    /// None.
    None,
    /// All layers. The window is in this field, with this default. Null means none.
    All(&'static str, Option<usize>),
    /// Layers in `layer_types`, or else those from `max_window_layers` on, if `use_sliding_window` is true (Qwen).
    After,
    /// Layers in `layer_types`, or else all except every p-th.
    Every {
        /// Field and default of the window.
        window: (&'static str, usize),
        /// Fields with p.
        pattern: &'static [&'static str],
        /// p if no field has it.
        usual_pattern: usize,
        /// Whether the first of p layers sees everything. Otherwise the last does.
        first: bool,
    },
}

/// Factor of the products of queries and keys.
#[derive(Debug, Clone, Copy)]
pub enum ScaleRow {
    /// 1/√h.
    RootOfHead,
    /// 1/√ of a field, with its default.
    RootOf(&'static str, f64),
    /// A field, with default 1.
    Field(&'static str),
    /// 1/√ of h times one more than the kinds of scores of positions (DeBERTa).
    Disentangled,
    /// 1.
    One,
}

/// Names and shape of the feed-forward part.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardRow {
    /// Names of its maps.
    pub shape: FeedForwardShape,
    /// Fields with the activation.
    pub activation: &'static [&'static str],
    /// Activation if no field has it.
    pub usual_activation: &'static str,
    /// Norm of the hidden values of a gated part, and whether it is present.
    pub inner_norm: Option<(&'static str, Switch)>,
    /// Experts, in layers whose router is in the checkpoint.
    pub experts: Option<ExpertsRow>,
}

/// Names of the maps of a feed-forward part.
#[derive(Debug, Clone, Copy)]
pub enum FeedForwardShape {
    /// Up and down.
    Plain([&'static str; 2]),
    /// Gate, up and down.
    Gated([&'static str; 3]),
    /// Gate and up in one matrix, and down.
    GatedConcatenated([&'static str; 2]),
}

/// Names and numbers of experts.
#[derive(Debug, Clone, Copy)]
pub struct ExpertsRow {
    /// Name of the router's matrix.
    pub router: &'static str,
    /// Names of gate, up and down of each expert, where each has its own tensors.
    pub expert: [&'static str; 3],
    /// Tensors of all experts together, in families that also store these.
    pub together: Option<TogetherRow>,
    /// An expert of all tokens.
    pub shared: Option<SharedExpertRow>,
    /// Fields with the number of experts.
    pub count: &'static [&'static str],
    /// Field with the number of experts that process a token.
    pub chosen: &'static str,
    /// That number if the field is missing. 0 if it must not be missing.
    pub usual_chosen: usize,
    /// How scores become weights.
    pub gate: Gate,
    /// Tensor of a number for each expert, which is added to its weight while experts are chosen.
    pub correction: Option<&'static str>,
    /// Fields with the number of groups of experts, and of those that a token may choose from.
    pub groups: Option<[&'static str; 2]>,
    /// Whether the weights of the chosen experts sum to 1.
    pub normalised: Switch,
    /// Factor of the weights after that.
    pub multiplier: Multiplier,
    /// Tensor of a number for each expert, which multiplies its weight after that.
    pub factors: Option<&'static str>,
    /// Whether a weight multiplies the input of its expert instead of the output.
    pub of_inputs: bool,
    /// Field and default of L, which bounds gate and up of an expert. 1 is then added to up.
    pub limit: Option<(&'static str, f64)>,
}

/// Names of experts beside the feed-forward part of a block.
#[derive(Debug, Clone, Copy)]
pub struct BesideRow {
    /// Whether they are present.
    pub present: Switch,
    /// Norm of the output of the part.
    pub part_after: &'static str,
    /// Norms of the experts' input and of their output.
    pub around: [&'static str; 2],
    /// Tensor of the scale of the norm before the router. Its scores are divided by √d.
    pub router_scale: &'static str,
    /// The experts.
    pub experts: ExpertsRow,
}

/// Names of the vectors that each block reads beside the stream.
#[derive(Debug, Clone, Copy)]
pub struct InputsRow {
    /// Field and default of their width p. 0 or null means that there are none.
    pub width: (&'static str, usize),
    /// Table of tokens: rows × layers·p.
    pub table: &'static str,
    /// Field and default of its rows.
    pub rows: (&'static str, usize),
    /// Whether the embedding may have more rows: those of images and sounds.
    pub ends_early: bool,
    /// Map from the embedding to the vectors of all layers.
    pub map: &'static str,
    /// Norm of each vector.
    pub norm: &'static str,
    /// In a block: the map from the stream to the gate, the map back, and the norm of its output.
    pub block: [&'static str; 3],
}

/// Names of the versions of the stream (AltUp).
#[derive(Debug, Clone, Copy)]
pub struct VersionsRow {
    /// Field and default of their number V, at least 2. The first one is active.
    pub count: (&'static str, usize),
    /// Maps from the embedding to the others, and those of these before the mean. `{version}` is a number.
    pub ends: [&'static str; 2],
    /// In a block: the norm before the router, the router, and the maps to the weights before and after the block.
    pub block: [&'static str; 4],
    /// Tensor of the factors of the active version where the block's own vectors apply to it, and whether they are used.
    pub output_scale: (&'static str, Switch),
}

/// Names of the map beside attention (LAuReL).
#[derive(Debug, Clone, Copy)]
pub struct LaurelRow {
    /// Map to a few values, and map back.
    pub maps: [&'static str; 2],
    /// Norm of the output.
    pub after: &'static str,
    /// Field and default of the number of values.
    pub rank: (&'static str, usize),
}

/// Tensors of all experts together.
#[derive(Debug, Clone, Copy)]
pub struct TogetherRow {
    /// Names of the tensor of gate and up, and of down. Their biases are in tensors whose names end in `_bias`, if there are any.
    pub names: [&'static str; 2],
    /// How each matrix is stored.
    pub layout: Layout,
    /// Whether outputs of gate and up alternate. Otherwise those of the gate come first.
    pub interleaved: bool,
}

/// Names of an expert that processes all tokens.
#[derive(Debug, Clone, Copy)]
pub struct SharedExpertRow {
    /// Map to the number whose sigmoid multiplies its output.
    pub gate: Option<&'static str>,
    /// Gate, up and down.
    pub expert: [&'static str; 3],
    /// Field with its hidden width.
    pub width: &'static str,
    /// Field with a factor of that width. Default 1.
    pub count: Option<&'static str>,
}

/// A convolution over the tokens of a sequence beside the first block, whose input it reads: stream ← norm(stream + act(conv(input))).
#[derive(Debug, Clone, Copy)]
pub struct LocalRow {
    /// The convolution, in the stack.
    pub map: &'static str,
    /// Norm of the sum, in the stack.
    pub norm: &'static str,
    /// Field with the tokens that it reads at once. 0, or no field: there is none.
    pub kernel: &'static str,
    /// Field with its groups of channels. Only 1, which is the default, runs.
    pub groups: &'static str,
    /// Field and default of its activation.
    pub activation: (&'static str, &'static str),
}

/// Names for the map from the last hidden states to logits.
#[derive(Debug, Clone, Copy)]
pub struct HeadRow {
    /// Name of its matrix. Empty if there is never one.
    pub unembedding: &'static str,
    /// Its name in other checkpoints of the family.
    pub otherwise: Option<&'static str>,
    /// Name of its bias, if that differs.
    pub bias: Option<&'static str>,
    /// Whether the embedding is the unembedding if `tie_word_embeddings` is missing.
    pub usually_tied: bool,
    /// Map to the embedding's own width, if the checkpoint has it.
    pub projection: Option<&'static str>,
    /// Dense matrix and norm before it, and their activation if it is not the model's.
    pub transform: Option<([&'static str; 2], Option<&'static str>)>,
    /// Factor of the logits.
    pub multiplier: Multiplier,
    /// Field and default of c in c tanh(logit/c); 0 for none.
    pub cap: Option<(&'static str, f64)>,
}

/// Details that the other fields of a row leave to the checkpoint: which vectors there are, and sizes. Only needed to make a catalogue
/// from a configuration alone.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow {
    /// Biases of the maps to queries, keys and values.
    pub projection_bias: Switch,
    /// Bias of the map from attention back to the stream.
    pub output_bias: Switch,
    /// Biases of the feed-forward part.
    pub feed_forward_bias: Switch,
    /// β of the norms.
    pub shift: Switch,
    /// Bias of the map to keys, if it differs from that of queries.
    pub key_bias: Option<Switch>,
    /// Bias of the map to values, if it differs from that of queries.
    pub value_bias: Option<Switch>,
    /// Separately stored biases of queries, keys and values.
    pub separate_bias: Switch,
    /// Hidden width of the feed-forward part.
    pub hidden_width: HiddenWidth,
    /// Whether the feed-forward part is twice as wide in layers that use the keys and values of earlier ones.
    pub wide_borrowers: Switch,
    /// Field with the hidden width of an expert.
    pub expert_width: &'static str,
    /// Field with the number of positions, and the number of further rows in their table.
    pub positions: Option<(&'static str, usize)>,
    /// Field with the embedding's own width. d if it is missing.
    pub embedding_width: Option<&'static str>,
    /// Bias of the map from that width to the stream's.
    pub embedding_bias: Switch,
    /// Bias of the dense matrix before the head.
    pub transform_bias: Switch,
    /// Bias of the head.
    pub head_bias: Switch,
}

/// Hidden width of a feed-forward part.
#[derive(Debug, Clone, Copy)]
pub enum HiddenWidth {
    /// This field, which must exist.
    Field(&'static str),
    /// This field, which has a number for all layers, or a list of one for each.
    Listed(&'static str),
    /// This field. 4d if it is missing.
    Usually(&'static str),
    /// 4d, whatever the configuration says.
    Fourfold,
    /// d times this field, with a default.
    Ratio(&'static str, f64),
    /// Two thirds of that, rounded up to a multiple of eight (the gated part of DINOv2).
    TwoThirds(&'static str, f64),
}

pub(super) const ALWAYS: Switch = Switch::Is(true);
pub(super) const NEVER: Switch = Switch::Is(false);

/// The only vectors are the scales of norms.
const SCALES_ONLY: StoredRow = StoredRow {
    projection_bias: NEVER,
    output_bias: NEVER,
    key_bias: None,
    value_bias: None,
    separate_bias: NEVER,
    feed_forward_bias: NEVER,
    shift: NEVER,
    hidden_width: HiddenWidth::Field("intermediate_size"),
    wide_borrowers: NEVER,
    expert_width: "intermediate_size",
    positions: None,
    embedding_width: None,
    embedding_bias: NEVER,
    transform_bias: NEVER,
    head_bias: NEVER,
};

/// Attention has biases if this field says so.
const fn attention_bias(field: &'static str, usually: bool) -> StoredRow {
    let by_field = Switch::Field(field, usually);
    StoredRow { projection_bias: by_field, output_bias: by_field, ..SCALES_ONLY }
}

/// Each map of a block has a bias if `bias` says so, and norms have shifts.
pub(super) const fn shifted(bias: Switch, hidden_width: HiddenWidth) -> StoredRow {
    StoredRow {
        projection_bias: bias,
        output_bias: bias,
        feed_forward_bias: bias,
        shift: ALWAYS,
        hidden_width,
        ..SCALES_ONLY
    }
}

const LAYER: Centring = Centring::Mean;
const RMS: Centring = Centring::None;

pub(super) const fn norm(centring: Centring, epsilon: &'static str, usual_epsilon: f64) -> NormRow {
    NormRow { centring, one_plus: false, parametric: true, bare_first: false, epsilon, usual_epsilon }
}

const fn rotary(usual_theta: f64) -> PositionRow {
    PositionRow::Rotary {
        pairing: Pairing::Halves,
        theta: &["rope_theta"],
        usual_theta,
        turned: Turned::All,
        local_theta: None,
    }
}

const fn partly_rotary(
    theta: &'static [&'static str],
    fields: &'static [&'static str],
    usually: f64,
) -> PositionRow {
    let (pairing, turned) = (Pairing::Halves, Turned::Share(fields, usually));
    PositionRow::Rotary { pairing, theta, usual_theta: 10_000.0, turned, local_theta: None }
}

pub(super) const LLAMA: Row = Row {
    families: &["llama"],
    given: &[("rope_interleaved", Given::Usually(false))],
    part: None,
    around_part: false,
    usual: &[],
    neutral: &["attention_bias", "mlp_bias"],
    prefixes: &["model.", ""],
    block: "layers.{layer}.",
    sizes: Sizes {
        width: "hidden_size",
        layers: "num_hidden_layers",
        heads: "num_attention_heads",
        key_heads: KeyHeads::Field("num_key_value_heads", None),
        head_width: Some("head_dim"),
        usual_head_width: None,
    },
    causal: true,
    layout: Layout::OutputInput,
    embedding: EmbeddingRow {
        tokens: "embed_tokens.weight",
        positions: None,
        positioned: ALWAYS,
        segments: None,
        norm: None,
        projection: None,
        projection_place: ProjectionPlace::Last,
        multiplier: Multiplier::None,
    },
    patches: None,
    sounds: None,
    delta_rule: None,
    cross: None,
    projector: None,
    norm: norm(RMS, "rms_norm_eps", 1e-6),
    around_attention: [Some("input_layernorm"), None, None],
    around_feed_forward: [Some("post_attention_layernorm"), None, None],
    layer_scale: [None, None],
    block_scale: None,
    stored_blocks: None,
    parallel: Switch::Is(false),
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        gated: false,
        biases: [None; 3],
        output: "self_attn.o_proj",
        inner_norm: None,
        qk_norm: None,
        value_norm: false,
        global: None,
        position: rotary(10_000.0),
        unplaced: Unplaced::None,
        windows: Windows::None,
        borrowers: None,
        scale: ScaleRow::RootOfHead,
        cap: None,
        clip: None,
        sinks: None,
        longest: &[],
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]),
        activation: &["hidden_act"],
        usual_activation: "silu",
        inner_norm: None,
        experts: None,
    },
    beside: None,
    inputs: None,
    versions: None,
    laurel: None,
    sparsity: None,
    convolution: None,
    final_norm: Some("norm"),
    final_norm_present: ALWAYS,
    head: HeadRow {
        unembedding: "lm_head",
        otherwise: None,
        bias: None,
        usually_tied: false,
        projection: None,
        transform: None,
        multiplier: Multiplier::None,
        cap: None,
    },
    feature_layer: None,
    residual_multiplier: None,
    apart: &["rotary_emb.inv_freq"],
    later_blocks: None,
    stored: StoredRow {
        feed_forward_bias: Switch::Field("mlp_bias", false),
        ..attention_bias("attention_bias", false)
    },
};

const MISTRAL: Row = Row {
    families: &["mistral", "ministral"],
    given: &[],
    neutral: &[],
    sizes: Sizes { key_heads: KeyHeads::Field("num_key_value_heads", Some(8)), ..LLAMA.sizes },
    attention: AttentionRow { windows: Windows::All("sliding_window", Some(4096)), ..LLAMA.attention },
    stored: SCALES_ONLY,
    ..LLAMA
};

const QWEN2: Row = Row {
    families: &["qwen2"],
    given: &[("use_mrope", Given::Usually(false))],
    neutral: &["max_window_layers", "sliding_window", "use_sliding_window"],
    attention: AttentionRow { windows: Windows::After, ..LLAMA.attention },
    stored: StoredRow { projection_bias: ALWAYS, ..SCALES_ONLY },
    ..LLAMA
};

const HEAD_NORMS: HeadNormsRow = HeadNormsRow {
    names: ["self_attn.q_norm", "self_attn.k_norm"],
    scales: HeadScales::Shared,
    shift: NEVER,
    present: ALWAYS,
};

const QWEN3: Row = Row {
    families: &["qwen3"],
    neutral: &["attention_bias", "max_window_layers", "sliding_window", "use_sliding_window"],
    sizes: Sizes { usual_head_width: Some(128), ..LLAMA.sizes },
    attention: AttentionRow { qk_norm: Some(HEAD_NORMS), ..QWEN2.attention },
    stored: attention_bias("attention_bias", false),
    ..QWEN2
};

const GEMMA: Row = Row {
    families: &["gemma"],
    // This row always uses this activation, whatever `hidden_act` says.
    given: &[("use_bidirectional_attention", Given::Usually(false))],
    neutral: &["attention_bias", "hidden_act", "hidden_activation"],
    sizes: Sizes { usual_head_width: Some(256), ..LLAMA.sizes },
    embedding: EmbeddingRow { multiplier: Multiplier::RootOfWidth, ..LLAMA.embedding },
    norm: NormRow { one_plus: true, ..LLAMA.norm },
    feed_forward: FeedForwardRow {
        activation: &[],
        usual_activation: "gelu_pytorch_tanh",
        ..LLAMA.feed_forward
    },
    head: HeadRow { usually_tied: true, ..LLAMA.head },
    stored: attention_bias("attention_bias", false),
    ..LLAMA
};

const GEMMA2: Row = Row {
    families: &["gemma2"],
    neutral: &["attention_bias", "hidden_act", "cache_implementation"],
    around_attention: [Some("input_layernorm"), Some("post_attention_layernorm"), None],
    around_feed_forward: [Some("pre_feedforward_layernorm"), Some("post_feedforward_layernorm"), None],
    attention: AttentionRow {
        windows: Windows::Every {
            window: ("sliding_window", 4096),
            pattern: &[],
            usual_pattern: 2,
            first: false,
        },
        scale: ScaleRow::RootOf("query_pre_attn_scalar", 256.0),
        cap: Some(("attn_logit_softcapping", 50.0)),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow { activation: &["hidden_activation"], ..GEMMA.feed_forward },
    head: HeadRow { cap: Some(("final_logit_softcapping", 30.0)), ..GEMMA.head },
    ..GEMMA
};

const GEMMA3: Row = Row {
    families: &["gemma3_text"],
    attention: AttentionRow {
        qk_norm: Some(HEAD_NORMS),
        position: PositionRow::Rotary {
            pairing: Pairing::Halves,
            theta: &["rope_theta"],
            usual_theta: 1_000_000.0,
            turned: Turned::All,
            local_theta: Some(("rope_local_base_freq", 10_000.0)),
        },
        windows: Windows::Every {
            window: ("sliding_window", 4096),
            pattern: &["sliding_window_pattern", "_sliding_window_pattern"],
            usual_pattern: 6,
            first: false,
        },
        cap: Some(("attn_logit_softcapping", 0.0)),
        ..GEMMA2.attention
    },
    head: HeadRow { cap: Some(("final_logit_softcapping", 0.0)), ..GEMMA.head },
    ..GEMMA2
};

/// The dense sizes, those with experts (26B-A4B), and those whose blocks read vectors of their own (E2B, E4B).
const GEMMA4: Row = Row {
    families: &["gemma4_text"],
    given: &[
        // In a text every token is causal then.
        ("use_bidirectional_attention", Given::Text("vision")),
        ("rope_parameters.full_attention.rope_type", Given::OnlyText("proportional")),
    ],
    neutral: GEMMA4_NEUTRAL,
    norm: NormRow { one_plus: false, ..GEMMA2.norm },
    block_scale: Some("layer_scalar"),
    attention: AttentionRow {
        qk_norm: Some(HEAD_NORMS),
        value_norm: true,
        global: Some(GlobalRow {
            head_width: ("global_head_dim", 512),
            key_heads: "num_global_key_value_heads",
            keys_are_values: "attention_k_eq_v",
        }),
        position: GEMMA3.attention.position,
        windows: Windows::Every {
            window: ("sliding_window", 512),
            pattern: &[],
            usual_pattern: 6,
            first: false,
        },
        borrowers: Some(("num_kv_shared_layers", 0)),
        scale: ScaleRow::One,
        cap: None,
        ..GEMMA2.attention
    },
    inputs: Some(INPUTS),
    beside: Some(BesideRow {
        present: Switch::Field("enable_moe_block", false),
        part_after: "post_feedforward_layernorm_1",
        around: ["pre_feedforward_layernorm_2", "post_feedforward_layernorm_2"],
        router_scale: "router.scale",
        experts: ExpertsRow {
            router: "router.proj",
            expert: ["experts.{expert}.gate_proj", "experts.{expert}.up_proj", "experts.{expert}.down_proj"],
            together: Some(TogetherRow {
                names: ["experts.gate_up_proj", "experts.down_proj"],
                layout: Layout::OutputInput,
                interleaved: false,
            }),
            count: &["num_experts"],
            chosen: "top_k_experts",
            usual_chosen: 0,
            normalised: ALWAYS,
            factors: Some("router.per_expert_scale"),
            ..SOFTMAX_EXPERTS
        },
    }),
    head: GEMMA3.head,
    stored: StoredRow {
        expert_width: "moe_intermediate_size",
        wide_borrowers: Switch::Field("use_double_wide_mlp", false),
        ..GEMMA2.stored
    },
    ..GEMMA2
};

/// The text of a model that also reads images and sounds.
const GEMMA4_NESTED: Row = Row {
    families: &["gemma4"],
    given: &[
        ("text_config.use_bidirectional_attention", Given::Text("vision")),
        ("text_config.rope_parameters.full_attention.rope_type", Given::OnlyText("proportional")),
    ],
    part: Some("text_config"),
    around_part: true,
    prefixes: &["model.language_model.", "language_model."],
    apart: &["vision_tower.", "audio_tower.", "embed_vision.", "embed_audio."],
    ..GEMMA4
};

/// Vectors that each block of Gemma 4 reads beside the stream.
const INPUTS: InputsRow = InputsRow {
    width: ("hidden_size_per_layer_input", 256),
    table: "embed_tokens_per_layer.weight",
    rows: ("vocab_size_per_layer_input", 262_144),
    ends_early: false,
    map: "per_layer_model_projection",
    norm: "per_layer_projection_norm",
    block: ["per_layer_input_gate", "per_layer_projection", "post_per_layer_input_norm"],
};

/// Four versions of the stream, of which blocks run on the first.
const GEMMA3N: Row = Row {
    families: &["gemma3n_text"],
    given: &[("altup_active_idx", Given::Number(0.0))],
    neutral: GEMMA3N_NEUTRAL,
    block_scale: None,
    attention: AttentionRow {
        global: None,
        windows: Windows::Every {
            window: ("sliding_window", 512),
            pattern: &[],
            usual_pattern: 5,
            first: false,
        },
        borrowers: Some(("num_kv_shared_layers", 15)),
        ..GEMMA4.attention
    },
    beside: None,
    inputs: Some(InputsRow { ends_early: true, ..INPUTS }),
    versions: Some(VersionsRow {
        count: ("altup_num_inputs", 4),
        ends: ["altup_projections.{version}", "altup_unembed_projections.{version}"],
        block: [
            "altup.router_norm",
            "altup.modality_router",
            "altup.prediction_coefs",
            "altup.correction_coefs",
        ],
        output_scale: ("altup.correct_output_scale", Switch::Field("altup_correct_scale", true)),
    }),
    laurel: Some(LaurelRow {
        maps: ["laurel.linear_left", "laurel.linear_right"],
        after: "laurel.post_laurel_norm",
        rank: ("laurel_rank", 64),
    }),
    sparsity: Some("activation_sparsity_pattern"),
    head: HeadRow { cap: Some(("final_logit_softcapping", 30.0)), ..GEMMA.head },
    stored: StoredRow { hidden_width: HiddenWidth::Listed("intermediate_size"), ..GEMMA2.stored },
    ..GEMMA4
};

/// The text of a model that also reads images and sounds.
const GEMMA3N_NESTED: Row = Row {
    families: &["gemma3n"],
    given: &[("text_config.altup_active_idx", Given::Number(0.0))],
    part: Some("text_config"),
    around_part: true,
    prefixes: GEMMA4_NESTED.prefixes,
    apart: GEMMA4_NESTED.apart,
    ..GEMMA3N
};

/// Fields of Gemma 3n that change nothing in a text.
const GEMMA3N_NEUTRAL: &[&str] = &[
    // It bounds weights in training.
    "altup_coef_clip",
    "attention_bias",
    "audio_config",
    "audio_soft_tokens_per_image",
    "audio_token_id",
    "boa_token_id",
    "boi_token_id",
    "eoa_token_id",
    "eoi_token_id",
    "hidden_act",
    "image_token_id",
    "laurel_rank",
    "query_pre_attn_scalar",
    "vision_config",
    "vision_soft_tokens_per_image",
    "vocab_size_per_layer_input",
];

/// Fields of Gemma 4 that change nothing in a text, or only in some sizes.
const GEMMA4_NEUTRAL: &[&str] = &[
    "attention_bias",
    "audio_config",
    "audio_token_id",
    "boa_token_id",
    "boi_token_id",
    "eoa_token_id",
    "eoa_token_index",
    "eoi_token_id",
    "expert_intermediate_size",
    "global_head_dim",
    "image_token_id",
    "moe_intermediate_size",
    "num_experts",
    "num_global_key_value_heads",
    "top_k_experts",
    "use_bidirectional_attention",
    "use_double_wide_mlp",
    "video_token_id",
    "vision_config",
    "vision_soft_tokens_per_image",
    "vocab_size_per_layer_input",
];

const GPT2: Row = Row {
    families: &["gpt2"],
    given: &[
        ("scale_attn_weights", Given::Usually(true)),
        ("scale_attn_by_inverse_layer_idx", Given::Usually(false)),
        ("add_cross_attention", Given::Usually(false)),
    ],
    // This field only changes the order of the products.
    neutral: &["reorder_and_upcast_attn"],
    prefixes: &["transformer.", ""],
    block: "h.{layer}.",
    sizes: Sizes {
        width: "n_embd",
        layers: "n_layer",
        heads: "n_head",
        key_heads: KeyHeads::All,
        head_width: None,
        usual_head_width: None,
    },
    layout: Layout::InputOutput,
    embedding: EmbeddingRow {
        tokens: "wte.weight",
        positions: Some(("wpe.weight", 0, None)),
        ..LLAMA.embedding
    },
    norm: norm(LAYER, "layer_norm_epsilon", 1e-5),
    around_attention: [Some("ln_1"), None, None],
    around_feed_forward: [Some("ln_2"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("attn.c_attn"),
        output: "attn.c_proj",
        position: PositionRow::None,
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.c_fc", "mlp.c_proj"]),
        activation: &["activation_function"],
        usual_activation: "gelu_new",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("ln_f"),
    head: HeadRow { usually_tied: true, ..LLAMA.head },
    apart: &[".attn.bias", ".attn.masked_bias"],
    stored: StoredRow {
        positions: Some(("n_positions", 0)),
        ..shifted(ALWAYS, HiddenWidth::Usually("n_inner"))
    },
    ..LLAMA
};

const GPT_NEOX: Row = Row {
    families: &["gpt_neox"],
    given: &[("is_decoder", Given::Usually(false))],
    neutral: &["attention_bias", "rotary_emb_base"],
    prefixes: &["gpt_neox.", ""],
    sizes: Sizes { key_heads: KeyHeads::All, head_width: None, ..LLAMA.sizes },
    embedding: EmbeddingRow { tokens: "embed_in.weight", ..LLAMA.embedding },
    norm: norm(LAYER, "layer_norm_eps", 1e-5),
    parallel: Switch::Field("use_parallel_residual", true),
    attention: AttentionRow {
        projections: ProjectionsRow::Grouped("attention.query_key_value"),
        output: "attention.dense",
        position: partly_rotary(&["rotary_emb_base", "rope_theta"], &["rotary_pct"], 0.25),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]),
        activation: &["hidden_act"],
        usual_activation: "gelu",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("final_layer_norm"),
    head: HeadRow { unembedding: "embed_out", ..LLAMA.head },
    apart: &["rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"],
    stored: StoredRow {
        feed_forward_bias: ALWAYS,
        ..shifted(Switch::Field("attention_bias", true), HiddenWidth::Field("intermediate_size"))
    },
    ..LLAMA
};

const BERT: Row = Row {
    families: &["bert"],
    given: &[
        ("position_embedding_type", Given::Text("absolute")),
        ("is_decoder", Given::Usually(false)),
        ("add_cross_attention", Given::Usually(false)),
    ],
    neutral: &["type_vocab_size"],
    prefixes: &["bert.", ""],
    block: "encoder.layer.{layer}.",
    sizes: Sizes { key_heads: KeyHeads::All, head_width: None, ..LLAMA.sizes },
    causal: false,
    embedding: EmbeddingRow {
        tokens: "embeddings.word_embeddings.weight",
        positions: Some(("embeddings.position_embeddings.weight", 0, None)),
        segments: Some("embeddings.token_type_embeddings.weight"),
        norm: Some("embeddings.LayerNorm"),
        ..LLAMA.embedding
    },
    norm: norm(LAYER, "layer_norm_eps", 1e-12),
    around_attention: [None, None, Some("attention.output.LayerNorm")],
    around_feed_forward: [None, None, Some("output.LayerNorm")],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate([
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ]),
        output: "attention.output.dense",
        position: PositionRow::None,
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["intermediate.dense", "output.dense"]),
        activation: &["hidden_act"],
        usual_activation: "gelu",
        inner_norm: None,
        experts: None,
    },
    final_norm: None,
    head: HeadRow {
        unembedding: "cls.predictions.decoder",
        bias: Some("cls.predictions.bias"),
        usually_tied: true,
        transform: Some((["cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"], None)),
        ..LLAMA.head
    },
    apart: &["pooler.", "cls.seq_relationship.", "embeddings.position_ids", "cls.predictions.decoder."],
    stored: StoredRow {
        positions: Some(("max_position_embeddings", 0)),
        transform_bias: ALWAYS,
        head_bias: ALWAYS,
        ..shifted(ALWAYS, HiddenWidth::Field("intermediate_size"))
    },
    ..LLAMA
};

const ROBERTA: Row = Row {
    families: &["roberta", "xlm-roberta", "camembert"],
    prefixes: &["roberta.", ""],
    embedding: EmbeddingRow {
        positions: Some(("embeddings.position_embeddings.weight", 2, Some("pad_token_id"))),
        ..BERT.embedding
    },
    head: HeadRow {
        unembedding: "lm_head.decoder",
        bias: Some("lm_head.bias"),
        transform: Some((["lm_head.dense", "lm_head.layer_norm"], Some("gelu"))),
        ..BERT.head
    },
    apart: &["pooler.", "embeddings.position_ids", "lm_head.decoder."],
    ..BERT
};

const DISTILBERT: Row = Row {
    families: &["distilbert"],
    given: &[],
    // The checkpoint stores the sinusoids as its table of positions.
    neutral: &["sinusoidal_pos_embds", "hidden_dim", "n_heads"],
    prefixes: &["distilbert.", ""],
    block: "transformer.layer.{layer}.",
    sizes: Sizes { width: "dim", layers: "n_layers", heads: "n_heads", ..BERT.sizes },
    embedding: EmbeddingRow { segments: None, ..BERT.embedding },
    norm: norm(LAYER, "", 1e-12),
    around_attention: [None, None, Some("sa_layer_norm")],
    around_feed_forward: [None, None, Some("output_layer_norm")],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
        output: "attention.out_lin",
        ..BERT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["ffn.lin1", "ffn.lin2"]),
        activation: &["activation"],
        ..BERT.feed_forward
    },
    head: HeadRow {
        unembedding: "vocab_projector",
        bias: None,
        transform: Some((["vocab_transform", "vocab_layer_norm"], None)),
        ..BERT.head
    },
    apart: &["embeddings.position_ids", "vocab_projector.weight"],
    stored: StoredRow { hidden_width: HiddenWidth::Field("hidden_dim"), ..BERT.stored },
    ..BERT
};

const ELECTRA: Row = Row {
    families: &["electra"],
    neutral: &["type_vocab_size", "embedding_size"],
    prefixes: &["electra.", ""],
    embedding: EmbeddingRow { projection: Some("embeddings_project"), ..BERT.embedding },
    head: HeadRow {
        unembedding: "generator_lm_head",
        bias: None,
        transform: Some((["generator_predictions.dense", "generator_predictions.LayerNorm"], Some("gelu"))),
        ..BERT.head
    },
    apart: &["embeddings.position_ids", "discriminator_predictions.", "generator_lm_head.weight"],
    stored: StoredRow { embedding_width: Some("embedding_size"), embedding_bias: ALWAYS, ..BERT.stored },
    ..BERT
};

/// All layers of a group share one block.
const ALBERT: Row = Row {
    families: &["albert"],
    given: &[
        ("inner_group_num", Given::Number(1.0)),
        ("position_embedding_type", Given::Text("absolute")),
        ("is_decoder", Given::Usually(false)),
        ("add_cross_attention", Given::Usually(false)),
    ],
    neutral: &["type_vocab_size", "embedding_size"],
    prefixes: &["albert.", ""],
    block: "encoder.albert_layer_groups.{layer}.albert_layers.0.",
    stored_blocks: Some("num_hidden_groups"),
    embedding: EmbeddingRow { projection: Some("encoder.embedding_hidden_mapping_in"), ..BERT.embedding },
    around_attention: [None, None, Some("attention.LayerNorm")],
    around_feed_forward: [None, None, Some("full_layer_layer_norm")],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.query", "attention.key", "attention.value"]),
        output: "attention.dense",
        ..BERT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["ffn", "ffn_output"]),
        usual_activation: "gelu_new",
        ..BERT.feed_forward
    },
    head: HeadRow {
        unembedding: "predictions.decoder",
        bias: Some("predictions.bias"),
        transform: Some((["predictions.dense", "predictions.LayerNorm"], None)),
        ..BERT.head
    },
    apart: &["pooler.", "sop_classifier.", "embeddings.position_ids", "predictions.decoder."],
    stored: StoredRow { embedding_width: Some("embedding_size"), embedding_bias: ALWAYS, ..BERT.stored },
    ..BERT
};

/// Positions count from the row after that of padding, and each block adds a bias for distances.
const MPNET: Row = Row {
    families: &["mpnet"],
    // The family's code always counts so many.
    given: &[("relative_attention_num_buckets", Given::Number(32.0))],
    neutral: &[],
    prefixes: &["mpnet.", ""],
    embedding: EmbeddingRow {
        positions: Some(("embeddings.position_embeddings.weight", 2, None)),
        segments: None,
        ..BERT.embedding
    },
    around_attention: [None, None, Some("attention.LayerNorm")],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.attn.q", "attention.attn.k", "attention.attn.v"]),
        output: "attention.attn.o",
        position: PositionRow::Relative("encoder.relative_attention_bias.weight"),
        ..BERT.attention
    },
    head: ROBERTA.head,
    apart: ROBERTA.apart,
    ..BERT
};

const OPT: Row = Row {
    families: &["opt"],
    given: &[
        ("do_layer_norm_before", Given::Usually(true)),
        ("_remove_final_layer_norm", Given::Usually(false)),
        ("layer_norm_elementwise_affine", Given::Usually(true)),
    ],
    neutral: &["enable_bias", "word_embed_proj_dim"],
    prefixes: &["model.decoder.", "decoder.", ""],
    sizes: BERT.sizes,
    embedding: EmbeddingRow {
        positions: Some(("embed_positions.weight", 2, None)),
        projection: Some("project_in"),
        projection_place: ProjectionPlace::First,
        ..LLAMA.embedding
    },
    norm: norm(LAYER, "", 1e-5),
    around_attention: [Some("self_attn_layer_norm"), None, None],
    around_feed_forward: [Some("final_layer_norm"), None, None],
    attention: AttentionRow { output: "self_attn.out_proj", position: PositionRow::None, ..LLAMA.attention },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["fc1", "fc2"]),
        activation: &["activation_function"],
        usual_activation: "relu",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("final_layer_norm"),
    head: HeadRow { usually_tied: true, projection: Some("project_out"), ..LLAMA.head },
    apart: &[],
    stored: StoredRow {
        positions: Some(("max_position_embeddings", 2)),
        embedding_width: Some("word_embed_proj_dim"),
        ..shifted(Switch::Field("enable_bias", true), HiddenWidth::Field("ffn_dim"))
    },
    ..LLAMA
};

/// OPT-350M: norms of the sums, and none after the last block.
const OPT_350M: Row = Row {
    given: &[
        ("do_layer_norm_before", Given::Only(false)),
        ("layer_norm_elementwise_affine", Given::Usually(true)),
    ],
    neutral: &["enable_bias", "word_embed_proj_dim", "_remove_final_layer_norm"],
    around_attention: [None, None, Some("self_attn_layer_norm")],
    around_feed_forward: [None, None, Some("final_layer_norm")],
    final_norm: None,
    ..OPT
};

const GPTJ: Row = Row {
    families: &["gptj"],
    given: &[],
    neutral: &["scale_attn_weights"],
    sizes: GPT2.sizes,
    layout: Layout::OutputInput,
    embedding: EmbeddingRow { positions: None, ..GPT2.embedding },
    around_feed_forward: [Some("ln_1"), None, None],
    parallel: Switch::Is(true),
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attn.q_proj", "attn.k_proj", "attn.v_proj"]),
        output: "attn.out_proj",
        position: PositionRow::Rotary {
            pairing: Pairing::Interleaved,
            theta: &[],
            usual_theta: 10_000.0,
            turned: Turned::Count("rotary_dim", 64),
            local_theta: None,
        },
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.fc_in", "mlp.fc_out"]),
        ..GPT2.feed_forward
    },
    head: HeadRow { usually_tied: false, ..GPT2.head },
    stored: StoredRow {
        projection_bias: NEVER,
        output_bias: NEVER,
        positions: None,
        head_bias: ALWAYS,
        ..GPT2.stored
    },
    ..GPT2
};

const BLOOM: Row = Row {
    families: &["bloom"],
    given: &[("apply_residual_connection_post_layernorm", Given::Usually(false))],
    neutral: &[
        "skip_bias_add",
        "skip_bias_add_qkv",
        "attention_softmax_in_fp32",
        "masked_softmax_fusion",
        "offset_alibi",
        "seq_length",
    ],
    sizes: Sizes { width: "hidden_size", ..GPT2.sizes },
    layout: Layout::OutputInput,
    embedding: EmbeddingRow {
        tokens: "word_embeddings.weight",
        norm: Some("word_embeddings_layernorm"),
        ..LLAMA.embedding
    },
    around_attention: [Some("input_layernorm"), None, None],
    around_feed_forward: [Some("post_attention_layernorm"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Grouped("self_attention.query_key_value"),
        output: "self_attention.dense",
        position: PositionRow::Alibi,
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        activation: &[],
        usual_activation: "gelu_pytorch_tanh",
        ..GPT_NEOX.feed_forward
    },
    apart: &[],
    stored: shifted(ALWAYS, HiddenWidth::Fourfold),
    ..GPT2
};

const MPT: Row = Row {
    families: &["mpt"],
    given: &[
        ("attn_config.alibi", Given::Only(true)),
        ("attn_config.alibi_bias_max", Given::Number(8.0)),
        ("attn_config.attn_type", Given::Text("multihead_attention")),
        ("attn_config.prefix_lm", Given::Usually(false)),
        ("attn_config.qk_ln", Given::Usually(false)),
        ("attn_config.softmax_scale", Given::Absent),
        ("attn_config.attn_uses_sequence_id", Given::Usually(false)),
        ("logit_scale", Given::Absent),
    ],
    neutral: &[
        "embedding_fraction",
        "expansion_ratio",
        "learned_pos_emb",
        "max_seq_len",
        "norm_type",
        "verbose",
        "resid_pdrop",
        "attn_config.attn_impl",
        "attn_config.model_type",
        "attn_config.return_dict",
        "attn_config.output_attentions",
        "attn_config.output_hidden_states",
        "attn_config._name_or_path",
        "attn_config.chunk_size_feed_forward",
        "attn_config.is_encoder_decoder",
        "attn_config.id2label.0",
        "attn_config.id2label.1",
        "attn_config.label2id.LABEL_0",
        "attn_config.label2id.LABEL_1",
    ],
    block: "blocks.{layer}.",
    sizes: Sizes { width: "d_model", layers: "n_layers", heads: "n_heads", ..GPT2.sizes },
    layout: Layout::OutputInput,
    embedding: EmbeddingRow { positions: None, ..GPT2.embedding },
    around_attention: [Some("norm_1"), None, None],
    around_feed_forward: [Some("norm_2"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("attn.Wqkv"),
        output: "attn.out_proj",
        position: PositionRow::Alibi,
        clip: Some("attn_config.clip_qkv"),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["ffn.up_proj", "ffn.down_proj"]),
        activation: &[],
        usual_activation: "gelu",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("norm_f"),
    stored: StoredRow { hidden_width: HiddenWidth::Fourfold, ..SCALES_ONLY },
    ..GPT2
};

/// Falcon-7B: one key head, one norm before both parts.
const FALCON: Row = Row {
    families: &["falcon"],
    given: &[
        ("new_decoder_architecture", Given::Usually(false)),
        ("multi_query", Given::Usually(true)),
        ("parallel_attn", Given::Usually(true)),
        ("alibi", Given::Usually(false)),
        ("apply_residual_connection_post_layernorm", Given::Usually(false)),
    ],
    neutral: &["bias", "ffn_hidden_size", "num_kv_heads", "num_ln_in_parallel_attn", "ff_factor"],
    prefixes: &["transformer.", ""],
    block: "h.{layer}.",
    sizes: Sizes { key_heads: KeyHeads::One, head_width: None, ..LLAMA.sizes },
    embedding: EmbeddingRow { tokens: "word_embeddings.weight", ..LLAMA.embedding },
    norm: norm(LAYER, "layer_norm_epsilon", 1e-5),
    around_attention: [Some("input_layernorm"), None, None],
    around_feed_forward: [Some("input_layernorm"), None, None],
    parallel: Switch::Is(true),
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("self_attention.query_key_value"),
        output: "self_attention.dense",
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow { activation: &["activation"], ..GPT_NEOX.feed_forward },
    final_norm: Some("ln_f"),
    head: HeadRow { usually_tied: true, ..LLAMA.head },
    stored: shifted(Switch::Field("bias", false), HiddenWidth::Usually("ffn_hidden_size")),
    ..LLAMA
};

/// Falcon-40B and 180B: grouped keys, a norm before each part.
const FALCON_NEW: Row = Row {
    given: &[
        ("new_decoder_architecture", Given::Only(true)),
        ("num_ln_in_parallel_attn", Given::Number(2.0)),
        ("alibi", Given::Usually(false)),
        ("apply_residual_connection_post_layernorm", Given::Usually(false)),
    ],
    neutral: &["bias", "ffn_hidden_size", "multi_query", "parallel_attn", "ff_factor"],
    sizes: Sizes { key_heads: KeyHeads::Field("num_kv_heads", None), ..FALCON.sizes },
    around_attention: [Some("ln_attn"), None, None],
    around_feed_forward: [Some("ln_mlp"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Grouped("self_attention.query_key_value"),
        ..FALCON.attention
    },
    ..FALCON
};

/// Falcon2-11B: grouped keys, one norm before both parts.
const FALCON_11B: Row = Row {
    given: &[
        ("new_decoder_architecture", Given::Only(true)),
        ("num_ln_in_parallel_attn", Given::Number(1.0)),
        ("parallel_attn", Given::Usually(true)),
        ("alibi", Given::Usually(false)),
        ("apply_residual_connection_post_layernorm", Given::Usually(false)),
    ],
    neutral: &["bias", "ffn_hidden_size", "multi_query", "ff_factor"],
    around_attention: FALCON.around_attention,
    around_feed_forward: FALCON.around_feed_forward,
    ..FALCON_NEW
};

/// Falcon-RW: a key for each head, ALiBi, and one part after the other.
const FALCON_RW: Row = Row {
    given: &[
        ("new_decoder_architecture", Given::Usually(false)),
        ("multi_query", Given::Only(false)),
        ("parallel_attn", Given::Only(false)),
        ("alibi", Given::Only(true)),
        ("apply_residual_connection_post_layernorm", Given::Usually(false)),
    ],
    // Settings of rotary codes, which this row does not use.
    neutral: &[
        "bias",
        "ffn_hidden_size",
        "num_kv_heads",
        "num_ln_in_parallel_attn",
        "ff_factor",
        "rope_theta",
        "rope_parameters.rope_theta",
        "rope_parameters.rope_type",
    ],
    sizes: Sizes { key_heads: KeyHeads::All, ..FALCON.sizes },
    around_feed_forward: [Some("post_attention_layernorm"), None, None],
    parallel: Switch::Is(false),
    attention: AttentionRow {
        projections: ProjectionsRow::Grouped("self_attention.query_key_value"),
        position: PositionRow::CoarseAlibi,
        ..FALCON.attention
    },
    ..FALCON
};

const PHI: Row = Row {
    families: &["phi"],
    given: &[],
    neutral: &[],
    norm: norm(LAYER, "layer_norm_eps", 1e-5),
    around_feed_forward: [Some("input_layernorm"), None, None],
    parallel: Switch::Is(true),
    attention: AttentionRow {
        output: "self_attn.dense",
        qk_norm: Some(HeadNormsRow { scales: HeadScales::Shared, shift: ALWAYS, ..STABLELM_HEAD_NORMS }),
        position: partly_rotary(&["rope_theta"], &["partial_rotary_factor"], 0.5),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.fc1", "mlp.fc2"]),
        usual_activation: "gelu_new",
        ..LLAMA.feed_forward
    },
    final_norm: Some("final_layernorm"),
    stored: StoredRow { head_bias: ALWAYS, ..shifted(ALWAYS, HiddenWidth::Field("intermediate_size")) },
    ..LLAMA
};

const PHI3: Row = Row {
    families: &["phi3"],
    given: &[],
    neutral: &["original_max_position_embeddings", "attention_bias"],
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("self_attn.qkv_proj"),
        position: partly_rotary(&["rope_theta"], &["partial_rotary_factor"], 1.0),
        windows: Windows::All("sliding_window", None),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::GatedConcatenated(["mlp.gate_up_proj", "mlp.down_proj"]),
        ..LLAMA.feed_forward
    },
    stored: SCALES_ONLY,
    ..LLAMA
};

const STABLELM_HEAD_NORMS: HeadNormsRow = HeadNormsRow {
    names: ["self_attn.q_layernorm", "self_attn.k_layernorm"],
    scales: HeadScales::Listed,
    shift: NEVER,
    present: Switch::Field("qk_layernorm", false),
};

const STABLELM: Row = Row {
    families: &["stablelm"],
    given: &[("use_parallel_residual", Given::Usually(false))],
    neutral: &["use_qkv_bias"],
    norm: norm(LAYER, "layer_norm_eps", 1e-5),
    attention: AttentionRow {
        qk_norm: Some(STABLELM_HEAD_NORMS),
        position: partly_rotary(&["rope_theta"], &["partial_rotary_factor"], 0.25),
        ..LLAMA.attention
    },
    stored: StoredRow {
        projection_bias: Switch::Field("use_qkv_bias", false),
        ..shifted(NEVER, HiddenWidth::Field("intermediate_size"))
    },
    ..LLAMA
};

/// StableLM 2 12B: both parts read one norm.
const STABLELM_12B: Row = Row {
    given: &[("use_parallel_residual", Given::Only(true))],
    around_feed_forward: STABLELM.around_attention,
    parallel: Switch::Is(true),
    ..STABLELM
};

const COHERE: Row = Row {
    families: &["cohere"],
    given: &[],
    neutral: &["attention_bias"],
    norm: norm(LAYER, "layer_norm_eps", 1e-5),
    around_feed_forward: [Some("input_layernorm"), None, None],
    parallel: Switch::Is(true),
    attention: AttentionRow {
        qk_norm: Some(HeadNormsRow {
            scales: HeadScales::Matrix,
            present: Switch::Field("use_qk_norm", false),
            ..HEAD_NORMS
        }),
        position: PositionRow::Rotary {
            pairing: Pairing::Interleaved,
            theta: &["rope_theta"],
            usual_theta: 500_000.0,
            turned: Turned::All,
            local_theta: None,
        },
        ..LLAMA.attention
    },
    head: HeadRow {
        usually_tied: true,
        multiplier: Multiplier::Usually("logit_scale", 0.0625),
        ..LLAMA.head
    },
    stored: attention_bias("attention_bias", false),
    ..LLAMA
};

/// Layers without a window have no rotary positions.
const COHERE2: Row = Row {
    families: &["cohere2"],
    attention: AttentionRow {
        qk_norm: None,
        unplaced: Unplaced::Wide(None),
        windows: Windows::Every {
            window: ("sliding_window", 4096),
            pattern: &["sliding_window_pattern"],
            usual_pattern: 4,
            first: false,
        },
        position: PositionRow::Rotary {
            pairing: Pairing::Interleaved,
            theta: &["rope_theta"],
            usual_theta: 10_000.0,
            turned: Turned::All,
            local_theta: None,
        },
        ..COHERE.attention
    },
    ..COHERE
};

const STARCODER2: Row = Row {
    families: &["starcoder2"],
    given: &[],
    neutral: &["use_bias", "mlp_type", "norm_type"],
    sizes: Sizes { key_heads: KeyHeads::Field("num_key_value_heads", Some(2)), ..LLAMA.sizes },
    norm: norm(LAYER, "norm_epsilon", 1e-5),
    attention: AttentionRow { windows: Windows::All("sliding_window", None), ..LLAMA.attention },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.c_fc", "mlp.c_proj"]),
        usual_activation: "gelu_pytorch_tanh",
        ..LLAMA.feed_forward
    },
    head: HeadRow { usually_tied: true, ..LLAMA.head },
    stored: shifted(Switch::Field("use_bias", true), HiddenWidth::Field("intermediate_size")),
    ..LLAMA
};

const NEMOTRON: Row = Row {
    families: &["nemotron"],
    given: &[],
    norm: NormRow { one_plus: true, ..norm(LAYER, "norm_eps", 1e-5) },
    attention: AttentionRow {
        position: partly_rotary(
            &["rope_theta"],
            &["partial_rotary_factor", "rope_percent", "rope_percentage"],
            0.5,
        ),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.up_proj", "mlp.down_proj"]),
        usual_activation: "relu2",
        ..LLAMA.feed_forward
    },
    stored: StoredRow { shift: ALWAYS, ..LLAMA.stored },
    ..LLAMA
};

/// DeBERTa v2 and v3. The configuration says which scores of positions there are, and which of their maps are those of the tokens.
const DEBERTA_V2: Row = Row {
    families: &["deberta-v2"],
    given: &[("legacy", Given::Usually(true)), ("tie_word_embeddings", Given::Usually(true))],
    usual: &[("type_vocab_size", 0)],
    neutral: &[
        "embedding_size",
        "padding_idx",
        "pooler_hidden_act",
        "pooler_hidden_size",
        // Read only where they matter.
        "conv_act",
        "conv_groups",
        "max_relative_positions",
        "norm_rel_ebd",
        "position_buckets",
        "share_att_key",
    ],
    prefixes: &["deberta.", ""],
    sizes: Sizes { head_width: Some("attention_head_size"), ..BERT.sizes },
    embedding: EmbeddingRow {
        positioned: Switch::Field("position_biased_input", true),
        projection: Some("embeddings.embed_proj"),
        projection_place: ProjectionPlace::BeforeNorm,
        ..BERT.embedding
    },
    norm: norm(LAYER, "layer_norm_eps", 1e-7),
    attention: AttentionRow {
        projections: ProjectionsRow::Separate([
            "attention.self.query_proj",
            "attention.self.key_proj",
            "attention.self.value_proj",
        ]),
        position: PositionRow::Disentangled(DisentangledRow {
            table: "encoder.rel_embeddings.weight",
            norm: Some("encoder.LayerNorm"),
            maps: ["attention.self.pos_key_proj", "attention.self.pos_query_proj"],
            biases: [ALWAYS; 2],
        }),
        scale: ScaleRow::Disentangled,
        ..BERT.attention
    },
    convolution: Some(LocalRow {
        map: "encoder.conv.conv",
        norm: "encoder.conv.LayerNorm",
        kernel: "conv_kernel_size",
        groups: "conv_groups",
        activation: ("conv_act", "tanh"),
    }),
    apart: &[
        "pooler.",
        "classifier.",
        "qa_outputs.",
        "embeddings.position_ids",
        // Some checkpoints have parameters that their configuration leaves out.
        "embeddings.position_embeddings.",
        "encoder.rel_embeddings.",
        "encoder.LayerNorm.",
        "cls.predictions.decoder.",
        // The head of the checkpoints of DeBERTa's own code, which transformers reads only if `legacy` is false.
        "lm_predictions.",
        "mask_predictions.",
    ],
    stored: StoredRow { embedding_width: Some("embedding_size"), embedding_bias: NEVER, ..BERT.stored },
    ..BERT
};

/// The same with the head of DeBERTa's own code, in which the dense matrix has the width of the stream.
const DEBERTA_V2_OWN_HEAD: Row = Row {
    given: &[("legacy", Given::Only(false)), ("tie_word_embeddings", Given::Usually(true))],
    head: HeadRow {
        unembedding: "lm_predictions.lm_head.decoder",
        bias: Some("lm_predictions.lm_head.bias"),
        transform: Some((["lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm"], None)),
        ..DEBERTA_V2.head
    },
    apart: &[
        "pooler.",
        "classifier.",
        "qa_outputs.",
        "embeddings.position_ids",
        "embeddings.position_embeddings.",
        "encoder.rel_embeddings.",
        "encoder.LayerNorm.",
        "cls.",
        "mask_predictions.",
    ],
    ..DEBERTA_V2
};

/// The first DeBERTa. Distances have no buckets, and queries, keys and values have one matrix.
const DEBERTA: Row = Row {
    families: &["deberta"],
    given: &[
        ("legacy", Given::Usually(true)),
        ("tie_word_embeddings", Given::Usually(true)),
        ("position_buckets", Given::Absent),
        ("share_att_key", Given::Usually(false)),
        ("talking_head", Given::Usually(false)),
    ],
    sizes: BERT.sizes,
    attention: AttentionRow {
        projections: ProjectionsRow::Grouped("attention.self.in_proj"),
        biases: [Some("attention.self.q_bias"), None, Some("attention.self.v_bias")],
        position: PositionRow::Disentangled(DisentangledRow {
            table: "encoder.rel_embeddings.weight",
            norm: None,
            maps: ["attention.self.pos_proj", "attention.self.pos_q_proj"],
            biases: [NEVER, ALWAYS],
        }),
        ..DEBERTA_V2.attention
    },
    convolution: None,
    stored: StoredRow { projection_bias: NEVER, separate_bias: ALWAYS, ..DEBERTA_V2.stored },
    ..DEBERTA_V2
};

const DEBERTA_OWN_HEAD: Row = Row {
    given: &[
        ("legacy", Given::Only(false)),
        ("tie_word_embeddings", Given::Usually(true)),
        ("position_buckets", Given::Absent),
        ("share_att_key", Given::Usually(false)),
        ("talking_head", Given::Usually(false)),
    ],
    head: DEBERTA_V2_OWN_HEAD.head,
    apart: DEBERTA_V2_OWN_HEAD.apart,
    ..DEBERTA
};

const MODERNBERT: Row = Row {
    families: &["modernbert"],
    given: &[],
    neutral: &[
        "attention_bias",
        "decoder_bias",
        "deterministic_flash_attn",
        "mlp_bias",
        "norm_bias",
        "sparse_pred_ignore_index",
        "sparse_prediction",
        "position_embedding_type",
        "layer_norm_eps",
        "repad_logits_with_grad",
    ],
    prefixes: &["model.", ""],
    block: "layers.{layer}.",
    embedding: EmbeddingRow {
        tokens: "embeddings.tok_embeddings.weight",
        norm: Some("embeddings.norm"),
        ..LLAMA.embedding
    },
    norm: NormRow { bare_first: true, ..norm(LAYER, "norm_eps", 1e-5) },
    around_attention: [Some("attn_norm"), None, None],
    around_feed_forward: [Some("mlp_norm"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("attn.Wqkv"),
        output: "attn.Wo",
        position: PositionRow::Rotary {
            pairing: Pairing::Halves,
            theta: &["global_rope_theta"],
            usual_theta: 160_000.0,
            turned: Turned::All,
            local_theta: Some(("local_rope_theta", 10_000.0)),
        },
        windows: Windows::Every {
            window: ("local_attention", 128),
            pattern: &["global_attn_every_n_layers"],
            usual_pattern: 3,
            first: true,
        },
        ..BERT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::GatedConcatenated(["mlp.Wi", "mlp.Wo"]),
        activation: &["hidden_activation"],
        usual_activation: "gelu",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("final_norm"),
    head: HeadRow {
        unembedding: "decoder",
        bias: None,
        transform: Some((["head.dense", "head.norm"], Some("gelu"))),
        ..BERT.head
    },
    apart: &["decoder.weight"],
    stored: StoredRow {
        feed_forward_bias: Switch::Field("mlp_bias", false),
        shift: Switch::Field("norm_bias", false),
        transform_bias: Switch::Field("classifier_bias", false),
        head_bias: Switch::Field("decoder_bias", true),
        ..attention_bias("attention_bias", false)
    },
    ..BERT
};

/// The encoder of T5. T5 1.0 has a plain feed-forward part.
const T5: Row = Row {
    families: &["t5"],
    given: &[("feed_forward_proj", Given::Text("relu")), ("is_decoder", Given::Usually(false))],
    neutral: &[
        "d_ff",
        "dense_act_fn",
        "is_gated_act",
        "num_decoder_layers",
        "is_encoder_decoder",
        "scale_decoder_outputs",
        "dropout_rate",
    ],
    prefixes: &["encoder.", ""],
    block: "block.{layer}.",
    sizes: Sizes {
        width: "d_model",
        layers: "num_layers",
        heads: "num_heads",
        key_heads: KeyHeads::All,
        head_width: Some("d_kv"),
        usual_head_width: Some(64),
    },
    causal: false,
    embedding: EmbeddingRow { tokens: "shared.weight", ..LLAMA.embedding },
    norm: norm(RMS, "layer_norm_epsilon", 1e-6),
    around_attention: [Some("layer.0.layer_norm"), None, None],
    around_feed_forward: [Some("layer.1.layer_norm"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate([
            "layer.0.SelfAttention.q",
            "layer.0.SelfAttention.k",
            "layer.0.SelfAttention.v",
        ]),
        output: "layer.0.SelfAttention.o",
        position: PositionRow::Relative("block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        scale: ScaleRow::One,
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wo"]),
        activation: &[],
        usual_activation: "relu",
        inner_norm: None,
        experts: None,
    },
    final_norm: Some("final_layer_norm"),
    head: HeadRow { unembedding: "", ..LLAMA.head },
    apart: &["decoder.", "lm_head.", "encoder.embed_tokens."],
    stored: StoredRow { hidden_width: HiddenWidth::Field("d_ff"), ..SCALES_ONLY },
    ..LLAMA
};

const T5_GATED: Row = Row {
    given: &[("feed_forward_proj", Given::OnlyText("gated-gelu")), ("is_decoder", Given::Usually(false))],
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated([
            "layer.1.DenseReluDense.wi_0",
            "layer.1.DenseReluDense.wi_1",
            "layer.1.DenseReluDense.wo",
        ]),
        usual_activation: "gelu_new",
        ..T5.feed_forward
    },
    ..T5
};

const OLMO: Row = Row {
    families: &["olmo"],
    given: &[],
    norm: NormRow { parametric: false, ..norm(LAYER, "", 1e-5) },
    attention: AttentionRow { clip: Some("clip_qkv"), ..LLAMA.attention },
    stored: attention_bias("attention_bias", false),
    ..LLAMA
};

const OLMO2: Row = Row {
    families: &["olmo2"],
    given: &[],
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    around_attention: [None, Some("post_attention_layernorm"), None],
    around_feed_forward: [None, Some("post_feedforward_layernorm"), None],
    attention: AttentionRow {
        qk_norm: Some(HeadNormsRow { scales: HeadScales::Whole, ..HEAD_NORMS }),
        ..LLAMA.attention
    },
    stored: attention_bias("attention_bias", false),
    ..LLAMA
};

/// Three of four layers see a window. Only the others stretch their rotary positions.
const OLMO3: Row = Row {
    families: &["olmo3"],
    attention: AttentionRow {
        position: PositionRow::Rotary {
            pairing: Pairing::Halves,
            theta: &["rope_theta"],
            usual_theta: 500_000.0,
            turned: Turned::All,
            local_theta: Some(("rope_theta", 500_000.0)),
        },
        windows: Windows::Every {
            window: ("sliding_window", 4096),
            pattern: &[],
            usual_pattern: 4,
            first: false,
        },
        ..OLMO2.attention
    },
    ..OLMO2
};

/// Every fourth layer has no rotary positions.
const SMOLLM3: Row = Row {
    families: &["smollm3"],
    given: &[("use_sliding_window", Given::Usually(false))],
    neutral: &[
        "attention_bias",
        "mlp_bias",
        "layer_types",
        "max_window_layers",
        "no_rope_layer_interval",
        "sliding_window",
    ],
    sizes: Sizes { key_heads: KeyHeads::Field("num_key_value_heads", Some(4)), ..LLAMA.sizes },
    attention: AttentionRow {
        position: rotary(2_000_000.0),
        unplaced: Unplaced::Listed("no_rope_layers", ("no_rope_layer_interval", 4)),
        ..LLAMA.attention
    },
    head: HeadRow { usually_tied: true, ..LLAMA.head },
    ..LLAMA
};

const GLM: Row = Row {
    families: &["glm"],
    given: &[],
    neutral: &["attention_bias"],
    sizes: Sizes { usual_head_width: Some(128), ..LLAMA.sizes },
    norm: norm(RMS, "rms_norm_eps", 1.5625e-7),
    attention: AttentionRow {
        position: PositionRow::Rotary {
            pairing: Pairing::Interleaved,
            theta: &["rope_theta"],
            usual_theta: 10_000.0,
            turned: Turned::Share(&["partial_rotary_factor"], 0.5),
            local_theta: None,
        },
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::GatedConcatenated(["mlp.gate_up_proj", "mlp.down_proj"]),
        ..LLAMA.feed_forward
    },
    stored: StoredRow { projection_bias: Switch::Field("attention_bias", true), ..SCALES_ONLY },
    ..LLAMA
};

const GLM4: Row = Row {
    families: &["glm4"],
    around_attention: [Some("input_layernorm"), Some("post_self_attn_layernorm"), None],
    around_feed_forward: [Some("post_attention_layernorm"), Some("post_mlp_layernorm"), None],
    ..GLM
};

/// The small size has no windows. In the large one, layers without a window have no rotary positions.
const EXAONE4: Row = Row {
    families: &["exaone4"],
    given: &[],
    neutral: &["sliding_window_pattern"],
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    around_attention: [None, Some("post_attention_layernorm"), None],
    around_feed_forward: [None, Some("post_feedforward_layernorm"), None],
    attention: AttentionRow {
        qk_norm: Some(HEAD_NORMS),
        unplaced: Unplaced::Wide(Some("sliding_window")),
        windows: Windows::Every {
            window: ("sliding_window", 4096),
            pattern: &["sliding_window_pattern"],
            usual_pattern: 4,
            first: false,
        },
        ..LLAMA.attention
    },
    stored: SCALES_ONLY,
    ..LLAMA
};

const GRANITE: Row = Row {
    families: &["granite"],
    given: &[],
    embedding: EmbeddingRow { multiplier: Multiplier::Field("embedding_multiplier"), ..LLAMA.embedding },
    attention: AttentionRow { scale: ScaleRow::Field("attention_multiplier"), ..LLAMA.attention },
    head: HeadRow { multiplier: Multiplier::Inverse("logits_scaling"), ..LLAMA.head },
    residual_multiplier: Some("residual_multiplier"),
    ..LLAMA
};

/// A softmax over all experts.
const SOFTMAX_EXPERTS: ExpertsRow = ExpertsRow {
    router: "mlp.gate",
    expert: [
        "mlp.experts.{expert}.gate_proj",
        "mlp.experts.{expert}.up_proj",
        "mlp.experts.{expert}.down_proj",
    ],
    together: None,
    shared: None,
    count: &["num_experts", "num_local_experts"],
    chosen: "num_experts_per_tok",
    usual_chosen: 8,
    gate: Gate::Softmax,
    correction: None,
    groups: None,
    normalised: Switch::Field("norm_topk_prob", false),
    multiplier: Multiplier::None,
    factors: None,
    of_inputs: false,
    limit: None,
};

const MIXTRAL: Row = Row {
    families: &["mixtral"],
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    attention: AttentionRow {
        position: rotary(1_000_000.0),
        windows: Windows::All("sliding_window", None),
        ..MISTRAL.attention
    },
    feed_forward: FeedForwardRow {
        experts: Some(ExpertsRow {
            router: "block_sparse_moe.gate",
            expert: [
                "block_sparse_moe.experts.{expert}.w1",
                "block_sparse_moe.experts.{expert}.w3",
                "block_sparse_moe.experts.{expert}.w2",
            ],
            count: &["num_local_experts"],
            usual_chosen: 2,
            normalised: ALWAYS,
            ..SOFTMAX_EXPERTS
        }),
        ..LLAMA.feed_forward
    },
    ..MISTRAL
};

const QWEN3_MOE: Row = Row {
    families: &["qwen3_moe"],
    neutral: &[
        "attention_bias",
        "max_window_layers",
        "sliding_window",
        "use_sliding_window",
        "moe_intermediate_size",
        "decoder_sparse_step",
        "mlp_only_layers",
    ],
    sizes: Sizes { usual_head_width: None, ..QWEN3.sizes },
    feed_forward: FeedForwardRow { experts: Some(SOFTMAX_EXPERTS), ..LLAMA.feed_forward },
    stored: StoredRow { expert_width: "moe_intermediate_size", ..QWEN3.stored },
    ..QWEN3
};

/// Fields of Qwen3.5 that change nothing in a text: sizes that tensors show, ids of images, and layers that predict later tokens.
const QWEN3_5_NEUTRAL: &[&str] = &[
    "attention_bias",
    "attn_output_gate",
    "full_attention_interval",
    "image_token_id",
    "language_model_only",
    "mamba_ssm_dtype",
    "moe_intermediate_size",
    "mtp_num_hidden_layers",
    "mtp_use_dedicated_embeddings",
    // Published files also state it in `rope_parameters`, which counts.
    "partial_rotary_factor",
    "rope_parameters.mrope_interleaved",
    "rope_parameters.mrope_section",
    "shared_expert_intermediate_size",
    "video_token_id",
    "vision_end_token_id",
    "vision_start_token_id",
];

/// Three of four layers have linear attention. The positions of a text are the same in all three sections of its rotary code.
const QWEN3_5: Row = Row {
    families: &["qwen3_5_text"],
    given: &[
        ("attn_output_gate", Given::Usually(true)),
        // Another name of SiLU. The family's code has no other gate.
        ("output_gate_type", Given::Text("swish")),
    ],
    usual: &[
        ("linear_conv_kernel_dim", 4),
        ("linear_key_head_dim", 128),
        ("linear_value_head_dim", 128),
        ("linear_num_key_heads", 16),
        ("linear_num_value_heads", 32),
    ],
    neutral: QWEN3_5_NEUTRAL,
    sizes: Sizes { usual_head_width: Some(256), ..LLAMA.sizes },
    norm: NormRow { one_plus: true, ..LLAMA.norm },
    attention: AttentionRow {
        gated: true,
        qk_norm: Some(HEAD_NORMS),
        position: partly_rotary(&["rope_theta"], &["partial_rotary_factor"], 0.25),
        ..LLAMA.attention
    },
    delta_rule: Some(DeltaRow {
        projections: DeltaProjectionsRow::Separate([
            "linear_attn.in_proj_qkv",
            "linear_attn.in_proj_z",
            "linear_attn.in_proj_b",
            "linear_attn.in_proj_a",
        ]),
        convolution: "linear_attn.conv1d.weight",
        rates: "linear_attn.A_log",
        biases: "linear_attn.dt_bias",
        norm: "linear_attn.norm",
        output: "linear_attn.out_proj",
    }),
    // Further layers that predict later tokens.
    apart: &["mtp."],
    stored: attention_bias("attention_bias", false),
    ..LLAMA
};

/// The text of a model that also reads images: its configuration is nested, and its tensors are beside those of the tower.
const QWEN3_5_NESTED: Row = Row {
    families: &["qwen3_5"],
    given: &[
        ("text_config.attn_output_gate", Given::Usually(true)),
        ("text_config.output_gate_type", Given::Text("swish")),
    ],
    part: Some("text_config"),
    around_part: true,
    prefixes: &["model.language_model.", "language_model."],
    apart: &["mtp.", "visual."],
    ..QWEN3_5
};

const QWEN3_5_EXPERTS_ROW: ExpertsRow = ExpertsRow {
    together: Some(TogetherRow {
        names: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        layout: Layout::OutputInput,
        interleaved: false,
    }),
    shared: Some(SharedExpertRow {
        gate: Some("mlp.shared_expert_gate"),
        expert: ["mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj"],
        width: "shared_expert_intermediate_size",
        count: None,
    }),
    count: &["num_experts"],
    normalised: ALWAYS,
    ..SOFTMAX_EXPERTS
};

const QWEN3_5_EXPERTS: FeedForwardRow =
    FeedForwardRow { experts: Some(QWEN3_5_EXPERTS_ROW), ..LLAMA.feed_forward };

const QWEN3_5_MOE: Row = Row {
    families: &["qwen3_5_moe_text"],
    feed_forward: QWEN3_5_EXPERTS,
    stored: StoredRow { expert_width: "moe_intermediate_size", ..QWEN3_5.stored },
    ..QWEN3_5
};

const QWEN3_5_MOE_NESTED: Row = Row {
    families: &["qwen3_5_moe"],
    feed_forward: QWEN3_5_EXPERTS,
    stored: QWEN3_5_MOE.stored,
    ..QWEN3_5_NESTED
};

/// Its linear attention has two maps, each with the outputs of one key head after the other.
const QWEN3_NEXT: Row = Row {
    families: &["qwen3_next"],
    given: &[],
    neutral: &[
        "attention_bias",
        "decoder_sparse_step",
        "full_attention_interval",
        "intermediate_size",
        "mlp_only_layers",
        "moe_intermediate_size",
        "shared_expert_intermediate_size",
    ],
    delta_rule: Some(DeltaRow {
        projections: DeltaProjectionsRow::Grouped(["linear_attn.in_proj_qkvz", "linear_attn.in_proj_ba"]),
        convolution: "linear_attn.conv1d.weight",
        rates: "linear_attn.A_log",
        biases: "linear_attn.dt_bias",
        norm: "linear_attn.norm",
        output: "linear_attn.out_proj",
    }),
    feed_forward: FeedForwardRow {
        experts: Some(ExpertsRow {
            together: None,
            usual_chosen: 10,
            normalised: Switch::Field("norm_topk_prob", true),
            ..QWEN3_5_EXPERTS_ROW
        }),
        ..LLAMA.feed_forward
    },
    stored: QWEN3_5_MOE.stored,
    ..QWEN3_5
};

/// Every second layer sees a window. Each head has a sink, and each expert a gate and an up value with a bound.
const GPT_OSS: Row = Row {
    families: &["gpt_oss"],
    given: &[
        ("swiglu_alpha", Given::Number(1.702)),
        ("rope_parameters.rope_type", Given::Or("rope_scaling.rope_type")),
    ],
    neutral: &[
        "attention_bias",
        // Older names of fields that count.
        "experts_per_token",
        "initial_context_length",
        // The experts have the activation of `swiglu_alpha`, whatever it says.
        "hidden_act",
    ],
    sizes: Sizes {
        key_heads: KeyHeads::Field("num_key_value_heads", Some(8)),
        usual_head_width: Some(64),
        ..LLAMA.sizes
    },
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    attention: AttentionRow {
        position: rotary(150_000.0),
        windows: Windows::Every {
            window: ("sliding_window", 128),
            pattern: &[],
            usual_pattern: 2,
            first: false,
        },
        sinks: Some("self_attn.sinks"),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        activation: &[],
        usual_activation: "quick_gelu",
        experts: Some(ExpertsRow {
            router: "mlp.router",
            together: Some(TogetherRow {
                names: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
                layout: Layout::InputOutput,
                interleaved: true,
            }),
            count: &["num_local_experts"],
            usual_chosen: 4,
            // A softmax over the chosen ones.
            normalised: ALWAYS,
            limit: Some(("swiglu_limit", 7.0)),
            ..SOFTMAX_EXPERTS
        }),
        ..LLAMA.feed_forward
    },
    stored: StoredRow { feed_forward_bias: ALWAYS, ..attention_bias("attention_bias", true) },
    ..LLAMA
};

/// Keys and values come from a narrow vector. Experts are in groups.
const DEEPSEEK_V3: Row = Row {
    families: &["deepseek_v3"],
    given: &[
        ("scoring_func", Given::Text("sigmoid")),
        ("topk_method", Given::Text("noaux_tc")),
        ("moe_layer_freq", Given::Number(1.0)),
    ],
    usual: &[
        ("q_lora_rank", 1536),
        ("kv_lora_rank", 512),
        ("qk_nope_head_dim", 128),
        ("qk_rope_head_dim", 64),
        ("v_head_dim", 128),
        ("n_group", 8),
        ("topk_group", 4),
    ],
    neutral: &[
        "attention_bias",
        "aux_loss_alpha",
        "ep_size",
        "first_k_dense_replace",
        "head_dim",
        "moe_intermediate_size",
        "n_shared_experts",
        // Every head has its own keys.
        "num_key_value_heads",
        "num_nextn_predict_layers",
        "pretraining_tp",
        "qk_head_dim",
        "seq_aux",
    ],
    sizes: Sizes {
        key_heads: KeyHeads::All,
        head_width: Some("qk_nope_head_dim"),
        usual_head_width: Some(128),
        ..LLAMA.sizes
    },
    attention: AttentionRow {
        projections: ProjectionsRow::Latent(LatentRow {
            queries: "self_attn.q_proj",
            narrow: ["self_attn.q_a_proj", "self_attn.q_a_layernorm", "self_attn.q_b_proj"],
            compress: "self_attn.kv_a_proj_with_mqa",
            norm: "self_attn.kv_a_layernorm",
            expand: "self_attn.kv_b_proj",
            epsilon: 1e-6,
            interleaved: Switch::Field("rope_interleave", true),
        }),
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        experts: Some(ExpertsRow {
            shared: Some(SharedExpertRow {
                gate: None,
                expert: [
                    "mlp.shared_experts.gate_proj",
                    "mlp.shared_experts.up_proj",
                    "mlp.shared_experts.down_proj",
                ],
                width: "moe_intermediate_size",
                count: Some("n_shared_experts"),
            }),
            count: &["n_routed_experts", "num_local_experts"],
            gate: Gate::Sigmoid,
            correction: Some("mlp.gate.e_score_correction_bias"),
            groups: Some(["n_group", "topk_group"]),
            normalised: Switch::Field("norm_topk_prob", true),
            multiplier: Multiplier::Usually("routed_scaling_factor", 2.5),
            ..SOFTMAX_EXPERTS
        }),
        ..LLAMA.feed_forward
    },
    later_blocks: Some("num_nextn_predict_layers"),
    stored: StoredRow { expert_width: "moe_intermediate_size", ..attention_bias("attention_bias", false) },
    ..LLAMA
};

/// Every fourth layer has no rotary positions. The others see chunks, which only matter to long sequences.
const LLAMA4: Row = Row {
    families: &["llama4_text"],
    given: &[],
    neutral: &[
        "attention_bias",
        "attn_scale",
        "attn_temperature_tuning",
        "for_llm_compressor",
        "interleave_moe_layer_step",
        "intermediate_size_mlp",
        "layer_types",
        "moe_layers",
        "no_rope_layer_interval",
        "router_jitter_noise",
    ],
    sizes: Sizes {
        key_heads: KeyHeads::Field("num_key_value_heads", Some(8)),
        usual_head_width: Some(128),
        ..LLAMA.sizes
    },
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    attention: AttentionRow {
        qk_norm: Some(HeadNormsRow {
            names: ["", ""],
            scales: HeadScales::Nothing,
            shift: NEVER,
            present: Switch::Field("use_qk_norm", true),
        }),
        position: PositionRow::Rotary {
            pairing: Pairing::Interleaved,
            theta: &["rope_theta"],
            usual_theta: 500_000.0,
            turned: Turned::All,
            local_theta: None,
        },
        unplaced: Unplaced::Listed("no_rope_layers", ("no_rope_layer_interval", 4)),
        longest: &[("attention_chunk_size", Some(8192)), ("floor_scale", Some(8192))],
        ..LLAMA.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated([
            "feed_forward.gate_proj",
            "feed_forward.up_proj",
            "feed_forward.down_proj",
        ]),
        experts: Some(ExpertsRow {
            router: "feed_forward.router",
            together: Some(TogetherRow {
                names: ["feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"],
                layout: Layout::InputOutput,
                interleaved: false,
            }),
            shared: Some(SharedExpertRow {
                gate: None,
                expert: [
                    "feed_forward.shared_expert.gate_proj",
                    "feed_forward.shared_expert.up_proj",
                    "feed_forward.shared_expert.down_proj",
                ],
                width: "intermediate_size",
                count: None,
            }),
            count: &["num_local_experts"],
            usual_chosen: 1,
            gate: Gate::Sigmoid,
            normalised: NEVER,
            of_inputs: true,
            ..SOFTMAX_EXPERTS
        }),
        ..LLAMA.feed_forward
    },
    stored: StoredRow {
        hidden_width: HiddenWidth::Field("intermediate_size_mlp"),
        ..attention_bias("attention_bias", false)
    },
    ..LLAMA
};

/// The text of a model that also reads images.
const LLAMA4_NESTED: Row = Row {
    families: &["llama4"],
    part: Some("text_config"),
    prefixes: &["language_model.model.", "model.language_model."],
    head: HeadRow { unembedding: "language_model.lm_head", otherwise: Some("lm_head"), ..LLAMA.head },
    apart: &["vision_model.", "multi_modal_projector."],
    ..LLAMA4
};

/// Queries become larger beyond the length of the first training.
const MINISTRAL3: Row = Row {
    families: &["ministral3"],
    given: &[("rope_parameters.rope_type", Given::Or("rope_parameters.type"))],
    neutral: &["rope_parameters.llama_4_scaling_beta", "rope_parameters.max_position_embeddings"],
    sizes: Sizes { usual_head_width: Some(128), ..MISTRAL.sizes },
    norm: norm(RMS, "rms_norm_eps", 1e-5),
    attention: AttentionRow {
        position: rotary(1_000_000.0),
        windows: Windows::All("sliding_window", None),
        longest: &[("rope_parameters.original_max_position_embeddings", None)],
        ..MISTRAL.attention
    },
    ..MISTRAL
};

/// The text of a model that also reads images.
const MINISTRAL3_NESTED: Row = Row {
    families: &["mistral3"],
    given: &[
        ("text_config.model_type", Given::OnlyText("ministral3")),
        ("text_config.rope_parameters.rope_type", Given::Or("text_config.rope_parameters.type")),
    ],
    part: Some("text_config"),
    around_part: true,
    prefixes: LLAMA4_NESTED.prefixes,
    head: LLAMA4_NESTED.head,
    neutral: &[
        "rope_parameters.llama_4_scaling_beta",
        "rope_parameters.max_position_embeddings",
        "image_token_index",
        "image_token_id",
        "multimodal_projector_bias",
        "projector_hidden_act",
        "spatial_merge_size",
        "vision_feature_layer",
    ],
    apart: &["vision_tower.", "multi_modal_projector."],
    ..MINISTRAL3
};

/// All rows of families that read text.
pub(super) static TEXT: [Row; 64] = [
    LLAMA,
    MISTRAL,
    MIXTRAL,
    QWEN2,
    QWEN3,
    QWEN3_MOE,
    QWEN3_5,
    QWEN3_5_NESTED,
    QWEN3_5_MOE,
    QWEN3_5_MOE_NESTED,
    QWEN3_NEXT,
    GPT_OSS,
    DEEPSEEK_V3,
    LLAMA4,
    LLAMA4_NESTED,
    MINISTRAL3,
    MINISTRAL3_NESTED,
    GEMMA,
    GEMMA2,
    GEMMA3,
    GEMMA4,
    GEMMA4_NESTED,
    GEMMA3N,
    GEMMA3N_NESTED,
    PHI,
    PHI3,
    STABLELM,
    STABLELM_12B,
    COHERE,
    COHERE2,
    STARCODER2,
    NEMOTRON,
    OLMO,
    OLMO2,
    OLMO3,
    SMOLLM3,
    GLM,
    GLM4,
    EXAONE4,
    GRANITE,
    GPT2,
    GPTJ,
    GPT_NEOX,
    OPT,
    OPT_350M,
    BLOOM,
    MPT,
    FALCON,
    FALCON_NEW,
    FALCON_11B,
    FALCON_RW,
    BERT,
    ROBERTA,
    DISTILBERT,
    ELECTRA,
    ALBERT,
    MPNET,
    DEBERTA_V2,
    DEBERTA_V2_OWN_HEAD,
    DEBERTA,
    DEBERTA_OWN_HEAD,
    MODERNBERT,
    T5,
    T5_GATED,
];
