//! What the module itself stores: running statistics, the scalar of a DyT, a map that makes the scale. Only one kind of module
//! stores each of these, so counts are not needed.

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::behaviour::{Behaviour, Likelihood};

/// A module that keeps running statistics is a batch norm: nothing else does. A judgement, 1 in 160,000.
const CERTAIN: f64 = 12.0;

/// Judges what the module stores beside scale and shift.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let Some((behaviour, why)) = witness.site.other else {
        return Evidence::abstain(
            EvidenceSource::Stored,
            "the module stores nothing but its scale and shift",
        );
    };
    let likelihood = Likelihood(Behaviour::ALL.map(|other| if other == behaviour { 0.0 } else { -CERTAIN }));
    Evidence { source: EvidenceSource::Stored, likelihood, detail: why.to_owned() }
}
