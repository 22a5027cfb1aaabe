//! Rows of the families that read images and text together. Each has a tower of images, a projector and a decoder. The projector's
//! vectors replace the embeddings of image tokens. The types are those of [`table`](super::table).

use super::images::{CLIP_TABLE, CLIP_VISION, SIGLIP_VISION, neutral};
use super::table::{Given, HeadRow, ImagePositionsRow, LLAMA, NEVER, PatchesRow, ProjectorRow, Row, Switch};

/// Idefics3 and SmolVLM.
const IDEFICS3: &[&str] = &["idefics3", "smolvlm"];

/// The tower. The code finds the position of a patch from the fraction of the image before it. The run supports only images of the
/// training size.
const IDEFICS3_TOWER: Row = Row {
    families: IDEFICS3,
    usual: &[
        ("hidden_size", 1152),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 16),
        ("intermediate_size", 3072),
        ("image_size", 224),
        ("patch_size", 32),
        ("num_channels", 3),
    ],
    neutral: neutral!("max_image_size", "size", "use_base_siglip"),
    prefixes: &["model.vision_model.", "vision_model."],
    patches: match SIGLIP_VISION.patches {
        Some(patches) => Some(PatchesRow { positions: UNRESIZED, sides: Some(&IN_ORDER), ..patches }),
        None => None,
    },
    apart: &["text_model.", "connector.", "lm_head.", "position_ids"],
    ..SIGLIP_VISION
};

/// Numbers of patches a side, up to 64, for which these fractions give every position once and in order. For other numbers (19, 25,
/// 29 …) rounding gives some positions twice. Computed with the code of transformers 4.46 and 5.24 on torch 1.13.
const IN_ORDER: [usize; 46] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 26, 27, 28, 30, 32,
    33, 34, 35, 36, 37, 39, 42, 44, 45, 46, 48, 51, 53, 56, 57, 60, 63, 64,
];

const UNRESIZED: ImagePositionsRow = match CLIP_TABLE {
    ImagePositionsRow::Table { name, present, bare, initial, .. } => {
        ImagePositionsRow::Table { name, present, bare, initial, resized: None }
    }
    other @ (ImagePositionsRow::Sines | ImagePositionsRow::None) => other,
};

/// The decoder, a Llama.
const IDEFICS3_DECODER: Row = Row {
    families: IDEFICS3,
    given: &[
        ("text_config.model_type", Given::Text("llama")),
        ("text_config.qk_layer_norms", Given::Usually(false)),
        ("text_config.rope_interleaved", Given::Usually(false)),
        ("text_config.use_resampler", Given::Usually(false)),
    ],
    part: Some("text_config"),
    around_part: true,
    usual: &[
        ("vocab_size", 32_000),
        ("hidden_size", 4096),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("intermediate_size", 11_008),
    ],
    neutral: neutral!(
        "_flash_attn_2_enabled",
        "attention_bias",
        "image_seq_len",
        "mlp_bias",
        "neftune_noise_alpha",
        "perceiver_config",
        // The code reads `scale_factor`.
        "pixel_shuffle_factor",
        "qk_layer_norms",
        "rope_interleaved",
        "use_reentrant_checkpointing",
        "use_resampler",
    ),
    prefixes: &["model.text_model.", "text_model."],
    projector: Some(ProjectorRow {
        maps: &["model.connector.modality_projection.proj", "connector.modality_projection.proj"],
        second: None,
        bias: NEVER,
        side: Some(("scale_factor", 2)),
        token: ("image_token_id", 128_257),
    }),
    apart: &["vision_model.", "rotary_emb.inv_freq"],
    ..LLAMA
};

/// Settings of LLaVA that only one of its two stacks reads, or none.
macro_rules! llava {
    ($($own:literal),* $(,)?) => {
        neutral!(
            "ignore_index",
            "image_seq_length",
            "image_token_index",
            "multimodal_projector_bias",
            "projection_dim",
            "projector_hidden_act",
            "vision_feature_layer",
            "vision_feature_select_strategy",
            $($own),*
        )
    };
}

/// The tower of LLaVA, a CLIP. The decoder reads its patches behind one of its last blocks, without the class token.
const LLAVA_TOWER: Row = Row {
    families: &["llava"],
    given: &[
        ("vision_config.model_type", Given::Text("clip_vision_model")),
        ("vision_feature_select_strategy", Given::Text("default")),
    ],
    around_part: true,
    neutral: llava!(),
    prefixes: &[
        "vision_tower.vision_model.",
        "model.vision_tower.vision_model.",
        "vision_tower.",
        "model.vision_tower.",
    ],
    patches: match CLIP_VISION.patches {
        Some(patches) => Some(PatchesRow { positions: UNRESIZED, ..patches }),
        None => None,
    },
    feature_layer: Some(("vision_feature_layer", -2)),
    apart: &["language_model.", "multi_modal_projector.", "lm_head.", "position_ids"],
    ..CLIP_VISION
};

/// The decoder of LLaVA, a Llama.
const LLAVA_DECODER: Row = Row {
    families: &["llava"],
    given: &[
        ("text_config.model_type", Given::Text("llama")),
        ("text_config.rope_interleaved", Given::Usually(false)),
    ],
    neutral: llava!("attention_bias", "mlp_bias", "rope_interleaved"),
    prefixes: &["language_model.model.", "model.language_model.", "language_model."],
    projector: Some(ProjectorRow {
        maps: &["multi_modal_projector.linear_1", "model.multi_modal_projector.linear_1"],
        second: Some((
            &["multi_modal_projector.linear_2", "model.multi_modal_projector.linear_2"],
            ("projector_hidden_act", "gelu"),
        )),
        bias: Switch::Field("multimodal_projector_bias", true),
        side: None,
        token: ("image_token_index", 32_000),
    }),
    head: HeadRow { unembedding: "language_model.lm_head", otherwise: Some("lm_head"), ..LLAMA.head },
    apart: &["vision_tower.", "rotary_emb.inv_freq"],
    ..IDEFICS3_DECODER
};

/// All rows of these families. The tower comes first.
pub(super) static CHAINS: [Row; 4] = [IDEFICS3_TOWER, IDEFICS3_DECODER, LLAVA_TOWER, LLAVA_DECODER];
