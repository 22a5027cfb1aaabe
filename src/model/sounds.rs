//! The families that read sounds: rows of the table, as in [`table`](super::table).

use super::images::{CLIP_ATTENTION, VIT};
use super::operation::Centring;
use super::table::{
    ALWAYS, FeedForwardRow, FeedForwardShape, HiddenWidth, NEVER, Row, Sizes, SoundsRow, StoredRow, norm,
    shifted,
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
        convolutions: &[("conv1", 1), ("conv2", 2)],
        positions: "embed_positions.weight",
        channels: "num_mel_bins",
        tokens: "max_source_positions",
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

/// All of them.
pub(super) static SOUNDS: [Row; 1] = [WHISPER];
