//! The kind of the norms by loss: the same tokens with the norms as LayerNorm and as RMSNorm, paired (MATH §4).
//!
//! This is not circular: the pass runs with both kinds, and the wrong kind costs loss.

use crate::report::{KindByLoss, NormKind};

/// Standard errors that a decision needs.
pub const ENOUGH: f64 = 5.0;

/// A model predicts a text if its loss is at least this many nats below that of a guess among the whole vocabulary.
const BETTER_THAN_A_GUESS: f64 = 1.0;

/// Whether the better loss is still about that of a guess among `vocabulary` tokens. Then the weights are untrained, or the tokens belong
/// to another model. Which kind costs less is then an accident of the weights, and may be the same for all tokens.
pub fn is_a_guess(loss: &KindByLoss, vocabulary: usize) -> bool {
    is_about_a_guess(loss.layernorm.min(loss.rmsnorm), vocabulary)
}

/// Whether a loss in nats is still about that of a guess among `vocabulary` tokens.
pub fn is_about_a_guess(loss: f64, vocabulary: usize) -> bool {
    loss.is_nan() || loss > (vocabulary as f64).ln() - BETTER_THAN_A_GUESS
}

/// Returns the mean of `first` − `second`, losses (nats) of the same tokens in sequences of `sequence`, and its standard error. Losses
/// within a sequence are correlated, so the standard error is the greater of that over tokens and that over sequences. `None` for fewer
/// than two tokens, or if the numbers of losses differ.
pub fn paired(first: &[f64], second: &[f64], sequence: usize) -> Option<(f64, f64)> {
    let tokens = first.len();
    if tokens < 2 || second.len() != tokens {
        return None;
    }
    let differences: Vec<f64> = first.iter().zip(second).map(|(first, second)| first - second).collect();
    let by_sequence: Vec<f64> = differences.chunks_exact(sequence.clamp(1, tokens)).map(mean).collect();
    Some((mean(&differences), standard_error(&differences).max(standard_error(&by_sequence))))
}

/// Compares the losses (nats) of the same tokens under both kinds, token by token. `sequence` is the number of tokens of a sequence.
/// `None` for fewer than two tokens, or if the numbers of losses differ.
pub fn kind_by_loss(layernorm: &[f64], rmsnorm: &[f64], sequence: usize) -> Option<KindByLoss> {
    let (difference, standard_error) = paired(layernorm, rmsnorm, sequence)?;
    let kind = if !(difference.abs() >= ENOUGH * standard_error && difference != 0.0) {
        NormKind::Unknown
    } else if difference < 0.0 {
        NormKind::LayerNorm
    } else {
        NormKind::RmsNorm
    };
    Some(KindByLoss {
        layernorm: mean(layernorm),
        rmsnorm: mean(rmsnorm),
        difference,
        standard_error,
        tokens: layernorm.len() as u64,
        kind,
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean. 0 for fewer than two values, which have no spread.
fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    /// Losses of a model whose norms are RMSNorms. As LayerNorms they cost `cost` more, with separate noise.
    fn losses(tokens: usize, cost: f64, seed: u64) -> [Vec<f64>; 2] {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut normal = |_| random.sample::<f64, _>(StandardNormal);
        let rms: Vec<f64> = (0..tokens).map(&mut normal).map(|noise| 3.2 + noise).collect();
        let layer = rms.iter().map(|loss| loss + cost + 0.1 * normal(0)).collect();
        [layer, rms]
    }

    #[test]
    fn math_4_the_wrong_kind_costs_loss_and_pairs_show_a_small_cost() {
        let [layer, rms] = losses(1024, 0.08, 1);
        let found = kind_by_loss(&layer, &rms, 128).unwrap();
        assert_eq!(found.kind, NormKind::RmsNorm);
        assert!((found.difference - 0.08).abs() < 0.02 && found.difference > 5.0 * found.standard_error);
        // With swapped arguments it is the other kind.
        assert_eq!(kind_by_loss(&rms, &layer, 128).unwrap().kind, NormKind::LayerNorm);
    }

    #[test]
    fn under_five_standard_errors_it_abstains() {
        for seed in 0..20 {
            let [layer, rms] = losses(1024, 0.0, seed);
            assert_eq!(kind_by_loss(&layer, &rms, 128).unwrap().kind, NormKind::Unknown, "{seed}");
        }
        let same = vec![3.0; 64];
        assert_eq!(kind_by_loss(&same, &same, 8).unwrap().kind, NormKind::Unknown, "no difference at all");
    }

    #[test]
    fn losses_no_better_than_a_guess_are_noticed() {
        let [layer, rms] = losses(1024, 0.08, 1);
        let found = kind_by_loss(&layer, &rms, 128).unwrap();
        // 3.2 nats. ln 256 is 5.5, and ln 50 is 3.9.
        assert!(!is_a_guess(&found, 256) && is_a_guess(&found, 50));
        assert!(is_a_guess(&KindByLoss { layernorm: f64::NAN, rmsnorm: f64::NAN, ..found }, 256));
    }

    #[test]
    fn sequences_that_differ_as_wholes_are_not_counted_as_many_tokens() {
        // Eight sequences, each with its own offset for all tokens.
        let rms = vec![3.0; 8 * 128];
        let offsets = [0.5, -0.4, 0.6, -0.5, 0.4, -0.2, 0.3, -0.3];
        let layer: Vec<f64> = rms.iter().enumerate().map(|(at, loss)| loss + offsets[at / 128]).collect();
        let found = kind_by_loss(&layer, &rms, 128).unwrap();
        assert_eq!(found.kind, NormKind::Unknown, "{found:?}");
        assert_eq!(kind_by_loss(&layer, &rms[1..], 128), None);
    }
}
