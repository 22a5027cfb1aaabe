//! What is around the norm: which maps write and read its channels, whether attention is beside it, what its stack is made of and
//! where in it the norm is. Counted: see [`crate::norm::habits`].

use super::{Evidence, EvidenceSource, Witness};

/// Judges what is around the site.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let site = witness.site;
    if site.unnamed {
        return Evidence::abstain(
            EvidenceSource::Structure,
            "the names say nothing, so its surroundings are not known",
        );
    }
    if site.scale.is_none() {
        return Evidence::abstain(EvidenceSource::Structure, "only norms that store a scale were counted");
    }
    let [layer, rms, spanning, plain] = site.habits.alike;
    let detail = format!(
        "{}: counted here {layer} LayerNorms, {rms} RMSNorms, {spanning} over positions, groups or a batch, {plain} no norms",
        site.surroundings.described()
    );
    Evidence { source: EvidenceSource::Structure, likelihood: site.habits.surroundings, detail }
}
