//! What the module is called, given its shift and the maps around it. Names mislead: T5 says layer_norm and Llama
//! input_layernorm, and neither subtracts a mean. So a name alone never settles a kind: it was counted like everything else, and
//! its counts are smoothed ([`crate::norm::habits`]).

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::habits;

/// Judges the module's name.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let last = witness.site.name.rsplit(['.', '/']).next().unwrap_or_default();
    if witness.site.scale.is_none() {
        // The names were counted on norms that store a scale.
        return Evidence::abstain(
            EvidenceSource::Names,
            format!("`{last}` is its name in the code; no tensor has it"),
        );
    }
    let detail = match habits::name_class(&witness.site.name) {
        "number" => format!("`{last}` is a number"),
        "no norm's" => format!("`{last}` is not the name of a norm"),
        class => format!("`{last}` says \"{class}\""),
    };
    Evidence { source: EvidenceSource::Names, likelihood: witness.site.habits.name, detail }
}
