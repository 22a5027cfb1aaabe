//! What the modules of a model family do, as data: one line a family, from reading or running its source code.
//!
//! Only families that names, shifts and ε leave open, or get wrong, need a line; the common ones have one so that
//! the verdict can say so. A family that holds both kinds has none: its sites must be told apart one by one.

use crate::report::{NormKind, ScaleConvention};

/// One family's norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// What every norm module of the family does.
    pub kind: NormKind,
    /// How it stores its scale.
    pub convention: ScaleConvention,
}

const fn layer(model_type: &'static str) -> Family {
    Family { model_type, kind: NormKind::LayerNorm, convention: ScaleConvention::Weight }
}

const fn rms(model_type: &'static str) -> Family {
    Family { model_type, kind: NormKind::RmsNorm, convention: ScaleConvention::Weight }
}

const fn rms_one_plus(model_type: &'static str) -> Family {
    Family { model_type, kind: NormKind::RmsNorm, convention: ScaleConvention::OnePlusWeight }
}

const fn layer_one_plus(model_type: &'static str) -> Family {
    Family { model_type, kind: NormKind::LayerNorm, convention: ScaleConvention::OnePlusWeight }
}

/// The table, by what is remarkable about its lines.
const FAMILIES: &[Family] = &[
    // LayerNorm without a shift: looks like RMSNorm.
    layer("cohere"),
    layer("cohere2"),
    layer("aya_vision"),
    layer("dbrx"),
    layer("modernbert"),
    layer("modernbert-decoder"),
    layer("moonshine"),
    layer("olmo"),
    layer("lasr_encoder"),
    layer("lasr_ctc"),
    // Called LayerNorm, or with a LayerNorm's ε, but no mean is subtracted.
    rms("t5"),
    rms("mt5"),
    rms("umt5"),
    rms("longt5"),
    rms("switch_transformers"),
    rms("pop2piano"),
    rms("udop"),
    rms("pix2struct"),
    rms("cpmant"),
    rms("imagegpt"),
    rms("qwen"),
    rms("mamba"),
    rms("mamba2"),
    rms("falcon_mamba"),
    rms("nemotron_h"),
    // An RMSNorm's ε, but a LayerNorm.
    layer("phimoe"),
    layer("orion"),
    // Effective scale 1 + w.
    rms_one_plus("gemma"),
    rms_one_plus("gemma2"),
    rms_one_plus("gemma3_text"),
    rms_one_plus("recurrent_gemma"),
    rms_one_plus("vaultgemma"),
    rms_one_plus("t5gemma"),
    layer_one_plus("nemotron"),
    layer_one_plus("videoprism"),
    layer_one_plus("videoprism_vision_model"),
    layer_one_plus("moonshine_streaming_encoder"),
    // Gemma's later families went back to w.
    rms("gemma3n_text"),
    rms("gemma4_text"),
    // The common ones.
    layer("albert"),
    layer("bart"),
    layer("bert"),
    layer("bloom"),
    layer("clip_text_model"),
    layer("clip_vision_model"),
    layer("codegen"),
    layer("deberta"),
    layer("deberta-v2"),
    layer("deit"),
    layer("dinov2"),
    layer("distilbert"),
    layer("electra"),
    layer("falcon"),
    layer("gpt2"),
    layer("gpt_bigcode"),
    layer("gpt_neo"),
    layer("gpt_neox"),
    layer("gptj"),
    layer("opt"),
    layer("phi"),
    layer("roberta"),
    layer("stablelm"),
    layer("starcoder2"),
    layer("videomae"),
    layer("vit"),
    layer("whisper"),
    rms("deepseek_v2"),
    rms("deepseek_v3"),
    rms("gpt_oss"),
    rms("granite"),
    rms("internlm2"),
    rms("llama"),
    rms("mistral"),
    rms("mixtral"),
    rms("olmo2"),
    rms("olmoe"),
    rms("phi3"),
    rms("qwen2"),
    rms("qwen2_moe"),
    rms("qwen3"),
    rms("qwen3_moe"),
];

/// The line of a family.
pub fn family(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.model_type == model_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_family_has_two_lines() {
        let names: HashSet<_> = FAMILIES.iter().map(|family| family.model_type).collect();
        assert_eq!(names.len(), FAMILIES.len());
    }
}
