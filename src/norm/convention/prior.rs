//! What is known about a site's convention before it is checked against its own values: flags, family, layout.

use crate::checkpoint::config::Scope;
use crate::norm::registry;
use crate::norm::site::NormSite;
use crate::report::{NormKind, ScaleConvention};

/// Flags that say the scale is stored around zero.
const ONE_PLUS_FLAGS: [&str; 3] =
    ["apply_layernorm_1p", "zero_centered_gamma", "layernorm_zero_centered_gamma"];

/// Architectures of llama.cpp whose original code scales by 1 + w. The conversion scripts add the 1 before they write, for every
/// such family: llama.cpp itself only multiplies by what is stored. Checked on the values of a Gemma 3 file, which are BF16
/// numbers plus 1. The others come from reading the scripts.
const ONE_ADDED: [&str; 8] =
    ["gemma", "gemma2", "gemma3", "gemma-embedding", "nemotron", "qwen3next", "qwen35", "qwen35moe"];

/// How γ follows from the stored tensor w, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convention {
    /// w, 1 + w, or not known.
    pub convention: ScaleConvention,
    /// The reason, as a sentence.
    pub reason: String,
}

impl Convention {
    /// Computes γ from w. `None` if the convention is not known.
    pub fn effective(&self, stored: &[f64]) -> Option<Vec<f64>> {
        match self.convention {
            ScaleConvention::Weight | ScaleConvention::None => Some(stored.to_vec()),
            ScaleConvention::OnePlusWeight => Some(stored.iter().map(|value| 1.0 + value).collect()),
            ScaleConvention::Unknown => None,
        }
    }
}

/// A convention that holds unless the values contradict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prior {
    pub(super) convention: Convention,
    /// Whether a flag, a family, a layout or a format states it. Otherwise it comes from the values, or from what most norms do.
    pub(super) stated: bool,
}

impl Prior {
    /// Takes the convention from the configuration, otherwise from the layout of the block, otherwise from how the model's scales are
    /// stored. The registry counts only for sites of the kind it names: the vision tower of a Gemma model has no Gemma norms.
    pub(super) fn of(
        site: &NormSite,
        config: Option<Scope<'_>>,
        kind: NormKind,
        around_zero: Option<bool>,
    ) -> Self {
        let stated =
            |convention, reason| Self { convention: Convention { convention, reason }, stated: true };
        let open = |convention, reason: &str| Self {
            convention: Convention { convention, reason: reason.to_owned() },
            stated: false,
        };
        let shown = |convention| if convention == ScaleConvention::OnePlusWeight { "1 + w" } else { "w" };
        if site.scale.is_none() {
            return open(ScaleConvention::None, "the norm neither scales nor shifts");
        }
        if let Some(stated) = site.stated() {
            return match stated.plus_one {
                true => open(ScaleConvention::OnePlusWeight, "the graph adds 1 to what is stored"),
                false => open(ScaleConvention::Weight, "the graph multiplies by what is stored"),
            };
        }
        if let Some(config) = config.filter(|config| config.is_gguf()) {
            let added = config.family().filter(|family| ONE_ADDED.contains(family));
            let reason = added.map_or_else(
                || "llama.cpp multiplies by what a GGUF file stores".to_owned(),
                |family| format!("the conversion of `{family}` to GGUF has already added the 1 of 1 + w"),
            );
            return stated(ScaleConvention::Weight, reason);
        }
        if let Some(config) = config {
            if let Some(flag) = ONE_PLUS_FLAGS.iter().find(|flag| config.truth(flag) == Some(true)) {
                return stated(ScaleConvention::OnePlusWeight, format!("`{flag}` is true"));
            }
            if let Some(value) =
                config.text("normalization").filter(|value| value.to_ascii_lowercase().contains("1p"))
            {
                return stated(ScaleConvention::OnePlusWeight, format!("`normalization` is {value:?}"));
            }
            let known =
                registry::configured(config, &site.name).filter(|(statement, _)| statement.kind == kind);
            if let Some((convention, model_type)) =
                known.and_then(|(known, by)| Some((known.convention?, by)))
            {
                let shown = shown(convention);
                return stated(
                    convention,
                    format!("the code of the family `{model_type}` scales by {shown}"),
                );
            }
        }
        let layout = site.layout.as_ref().filter(|layout| layout.statement.kind == kind);
        let layout = layout.filter(|layout| {
            // One constructor argument makes the difference, and the values show it.
            layout.statement.convention != Some(ScaleConvention::Weight) || around_zero != Some(true)
        });
        if let Some((convention, layout)) =
            layout.and_then(|layout| Some((layout.statement.convention?, layout)))
        {
            let (families, shown) = (&layout.families, shown(convention));
            return stated(
                convention,
                format!("{families}, which name their blocks like this, scale by {shown}"),
            );
        }
        if around_zero == Some(true) {
            return open(
                ScaleConvention::OnePlusWeight,
                "the model's stored values lie around 0 or reach down to −1, and hardly below, as in norms that scale by 1 + w",
            );
        }
        let either =
            layout.is_some_and(|layout| layout.statement.convention.is_none()) && around_zero.is_none();
        open(
            ScaleConvention::Weight,
            if either {
                "families that name their blocks like this store the scale as w or as γ − 1, and the values could be either: taken as w, which a config.json would confirm"
            } else {
                "the stored values are the scale, as in most norms"
            },
        )
    }
}
