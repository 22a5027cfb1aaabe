//! Whose code the block is from: the names of all its tensors, held against the layouts of the registry. This is the one look at
//! names that may settle a kind, as a whole block is rarely written twice by accident; it says whose code it is.
//!
//! Counted by `examples/registry.rs`, which prints it: of 106 blocks that two libraries share, 3 do different things in them (all of
//! them written to be mistaken); of the smaller modules none.

use super::{Evidence, Source, Witness};
use crate::norm::behaviour::Likelihood;
use crate::report::NormKind;

/// All names of a block are the same. Of 106 three do another thing, all of them written to be mistaken: taken as 2 in 100, shared by
/// three behaviours. ln (0.98/0.0067)
const BLOCK: f64 = 5.0;
/// Of 11 modules that are no blocks none does, half a count added: 4 in 100 are what is left. ln (0.96/0.013)
const MODULE: f64 = 4.3;

/// Weighs the layout of the site's block.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let Some(layout) = witness.site.layout.as_ref() else {
        let detail = "its block is named as in no code of the registry, or as in several that differ";
        return Evidence::abstain(Source::Layout, detail);
    };
    let strength = if layout.module { MODULE } else { BLOCK };
    let does = match layout.statement.kind {
        NormKind::LayerNorm => "subtracts the mean",
        NormKind::RmsNorm => "does not subtract the mean",
        NormKind::Other | NormKind::Unknown => "is neither LayerNorm nor RMSNorm",
    };
    let what = if layout.module { "module around it" } else { "block" };
    let detail = format!("the {what} is named as in {}, whose norm here {does}", layout.families);
    Evidence { source: Source::Layout, likelihood: Likelihood::of(layout.statement.kind, strength), detail }
}
