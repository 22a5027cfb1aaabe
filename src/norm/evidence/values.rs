//! The stored numbers themselves. Trained scales of both kinds look alike, so they show little.
//!
//! A shift of zeros may be a converter's padding of an RMSNorm as well as an untrained LayerNorm: it takes back part of the
//! shift's evidence (a judgement, not a count). Scales stored around zero say nothing: Gemma stores RMSNorms that way,
//! x-transformers and Nemotron LayerNorms.

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
