//! What the norms cost as the other kind: the same text is run with all norms of the stream as LayerNorms and as RMSNorms (MATH
//! §4).
//!
//! The pass runs with both kinds and the data decide, so this is not circular. The losses are paired, and their difference D is a mean
//! over s sequences. It has two errors: that of the text, its standard error, and that of the weights. What they do under the kind they
//! were not trained under is in part an accident. With z = D over both, the likelihood ratio of Student's test between this difference
//! and none is
//!
//! ```text
//! (s/2) · ln(1 + z²/(s − 1))        12.5 nats at z = 5 for many sequences, 4.5 for four
//! ```
//!
//! The accident was measured at our LayerNorm sample: with the dead components of all its readers drawn again, as at their
//! initialisation, it is the same model as LayerNorm, and as RMSNorm costs 0.0009 … 0.0023 nats more (12 draws, 8,128 tokens; spread
//! 0.0004). Untrained weights differ by 0.002 … 0.02 nats with either sign: those predict no better than a guess, and are not
//! judged by loss (`run/loss.rs`).
//!
//! The remaining doubt is whether a model can do better, on some text, as the kind it was not trained as. None of three trained
//! models did, one of them with LayerNorm: too few to count on. So the evidence is capped at 1 in 2,000, a judgement: less than a
//! measurement of the norm itself, which nothing else explains, more than a configuration, which may be of another model.
//!
//! It abstains below five standard errors, and on a single sequence, whose tokens may be alike in an unknown way.

use super::{Evidence, EvidenceSource, Witness};
use crate::norm::behaviour::Likelihood;
use crate::report::{KindByLoss, NormKind};

/// ln 2,000
const MOST: f64 = 7.6;
/// How many nats of a difference are an accident of the weights.
const ACCIDENT: f64 = 0.0005;

/// A loss under both kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BothKinds {
    /// What was compared.
    pub loss: KindByLoss,
    /// s, on how many sequences.
    pub sequences: u64,
}

/// Judges the loss of the model for the norms of its stream. `None` if the model was not run under both kinds.
pub(super) fn weigh(witness: &Witness<'_>) -> Option<Evidence> {
    let both = witness.loss?;
    if !witness.site.reads_stream() {
        let why = "the site does not read the residual stream, so it did not change between the two runs";
        return Some(Evidence::abstain(EvidenceSource::Loss, why));
    }
    Some(weigh_both(both))
}

fn weigh_both(BothKinds { loss, sequences }: BothKinds) -> Evidence {
    let KindByLoss { layernorm, rmsnorm, difference, standard_error, tokens, kind } = loss;
    let said = format!(
        "{tokens} tokens of {sequences} sequences cost {layernorm:.4} nats as LayerNorm and {rmsnorm:.4} as RMSNorm ({difference:+.4} ± {standard_error:.4})"
    );
    let sign = match kind {
        NormKind::LayerNorm => 1.0,
        NormKind::RmsNorm => -1.0,
        _ => return Evidence::abstain(EvidenceSource::Loss, format!("{said}: under five standard errors")),
    };
    if sequences < 2 {
        return Evidence::abstain(
            EvidenceSource::Loss,
            format!("{said}: one sequence says nothing about others"),
        );
    }
    let errors = (difference / standard_error).abs();
    let ratio = log_likelihood_ratio(difference / standard_error.hypot(ACCIDENT), sequences as f64);
    Evidence {
        source: EvidenceSource::Loss,
        likelihood: Likelihood::between(sign * ratio),
        detail: format!("{said}: {errors:.0} standard errors"),
    }
}

/// Log likelihood ratio of a mean over `sequences` values that is `errors` standard errors from 0, against a mean of 0; at most
/// [`MOST`].
fn log_likelihood_ratio(errors: f64, sequences: f64) -> f64 {
    (sequences / 2.0 * (errors * errors / (sequences - 1.0)).ln_1p()).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(difference: f64, standard_error: f64, kind: NormKind, sequences: u64) -> Evidence {
        let loss = KindByLoss {
            layernorm: 3.0 + difference,
            rmsnorm: 3.0,
            difference,
            standard_error,
            tokens: 127 * sequences,
            kind,
        };
        weigh_both(BothKinds { loss, sequences })
    }

    #[test]
    fn the_kind_that_costs_less_is_spoken_for_up_to_the_cap() {
        let found = both(-0.08, 0.004, NormKind::LayerNorm, 32);
        assert_eq!(found.likelihood.ratio(), MOST);
        assert!(found.detail.contains("(-0.0800 ± 0.0040): 20 standard errors"), "{}", found.detail);
        assert_eq!(both(0.08, 0.004, NormKind::RmsNorm, 32).likelihood.ratio(), -MOST);
    }

    #[test]
    fn few_sequences_say_less_and_one_says_nothing() {
        let of = |sequences| both(0.08, 0.016, NormKind::RmsNorm, sequences).likelihood.ratio();
        // (s/2) ln(1 + 25/(s − 1)): ln 26, and 2 ln(28/3), as the accident is far below the standard error.
        assert!((of(2) + 26_f64.ln()).abs() < 0.01);
        assert!((of(4) + 2.0 * (28.0_f64 / 3.0).ln()).abs() < 0.01);
        assert_eq!((of(1), of(1000)), (0.0, -MOST));
    }

    #[test]
    fn under_five_standard_errors_it_abstains() {
        let found = both(-0.0031, 0.0029, NormKind::Unknown, 4);
        assert_eq!(found.likelihood.ratio(), 0.0);
        assert!(found.detail.contains("under five standard errors"), "{}", found.detail);
    }

    #[test]
    fn a_difference_that_may_be_an_accident_of_the_weights_says_less_however_sure_it_is() {
        let of = |difference| both(difference, 1e-5, NormKind::LayerNorm, 1000).likelihood.ratio();
        assert!(of(-0.0005) < 0.6 && of(-0.0015) > 4.0 && of(-0.003) == MOST);
    }

    #[test]
    fn a_difference_without_any_spread_is_capped_too() {
        assert_eq!(both(-0.5, 0.0, NormKind::LayerNorm, 4).likelihood.ratio(), MOST);
    }
}
