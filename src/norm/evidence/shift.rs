//! The shift β: few RMSNorms have one and few LayerNorms lack it, but a GroupNorm has one too. Counted: see
//! [`crate::norm::habits`].

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::habits;

/// Judges presence or absence of a shift.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let site = witness.site;
    if site.scale.is_none() {
        return Evidence::abstain(
            EvidenceSource::Shift,
            "the norm stores nothing, so a missing shift says nothing",
        );
    }
    let stored = site.shift.is_some();
    let [layer, rms, spanning, plain] = habits::counted(stored);
    let detail = format!(
        "{} shift is stored: of those counted {layer} are LayerNorms, {rms} RMSNorms, {spanning} norms over positions, groups or a batch, {plain} no norms",
        if stored { "a" } else { "no" }
    );
    Evidence { source: EvidenceSource::Shift, likelihood: site.habits.shift, detail }
}
