//! Resizes a grid of vectors, as torch's `interpolate` does it: bicubic, without aligned corners.

use crate::model::operation::Resizing;

/// Places of the old side and their weights, for one place of the new side.
type Taps = Vec<(usize, f64)>;

/// Keys' cubic kernel (1981) with the parameter a.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

fn taps(from: usize, to: usize, resizing: Resizing) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let last = from as i64 - 1;
    (0..to)
        .map(|place| {
            let centre = (place as f64 + 0.5) * scale;
            match resizing {
                Resizing::Bicubic => {
                    let source = centre - 0.5;
                    let first = source.floor();
                    // Beyond an end, the value at that end counts.
                    let tap = |step: i64| {
                        let at = (first as i64 + step).clamp(0, last) as usize;
                        (at, cubic(source - first - step as f64, -0.75))
                    };
                    (-1..=2).map(tap).collect()
                }
                Resizing::Antialiased => {
                    let wide = scale.max(1.0);
                    let begin = (centre - 2.0 * wide + 0.5).max(0.0) as usize;
                    let end = ((centre + 2.0 * wide + 0.5) as usize).min(from);
                    let weight = |at: usize| cubic((at as f64 - centre + 0.5) / wide, -0.5);
                    let sum: f64 = (begin..end).map(weight).sum();
                    (begin..end).map(|at| (at, weight(at) / sum)).collect()
                }
            }
        })
        .collect()
}

/// Resizes `grid` (rows × columns × `width`) to `to` rows and columns.
pub fn resized(grid: &[f32], from: [usize; 2], to: [usize; 2], width: usize, resizing: Resizing) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|side| taps(from[side], to[side], resizing));
    let mut narrowed = vec![0.0; from[0] * to[1] * width];
    for (at, new) in narrowed.chunks_exact_mut(width).enumerate() {
        let (row, column) = (at / to[1], at % to[1]);
        for &(old, weight) in &columns[column] {
            add(new, &grid[(row * from[1] + old) * width..][..width], weight);
        }
    }
    let mut found = vec![0.0; to[0] * to[1] * width];
    for (at, new) in found.chunks_exact_mut(width).enumerate() {
        let (row, column) = (at / to[1], at % to[1]);
        for &(old, weight) in &rows[row] {
            add(new, &narrowed[(old * to[1] + column) * width..][..width], weight);
        }
    }
    found
}

fn add(sum: &mut [f32], vector: &[f32], weight: f64) {
    sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight as f32 * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_changes_nothing_and_a_constant_stays_constant() {
        let grid: Vec<f32> = (0..24).map(|value| (value * value % 7) as f32).collect();
        for resizing in [Resizing::Bicubic, Resizing::Antialiased] {
            assert_eq!(resized(&grid, [4, 3], [4, 3], 2, resizing), grid);
            let constant = resized(&[2.0; 12], [4, 3], [2, 7], 1, resizing);
            assert!(constant.iter().all(|value| (value - 2.0).abs() < 1e-6), "{constant:?}");
        }
    }

    #[test]
    fn values_are_those_of_torch() {
        // torch.nn.functional.interpolate(torch.arange(9.).square().reshape(1, 1, 3, 3), size, mode="bicubic",
        // align_corners=False, antialias=...)
        let grid: Vec<f32> = (0..9).map(|value| (value * value) as f32).collect();
        for (to, resizing, expected) in [
            ([2, 2], Resizing::Bicubic, vec![1.43076, 6.52237, 32.39737, 53.18076]),
            ([2, 2], Resizing::Antialiased, vec![2.87117, 8.19785, 30.28452, 47.04453]),
            (
                [4, 2],
                Resizing::Bicubic,
                vec![-0.60733, 1.93058, 3.52005, 11.89499, 21.52781, 39.02786, 40.43839, 63.77547],
            ),
            (
                [4, 2],
                Resizing::Antialiased,
                vec![-0.33771, 1.99045, 5.01060, 12.38143, 22.62153, 37.33738, 41.45457, 61.21309],
            ),
            (
                [5, 4],
                Resizing::Bicubic,
                vec![
                    -0.89443, -0.85910, 0.48008, 2.15799, 1.34014, 2.86254, 6.52646, 9.69143, 8.49756,
                    12.48877, 20.01221, 25.646, 25.37498, 31.83501, 43.21797, 51.32057, 37.61756, 45.56464,
                    59.27235, 68.86201,
                ],
            ),
            (
                [5, 4],
                Resizing::Antialiased,
                vec![
                    -0.70783, -0.51501, 0.85704, 2.54816, 1.79962, 3.38585, 6.78749, 9.87202, 8.63433,
                    12.75585, 19.85033, 25.47015, 26.34964, 33.00645, 43.79376, 51.94888, 37.33498, 45.38519,
                    58.20211, 67.75063,
                ],
            ),
        ] {
            let found = resized(&grid, [3, 3], to, 1, resizing);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{to:?} {resizing:?}: {found} for {expected}");
            }
        }
    }
}
