//! Compares the names of all tensors of a block with the layouts of the registry, which shows whose code it is. This is the only
//! evidence from names that may settle a kind: two people rarely write the same whole block by accident.
//!
//! `examples/registry.rs` counts this and prints it: of 136 blocks that two libraries share, 4 do different things in them (all of
//! them written to mislead); of 90 smaller modules none.

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::behaviour::Likelihood;
use crate::report::NormKind;

/// Evidence if all names of a block or module are the same. Of 226 four do another thing: taken as 2 in 100, shared by three
/// behaviours.
/// ln (0.98/0.0067)
const SAME_NAMES: f64 = 5.0;

/// Judges the layout of the site's block.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let Some(layout) = witness.site.layout.as_ref() else {
        let detail = "no code in the registry names its block like this, or several do and differ";
        return Evidence::abstain(EvidenceSource::Layout, detail);
    };
    let does = match layout.statement.kind {
        NormKind::LayerNorm => "subtracts the mean",
        NormKind::RmsNorm => "does not subtract the mean",
        NormKind::Other | NormKind::Unknown => "is neither LayerNorm nor RMSNorm",
    };
    let what = if layout.module { "module around it" } else { "block" };
    let detail = format!("the {what} is named as in {}, whose norm here {does}", layout.families);
    Evidence {
        source: EvidenceSource::Layout,
        likelihood: Likelihood::of(layout.statement.kind, SAME_NAMES),
        detail,
    }
}
