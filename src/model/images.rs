//! The families that read images, and the text towers in the same checkpoints: rows of the table, as in [`table`](super::table).

use super::operation::{Centring, Layout, Resizing};
use super::table::{
    ALWAYS, AttentionRow, AxialRow, EmbeddingRow, ExtraRow, FeedForwardRow, FeedForwardShape, Given,
    HeadNormsRow, HeadRow, HeadScales, HiddenWidth, ImagePositionsRow, InitialPositions, KeyHeads, LLAMA,
    LayerScaleRow, NEVER, PatchesRow, PositionRow, ProjectionsRow, Row, ScaleRow, Sizes, StoredRow, Switch,
    Unplaced, Windows, norm, shifted,
};

const BICUBIC: Option<Resizing> = Some(Resizing::Bicubic);

/// A class token, as in most families.
const CLASS: ExtraRow =
    ExtraRow { name: "embeddings.cls_token", count: None, present: ALWAYS, positioned: ALWAYS, bare: false };

const TABLE: ImagePositionsRow = ImagePositionsRow::Table {
    name: "embeddings.position_embeddings",
    present: ALWAYS,
    bare: false,
    resized: BICUBIC,
    initial: InitialPositions::Random,
};

const PATCHES: PatchesRow = PatchesRow {
    projection: "embeddings.patch_embeddings.projection",
    bias: ALWAYS,
    video: false,
    extra: &[CLASS],
    patch_norm: None,
    positions: TABLE,
    sides: None,
    norm: None,
};

/// The sizes of ViT-B/16. Configurations with these sizes leave them out.
const BASE: &[(&str, usize)] = &[
    ("hidden_size", 768),
    ("num_hidden_layers", 12),
    ("num_attention_heads", 12),
    ("intermediate_size", 3072),
    ("image_size", 224),
    ("patch_size", 16),
    ("num_channels", 3),
    ("num_frames", 16),
    ("tubelet_size", 2),
];

/// Fields that do not affect the encoder's function in any of these families. Older configurations of towers also list settings for
/// generation.
macro_rules! neutral {
    ($($own:literal),* $(,)?) => {
        &[
            "add_cross_attention",
            "apply_layernorm",
            "do_sample",
            "drop_path_rate",
            "encoder_stride",
            "image_size",
            "initializer_factor",
            "is_decoder",
            "is_encoder_decoder",
            "min_length",
            "mlp_ratio",
            "num_channels",
            "num_frames",
            "out_features",
            "out_indices",
            "patch_size",
            "pooler_act",
            "pooler_output_size",
            "qkv_bias",
            "remove_invalid_values",
            "repetition_penalty",
            "reshape_hidden_states",
            "stage_names",
            "tf_legacy_loss",
            "tie_word_embeddings",
            "tubelet_size",
            "typical_p",
            "use_mask_token",
            $($own),*
        ]
    };
}

pub(super) use neutral;

pub(super) const VIT: Row = Row {
    families: &["vit"],
    given: &[],
    part: None,
    around_part: false,
    usual: BASE,
    neutral: neutral!(),
    prefixes: &["vit.", ""],
    block: "encoder.layer.{layer}.",
    sizes: Sizes {
        width: "hidden_size",
        layers: "num_hidden_layers",
        heads: "num_attention_heads",
        key_heads: KeyHeads::All,
        head_width: None,
        usual_head_width: None,
    },
    causal: false,
    layout: Layout::OutputInput,
    embedding: LLAMA.embedding,
    patches: Some(PATCHES),
    sounds: None,
    cross: None,
    projector: None,
    delta_rule: None,
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-12),
    around_attention: [Some("layernorm_before"), None, None],
    around_feed_forward: [Some("layernorm_after"), None, None],
    layer_scale: [None, None],
    block_scale: None,
    stored_blocks: None,
    parallel: NEVER,
    attention: AttentionRow {
        projections: ProjectionsRow::Separate([
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        ]),
        gated: false,
        biases: [None; 3],
        output: "attention.output.dense",
        inner_norm: None,
        qk_norm: None,
        value_norm: false,
        global: None,
        position: PositionRow::None,
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
        shape: FeedForwardShape::Plain(["intermediate.dense", "output.dense"]),
        activation: &["hidden_act"],
        usual_activation: "gelu",
        inner_norm: None,
        experts: None,
    },
    beside: None,
    inputs: None,
    versions: None,
    laurel: None,
    sparsity: None,
    convolution: None,
    final_norm: Some("layernorm"),
    final_norm_present: ALWAYS,
    head: HeadRow { unembedding: "", ..LLAMA.head },
    feature_layer: None,
    residual_multiplier: None,
    apart: &["pooler.dense.", "embeddings.mask_token", "classifier.", "decoder."],
    later_blocks: None,
    stored: StoredRow {
        projection_bias: Switch::Field("qkv_bias", true),
        ..shifted(ALWAYS, HiddenWidth::Field("intermediate_size"))
    },
};

/// DeiT, with a class token and a distillation token.
const DEIT: Row = Row {
    families: &["deit"],
    prefixes: &["deit.", ""],
    patches: Some(PatchesRow {
        extra: &[CLASS, ExtraRow { name: "embeddings.distillation_token", ..CLASS }],
        ..PATCHES
    }),
    apart: &[
        "pooler.dense.",
        "embeddings.mask_token",
        "classifier.",
        "cls_classifier.",
        "distillation_classifier.",
        "decoder.",
    ],
    ..VIT
};

/// The encoder of MAE, which reads all patches in order.
const MAE: Row = Row {
    families: &["vit_mae"],
    neutral: neutral!(
        "decoder_hidden_size",
        "decoder_intermediate_size",
        "decoder_num_attention_heads",
        "decoder_num_hidden_layers",
        "mask_ratio",
        "norm_pix_loss",
    ),
    patches: Some(PatchesRow {
        positions: ImagePositionsRow::Table {
            name: "embeddings.position_embeddings",
            present: ALWAYS,
            bare: false,
            resized: BICUBIC,
            initial: InitialPositions::Sines,
        },
        ..PATCHES
    }),
    ..VIT
};

const DINOV2: Row = Row {
    families: &["dinov2"],
    given: &[("use_swiglu_ffn", Given::Usually(false))],
    prefixes: &["dinov2.", ""],
    usual: &[
        ("hidden_size", 768),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 12),
        ("image_size", 224),
        ("patch_size", 14),
        ("num_channels", 3),
    ],
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-6),
    around_attention: [Some("norm1"), None, None],
    around_feed_forward: [Some("norm2"), None, None],
    layer_scale: [
        Some(LayerScaleRow { name: "layer_scale1.lambda1", initial: ("layerscale_value", 1.0) }),
        Some(LayerScaleRow { name: "layer_scale2.lambda1", initial: ("layerscale_value", 1.0) }),
    ],
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.fc1", "mlp.fc2"]),
        ..VIT.feed_forward
    },
    stored: StoredRow { hidden_width: HiddenWidth::Ratio("mlp_ratio", 4.0), ..VIT.stored },
    ..VIT
};

/// DINOv2-giant, with a gated feed-forward part.
const DINOV2_GATED: Row = Row {
    given: &[("use_swiglu_ffn", Given::Only(true))],
    neutral: neutral!("hidden_act"),
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::GatedConcatenated(["mlp.weights_in", "mlp.weights_out"]),
        activation: &[],
        usual_activation: "silu",
        inner_norm: None,
        experts: None,
    },
    stored: StoredRow { hidden_width: HiddenWidth::TwoThirds("mlp_ratio", 4.0), ..DINOV2.stored },
    ..DINOV2
};

/// Register tokens after the class token. They have no positions.
const REGISTERS: PatchesRow = PatchesRow {
    extra: &[
        CLASS,
        ExtraRow {
            name: "embeddings.register_tokens",
            count: Some(("num_register_tokens", 4)),
            positioned: NEVER,
            ..CLASS
        },
    ],
    positions: ImagePositionsRow::Table {
        name: "embeddings.position_embeddings",
        present: ALWAYS,
        bare: false,
        resized: Some(Resizing::Antialiased),
        initial: InitialPositions::Random,
    },
    ..PATCHES
};

const DINOV2_REGISTERS: Row = Row {
    families: &["dinov2_with_registers"],
    prefixes: &["dinov2_with_registers.", ""],
    patches: Some(REGISTERS),
    ..DINOV2
};

const DINOV2_REGISTERS_GATED: Row = Row {
    families: &["dinov2_with_registers"],
    prefixes: &["dinov2_with_registers.", ""],
    patches: Some(REGISTERS),
    ..DINOV2_GATED
};

/// DINOv3: positions turn queries and keys, and are not stored.
const DINOV3: Row = Row {
    families: &["dinov3_vit"],
    given: &[("use_gated_mlp", Given::Usually(false))],
    prefixes: &[""],
    block: "layer.{layer}.",
    usual: &[
        ("hidden_size", 384),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 6),
        ("intermediate_size", 1536),
        ("image_size", 224),
        ("patch_size", 16),
        ("num_channels", 3),
    ],
    neutral: neutral!(
        "_out_features",
        "_out_indices",
        "key_bias",
        "mlp_bias",
        // Shifts and factors of positions in training.
        "pos_embed_jitter",
        "pos_embed_rescale",
        "pos_embed_shift",
        "proj_bias",
        "query_bias",
        "return_class_token",
        "value_bias",
    ),
    patches: Some(PatchesRow {
        projection: "embeddings.patch_embeddings",
        extra: &[
            CLASS,
            ExtraRow { name: "embeddings.register_tokens", count: Some(("num_register_tokens", 0)), ..CLASS },
        ],
        positions: ImagePositionsRow::None,
        ..PATCHES
    }),
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-5),
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.q_proj", "attention.k_proj", "attention.v_proj"]),
        output: "attention.o_proj",
        position: PositionRow::Axial(AxialRow {
            present: ALWAYS,
            halves: ALWAYS,
            centres: ALWAYS,
            theta: ("rope_theta", 100.0),
            reference: None,
        }),
        ..VIT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.up_proj", "mlp.down_proj"]),
        ..VIT.feed_forward
    },
    final_norm: Some("norm"),
    stored: StoredRow {
        projection_bias: Switch::Field("query_bias", true),
        key_bias: Some(Switch::Field("key_bias", false)),
        value_bias: Some(Switch::Field("value_bias", true)),
        output_bias: Switch::Field("proj_bias", true),
        feed_forward_bias: Switch::Field("mlp_bias", true),
        ..VIT.stored
    },
    ..DINOV2
};

const DINOV3_GATED: Row = Row {
    given: &[("use_gated_mlp", Given::Only(true))],
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]),
        ..VIT.feed_forward
    },
    ..DINOV3
};

const BEIT: Row = Row {
    families: &["beit"],
    neutral: neutral!(
        "add_fpn",
        "auxiliary_channels",
        "auxiliary_concat_input",
        "auxiliary_loss_weight",
        "auxiliary_num_convs",
        "pool_scales",
        "semantic_loss_ignore_index",
        "use_auxiliary_head",
        "vocab_size",
    ),
    prefixes: &["beit.", ""],
    patches: Some(PatchesRow {
        extra: &[ExtraRow { positioned: Switch::Field("use_absolute_position_embeddings", false), ..CLASS }],
        positions: ImagePositionsRow::Table {
            name: "embeddings.position_embeddings",
            present: Switch::Field("use_absolute_position_embeddings", false),
            bare: false,
            resized: None,
            initial: InitialPositions::Random,
        },
        ..PATCHES
    }),
    layer_scale: [
        Some(LayerScaleRow { name: "lambda_1", initial: ("layer_scale_init_value", 0.1) }),
        Some(LayerScaleRow { name: "lambda_2", initial: ("layer_scale_init_value", 0.1) }),
    ],
    attention: AttentionRow {
        position: PositionRow::Window {
            own: (
                "attention.attention.relative_position_bias.relative_position_bias_table",
                Switch::Field("use_relative_position_bias", false),
            ),
            shared: (
                "encoder.relative_position_bias.relative_position_bias_table",
                Switch::Field("use_shared_relative_position_bias", false),
            ),
        },
        ..VIT.attention
    },
    // Otherwise the norm applies to the mean over the patches, not to the stream.
    final_norm_present: Switch::Unless("use_mean_pooling", true),
    apart: &[
        "pooler.",
        "relative_position_index",
        "embeddings.mask_token",
        "classifier.",
        "decode_head.",
        "auxiliary_head.",
        "fpn1.",
        "fpn2.",
        "lm_head.",
    ],
    stored: StoredRow { projection_bias: ALWAYS, key_bias: Some(NEVER), ..VIT.stored },
    ..VIT
};

const VIDEOMAE: Row = Row {
    families: &["videomae"],
    neutral: neutral!(
        "decoder_hidden_size",
        "decoder_intermediate_size",
        "decoder_num_attention_heads",
        "decoder_num_hidden_layers",
        "norm_pix_loss",
    ),
    prefixes: &["videomae.", ""],
    patches: Some(PatchesRow { video: true, extra: &[], positions: ImagePositionsRow::Sines, ..PATCHES }),
    attention: AttentionRow {
        biases: [Some("attention.attention.q_bias"), None, Some("attention.attention.v_bias")],
        ..VIT.attention
    },
    final_norm_present: Switch::Unless("use_mean_pooling", true),
    apart: &[
        "decoder.",
        "encoder_to_decoder.",
        "mask_token",
        "position_embeddings",
        "fc_norm.",
        "classifier.",
    ],
    stored: StoredRow {
        projection_bias: NEVER,
        separate_bias: Switch::Field("qkv_bias", true),
        ..VIT.stored
    },
    ..VIT
};

pub(super) const CLIP_ATTENTION: AttentionRow = AttentionRow {
    projections: ProjectionsRow::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    output: "self_attn.out_proj",
    ..VIT.attention
};

const CLIP_FEED_FORWARD: FeedForwardRow = FeedForwardRow {
    shape: FeedForwardShape::Plain(["mlp.fc1", "mlp.fc2"]),
    activation: &["hidden_act"],
    usual_activation: "quick_gelu",
    inner_norm: None,
    experts: None,
};

pub(super) const CLIP_TABLE: ImagePositionsRow = ImagePositionsRow::Table {
    name: "embeddings.position_embedding.weight",
    present: ALWAYS,
    bare: true,
    resized: BICUBIC,
    initial: InitialPositions::Random,
};

/// The image tower of CLIP. The projections of both towers and all of the text tower take no part.
pub(super) const CLIP_VISION: Row = Row {
    families: &["clip", "clip_vision_model"],
    part: Some("vision_config"),
    usual: &[
        ("hidden_size", 768),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 12),
        ("intermediate_size", 3072),
        ("image_size", 224),
        ("patch_size", 32),
        ("num_channels", 3),
    ],
    neutral: neutral!("projection_dim"),
    prefixes: &["vision_model."],
    block: "encoder.layers.{layer}.",
    patches: Some(PatchesRow {
        projection: "embeddings.patch_embedding",
        bias: NEVER,
        extra: &[ExtraRow { name: "embeddings.class_embedding", bare: true, ..CLASS }],
        positions: CLIP_TABLE,
        norm: Some(("pre_layrnorm", ALWAYS)),
        ..PATCHES
    }),
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-5),
    around_attention: [Some("layer_norm1"), None, None],
    around_feed_forward: [Some("layer_norm2"), None, None],
    attention: CLIP_ATTENTION,
    feed_forward: CLIP_FEED_FORWARD,
    // In the full model, this norm only applies to the class token.
    final_norm: Some("post_layernorm"),
    apart: &[
        "text_model.",
        "text_projection.",
        "visual_projection.",
        "logit_scale",
        "position_ids",
        "classifier.",
    ],
    stored: shifted(ALWAYS, HiddenWidth::Field("intermediate_size")),
    ..VIT
};

const CLIP_TEXT: Row = Row {
    families: &["clip", "clip_text_model"],
    part: Some("text_config"),
    usual: &[
        ("vocab_size", 49_408),
        ("hidden_size", 512),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 8),
        ("intermediate_size", 2048),
        ("max_position_embeddings", 77),
    ],
    neutral: neutral!("projection_dim"),
    prefixes: &["text_model."],
    causal: true,
    embedding: EmbeddingRow {
        tokens: "embeddings.token_embedding.weight",
        positions: Some(("embeddings.position_embedding.weight", 0, None)),
        ..LLAMA.embedding
    },
    patches: None,
    final_norm: Some("final_layer_norm"),
    apart: &["vision_model.", "text_projection.", "visual_projection.", "logit_scale", "position_ids"],
    stored: StoredRow { positions: Some(("max_position_embeddings", 0)), ..CLIP_VISION.stored },
    ..CLIP_VISION
};

pub(super) const SIGLIP_VISION: Row = Row {
    families: &["siglip", "siglip_vision_model"],
    usual: BASE,
    neutral: neutral!("vision_use_head"),
    patches: Some(PatchesRow {
        projection: "embeddings.patch_embedding",
        extra: &[],
        positions: CLIP_TABLE,
        ..PATCHES
    }),
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-6),
    feed_forward: FeedForwardRow { usual_activation: "gelu_pytorch_tanh", ..CLIP_FEED_FORWARD },
    // The head pools by attention.
    apart: &["text_model.", "vision_model.head.", "logit_scale", "logit_bias", "position_ids", "classifier."],
    ..CLIP_VISION
};

/// The text tower of SigLIP, in which every token sees every other.
const SIGLIP_TEXT: Row = Row {
    families: &["siglip", "siglip_text_model"],
    usual: &[
        ("vocab_size", 32_000),
        ("hidden_size", 768),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 12),
        ("intermediate_size", 3072),
        ("max_position_embeddings", 64),
    ],
    neutral: neutral!("projection_size"),
    causal: false,
    norm: SIGLIP_VISION.norm,
    feed_forward: SIGLIP_VISION.feed_forward,
    apart: &["vision_model.", "text_model.head.", "logit_scale", "logit_bias", "position_ids"],
    ..CLIP_TEXT
};

/// AIMv2: RMSNorms, the first of them on the patches before positions are added, and a gated part. Those that take images of any size
/// (`is_native`) have other positions.
const AIMV2_VISION: Row = Row {
    families: &["aimv2_vision_model"],
    given: &[("is_native", Given::Usually(false))],
    usual: &[
        ("hidden_size", 1024),
        ("num_hidden_layers", 24),
        ("num_attention_heads", 8),
        ("intermediate_size", 2816),
        ("image_size", 224),
        ("patch_size", 14),
        ("num_channels", 3),
    ],
    neutral: neutral!("mlp_bias", "use_head"),
    prefixes: &[""],
    block: "encoder.layers.{layer}.",
    patches: Some(PatchesRow {
        projection: "embeddings.patch_embed",
        extra: &[],
        patch_norm: Some("embeddings.rms_norm"),
        positions: ImagePositionsRow::Table {
            name: "embeddings.position_embedding.weight",
            present: ALWAYS,
            bare: true,
            resized: None,
            initial: InitialPositions::Random,
        },
        ..PATCHES
    }),
    norm: norm(Centring::None, "rms_norm_eps", 1e-5),
    around_attention: [Some("rms_norm1"), None, None],
    around_feed_forward: [Some("rms_norm2"), None, None],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.q_proj", "attention.k_proj", "attention.v_proj"]),
        output: "attention.out_proj",
        ..VIT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated(["ffn.gate_proj", "ffn.up_proj", "ffn.down_proj"]),
        usual_activation: "silu",
        ..VIT.feed_forward
    },
    final_norm: Some("rms_norm"),
    // The head is a pooling by attention.
    apart: &["head.", "classifier."],
    stored: StoredRow {
        projection_bias: Switch::Field("qkv_bias", false),
        output_bias: Switch::Field("qkv_bias", false),
        ..LLAMA.stored
    },
    ..VIT
};

/// timm's vision transformer. [`timm`](super::timm) makes its fields from timm's options.
const TIMM_VIT: Row = Row {
    families: &["timm_vit"],
    given: &[("gated", Given::Usually(false))],
    neutral: &["embed_class", "gated", "mlp_ratio", "qkv_bias"],
    prefixes: &[""],
    block: "blocks.{layer}.",
    patches: Some(TIMM_PATCHES),
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-6),
    around_attention: [Some("norm1"), None, None],
    around_feed_forward: [Some("norm2"), None, None],
    layer_scale: [
        Some(LayerScaleRow { name: "ls1.gamma", initial: ("init_values", 0.0) }),
        Some(LayerScaleRow { name: "ls2.gamma", initial: ("init_values", 0.0) }),
    ],
    attention: AttentionRow {
        projections: ProjectionsRow::Concatenated("attn.qkv"),
        output: "attn.proj",
        qk_norm: Some(HeadNormsRow {
            names: ["attn.q_norm", "attn.k_norm"],
            scales: HeadScales::Shared,
            shift: ALWAYS,
            present: Switch::Field("qk_norm", false),
        }),
        ..VIT.attention
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["mlp.fc1", "mlp.fc2"]),
        ..VIT.feed_forward
    },
    final_norm: Some("norm"),
    final_norm_present: Switch::Field("final_norm", true),
    apart: &["head.", "head_dist.", "fc_norm.", "attn_pool."],
    stored: StoredRow { hidden_width: HiddenWidth::Ratio("mlp_ratio", 4.0), ..VIT.stored },
    ..VIT
};

const TIMM_CLASS: ExtraRow = ExtraRow {
    name: "cls_token",
    count: None,
    present: Switch::Field("class_token", true),
    positioned: Switch::Field("embed_class", true),
    bare: false,
};

const TIMM_PATCHES: PatchesRow = PatchesRow {
    projection: "patch_embed.proj",
    bias: Switch::Unless("pre_norm", false),
    video: false,
    extra: &[
        TIMM_CLASS,
        ExtraRow { name: "dist_token", present: Switch::Field("distilled", false), ..TIMM_CLASS },
        ExtraRow {
            name: "reg_token",
            count: Some(("num_register_tokens", 0)),
            present: ALWAYS,
            ..TIMM_CLASS
        },
    ],
    patch_norm: None,
    positions: ImagePositionsRow::Table {
        name: "pos_embed",
        present: Switch::Field("positions", true),
        bare: false,
        resized: None,
        initial: InitialPositions::Random,
    },
    sides: None,
    norm: Some(("norm_pre", Switch::Field("pre_norm", false))),
};

/// timm's vision transformer with a gated part whose input matrices are one.
const TIMM_VIT_GATED: Row = Row {
    given: &[("gated", Given::Only(true))],
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::GatedConcatenated(["mlp.fc1", "mlp.fc2"]),
        ..TIMM_VIT.feed_forward
    },
    ..TIMM_VIT
};

/// timm's BEiT, with separately stored biases of queries and values.
const TIMM_BEIT: Row = Row {
    families: &["timm_beit"],
    given: &[],
    layer_scale: [
        Some(LayerScaleRow { name: "gamma_1", initial: ("init_values", 0.0) }),
        Some(LayerScaleRow { name: "gamma_2", initial: ("init_values", 0.0) }),
    ],
    attention: AttentionRow {
        biases: [Some("attn.q_bias"), None, Some("attn.v_bias")],
        qk_norm: None,
        position: PositionRow::Window {
            own: ("attn.relative_position_bias_table", Switch::Field("own_window", false)),
            shared: ("rel_pos_bias.relative_position_bias_table", Switch::Field("shared_window", false)),
        },
        ..TIMM_VIT.attention
    },
    apart: &["head.", "fc_norm.", "relative_position_index"],
    stored: StoredRow {
        projection_bias: NEVER,
        separate_bias: Switch::Field("qkv_bias", true),
        ..TIMM_VIT.stored
    },
    ..TIMM_VIT
};

/// timm's EVA, and what it builds of the same blocks: EVA-02 and DINOv3. Positions may turn queries and keys. A table is added as well if
/// the architecture has one.
const TIMM_EVA: Row = Row {
    families: &["timm_eva"],
    given: &[
        ("fused", Given::Only(true)),
        ("gate", Given::OnlyText("none")),
        ("post_norm", Given::Only(false)),
    ],
    attention: AttentionRow {
        inner_norm: Some(("attn.norm", Switch::Field("attention_norm", false))),
        position: PositionRow::Axial(AxialRow {
            present: Switch::Field("rotary", false),
            halves: Switch::Field("rotary_halves", false),
            centres: Switch::Field("rotary_centres", false),
            theta: ("rope_theta", 10_000.0),
            reference: Some("rotary_grid"),
        }),
        ..TIMM_BEIT.attention
    },
    apart: &["head.", "fc_norm.", "attn_pool."],
    stored: StoredRow { hidden_width: HiddenWidth::Field("intermediate_size"), ..TIMM_BEIT.stored },
    ..TIMM_BEIT
};

/// EVA-02 of the largest size, with norms behind its parts. It has no LayerScale, whatever the configuration says.
const TIMM_EVA_POST: Row = Row {
    neutral: &["embed_class", "gated", "init_values", "mlp_ratio", "qkv_bias"],
    given: &[
        ("fused", Given::Only(true)),
        ("gate", Given::OnlyText("none")),
        ("post_norm", Given::Only(true)),
    ],
    around_attention: [None, Some("norm1"), None],
    around_feed_forward: [None, Some("norm2"), None],
    layer_scale: [None, None],
    ..TIMM_EVA
};

/// EVA-02 of small sizes: a gated part whose input matrices are one.
const TIMM_EVA_PACKED: Row = Row {
    given: &[
        ("fused", Given::Only(true)),
        ("gate", Given::OnlyText("packed")),
        ("post_norm", Given::Only(false)),
    ],
    feed_forward: FeedForwardRow { usual_activation: "silu", ..TIMM_VIT_GATED.feed_forward },
    ..TIMM_EVA
};

/// DINOv3 of some sizes: a gated part with two input matrices.
const TIMM_EVA_GATED: Row = Row {
    given: &[
        ("fused", Given::Only(true)),
        ("gate", Given::OnlyText("separate")),
        ("post_norm", Given::Only(false)),
    ],
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Gated(["mlp.fc1_g", "mlp.fc1_x", "mlp.fc2"]),
        inner_norm: Some(("mlp.norm", Switch::Field("hidden_norm", false))),
        ..TIMM_EVA_PACKED.feed_forward
    },
    ..TIMM_EVA
};

/// EVA-02 of larger sizes: separate maps to queries, keys and values.
const TIMM_EVA02: Row = Row {
    given: &[
        ("fused", Given::Only(false)),
        ("gate", Given::OnlyText("separate")),
        ("post_norm", Given::Only(false)),
    ],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attn.q_proj", "attn.k_proj", "attn.v_proj"]),
        biases: [None; 3],
        ..TIMM_EVA.attention
    },
    stored: StoredRow {
        projection_bias: Switch::Field("qkv_bias", true),
        key_bias: Some(NEVER),
        separate_bias: NEVER,
        ..TIMM_EVA.stored
    },
    ..TIMM_EVA_GATED
};

/// All rows of families that read images. Of two towers, the one that reads images comes first.
pub(super) static IMAGES: [Row; 24] = [
    VIT,
    DEIT,
    MAE,
    DINOV2,
    DINOV2_GATED,
    DINOV2_REGISTERS,
    DINOV2_REGISTERS_GATED,
    DINOV3,
    DINOV3_GATED,
    BEIT,
    VIDEOMAE,
    CLIP_VISION,
    CLIP_TEXT,
    SIGLIP_VISION,
    SIGLIP_TEXT,
    AIMV2_VISION,
    TIMM_VIT,
    TIMM_VIT_GATED,
    TIMM_BEIT,
    TIMM_EVA,
    TIMM_EVA_POST,
    TIMM_EVA_PACKED,
    TIMM_EVA_GATED,
    TIMM_EVA02,
];
