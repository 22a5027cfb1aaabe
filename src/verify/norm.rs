//! The norms in f32, as a forward pass computes them.

/// What a norm subtracts before it divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centring {
    /// The mean over the channels: LayerNorm.
    Mean,
    /// Nothing: RMSNorm.
    None,
}

/// y = γ ⊙ (x − m)/√(mean (x − m)² + ε) + β for one token, m being the mean or nothing (MATH §1). Sums in f32, in the order
/// of the channels; γ and β are d values each.
pub fn norm(centring: Centring, x: &[f32], scale: &[f32], shift: Option<&[f32]>, epsilon: f32) -> Vec<f32> {
    let d = x.len() as f32;
    let mean = match centring {
        Centring::Mean => x.iter().sum::<f32>() / d,
        Centring::None => 0.0,
    };
    let square = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / d;
    let inverse = 1.0 / (square + epsilon).sqrt();
    let output = |(channel, x): (usize, &f32)| {
        (x - mean) * inverse * scale[channel] + shift.map_or(0.0, |shift| shift[channel])
    };
    x.iter().enumerate().map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_layer_norm_sums_to_zero_and_has_unit_variance_and_an_rms_norm_has_unit_mean_square(
            x in prop::collection::vec(-30f32..30.0, 8..200)
        ) {
            let ones = vec![1.0; x.len()];
            let mean = |values: &[f32]| values.iter().map(|&y| f64::from(y)).sum::<f64>() / values.len() as f64;
            let square = |values: &[f32]| values.iter().map(|&y| f64::from(y).powi(2)).sum::<f64>() / values.len() as f64;
            let centred = norm(Centring::Mean, &x, &ones, None, 0.0);
            let plain = norm(Centring::None, &x, &ones, None, 0.0);
            prop_assume!(centred.iter().chain(&plain).all(|y| y.is_finite()));
            prop_assert!(mean(&centred).abs() < 1e-4 && (square(&centred) - 1.0).abs() < 1e-3);
            prop_assert!((square(&plain) - 1.0).abs() < 1e-3);
        }

        #[test]
        fn a_layer_norm_is_an_rms_norm_of_centred_inputs(x in prop::collection::vec(-30f32..30.0, 8..60), epsilon in 1e-6f32..1.0) {
            let ones = vec![1.0; x.len()];
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            let centred: Vec<f32> = x.iter().map(|x| x - mean).collect();
            prop_assert_eq!(
                norm(Centring::Mean, &x, &ones, Some(&ones), epsilon),
                norm(Centring::None, &centred, &ones, Some(&ones), epsilon)
            );
        }
    }
}
