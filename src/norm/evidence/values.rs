//! The stored numbers themselves. Trained scales of both kinds look alike, so little can be learnt from them.
//!
//! A shift of zeros is what a converter pads an RMSNorm with as well as what an untrained LayerNorm holds: it takes
//! back part of the shift's weight (a judgement, not a count). Scales stored around zero say nothing: RMSNorms are stored so in
//! Gemma, LayerNorms in x-transformers and Nemotron.

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::behaviour::Likelihood;

const SHIFT_OF_ZEROS: f64 = -2.0;
/// Judges the values of scale and shift.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let with = |ratio, detail: &str| Evidence {
        source: EvidenceSource::Values,
        likelihood: Likelihood::between(ratio),
        detail: detail.to_owned(),
    };
    match witness.shift {
        Some(shift) if shift.iter().all(|&value| value == 0.0) => {
            with(SHIFT_OF_ZEROS, "the shift is all zero: untrained, or padding that a converter wrote")
        }
        _ => Evidence::abstain(EvidenceSource::Values, "trained scales of both kinds look like these"),
    }
}
