//! Whose code the block is from: the names of all its tensors, held against the layouts of the registry.
//!
//! Of the layouts that two model types or more share (318 of 735 measured), none holds a LayerNorm in one and an RMSNorm
//! in the other: ln (318.5/0.5). A block that shares only most of its names with a layout may be a variant of that code,
//! and weighs as little as a name.

use super::{Evidence, Source, Witness};
use crate::report::NormKind;

/// All names are the same.
const SAME: f64 = 6.46;
/// Most names are; a judgement, not a count.
const ALIKE: f64 = 2.5;

/// Weighs the layout of the site's block.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let layout = witness.site.layout.as_ref();
    if witness.site.shift.is_some() && layout.is_none_or(|layout| layout.likeness < 1.0) {
        // The registry leaves out layouts whose every norm has a shift: all of them are LayerNorms.
        return Evidence::abstain(Source::Layout, "with a shift, the names of the block add nothing");
    }
    let Some(layout) = layout else {
        let detail = "its block is named as in no code of the registry, or as in several that differ";
        return Evidence::abstain(Source::Layout, detail);
    };
    let (strength, how) =
        if layout.likeness == 1.0 { (SAME, "named as in") } else { (ALIKE, "named much as in") };
    let (sign, does) = match layout.statement.kind {
        NormKind::LayerNorm => (1.0, "subtracts the mean"),
        NormKind::RmsNorm => (-1.0, "does not subtract the mean"),
        NormKind::Other | NormKind::Unknown => (0.0, "is neither LayerNorm nor RMSNorm"),
    };
    let detail = format!("the block is {how} {}, whose norm here {does}", layout.families);
    Evidence { source: Source::Layout, log_likelihood_ratio: sign * strength, detail }
}
