//! What `config.json` says: a field that names the norm, the family it belongs to, or the name of its ε.
//!
//! These three are one evidence, not three: the field is copied from the family's code. The strongest counts. A family whose
//! norms a field chooses says nothing by itself (`?` in the registry), and a field that names the norm is about the norms on the
//! residual stream, not about those of queries and keys.

use super::{Evidence, EvidenceSource, Witness};
use crate::checkpoint::config::Scope;
use crate::norm::behaviour::Likelihood;
use crate::norm::registry;
use crate::report::{NormKind, NormRole};

/// A field whose value chooses the module: as good as the source code, except for a stale file (taken as 1 in 400).
const EXPLICIT: f64 = 6.0;
/// A line of the registry: the same.
const FAMILY: f64 = 6.0;
/// Uniform architectures of the ground truth by the name of their ε, half a count added: 130 LayerNorm, 1 RMSNorm.
const LAYER_NORM_EPS: f64 = 4.47;
/// 2 LayerNorm, 74 RMSNorm.
const RMS_NORM_EPS: f64 = -3.39;
/// GPT-2's spelling, which T5, Mamba and Qwen share: 16 LayerNorm, 6 RMSNorm.
const LAYER_NORM_EPSILON: f64 = 0.93;
/// llama.cpp reads one key or the other, and so builds one norm or the other; only T5's files have both.
const GGUF_EPSILON: f64 = 6.0;

/// Fields whose text names the norm.
const NAMING_FIELDS: [&str; 8] = [
    "norm_type",
    "normalization",
    "normalization_type",
    "layer_norm_type",
    "layernorm_type",
    "norm",
    "norm_class",
    "norm_layer",
];
/// Fields whose truth value chooses RMSNorm over LayerNorm.
const RMS_FLAGS: [&str; 4] = ["rms_norm", "use_rms_norm", "rmsnorm", "use_rmsnorm"];

/// Judges the configuration of the site's part of the model.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let Some(config) = witness.config else {
        return Evidence::abstain(EvidenceSource::Configuration, "no configuration describes this part");
    };
    another(witness, config)
        .or_else(|| explicit(witness, config))
        .or_else(|| family(witness, config))
        .or_else(|| epsilon(config))
        .unwrap_or_else(|| Evidence::abstain(EvidenceSource::Configuration, "the configuration does not say"))
}

/// A field that replaces the norm by another kind.
fn another(witness: &Witness<'_>, config: Scope<'_>) -> Option<Evidence> {
    let site = witness.site;
    // MobileBERT can do without norms: its "NoNorm" only scales and shifts. Its head still has a LayerNorm.
    let why = if config.text("normalization_type") == Some("no_norm") && site.role != NormRole::Other {
        "`normalization_type` is \"no_norm\": the module only scales and shifts"
    } else if config.text("feat_extract_norm") == Some("group") && site.name.contains("conv_layers.0.") {
        "`feat_extract_norm` is \"group\": a group norm over the first convolution"
    } else {
        return None;
    };
    Some(evidence(Likelihood::of(NormKind::Other, EXPLICIT), why.to_owned()))
}

fn evidence(likelihood: Likelihood, detail: String) -> Evidence {
    Evidence { source: EvidenceSource::Configuration, likelihood, detail }
}

fn explicit(witness: &Witness<'_>, config: Scope<'_>) -> Option<Evidence> {
    if let Some(mode) =
        config.text("feat_extract_norm").filter(|_| witness.site.name.contains("conv_layers."))
    {
        // wav2vec 2.0: "layer" for every convolution, "group" for the first.
        let layer = || Likelihood::of(NormKind::LayerNorm, EXPLICIT);
        return (mode == "layer").then(|| evidence(layer(), "`feat_extract_norm` is \"layer\"".to_owned()));
    }
    let site = witness.site;
    // The field is about the norms of the stream, not about those of queries and keys or among convolutions.
    if site.role == NormRole::QueryKey || site.surroundings.beside_convolutions() {
        return None;
    }
    for field in NAMING_FIELDS {
        let Some(value) = config.text(field) else { continue };
        let lower = value.to_ascii_lowercase().replace('_', "");
        if lower.contains("rms") {
            return Some(evidence(
                Likelihood::of(NormKind::RmsNorm, EXPLICIT),
                format!("`{field}` is {value:?}"),
            ));
        }
        if lower.contains("layernorm") || lower == "ln" || lower == "layer" {
            return Some(evidence(
                Likelihood::of(NormKind::LayerNorm, EXPLICIT),
                format!("`{field}` is {value:?}"),
            ));
        }
    }
    RMS_FLAGS.iter().find_map(|field| {
        let rms = config.truth(field)?;
        let kind = if rms { NormKind::RmsNorm } else { NormKind::LayerNorm };
        Some(evidence(Likelihood::of(kind, EXPLICIT), format!("`{field}` is {rms}")))
    })
}

fn family(witness: &Witness<'_>, config: Scope<'_>) -> Option<Evidence> {
    let (statement, model_type) = registry::configured(config, &witness.site.name)?;
    let what = match statement.kind {
        NormKind::LayerNorm => "subtracts the mean",
        NormKind::RmsNorm => "does not subtract the mean",
        NormKind::Other => "has neither LayerNorm nor RMSNorm here",
        NormKind::Unknown => return None,
    };
    let likelihood = Likelihood::of(statement.kind, FAMILY);
    Some(evidence(likelihood, format!("the code of the family `{model_type}` {what}")))
}

fn epsilon(config: Scope<'_>) -> Option<Evidence> {
    // A vision tower's file has the same key for both norms.
    let gguf = |end: &str| config.is_gguf() && config.family() != Some("clip") && config.has_ending(end);
    match (gguf(".attention.layer_norm_rms_epsilon"), gguf(".attention.layer_norm_epsilon")) {
        (true, false) => {
            return Some(evidence(
                Likelihood::of(NormKind::RmsNorm, GGUF_EPSILON),
                "llama.cpp's `layer_norm_rms_epsilon` is set".to_owned(),
            ));
        }
        (false, true) => {
            return Some(evidence(
                Likelihood::of(NormKind::LayerNorm, GGUF_EPSILON),
                "llama.cpp's `layer_norm_epsilon` is set".to_owned(),
            ));
        }
        _ => {}
    }
    [
        ("rms_norm_eps", RMS_NORM_EPS),
        ("layer_norm_eps", LAYER_NORM_EPS),
        ("layer_norm_epsilon", LAYER_NORM_EPSILON),
    ]
    .into_iter()
    .find(|(field, _)| config.has(field))
    .map(|(field, ratio)| evidence(Likelihood::between(ratio), format!("the ε is called `{field}`")))
}
