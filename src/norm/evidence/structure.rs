//! How the blocks are built. Few LayerNorms go without a shift, and those stand in blocks of other kinds than the
//! RMSNorms do, so this is weighed for sites without a shift only.
//!
//! Counted over the 510 architectures, distinct site names per architecture in blocks, half a count added to each
//! cell, against 72 LayerNorm and 847 RMSNorm without a shift in all.

use super::{Evidence, Source, Witness};
use crate::report::NormRole;

/// A gated feed-forward part and two norms or more on the stream (Llama): 0 LayerNorm, 482 RMSNorm; the four of ESM-C's
/// stand apart by the shifts beside them. ln (0.5/72.5) − ln (482.5/847.5)
const GATED: f64 = -4.41;
/// A state-space mixer (Mamba): 0, 45.
const STATE_SPACE: f64 = -2.05;
/// T5's table of relative positions: 0, 11.
const RELATIVE_POSITIONS: f64 = -0.68;
/// One norm for attention and feed-forward (a parallel block): Cohere's and Aya's LayerNorms, PLaMo's RMSNorm. 2, 1: it
/// undoes the usual meaning of a missing shift.
const PARALLEL: f64 = 2.97;
/// Biases on the linear maps and none on the norm, without a gate: Moonshine's LayerNorms, TimesFM's RMSNorms. 10, 28.
const BIASES_ELSEWHERE: f64 = 1.46;
/// A norm on queries or keys whose block has shifts elsewhere: ESM-C's LayerNorm, SD 3's RMSNorm.
const SHIFTS_ELSEWHERE: f64 = 1.0;

/// Weighs the build of the site's blocks.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let site = witness.site;
    let with = |log_likelihood_ratio, detail: &str| Evidence {
        source: Source::Structure,
        log_likelihood_ratio,
        detail: detail.to_owned(),
    };
    if let Some(doubt) = site.doubt {
        return Evidence::abstain(Source::Structure, doubt);
    }
    if site.scale.is_none() {
        return Evidence::abstain(Source::Structure, "blocks were counted whose norms store a scale");
    }
    if site.shift.is_some() {
        return Evidence::abstain(Source::Structure, "with a shift, the build of the block adds nothing");
    }
    if site.shift_on_stream {
        return with(
            SHIFTS_ELSEWHERE,
            "other norms of its block have a shift, as beside ESM-C's LayerNorm and SD 3's RMSNorm on queries and keys",
        );
    }
    // A norm in a place of its own, such as inside an xLSTM cell, need not be like the others.
    if site.block.is_some() && !site.recognised {
        return Evidence::abstain(Source::Structure, "its place in the block is not a usual one");
    }
    if site.build.state_space {
        return with(STATE_SPACE, "the block has a state-space mixer, and no norm a shift, as in Mamba");
    }
    if site.parallel && site.role == NormRole::QueryKey {
        return Evidence::abstain(
            Source::Structure,
            "queries and keys of a parallel block are normed by both kinds",
        );
    }
    if site.parallel {
        return with(
            PARALLEL,
            "attention and feed-forward share one norm without a shift: a parallel block, as in Cohere (LayerNorm) and PLaMo (RMSNorm)",
        );
    }
    if site.build.gated {
        return with(
            GATED,
            "the feed-forward part has a gate, and no norm of the block a shift, as in Llama",
        );
    }
    if site.build.relative_positions {
        return with(
            RELATIVE_POSITIONS,
            "the block has a table of relative positions, and no norm a shift, as in T5",
        );
    }
    if site.build.biased {
        return with(
            BIASES_ELSEWHERE,
            "linear maps have biases, the norm has none, and nothing is gated: as in Moonshine (LayerNorm)",
        );
    }
    Evidence::abstain(Source::Structure, "the block is built as both kinds are")
}
