//! Noise with a natural spectrum, used if the user gives no image and no sound.
//!
//! Amplitudes fall as 1/f, as in natural images (Field, 1987), with random phases.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

/// The generator of a seed, the same on every machine.
pub fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// height × width values of mean 0 and variance 1.
///
/// Empty if a side is 0. One value alone is 0.
pub fn natural(height: usize, width: usize, random: &mut impl Rng) -> Vec<f64> {
    let mut normal = || -> f64 { random.sample(StandardNormal) };
    // Cycles per side, for the n-th of `size` coefficients.
    let frequency = |n: usize, size: usize| n.min(size - n) as f64 / size as f64;
    let coefficients = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let coefficients = coefficients.map(|(row, column)| {
        let (re, im) = (normal(), normal());
        let squared = frequency(row, height).powi(2) + frequency(column, width).powi(2);
        let amplitude = if squared == 0.0 { 0.0 } else { squared.sqrt().recip() };
        Complex64::new(re, im) * amplitude
    });
    let mut values: Vec<Complex64> = coefficients.collect();
    if values.is_empty() {
        return Vec::new();
    }
    let mut planner = FftPlanner::new();
    planner.plan_fft_inverse(width).process(&mut values);
    values = transposed(&values, height, width);
    planner.plan_fft_inverse(height).process(&mut values);
    // The real part alone has the same spectrum.
    let values: Vec<f64> = transposed(&values, width, height).iter().map(|value| value.re).collect();
    let mean_square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
    let scale = if mean_square > 0.0 { mean_square.sqrt().recip() } else { 0.0 };
    values.iter().map(|value| value * scale).collect()
}

fn transposed(values: &[Complex64], height: usize, width: usize) -> Vec<Complex64> {
    let places = (0..width).flat_map(|column| (0..height).map(move |row| row * width + column));
    places.map(|place| values[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_for_a_seed_and_other_for_another() {
        let of = |seed| natural(16, 12, &mut generator(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(of(1).len(), 16 * 12);
        assert!(natural(0, 5, &mut generator(1)).is_empty());
        assert_eq!(natural(1, 1, &mut generator(1)), [0.0]);
    }

    #[test]
    fn noise_has_mean_zero_and_variance_one() {
        for (height, width) in [(64, 48), (1, 5000)] {
            let values = natural(height, width, &mut generator(3));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
            assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{mean} {variance}");
        }
    }

    /// The slope of the logarithm of power against that of frequency, over all frequencies of a row.
    #[test]
    fn the_power_of_a_row_falls_as_one_over_f_squared() {
        let length = 1 << 15;
        let values = natural(1, length, &mut generator(5));
        let mut spectrum: Vec<Complex64> = values.iter().map(|&value| Complex64::new(value, 0.0)).collect();
        FftPlanner::new().plan_fft_forward(length).process(&mut spectrum);
        let power = |from: usize| -> f64 {
            spectrum[from..2 * from].iter().map(Complex64::norm_sqr).sum::<f64>() / from as f64
        };
        // The higher octaves have at least 512 coefficients, whose mean is within a tenth of the expected value.
        for octave in 9..13 {
            let ratio = power(1 << octave) / power(1 << (octave + 1));
            assert!((3.2..4.8).contains(&ratio), "octave {octave}: {ratio}");
        }
    }
}
