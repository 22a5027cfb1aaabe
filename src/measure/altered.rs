//! Detects captures that are not the output of the norm. Values that were changed afterwards or taken elsewhere show no kernel even if
//! the norm subtracts the mean, so they are no evidence that it does not.

use super::activations::Activations;
use super::centred::dot;
use super::norm::Norm;
use super::rows::{Channel, Rows};

/// A larger share of exact zeros comes from dropout: a norm's output is hardly ever exactly zero.
const ZEROS: f64 = 0.002;

/// If every row's mean is below this times its mean absolute value, the values were centred after the norm.
const CENTRED: f64 = 1e-3;

/// (y − β)/γ has a mean square of 1 after either kind of norm. ε, and a variance over d − 1, move it by less than this.
const UNIT: f64 = 0.1;

/// If a larger share of rows has another mean square, the values are not the norm's output.
const ROWS: f64 = 0.25;

/// Says why the values are not the norm's output, and what to do. `None` if they can be.
pub(super) fn altered(norm: Norm<'_>, y: &Activations) -> Option<String> {
    if is_before_scale(norm, y) {
        return Some(
            "every token has a mean square of 1: these are values before the scale, not the norm's output. Name them `SITE.before_scale`, and capture the output as well"
                .to_owned(),
        );
    }
    let zeros = zeros(y);
    if zeros > ZEROS {
        return Some(format!(
            "{:.1} % of the values are exactly zero, as dropout leaves them. Call `model.eval()` before the capture",
            100.0 * zeros
        ));
    }
    if is_centred(y) {
        return Some(
            "every token has a mean of zero: the values were centred after the norm. Capture what the norm itself returns"
                .to_owned(),
        );
    }
    let other = share_of_other_mean_squares(norm, y)?;
    (other > ROWS).then(|| {
        format!(
            "divided by γ, {:.0} % of the tokens have no mean square of 1, as every LayerNorm and RMSNorm gives: the values are not the output of a norm with this scale, or were changed after it",
            100.0 * other
        )
    })
}

/// Whether every token has unit mean square, as a normalised input has, although γ or β would change that.
fn is_before_scale(norm: Norm<'_>, y: &Activations) -> bool {
    let shifts = norm.shift.is_some_and(|shift| shift.iter().any(|shift| shift.abs() > 0.05));
    let changes = shifts || norm.scale.values().iter().any(|scale| (scale.abs() - 1.0).abs() > 0.05);
    let mut unit = changes;
    Rows::new(y).for_each(|row| unit &= (dot(row, row) / row.len() as f64 - 1.0).abs() < 1e-2);
    unit
}

/// Share of exact zeros among the values, without channels that are all zero.
fn zeros(y: &Activations) -> f64 {
    let mut zeros = vec![0usize; y.width];
    Rows::new(y).for_each(|row| {
        row.iter().zip(&mut zeros).for_each(|(value, count)| *count += usize::from(*value == 0.0));
    });
    let live = || zeros.iter().filter(|count| **count < y.tokens);
    live().sum::<usize>() as f64 / (live().count() * y.tokens).max(1) as f64
}

fn is_centred(y: &Activations) -> bool {
    let mut centred = true;
    Rows::new(y).for_each(|row| {
        let (sum, size) = row.iter().fold((0.0, 0.0), |(sum, size), value| (sum + value, size + value.abs()));
        centred &= sum.abs() <= CENTRED * size;
    });
    centred
}

/// Share of rows whose mean square is not 1. `None` if some channels do not show the normalised input.
fn share_of_other_mean_squares(norm: Norm<'_>, y: &Activations) -> Option<f64> {
    let channels: Vec<Channel> = (0..y.width).filter_map(|at| norm.channel(at)).collect();
    if channels.len() < y.width {
        return None;
    }
    let mut other = 0usize;
    Rows::unscaled(y, channels).for_each(|row| {
        other += usize::from((dot(row, row) / row.len() as f64 - 1.0).abs() > UNIT);
    });
    Some(other as f64 / y.tokens.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::scale::Scale;

    /// A change of a token's values.
    type Change = Box<dyn Fn(&mut [f64])>;

    const WIDTH: usize = 16;
    const TOKENS: usize = 64;

    /// Pseudo-random numbers in −1 … 1.
    fn noise() -> impl FnMut() -> f64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0
        }
    }

    /// Returns γ, β, and the outputs of a LayerNorm if `subtracts`, otherwise of an RMSNorm.
    fn outputs(subtracts: bool) -> (Scale, Vec<f64>, Vec<f64>) {
        let mut next = noise();
        let scale: Vec<f64> = (0..WIDTH).map(|_| 1.0 + 0.3 * next()).collect();
        let shift: Vec<f64> = (0..WIDTH).map(|_| 0.3 * next()).collect();
        let mut values = Vec::new();
        for _ in 0..TOKENS {
            let mut x: Vec<f64> = (0..WIDTH).map(|_| next()).collect();
            let mean = if subtracts { x.iter().sum::<f64>() / WIDTH as f64 } else { 0.0 };
            x.iter_mut().for_each(|x| *x -= mean);
            let size = (dot(&x, &x) / WIDTH as f64).sqrt();
            values
                .extend(x.iter().zip(&scale).zip(&shift).map(|((x, scale), shift)| x / size * scale + shift));
        }
        (Scale::new(scale).unwrap(), shift, values)
    }

    /// Returns the message for outputs that `change` alters token by token.
    fn said(subtracts: bool, change: impl Fn(&mut [f64])) -> Option<String> {
        let (scale, shift, mut values) = outputs(subtracts);
        values.chunks_exact_mut(WIDTH).for_each(change);
        let norm = Norm { name: "norm", scale: &scale, shift: Some(&shift) };
        altered(norm, &Activations::of("norm", WIDTH, values))
    }

    #[test]
    fn outputs_of_either_kind_are_not_called_altered() {
        assert_eq!((said(false, |_| ()), said(true, |_| ())), (None, None));
    }

    #[test]
    fn what_changed_the_outputs_is_named() {
        let (scale, shift, _) = outputs(true);
        let (scale, shift) = (scale.values().to_vec(), shift);
        let changes: [(&str, Change); 4] = [
            ("dropout", Box::new(|row| row[3] = 0.0)),
            (
                "centred after the norm",
                Box::new(|row| {
                    let mean = row.iter().sum::<f64>() / row.len() as f64;
                    row.iter_mut().for_each(|value| *value -= mean);
                }),
            ),
            (
                "before the scale",
                Box::new(move |row| {
                    for (at, value) in row.iter_mut().enumerate() {
                        *value = (*value - shift[at]) / scale[at];
                    }
                }),
            ),
            (
                "no mean square of 1",
                Box::new(|row| row.iter_mut().for_each(|value| *value = 2.0 * *value + 1.0)),
            ),
        ];
        for (sign, change) in changes {
            for subtracts in [true, false] {
                // Zeros in one channel alone are a dead channel, so the dropout here affects every second token.
                let token = std::cell::Cell::new(0);
                let found = said(subtracts, |row| {
                    token.set(token.get() + 1);
                    if sign != "dropout" || token.get() % 2 == 0 {
                        change(row);
                    }
                });
                assert!(found.as_ref().is_some_and(|found| found.contains(sign)), "{sign}: {found:?}");
            }
        }
    }

    #[test]
    fn a_channel_that_is_off_is_no_dropout() {
        let mut next = noise();
        let mut scale = vec![1.0; WIDTH];
        scale[5] = 0.0;
        let mut values = Vec::new();
        for _ in 0..TOKENS {
            let x: Vec<f64> = (0..WIDTH).map(|_| next()).collect();
            let size = (dot(&x, &x) / WIDTH as f64).sqrt();
            values.extend(x.iter().zip(&scale).map(|(x, scale)| x / size * scale));
        }
        let scale = Scale::new(scale).unwrap();
        let norm = Norm { name: "norm", scale: &scale, shift: None };
        assert_eq!(altered(norm, &Activations::of("norm", WIDTH, values)), None);
    }
}
