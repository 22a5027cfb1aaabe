//! e^x and functions made of it, without branches, so that the compiler vectorises loops over them. The system's functions take one value
//! at a time, and would take most of the time of a softmax or a GELU.
//!
//! NaN stays NaN, so that a block that overflows is found.

/// Above this, e^x is returned as e^88. Callers divide by 1 + e^x.
const MOST: f32 = 88.0;
/// Below this, e^x is subnormal, and 0 is returned.
const LEAST: f32 = -87.0;

/// e^x to 2 units in the last place; 0 below −87, and e^88 above 88.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2; e^r by its series.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding this to a small number rounds the number and leaves it in the last bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: products of the first with n are exact.
    const HIGH: f32 = 355.0 / 512.0;
    const LOW: f32 = (std::f64::consts::LN_2 - 355.0 / 512.0) as f32;
    let bounded = if x > MOST { MOST } else { x };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = bounded - n * HIGH - n * LOW;
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits()));
    if x < LEAST { 0.0 } else { series * power }
}

/// 1/(1 + e⁻ˣ).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// ln(1 + e^x).
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let above = if x > 0.0 { x } else { 0.0 };
    above + ln_1p(exp(-x.abs()))
}

/// ln(1 + x) for x from 0 to 1, as 2 artanh(x/(2 + x)) by its series.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let mut series = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + 1.0 / odd;
    }
    2.0 * s * series
}

/// Φ(x), the share of a normal distribution below x.
///
/// e^(x²/2) Φ(−x) for x ≥ 0 is a polynomial in (x − 3.5)/(x + 3.5) to 5e-8, relative: the coefficients are a minimax fit on
/// 0 … 12 to the function in 30 digits.
#[inline(always)]
pub(super) fn normal_share(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 9] = [
        0.106_345_16,
        -0.187_139_65,
        0.125_854_9,
        -0.061_640_64,
        0.019_070_672,
        -0.001_551_608_3,
        -0.001_401_664_6,
        0.000_353_233_87,
        0.000_152_267,
    ];
    // Farther out, the two shares are 0 and 1.
    let away = if x.abs() > 40.0 { 40.0 } else { x.abs() };
    let at = (away - 3.5) / (away + 3.5);
    let mut polynomial = COEFFICIENTS[8];
    for coefficient in COEFFICIENTS[..8].iter().rev() {
        polynomial = polynomial * at + coefficient;
    }
    let below = exp(-0.5 * x * x) * polynomial;
    if x > 0.0 { 1.0 - below } else { below }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values between −`reach` and `reach`.
    fn values(reach: f32) -> impl Iterator<Item = f32> {
        (-20_000..=20_000).map(move |step| step as f32 / 20_000.0 * reach)
    }

    #[test]
    fn e_to_the_x_is_right_to_two_units_in_the_last_place() {
        for x in values(87.0) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(error < 2.5e-7, "e^{x}: {} for {exact}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn softplus_is_right_to_its_last_digits_on_both_sides() {
        for x in values(80.0) {
            let exact = f64::from(x).exp().ln_1p();
            let error = (f64::from(softplus(x)) / exact - 1.0).abs();
            assert!(error < 5e-7, "softplus of {x}: {} for {exact}", softplus(x));
        }
        assert_eq!([softplus(-1e4), softplus(1e4)], [0.0, 1e4]);
        assert!(softplus(f32::NAN).is_nan());
    }

    #[test]
    fn the_ends_are_bounded_and_nan_stays_nan() {
        assert_eq!([exp(-88.0), exp(f32::NEG_INFINITY)], [0.0, 0.0]);
        assert!(exp(f32::INFINITY) > 1e38 && exp(f32::INFINITY).is_finite());
        assert_eq!([sigmoid(f32::INFINITY), sigmoid(1e4)], [1.0, 1.0]);
        assert!(sigmoid(-1e4) < 1e-38);
        assert!(exp(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan() && normal_share(f32::NAN).is_nan());
    }

    #[test]
    fn the_normal_share_is_right_to_its_last_digits_on_both_sides() {
        for x in values(12.0) {
            let exact = 0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2);
            let error = (f64::from(normal_share(x)) / exact - 1.0).abs();
            // The error of e^(−x²/2) is the rounding error of its exponent.
            let bound = 1e-6 + f64::from(x * x) * 1e-7;
            assert!(error < bound, "Φ({x}): {} for {exact}", normal_share(x));
        }
        assert_eq!([normal_share(f32::INFINITY), normal_share(40.0), normal_share(-40.0)], [1.0, 1.0, 0.0]);
    }
}
