//! How often each behaviour was counted over all libraries: where one starts from before anything is seen of a site.
//!
//! An unmeasured library is allowed for in [`super::super::verdict`], not here.

use super::{Evidence, EvidenceSource, Witness};

/// The prior; nothing for a norm that stores nothing, as those that store a scale were counted.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let site = witness.site;
    if site.scale.is_none() {
        return Evidence::abstain(EvidenceSource::Prior, "norms were counted that store a scale");
    }
    let detail = "how often measured modules of other models do each of these".to_owned();
    Evidence { source: EvidenceSource::Prior, likelihood: site.habits.prior, detail }
}
