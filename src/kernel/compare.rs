//! How far apart two scales and their kernel directions are. Nearly equal ones do not cancel.

/// The angle between the lines along `a` and `b` (d values each, of unit length), in radians, 0 … π/2.
///
/// A kernel is a line, so v and −v are the same. 2·atan2(‖a − b‖, ‖a + b‖) keeps every digit of a small angle (Kahan, *How futile are
/// mindless assessments of roundoff*, 2006, §12). arccos ⟨a, b⟩ is rounding below about 1e-8.
pub fn angle(a: &[f64], b: &[f64]) -> f64 {
    let along: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let sign = if along < 0.0 { -1.0 } else { 1.0 };
    let norm = |sign: f64| a.iter().zip(b).map(|(a, b)| (a + sign * b).powi(2)).sum::<f64>().sqrt();
    2.0 * norm(-sign).atan2(norm(sign))
}

/// Returns ‖after − before‖ ÷ ‖before‖ of two scales of the same width. `None` if `before` is all zero, or if the numbers leave the range
/// of f64.
pub fn relative_change(before: &[f64], after: &[f64]) -> Option<f64> {
    // Divides by the largest value first: a scale may hold 1e-200, whose square is 0.
    let largest = before.iter().chain(after).fold(0.0, |most: f64, value| most.max(value.abs()));
    let norm =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| (value / largest).powi(2)).sum::<f64>();
    let size = norm(&mut before.iter().copied()).sqrt();
    let apart = norm(&mut before.iter().zip(after).map(|(before, after)| after - before)).sqrt();
    (size > 0.0).then(|| apart / size).filter(|change| change.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

    #[test]
    fn a_direction_and_its_opposite_are_the_same_line() {
        let v = [0.6, -0.8];
        assert_eq!(angle(&v, &v), 0.0);
        assert_eq!(angle(&v, &[-0.6, 0.8]), 0.0);
    }

    #[test]
    fn known_angles_come_out() {
        assert!((angle(&[1.0, 0.0], &[0.0, 1.0]) - FRAC_PI_2).abs() < 1e-15);
        let diagonal = 0.5f64.sqrt();
        assert!((angle(&[1.0, 0.0], &[-diagonal, diagonal]) - FRAC_PI_4).abs() < 1e-15);
    }

    #[test]
    fn a_tiny_angle_keeps_its_digits_where_the_cosine_has_none() {
        for theta in [1e-9f64, 1e-12, 1e-15] {
            let turned = [theta.cos(), theta.sin()];
            assert!((angle(&[1.0, 0.0], &turned) / theta - 1.0).abs() < 1e-12, "{theta}");
            assert_eq!(turned[0], 1.0, "the cosine says nothing");
        }
    }

    #[test]
    fn the_change_is_relative_to_what_was_before() {
        assert_eq!(relative_change(&[3.0, 4.0], &[3.0, 4.0]), Some(0.0));
        assert_eq!(relative_change(&[3.0, 4.0], &[0.0, 0.0]), Some(1.0));
        assert_eq!(relative_change(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert!((relative_change(&[1e-200, 0.0], &[2e-200, 0.0]).unwrap() - 1.0).abs() < 1e-15);
    }
}
