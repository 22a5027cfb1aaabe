//! The isotropic prediction: the spectrum of C if x̂ were isotropic on its support (MATH §2, new).
//!
//! C = Γ² − γγᵀ/d for LayerNorm, Γ² for RMSNorm, Γ = diag γ. With s₁ ≤ … ≤ s_d the sorted γᵢ², the LayerNorm eigenvalues are μ₁ = 0 and
//! one root of the secular equation 1 = (1/d) Σ sᵢ/(sᵢ − μ) in each [s_{k−1}, s_k]. Writing sᵢ/(sᵢ − μ) = 1 + μ/(sᵢ − μ) turns it into Σ
//! 1/(sᵢ − μ) = 0 for μ ≠ 0, without cancellation against 1. No matrix is formed: one eigenvalue costs O(d) per bisection step, and a
//! count costs O(d) in all.

use super::scale::Scale;
use crate::order;

/// Directions below τ × mean eigenvalue are predicted dead.
pub const TAU: f64 = 1e-6;

/// Up to this width a spectrum is sampled at every rank.
pub const ALL_UP_TO: usize = 400;

/// A wider site is sampled at this many of the lowest ranks.
pub const LOWEST: usize = 40;

/// Bisection halves the bracket to the last bit of an f64 within this many steps.
const BISECTION_STEPS: usize = 80;

/// The ascending ranks (from 0) at which a spectrum of `d` eigenvalues is sampled: all of them, or the lowest, then ranks that grow by
/// a twentieth each, and the last.
pub fn ranks(d: usize) -> Vec<usize> {
    if d <= ALL_UP_TO {
        return (0..d).collect();
    }
    let mut ranks: Vec<usize> = (0..LOWEST).collect();
    let mut rank = LOWEST;
    while rank < d - 1 {
        ranks.push(rank);
        rank += rank / 20;
    }
    ranks.push(d - 1);
    ranks
}

/// The predicted spectrum of one site.
#[derive(Debug, Clone)]
pub struct IsotropicSpectrum {
    /// γᵢ²/max γ², ascending. The scaling keeps squares within f64.
    squares: Vec<f64>,
    /// max γ².
    unit: f64,
    subtracts_mean: bool,
}

impl IsotropicSpectrum {
    /// Sorts γ² once: O(d log d).
    pub fn new(scale: &Scale, subtracts_mean: bool) -> Self {
        let largest = scale.magnitudes().max;
        let divisor = if largest > 0.0 { largest } else { 1.0 };
        let mut squares: Vec<f64> = scale.values().iter().map(|value| (value / divisor).powi(2)).collect();
        order::sort_by(&mut squares, f64::total_cmp);
        Self { squares, unit: divisor * divisor, subtracts_mean }
    }

    /// The width d.
    pub fn width(&self) -> usize {
        self.squares.len()
    }

    /// tr C/d, in units of γ².
    pub fn mean(&self) -> f64 {
        self.unit * self.scaled_mean()
    }

    /// The k-th smallest eigenvalue, k from 0 to d − 1, in units of γ².
    pub fn eigenvalue(&self, k: usize) -> f64 {
        self.unit * if self.subtracts_mean { self.secular_root(k) } else { self.squares[k] }
    }

    /// Number of eigenvalues below `tau` × mean, by Sylvester's law of inertia on the bordered matrix
    /// [[Γ² − x, γ], [γᵀ, d]]: #{sᵢ < x} + 1 if Σ 1/(sᵢ − x) > 0.
    pub fn count_below(&self, tau: f64) -> usize {
        let bound = tau * self.scaled_mean();
        if bound <= 0.0 {
            // If all scales are zero (or the width of a LayerNorm is 1), C = 0 and every direction is dead.
            return self.width();
        }
        let below = self.squares.partition_point(|&square| square < bound);
        if !self.subtracts_mean {
            return below;
        }
        // A pole exactly at the bound counts as above it.
        let sum: f64 = self.squares.iter().map(|square| 1.0 / (square - bound)).sum();
        below + usize::from(sum > 0.0)
    }

    fn scaled_mean(&self) -> f64 {
        let d = self.width() as f64;
        let trace: f64 = self.squares.iter().sum();
        if self.subtracts_mean { trace * (1.0 - 1.0 / d) / d } else { trace / d }
    }

    /// Root of Σ 1/(sᵢ − μ) = 0 in [s_{k−1}, s_k], as an offset from s_{k−1}, so that close poles keep their digits.
    fn secular_root(&self, k: usize) -> f64 {
        if k == 0 {
            return 0.0;
        }
        let (base, gap) = (self.squares[k - 1], self.squares[k] - self.squares[k - 1]);
        let (mut low, mut high) = (0.0, gap);
        for _ in 0..BISECTION_STEPS {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                break;
            }
            let sum: f64 = self.squares.iter().map(|square| 1.0 / ((square - base) - middle)).sum();
            if sum < 0.0 { low = middle } else { high = middle }
        }
        base + (low + high) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spectrum(values: &[f64], subtracts_mean: bool) -> IsotropicSpectrum {
        IsotropicSpectrum::new(&Scale::new(values.to_vec()).unwrap(), subtracts_mean)
    }

    fn eigenvalues(values: &[f64], subtracts_mean: bool) -> Vec<f64> {
        let spectrum = spectrum(values, subtracts_mean);
        (0..spectrum.width()).map(|k| spectrum.eigenvalue(k)).collect()
    }

    /// Eigenvalues of the d × d matrix Γ² − γγᵀ/d by cyclic Jacobi rotations: the reference, slow but obviously correct.
    fn jacobi(values: &[f64]) -> Vec<f64> {
        let d = values.len();
        let mut a = vec![vec![0.0; d]; d];
        for (i, row) in a.iter_mut().enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                *entry =
                    f64::from(u8::from(i == j)) * values[i] * values[i] - values[i] * values[j] / d as f64;
            }
        }
        for _ in 0..60 {
            for p in 0..d {
                for q in p + 1..d {
                    if a[p][q] == 0.0 {
                        continue;
                    }
                    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                    let c = 1.0 / (t * t + 1.0).sqrt();
                    let s = t * c;
                    for row in &mut a {
                        let (x, y) = (row[p], row[q]);
                        row[p] = c * x - s * y;
                        row[q] = s * x + c * y;
                    }
                    let (row_p, row_q) = (a[p].clone(), a[q].clone());
                    for k in 0..d {
                        a[p][k] = c * row_p[k] - s * row_q[k];
                        a[q][k] = s * row_p[k] + c * row_q[k];
                    }
                }
            }
        }
        let mut found: Vec<f64> = (0..d).map(|i| a[i][i]).collect();
        found.sort_by(f64::total_cmp);
        found
    }

    #[test]
    fn wide_spectra_are_sampled_with_the_lowest_and_the_last_rank() {
        for d in [401, 1_000, 16_384, 1_000_000] {
            let ranks = ranks(d);
            assert!(ranks.len() <= ALL_UP_TO && ranks.is_sorted_by(|a, b| a < b), "{d}: {}", ranks.len());
            assert!(ranks[..LOWEST].iter().copied().eq(0..LOWEST) && ranks.last() == Some(&(d - 1)));
        }
        assert_eq!(ranks(400).len(), 400);
    }

    #[test]
    fn a_flat_scale_has_one_zero_and_a_flat_rest() {
        let found = eigenvalues(&[2.0; 5], true);
        assert_eq!(found[0], 0.0);
        assert!(found[1..].iter().all(|mu| (mu - 4.0).abs() < 1e-14));
    }

    #[test]
    fn each_zero_scale_adds_a_zero_eigenvalue_but_no_inverse_direction() {
        let found = eigenvalues(&[0.0, 0.0, 1.0, 2.0], true);
        assert_eq!(found.iter().filter(|mu| **mu < 1e-12).count(), 2);
    }

    #[test]
    fn an_rms_norm_predicts_the_squares_themselves() {
        assert_eq!(eigenvalues(&[3.0, -1.0, 2.0], false), vec![1.0, 4.0, 9.0]);
    }

    #[test]
    fn a_tiny_scale_pairs_with_its_neighbour() {
        // γ = (1e-33, 1, 1, 1): v ≈ e₀ is exact; no second direction is below τ.
        assert_eq!(spectrum(&[1e-33, 1.0, 1.0, 1.0], true).count_below(TAU), 1);
        // Three near-dead scales give three soft directions, one of them exact.
        assert_eq!(spectrum(&[1e-33, 2e-33, 1e-30, 1.0, 1.0, 1.0], true).count_below(TAU), 3);
        assert_eq!(spectrum(&[1e-33, 2e-33, 1e-30, 1.0, 1.0, 1.0], false).count_below(TAU), 3);
    }

    #[test]
    fn a_scale_of_zeros_and_a_scale_of_one_value_are_dead_everywhere() {
        assert_eq!(spectrum(&[0.0; 4], true).count_below(TAU), 4);
        assert_eq!(spectrum(&[0.0; 4], false).count_below(TAU), 4);
        assert_eq!(spectrum(&[7.0], true).count_below(TAU), 1);
        assert_eq!(spectrum(&[7.0], false).count_below(TAU), 0);
    }

    proptest! {
        #[test]
        fn the_secular_roots_are_the_eigenvalues_of_the_matrix(values in prop::collection::vec(-3.0..3.0f64, 1..13)) {
            let (found, expected) = (eigenvalues(&values, true), jacobi(&values));
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-10, "{found} against {expected}");
            }
        }

        #[test]
        fn the_eigenvalues_sum_to_the_trace(values in prop::collection::vec(1e-3..1e3f64, 1..60), subtracts_mean: bool) {
            let spectrum = spectrum(&values, subtracts_mean);
            let sum: f64 = (0..spectrum.width()).map(|k| spectrum.eigenvalue(k)).sum();
            let trace = spectrum.mean() * values.len() as f64;
            prop_assert!((sum - trace).abs() <= 1e-9 * trace.max(1e-300));
        }

        #[test]
        fn the_count_agrees_with_the_eigenvalues(exponents in prop::collection::vec(-9.0..1.0f64, 2..40), subtracts_mean: bool) {
            let values: Vec<f64> = exponents.iter().map(|e| 10f64.powf(*e)).collect();
            let spectrum = spectrum(&values, subtracts_mean);
            let bound = TAU * spectrum.mean();
            let counted = (0..values.len()).filter(|&k| spectrum.eigenvalue(k) < bound).count();
            prop_assert_eq!(spectrum.count_below(TAU), counted);
        }
    }
}
