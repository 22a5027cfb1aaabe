//! The exact kernel of the centred covariance of y, and how concentrated it is (MATH §2).
//!
//! For any inputs and LayerNorm, {a : Γa ∈ span(1)} ⊆ ker C, with Γ = diag γ. If all γᵢ ≠ 0, γ⁻¹ spans the kernel. If some are zero,
//! their coordinates span it instead. RMSNorm has only coordinates.

use super::scale::Scale;

/// The kernel direction v = γ⁻¹/‖γ⁻¹‖ of a LayerNorm whose scales are all nonzero.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// v (d values), of unit length, with the sign of γ⁻¹.
    pub components: Vec<f64>,
    /// ‖γ⁻¹‖. Infinite if it leaves the range of f64.
    pub inverse_norm: f64,
}

/// The kernel that a scale proves, depending on whether the norm subtracts the mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// One direction, γ⁻¹/‖γ⁻¹‖.
    InverseScale(Direction),
    /// The coordinates with γᵢ = 0.
    Coordinates(Vec<usize>),
    /// Nothing is dead.
    None,
}

impl Kernel {
    /// Returns the kernel of C for any inputs. `subtracts_mean` is the only difference between LayerNorm and RMSNorm.
    pub fn of(scale: &Scale, subtracts_mean: bool) -> Self {
        let zeros = scale.zeros();
        if !zeros.is_empty() {
            Self::Coordinates(zeros)
        } else if subtracts_mean {
            Self::InverseScale(inverse_direction(scale))
        } else {
            Self::None
        }
    }

    /// dim ker C as the scale proves it.
    pub fn dimension(&self) -> usize {
        match self {
            Self::InverseScale(_) => 1,
            Self::Coordinates(zeros) => zeros.len(),
            Self::None => 0,
        }
    }
}

/// Computes v = γ⁻¹/‖γ⁻¹‖ without overflow: vᵢ ∝ m/γᵢ with m = min|γ|, so every ratio is within [−1, 1] (γ may hold 1e-33 next to 0.8).
/// All γᵢ must be nonzero.
fn inverse_direction(scale: &Scale) -> Direction {
    let smallest = scale.magnitudes().min;
    let ratios: Vec<f64> = scale.values().iter().map(|value| smallest / value).collect();
    let norm = ratios.iter().map(|ratio| ratio * ratio).sum::<f64>().sqrt();
    Direction { components: ratios.iter().map(|ratio| ratio / norm).collect(), inverse_norm: norm / smallest }
}

/// HM(γ²)/AM(γ²), 0 … 1: the factor of the depth λ_v/mean of the kernel direction when γ replaces γ = 1 (MATH §9). λ_v is exactly HM(γ²)
/// times the variance of x̂ along 1/√d, and the mean variance is about AM(γ²) times that of x̂. The factor is 1 for equal scales. All γᵢ
/// must be nonzero.
pub fn deepening(scale: &Scale) -> f64 {
    let (least, most) = (scale.magnitudes().min, scale.magnitudes().max);
    let mean_square = |of: &dyn Fn(f64) -> f64| {
        scale.values().iter().map(|&value| of(value).powi(2)).sum::<f64>() / scale.width() as f64
    };
    // Every ratio is at most 1, so nothing overflows.
    (least / most).powi(2) / (mean_square(&|value| least / value) * mean_square(&|value| value / most))
}

impl Direction {
    /// Participation ratio 1/Σvᵢ⁴: d for a flat direction, 1 for a coordinate.
    pub fn participation(&self) -> f64 {
        1.0 / self.components.iter().map(|component| component.powi(4)).sum::<f64>()
    }

    /// Index and size of the largest |vᵢ|, the first of equals.
    pub fn largest(&self) -> (usize, f64) {
        let mut largest = (0, 0.0);
        for (index, component) in self.components.iter().enumerate() {
            if component.abs() > largest.1 {
                largest = (index, component.abs());
            }
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn direction(values: &[f64]) -> Direction {
        match Kernel::of(&Scale::new(values.to_vec()).unwrap(), true) {
            Kernel::InverseScale(direction) => direction,
            other => panic!("expected a direction, got {other:?}"),
        }
    }

    #[test]
    fn a_flat_scale_has_a_flat_kernel_direction() {
        let v = direction(&[2.0; 16]);
        assert!(v.components.iter().all(|c| (c - 0.25).abs() < 1e-15));
        assert!((v.participation() - 16.0).abs() < 1e-12);
        assert!((v.inverse_norm - 2.0).abs() < 1e-15);
    }

    #[test]
    fn a_scale_with_a_zero_has_a_coordinate_kernel() {
        let scale = Scale::new(vec![1.0, 0.0, 2.0, -0.0]).unwrap();
        assert_eq!(Kernel::of(&scale, true), Kernel::Coordinates(vec![1, 3]));
        assert_eq!(Kernel::of(&scale, false), Kernel::Coordinates(vec![1, 3]));
    }

    #[test]
    fn an_rms_norm_without_zeros_has_no_kernel() {
        assert_eq!(Kernel::of(&Scale::new(vec![1e-33, 0.8]).unwrap(), false), Kernel::None);
    }

    #[test]
    fn equal_scales_deepen_nothing_and_one_small_scale_as_far_as_it_goes() {
        let of = |values: &[f64]| deepening(&Scale::new(values.to_vec()).unwrap());
        assert!((of(&[-2.0; 16]) - 1.0).abs() < 1e-15);
        // HM = 2/(1 + 1/4) = 1.6, AM = 2.5.
        assert!((of(&[1.0, 2.0]) - 1.6 / 2.5).abs() < 1e-15);
        let tiny = of(&[1e-33, 1.0, 1.0]);
        assert!((tiny / 4.5e-66 - 1.0).abs() < 1e-12, "{tiny:e}");
        assert_eq!(of(&[1e-300, 1e300]), 0.0, "below what f64 holds");
    }

    #[test]
    fn a_scale_of_size_one_is_its_own_kernel() {
        assert_eq!(direction(&[-3.0]).components, vec![-1.0]);
    }

    #[test]
    fn one_tiny_scale_takes_the_whole_direction_without_overflow() {
        let v = direction(&[0.8, -4.8e-33, 0.7]);
        assert_eq!(v.largest(), (1, 1.0));
        assert!(v.participation() - 1.0 < 1e-12);
        let subnormal = direction(&[5e-324, 1.0]);
        assert_eq!(subnormal.components[0], 1.0);
        assert_eq!(subnormal.inverse_norm, f64::INFINITY);
    }

    proptest! {
        /// MATH §2: Γv ∈ span(1), so C v = 0 whatever the inputs.
        #[test]
        fn gamma_times_v_is_constant_and_v_has_unit_length(
            values in prop::collection::vec((1e-30..1e3f64, any::<bool>()).prop_map(|(size, negative)| if negative { -size } else { size }), 1..50)
        ) {
            let v = direction(&values);
            prop_assert!((v.components.iter().map(|c| c * c).sum::<f64>() - 1.0).abs() < 1e-12);
            let constant = values[0] * v.components[0];
            for (gamma, component) in values.iter().zip(&v.components) {
                prop_assert!((gamma * component - constant).abs() <= 1e-12 * constant.abs());
            }
        }

        #[test]
        fn deepening_is_a_ratio_of_means_whatever_the_unit(values in prop::collection::vec(1e-3..1e3f64, 1..50), unit in 1e-100..1e100f64) {
            let of = |by: f64| deepening(&Scale::new(values.iter().map(|value| by * value).collect()).unwrap());
            let d = values.len() as f64;
            let harmonic = d / values.iter().map(|value| value.powi(-2)).sum::<f64>();
            let arithmetic = values.iter().map(|value| value * value).sum::<f64>() / d;
            prop_assert!((of(1.0) / (harmonic / arithmetic) - 1.0).abs() < 1e-12);
            prop_assert!((of(unit) / of(1.0) - 1.0).abs() < 1e-12);
            prop_assert!(of(1.0) < 1.0 + 1e-12);
        }

        /// The direction annihilates actual LayerNorm outputs: vᵀ(y − β) = 0 for every token.
        #[test]
        fn the_direction_kills_every_layer_norm_output(
            gamma in prop::collection::vec(0.01..2.0f64, 2..40), seed in any::<u64>()
        ) {
            let d = gamma.len();
            let v = direction(&gamma);
            let mut state = seed;
            for _ in 0..8 {
                let x: Vec<f64> = (0..d).map(|_| { state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5 }).collect();
                let mean = x.iter().sum::<f64>() / d as f64;
                let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64 + 1e-5).sqrt();
                let along: f64 = x.iter().zip(&gamma).zip(&v.components).map(|((x, gamma), v)| gamma * (x - mean) / deviation * v).sum();
                prop_assert!(along.abs() < 1e-13 * d as f64, "{along}");
            }
        }
    }
}
