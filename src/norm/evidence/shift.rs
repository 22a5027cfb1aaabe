//! The shift β: no RMSNorm of the ground truth has one, and few LayerNorms go without.
//!
//! Counted over 510 architectures, distinct site names per architecture, half a count added to each cell:
//! with a shift 1,339 LayerNorm and 0 RMSNorm; without 72 and 847.

use super::{Evidence, Source, Witness};

/// ln (1339.5/1412) − ln (0.5/848)
const PRESENT: f64 = 7.38;
/// ln (72.5/1412) − ln (847.5/848)
const ABSENT: f64 = -2.97;

/// Weighs presence or absence of a shift.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    if witness.site.scale.is_none() {
        return Evidence::abstain(
            Source::Shift,
            "the norm stores nothing at all, so that a missing shift says nothing",
        );
    }
    if witness.site.shift.is_none() {
        let detail = "no shift is stored, as in almost every RMSNorm and few LayerNorms";
        return Evidence { source: Source::Shift, log_likelihood_ratio: ABSENT, detail: detail.to_owned() };
    }
    let detail = "a shift is stored; no known RMSNorm has one";
    Evidence { source: Source::Shift, log_likelihood_ratio: PRESENT, detail: detail.to_owned() }
}
