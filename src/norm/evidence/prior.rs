//! How often each behaviour was counted over all libraries: the starting point before anything about a site is seen.
//!
//! [`super::super::verdict`] allows for an unmeasured library, not this file.

use super::{Evidence, EvidenceSource, Witness};

/// The prior. It says nothing about a norm that stores nothing, because only norms that store a scale were counted.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let site = witness.site;
    if site.scale.is_none() {
        return Evidence::abstain(EvidenceSource::Prior, "only norms that store a scale were counted");
    }
    let detail = "how often measured modules of other models do each of these".to_owned();
    Evidence { source: EvidenceSource::Prior, likelihood: site.habits.prior, detail }
}
