//! KL(p‖q) of next-token distributions, slice by slice over the vocabulary: n × vocabulary logits are never in memory.

/// Running sums over the logits l (of p) and l′ (of q) of one token. Weights are e^(l − `most`).
#[derive(Debug, Clone, Copy)]
struct Sums {
    most: f64,
    sum: f64,
    most_other: f64,
    sum_other: f64,
    /// Σ weight · (l − l′).
    difference: f64,
    /// Σ weight · (e^(l′ − l) − 1).
    excess: f64,
    /// max |l − l′|.
    furthest: f64,
}

/// KL(p‖q) of every token, in f64.
#[derive(Debug, Clone)]
pub struct Divergence(Vec<Sums>);

impl Divergence {
    /// Makes empty sums for n tokens.
    pub fn new(tokens: usize) -> Self {
        let none = f64::NEG_INFINITY;
        let (most, most_other) = (none, none);
        let sums =
            Sums { most, sum: 0.0, most_other, sum_other: 0.0, difference: 0.0, excess: 0.0, furthest: 0.0 };
        Self(vec![sums; tokens])
    }

    /// Takes the logits of both (n × `width`) for the next slice of the vocabulary.
    pub fn take(&mut self, logits: &[f32], others: &[f32], width: usize) {
        let rows = logits.chunks_exact(width).zip(others.chunks_exact(width));
        for (token, (row, other)) in self.0.iter_mut().zip(rows) {
            token.take(row, other);
        }
    }

    /// Returns KL(p‖q) of every token in nats. It is not finite if q is 0 where p is not, or if logits are NaN.
    pub fn per_token(&self) -> Vec<f64> {
        self.0.iter().map(Sums::divergence).collect()
    }
}

impl Sums {
    fn take(&mut self, row: &[f32], other: &[f32]) {
        let greatest =
            |row: &[f32], so_far: f64| row.iter().fold(so_far, |most, &next| most.max(next.into()));
        let (most, most_other) = (greatest(row, self.most), greatest(other, self.most_other));
        if most == f64::NEG_INFINITY {
            return;
        }
        let less = (self.most - most).exp();
        self.sum *= less;
        self.difference *= less;
        self.excess *= less;
        self.sum_other *= (self.most_other - most_other).exp();
        (self.most, self.most_other) = (most, most_other);
        for (&logit, &other) in row.iter().zip(other) {
            let (logit, other) = (f64::from(logit), f64::from(other));
            self.sum_other += (other - most_other).exp();
            // A token with p = 0 adds nothing.
            if logit == f64::NEG_INFINITY {
                continue;
            }
            let (weight, difference) = ((logit - most).exp(), logit - other);
            self.sum += weight;
            self.difference += weight * difference;
            self.excess += weight * (-difference).exp_m1();
            // `max` would lose a NaN, but the other sums keep it.
            self.furthest = self.furthest.max(difference.abs());
        }
    }

    /// Σ p (l − l′) + ln Σ p e^(l′ − l). For close distributions this is the logarithm of 1 + something small, which is exact to about
    /// ε·|l − l′|. For others Σ e^(l′ − l) could overflow, so both normalisers are subtracted.
    fn divergence(&self) -> f64 {
        let difference = self.difference / self.sum;
        let divergence = if self.furthest < 1.0 {
            difference + (self.excess / self.sum).ln_1p()
        } else {
            difference + (self.most_other - self.most) + (self.sum_other.ln() - self.sum.ln())
        };
        // Rounding can go below zero. NaN stays NaN.
        if divergence < 0.0 { 0.0 } else { divergence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Straight from the definition.
    fn exact(row: &[f32], other: &[f32]) -> f64 {
        let probabilities = |row: &[f32]| {
            let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
            row.iter().map(|&logit| f64::from(logit).exp() / sum).collect::<Vec<_>>()
        };
        probabilities(row).iter().zip(probabilities(other)).map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn slices_of_any_width_give_the_divergence_of_the_whole() {
        let logits: Vec<f32> = (0..2 * 7).map(|at| (at * 37 % 11) as f32 - 3.0).collect();
        for step in [0.05, 2.0] {
            let others: Vec<f32> =
                logits.iter().enumerate().map(|(at, logit)| logit + step * (at * 5 % 7) as f32).collect();
            for width in [1, 3, 7] {
                let mut divergence = Divergence::new(2);
                for from in (0..7).step_by(width) {
                    let width = width.min(7 - from);
                    let slice = |values: &[f32]| -> Vec<f32> {
                        (0..2).flat_map(|row| values[row * 7 + from..][..width].to_vec()).collect()
                    };
                    divergence.take(&slice(&logits), &slice(&others), width);
                }
                for (token, found) in divergence.per_token().into_iter().enumerate() {
                    let expected = exact(&logits[token * 7..][..7], &others[token * 7..][..7]);
                    assert!((found / expected - 1.0).abs() < 1e-9, "{found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn a_divergence_far_below_the_rounding_of_probabilities_is_resolved() {
        // Expected to second order: half the variance of the difference.
        let (logits, others) = ([0.0, 0.0], [1e-10, -1e-10]);
        let mut divergence = Divergence::new(1);
        divergence.take(&logits, &others, 2);
        assert!((divergence.per_token()[0] / 5e-21 - 1.0).abs() < 1e-3, "{divergence:?}");
    }

    #[test]
    fn equal_logits_diverge_by_nothing_and_constants_are_not_seen() {
        let logits = [3.0, f32::NEG_INFINITY, -1.0];
        for constant in [0.0, 0.5, 100.0] {
            let others = logits.map(|logit| logit + constant);
            let mut divergence = Divergence::new(1);
            divergence.take(&logits, &others, 3);
            assert!(divergence.per_token()[0] < 1e-13, "{constant}: {divergence:?}");
        }
    }

    #[test]
    fn nan_stays_nan() {
        let mut divergence = Divergence::new(1);
        divergence.take(&[0.0, 1.0], &[0.0, f32::NAN], 2);
        assert!(divergence.per_token()[0].is_nan());
    }
}
