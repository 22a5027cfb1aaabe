//! What `config.json` says: a field that names the norm, the family it belongs to, or the name of its ε.
//!
//! These three are one evidence, not three: the field is copied from the family's code. The strongest speaks.

use super::{Evidence, Source, Witness};
use crate::checkpoint::config::Scope;
use crate::norm::families;
use crate::report::NormKind;

/// A field whose value chooses the module: as good as the source code, barring a stale file (taken as 1 in 400).
const EXPLICIT: f64 = 6.0;
/// A line of the registry: the same.
const FAMILY: f64 = 6.0;
/// Uniform architectures of the ground truth by the name of their ε, half a count added: 130 LayerNorm, 1 RMSNorm.
const LAYER_NORM_EPS: f64 = 4.47;
/// 2 LayerNorm, 74 RMSNorm.
const RMS_NORM_EPS: f64 = -3.39;
/// GPT-2's spelling, which T5, Mamba and Qwen share: 16 LayerNorm, 6 RMSNorm.
const LAYER_NORM_EPSILON: f64 = 0.93;

/// Fields whose text names the norm.
const NAMING_FIELDS: [&str; 7] = [
    "norm_type",
    "normalization",
    "normalization_type",
    "layer_norm_type",
    "norm",
    "norm_class",
    "norm_layer",
];
/// Fields whose truth value chooses RMSNorm over LayerNorm.
const RMS_FLAGS: [&str; 3] = ["rms_norm", "use_rms_norm", "rmsnorm"];

/// Weighs the configuration of the site's part of the model.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let Some(config) = witness.config else {
        return Evidence::abstain(Source::Configuration, "no configuration speaks for this part");
    };
    explicit(config)
        .or_else(|| family(config))
        .or_else(|| epsilon(config))
        .unwrap_or_else(|| Evidence::abstain(Source::Configuration, "the configuration does not say"))
}

/// MobileBERT can do without: its "NoNorm" only scales and shifts.
pub(in crate::norm) fn no_norm(config: Scope<'_>) -> Option<&'static str> {
    let none = config.text("normalization_type") == Some("no_norm");
    none.then_some("`normalization_type` is \"no_norm\": the module only scales and shifts")
}

fn evidence(log_likelihood_ratio: f64, detail: String) -> Evidence {
    Evidence { source: Source::Configuration, log_likelihood_ratio, detail }
}

fn explicit(config: Scope<'_>) -> Option<Evidence> {
    for field in NAMING_FIELDS {
        let Some(value) = config.text(field) else { continue };
        let lower = value.to_ascii_lowercase().replace('_', "");
        if lower.contains("rms") {
            return Some(evidence(-EXPLICIT, format!("`{field}` is {value:?}")));
        }
        if lower.contains("layernorm") || lower == "ln" || lower == "layer" {
            return Some(evidence(EXPLICIT, format!("`{field}` is {value:?}")));
        }
    }
    RMS_FLAGS.iter().find_map(|field| {
        let rms = config.truth(field)?;
        Some(evidence(if rms { -EXPLICIT } else { EXPLICIT }, format!("`{field}` is {rms}")))
    })
}

fn family(config: Scope<'_>) -> Option<Evidence> {
    let family = families::family(config.family()?)?;
    let sign = if family.kind == NormKind::LayerNorm { 1.0 } else { -1.0 };
    let what = if family.kind == NormKind::LayerNorm { "subtracts" } else { "does not subtract" };
    Some(evidence(sign * FAMILY, format!("the code of the family `{}` {what} the mean", family.model_type)))
}

fn epsilon(config: Scope<'_>) -> Option<Evidence> {
    [
        ("rms_norm_eps", RMS_NORM_EPS),
        ("layer_norm_eps", LAYER_NORM_EPS),
        ("layer_norm_epsilon", LAYER_NORM_EPSILON),
    ]
    .into_iter()
    .find(|(field, _)| config.has(field))
    .map(|(field, ratio)| evidence(ratio, format!("the ε is called `{field}`")))
}
