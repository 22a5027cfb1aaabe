//! The one place where evidence becomes a verdict.
//!
//! The pieces are written so that they may be added: names are weighed given the shift, and the configuration speaks
//! once. Prior odds are even. The sum is turned into a probability and the verdict abstains below [`THRESHOLD`].

use super::evidence::Evidence;
use crate::report::NormKind;

/// A kind is named only when its probability is at least this; a wrong verdict is worse than none.
pub const THRESHOLD: f64 = 0.95;

/// No evidence counted on a few hundred architectures supports more than this.
const MOST_CONFIDENT: f64 = 0.999;

/// A kind and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// LayerNorm, RMSNorm or unknown.
    pub kind: NormKind,
    /// Probability of `kind`; 0 when unknown.
    pub confidence: f64,
}

/// Adds the evidence up.
pub fn combine(evidence: &[Evidence]) -> Verdict {
    let sum: f64 = evidence.iter().map(|piece| piece.log_likelihood_ratio).sum();
    let confidence = (1.0 / (1.0 + (-sum.abs()).exp())).min(MOST_CONFIDENT);
    if confidence < THRESHOLD {
        Verdict { kind: NormKind::Unknown, confidence: 0.0 }
    } else if sum > 0.0 {
        Verdict { kind: NormKind::LayerNorm, confidence }
    } else {
        Verdict { kind: NormKind::RmsNorm, confidence }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Source;
    use super::*;

    fn of(ratios: &[f64]) -> Verdict {
        let pieces: Vec<Evidence> = ratios
            .iter()
            .map(|&log_likelihood_ratio| Evidence {
                source: Source::Shift,
                log_likelihood_ratio,
                detail: String::new(),
            })
            .collect();
        combine(&pieces)
    }

    #[test]
    fn thin_evidence_is_unknown() {
        assert_eq!(of(&[]).kind, NormKind::Unknown);
        assert_eq!(of(&[2.0]).kind, NormKind::Unknown);
    }

    #[test]
    fn a_contradiction_is_unknown() {
        assert_eq!(of(&[7.38, -6.0]).kind, NormKind::Unknown);
    }

    #[test]
    fn agreement_is_named_with_bounded_confidence() {
        assert_eq!(of(&[7.38, 6.0]), Verdict { kind: NormKind::LayerNorm, confidence: MOST_CONFIDENT });
        assert_eq!(of(&[-2.97, -3.39]).kind, NormKind::RmsNorm);
    }
}
