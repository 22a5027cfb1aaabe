//! What the module is called. Names lie: T5 says layer_norm and Llama input_layernorm, and neither subtracts a mean.
//!
//! Counted as in the shift's file, but *given* that no shift is stored, so that the two may be added: layernorm in
//! the name 11 LayerNorm, 383 RMSNorm; ln 4, 13; norm 57, 437; rms 0, 8 (against 72, 847 in all). With a shift every
//! name meant LayerNorm, so nothing is left to add.

use super::{Evidence, Source, Witness};
use crate::norm::names;

/// ln (11.5/72.5) − ln (383.5/847.5)
const LAYER_NORM_WITHOUT_SHIFT: f64 = -1.05;
/// ln (4.5/72.5) − ln (13.5/847.5)
const LN_WITHOUT_SHIFT: f64 = 1.36;
/// ln (57.5/72.5) − ln (437.5/847.5)
const NORM_WITHOUT_SHIFT: f64 = 0.43;
/// ln (0.5/72.5) − ln (8.5/847.5), and no source code is known where a module called RMS subtracts the mean.
const RMS: f64 = -2.5;

/// Weighs the module's name.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let last = witness.site.name.rsplit(['.', '/']).next().unwrap_or_default();
    let compact = names::compact(last);
    let with = |log_likelihood_ratio, detail: &str| Evidence {
        source: Source::Names,
        log_likelihood_ratio,
        detail: format!("`{last}` {detail}"),
    };
    if witness.site.scale.is_none() {
        // The names were counted on norms that store a scale.
        Evidence::abstain(Source::Names, format!("`{last}` is the code's name for it; no tensor bears it"))
    } else if names::says_rms(last) {
        with(RMS, "is named RMS")
    } else if witness.site.shift.is_some() {
        Evidence::abstain(Source::Names, format!("`{last}` adds nothing to the shift"))
    } else if compact.contains("layernorm") {
        with(
            LAYER_NORM_WITHOUT_SHIFT,
            "says LayerNorm, but without a shift that is how Llama-like RMSNorms are called",
        )
    } else if names::words(last).iter().any(|word| word == "ln") {
        with(LN_WITHOUT_SHIFT, "says LN, which is a little more common on LayerNorms")
    } else if compact.contains("norm") {
        with(NORM_WITHOUT_SHIFT, "could be either")
    } else {
        Evidence::abstain(Source::Names, format!("`{last}` says nothing"))
    }
}
