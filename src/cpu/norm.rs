//! The norms. One routine covers both kinds of centring; the scale and shift come after it (MATH §1).

use super::lanes::sum;
use super::rows;
use crate::model::operation::Centring;

/// Computes x̂ = (x − m)/√(mean (x − m)² + ε) of every token in place, on n × `width` values. m is the mean or 0.
pub fn normalise(centring: Centring, x: &mut [f32], width: usize, epsilon: f32) {
    let d = width as f32;
    rows::in_parallel(x, width, |_, part| {
        for token in part.chunks_exact_mut(width) {
            let mean = match centring {
                Centring::Mean => sum(token, |x| x) / d,
                Centring::None => 0.0,
            };
            let square = sum(token, |x| (x - mean) * (x - mean)) / d;
            let inverse = 1.0 / (square + epsilon).sqrt();
            for x in token {
                *x = (*x - mean) * inverse;
            }
        }
    });
}

/// Computes max(x − m − k · s, 0) in place, on n × `width` values. m and s are the mean and the standard deviation of a token's values.
pub fn cut(x: &mut [f32], width: usize, k: f32) {
    let d = width as f32;
    rows::in_parallel(x, width, |_, part| {
        for token in part.chunks_exact_mut(width) {
            let mean = sum(token, |x| x) / d;
            let square = sum(token, |x| (x - mean) * (x - mean)) / d;
            let least = mean + k * square.sqrt();
            token.iter_mut().for_each(|x| *x = (*x - least).max(0.0));
        }
    });
}

/// Computes y = γ ⊙ x̂ + β of every token in place. A missing γ is 1, a missing β is 0.
pub fn scale_and_shift(x: &mut [f32], scale: Option<&[f32]>, shift: Option<&[f32]>) {
    if let Some(scale) = scale {
        for token in x.chunks_exact_mut(scale.len()) {
            for (value, scale) in token.iter_mut().zip(scale) {
                *value *= scale;
            }
        }
    }
    if let Some(shift) = shift {
        super::linear::add_to_rows(x, shift);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalised(centring: Centring, x: &[f32], epsilon: f32) -> Vec<f32> {
        let mut y = x.to_vec();
        normalise(centring, &mut y, x.len(), epsilon);
        y
    }

    #[test]
    fn a_cut_leaves_what_is_beyond_some_deviations_of_each_token() {
        // Means 3 and 0, deviations 2 and 1.
        let mut x = [1.0, 5.0, 1.0, 5.0, -1.0, 1.0, 1.0, -1.0];
        cut(&mut x, 4, 0.5);
        assert_eq!(x, [0.0, 1.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0]);
    }

    proptest! {
        #[test]
        fn a_layer_norm_sums_to_zero_and_has_unit_variance_and_an_rms_norm_has_unit_mean_square(
            x in prop::collection::vec(-30f32..30.0, 8..200)
        ) {
            let mean = |values: &[f32]| values.iter().map(|&y| f64::from(y)).sum::<f64>() / values.len() as f64;
            let square = |values: &[f32]| values.iter().map(|&y| f64::from(y).powi(2)).sum::<f64>() / values.len() as f64;
            let centred = normalised(Centring::Mean, &x, 0.0);
            let plain = normalised(Centring::None, &x, 0.0);
            prop_assume!(centred.iter().chain(&plain).all(|y| y.is_finite()));
            prop_assert!(mean(&centred).abs() < 1e-4 && (square(&centred) - 1.0).abs() < 1e-3);
            prop_assert!((square(&plain) - 1.0).abs() < 1e-3);
        }

        #[test]
        fn a_layer_norm_is_an_rms_norm_of_centred_inputs(x in prop::collection::vec(-30f32..30.0, 8..60), epsilon in 1e-6f32..1.0) {
            let mean = sum(&x, |x| x) / x.len() as f32;
            let centred: Vec<f32> = x.iter().map(|x| x - mean).collect();
            prop_assert_eq!(normalised(Centring::Mean, &x, epsilon), normalised(Centring::None, &centred, epsilon));
        }
    }

    #[test]
    fn epsilon_is_inside_the_root_and_scale_and_shift_come_after() {
        // Small enough for ε to matter.
        let mut x = [3e-3, -1e-3, 2e-3, 0.0];
        normalise(Centring::Mean, &mut x, 4, 1e-5);
        scale_and_shift(&mut x, Some(&[1.0, 2.0, -3.0, 4.0]), Some(&[0.5, 0.0, 1.0, 0.0]));
        let inverse = 1.0 / (2.5e-6f64 + 1e-5).sqrt();
        let exact = [2e-3 * inverse + 0.5, -4e-3 * inverse, -3e-3 * inverse + 1.0, -4e-3 * inverse];
        for (found, exact) in x.iter().zip(exact) {
            assert!((f64::from(*found) - exact).abs() < 1e-6, "{found} for {exact}");
        }
    }
}
