//! Folds over a row in lanes, which become vectors. Rounding errors of a sum grow with the length of a lane, not of the row.

const LANES: usize = 16;

/// Σ of(value).
#[inline(always)]
pub(super) fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    fold(values, 0.0, |sum, value| sum + of(value), |a, b| a + b)
}

/// Returns the greatest value, or −∞. NaN is ignored.
#[inline(always)]
pub(super) fn greatest(values: &[f32]) -> f32 {
    let greater = |a, b| if b > a { b } else { a };
    fold(values, f32::NEG_INFINITY, greater, greater)
}

#[inline(always)]
fn fold(values: &[f32], empty: f32, take: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [empty; LANES];
    let whole = values.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = take(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = take(*lane, *value);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for at in 0..width {
            lanes[at] = join(lanes[at], lanes[at + width]);
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_folded_whole() {
        for length in 0..70 {
            let values: Vec<f32> = (0..length).map(|at| (at * 7 % 31) as f32 - 40.0).collect();
            assert_eq!(sum(&values, |x| 2.0 * x), 2.0 * values.iter().sum::<f32>());
            assert_eq!(greatest(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        assert_eq!(greatest(&[f32::NAN, 3.0, f32::NAN]), 3.0);
    }
}
