//! How the block is built: one norm without a shift that attention and feed-forward share (a parallel block).
//!
//! The parallel blocks with bare scales that are known are Cohere's and Aya's LayerNorms against PLaMo's RMSNorm: 2 to 1, which
//! undoes the usual meaning of a missing shift: ln (2.5/72.5) − ln (1.5/847.5).

use super::{Evidence, Source, Witness};

const PARALLEL_WITHOUT_SHIFT: f64 = 2.97;

/// Weighs a lone norm in its block.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    if witness.site.alone_in_block && witness.site.shift.is_none() {
        let detail = "it is the only norm of its block and has no shift: a parallel block, as in Cohere (LayerNorm) and PLaMo (RMSNorm)";
        Evidence {
            source: Source::Structure,
            log_likelihood_ratio: PARALLEL_WITHOUT_SHIFT,
            detail: detail.to_owned(),
        }
    } else {
        Evidence::abstain(Source::Structure, "the block is built as both kinds are")
    }
}
