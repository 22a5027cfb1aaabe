//! The stored numbers themselves. Trained scales of both kinds look alike, so little can be learnt from them.
//!
//! A shift of zeros is what a converter pads an RMSNorm with as well as what an untrained LayerNorm holds: it takes
//! back part of the shift's weight (a judgement, not a count). A scale stored around zero without a shift is a
//! 1 + w norm: 92 RMSNorm and 1 LayerNorm (Moonshine streaming) of 847 and 72.

use super::{Evidence, Source, Witness};

const SHIFT_OF_ZEROS: f64 = -3.0;
/// ln (1.5/72.5) − ln (92.5/847.5)
const STORED_AROUND_ZERO: f64 = -1.66;

/// Weighs the values of scale and shift.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let with = |log_likelihood_ratio, detail: &str| Evidence {
        source: Source::Values,
        log_likelihood_ratio,
        detail: detail.to_owned(),
    };
    match witness.shift {
        Some(shift) if shift.iter().all(|&value| value == 0.0) => {
            with(SHIFT_OF_ZEROS, "the shift is all zero: untrained, or padding that a converter wrote")
        }
        None if witness.site.shift.is_none() && witness.site.build.gated && witness.stored_around_zero => {
            with(
                STORED_AROUND_ZERO,
                "the model's scales are stored around 0, as RMSNorms that scale by 1 + w do",
            )
        }
        _ => Evidence::abstain(Source::Values, "trained scales of both kinds look like these"),
    }
}
