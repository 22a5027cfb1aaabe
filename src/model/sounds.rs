//! The families that read sounds: rows of the table, as in [`table`](super::table).

use super::images::{CLIP_ATTENTION, VIT};
use super::operation::Centring;
use super::table::{
    ALWAYS, AttentionRow, ConvolutionsRow, CrossRow, EmbeddingRow, FeedForwardRow, FeedForwardShape, Given,
    HeadRow, HiddenWidth, LLAMA, NEVER, ProjectionsRow, Row, Sizes, SoundPositionsRow, SoundProjectionRow,
    SoundsRow, StoredRow, Switch, norm, shifted,
};

/// The encoder of Whisper.
const WHISPER: Row = Row {
    families: &["whisper"],
    usual: &[
        ("d_model", 384),
        ("encoder_layers", 4),
        ("encoder_attention_heads", 6),
        ("encoder_ffn_dim", 1536),
        ("num_mel_bins", 80),
        ("max_source_positions", 1500),
    ],
    neutral: &[
        "apply_spec_augment",
        "decoder_attention_heads",
        "decoder_ffn_dim",
        "decoder_layerdrop",
        "decoder_layers",
        "encoder_ffn_dim",
        "encoder_layerdrop",
        "forced_decoder_ids",
        "is_encoder_decoder",
        "mask_feature_length",
        "mask_feature_min_masks",
        "mask_feature_prob",
        "mask_time_length",
        "mask_time_min_masks",
        "mask_time_prob",
        "max_target_positions",
        "median_filter_width",
        "num_hidden_layers",
        // The encoder does not use it.
        "scale_embedding",
        "tie_word_embeddings",
        "use_weighted_layer_sum",
    ],
    prefixes: &["model.encoder.", "encoder."],
    block: "layers.{layer}.",
    sizes: Sizes {
        width: "d_model",
        layers: "encoder_layers",
        heads: "encoder_attention_heads",
        ..VIT.sizes
    },
    patches: None,
    sounds: Some(SoundsRow {
        channels: Some("num_mel_bins"),
        convolutions: ConvolutionsRow::Named(&[("conv1", 1), ("conv2", 2)]),
        projection: None,
        positions: SoundPositionsRow::Table {
            name: "embed_positions.weight",
            tokens: "max_source_positions",
        },
        norm: None,
    }),
    norm: norm(Centring::Mean, "", 1e-5),
    around_attention: [Some("self_attn_layer_norm"), None, None],
    around_feed_forward: [Some("final_layer_norm"), None, None],
    attention: CLIP_ATTENTION,
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["fc1", "fc2"]),
        activation: &["activation_function"],
        ..VIT.feed_forward
    },
    final_norm: Some("layer_norm"),
    apart: &["decoder.", "proj_out.", "projector.", "classifier.", "layer_weights"],
    stored: StoredRow { key_bias: Some(NEVER), ..shifted(ALWAYS, HiddenWidth::Field("encoder_ffn_dim")) },
    ..VIT
};

/// The decoder of Whisper.
const WHISPER_DECODER: Row = Row {
    usual: &[
        ("d_model", 384),
        ("decoder_layers", 4),
        ("decoder_attention_heads", 6),
        ("decoder_ffn_dim", 1536),
        ("max_target_positions", 448),
        ("vocab_size", 51_865),
    ],
    neutral: &[
        "apply_spec_augment",
        "decoder_ffn_dim",
        "decoder_layerdrop",
        "encoder_attention_heads",
        "encoder_ffn_dim",
        "encoder_layerdrop",
        "encoder_layers",
        "forced_decoder_ids",
        "is_encoder_decoder",
        "mask_feature_length",
        "mask_feature_min_masks",
        "mask_feature_prob",
        "mask_time_length",
        "mask_time_min_masks",
        "mask_time_prob",
        "max_source_positions",
        "max_target_positions",
        "median_filter_width",
        "num_hidden_layers",
        "num_mel_bins",
        // transformers computes √d from it, but does not use that.
        "scale_embedding",
        "use_weighted_layer_sum",
    ],
    prefixes: &["model.decoder.", "decoder."],
    sizes: Sizes { layers: "decoder_layers", heads: "decoder_attention_heads", ..WHISPER.sizes },
    causal: true,
    embedding: EmbeddingRow { positions: Some(("embed_positions.weight", 0, None)), ..LLAMA.embedding },
    sounds: None,
    cross: Some(CrossRow {
        projections: ["encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj"],
        output: "encoder_attn.out_proj",
        around: [Some("encoder_attn_layer_norm"), None, None],
    }),
    head: HeadRow { unembedding: "proj_out", usually_tied: true, ..LLAMA.head },
    apart: &["encoder.", "projector.", "classifier.", "layer_weights"],
    stored: StoredRow {
        hidden_width: HiddenWidth::Field("decoder_ffn_dim"),
        positions: Some(("max_target_positions", 0)),
        ..WHISPER.stored
    },
    ..WHISPER
};

/// Fields that do not affect the function of wav2vec 2.0: training, heads, and sizes that tensors show.
const TRAINING: &[&str] = &[
    "adapter_kernel_size",
    "adapter_stride",
    "apply_spec_augment",
    "codevector_dim",
    "contrastive_logits_temperature",
    "ctc_loss_reduction",
    "ctc_zero_infinity",
    "freeze_feat_extract_train",
    "mask_channel_length",
    "mask_channel_min_space",
    "mask_channel_other",
    "mask_channel_prob",
    "mask_channel_selection",
    "mask_feature_length",
    "mask_feature_min_masks",
    "mask_feature_prob",
    "mask_time_length",
    "mask_time_min_masks",
    "mask_time_min_space",
    "mask_time_other",
    "mask_time_prob",
    "mask_time_selection",
    "no_mask_channel_overlap",
    "no_mask_time_overlap",
    "num_adapter_layers",
    "num_codevector_groups",
    "num_codevectors_per_group",
    "num_feat_extract_layers",
    "num_negatives",
    "proj_codevector_dim",
    "tdnn_dilation",
    "tdnn_dim",
    "tdnn_kernel",
    "tie_word_embeddings",
    "use_weighted_layer_sum",
    "xvector_output_dim",
];

const WAV2VEC2_SOUNDS: SoundsRow = SoundsRow {
    channels: None,
    convolutions: ConvolutionsRow::Listed {
        map: "feature_extractor.conv_layers.{layer}.conv",
        norm: "feature_extractor.conv_layers.{layer}.layer_norm",
    },
    projection: Some(SoundProjectionRow {
        norm: ("feature_projection.layer_norm", ALWAYS),
        map: "feature_projection.projection",
    }),
    positions: SoundPositionsRow::Convolution("encoder.pos_conv_embed.conv"),
    norm: Some("encoder.layer_norm"),
};

/// wav2vec 2.0 with norms after the sums: the base model.
const WAV2VEC2: Row = Row {
    families: &["wav2vec2"],
    given: &[
        ("do_stable_layer_norm", Given::Usually(false)),
        ("add_adapter", Given::Usually(false)),
        ("adapter_attn_dim", Given::Absent),
    ],
    usual: &[
        ("hidden_size", 768),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 12),
        ("intermediate_size", 3072),
        ("num_conv_pos_embeddings", 128),
        ("num_conv_pos_embedding_groups", 16),
    ],
    neutral: TRAINING,
    prefixes: &["wav2vec2.", ""],
    block: "encoder.layers.{layer}.",
    patches: None,
    sounds: Some(WAV2VEC2_SOUNDS),
    norm: norm(Centring::Mean, "layer_norm_eps", 1e-5),
    around_attention: [None, None, Some("layer_norm")],
    around_feed_forward: [None, None, Some("final_layer_norm")],
    attention: AttentionRow {
        projections: ProjectionsRow::Separate(["attention.q_proj", "attention.k_proj", "attention.v_proj"]),
        output: "attention.out_proj",
        ..CLIP_ATTENTION
    },
    feed_forward: FeedForwardRow {
        shape: FeedForwardShape::Plain(["feed_forward.intermediate_dense", "feed_forward.output_dense"]),
        ..VIT.feed_forward
    },
    final_norm: None,
    apart: &[
        "masked_spec_embed",
        "lm_head.",
        "quantizer.",
        "project_hid.",
        "project_q.",
        "projector.",
        "classifier.",
        "layer_weights",
    ],
    stored: shifted(ALWAYS, HiddenWidth::Field("intermediate_size")),
    ..VIT
};

/// wav2vec 2.0 with norms before the parts: the large models trained on much data.
const WAV2VEC2_STABLE: Row = Row {
    given: &[
        ("do_stable_layer_norm", Given::Only(true)),
        ("add_adapter", Given::Usually(false)),
        ("adapter_attn_dim", Given::Absent),
    ],
    sounds: Some(SoundsRow { norm: None, ..WAV2VEC2_SOUNDS }),
    around_attention: [Some("layer_norm"), None, None],
    around_feed_forward: [Some("final_layer_norm"), None, None],
    final_norm: Some("encoder.layer_norm"),
    ..WAV2VEC2
};

const HUBERT_SOUNDS: SoundsRow = SoundsRow {
    projection: Some(SoundProjectionRow {
        norm: ("feature_projection.layer_norm", Switch::Field("feat_proj_layer_norm", true)),
        map: "feature_projection.projection",
    }),
    ..WAV2VEC2_SOUNDS
};

const HUBERT: Row = Row {
    families: &["hubert"],
    given: &[
        ("do_stable_layer_norm", Given::Usually(false)),
        ("conv_pos_batch_norm", Given::Usually(false)),
        ("adapter_attn_dim", Given::Absent),
    ],
    prefixes: &["hubert.", ""],
    sounds: Some(HUBERT_SOUNDS),
    ..WAV2VEC2
};

const HUBERT_STABLE: Row = Row {
    families: &["hubert"],
    given: &[
        ("do_stable_layer_norm", Given::Only(true)),
        ("conv_pos_batch_norm", Given::Usually(false)),
        ("adapter_attn_dim", Given::Absent),
    ],
    prefixes: &["hubert.", ""],
    sounds: Some(SoundsRow { norm: None, ..HUBERT_SOUNDS }),
    ..WAV2VEC2_STABLE
};

/// All rows of families that read sounds.
pub(super) static SOUNDS: [Row; 6] =
    [WHISPER, WHISPER_DECODER, WAV2VEC2, WAV2VEC2_STABLE, HUBERT, HUBERT_STABLE];
