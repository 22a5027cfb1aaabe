//! Rotary position codes: pairs of channels of a query or key are turned by position times frequency.

use crate::model::operation::Pairing;

/// cos and sin of position × frequency.
#[derive(Debug, Clone)]
pub struct RotaryTable {
    /// r/2.
    pairs: usize,
    /// Position after position.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RotaryTable {
    /// Makes the table for positions 0 … `length` − 1. `frequencies` are r/2 angles per position. `factor` multiplies cosines and sines
    /// (YaRN).
    pub fn new(frequencies: &[f32], length: usize, factor: f32) -> Self {
        let angles = (0..length).flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
        let (cosines, sines) = angles.map(|angle| (angle.cos() * factor, angle.sin() * factor)).unzip();
        Self { pairs: frequencies.len(), cosines, sines }
    }

    /// Makes the table for the tokens of an image: `still` tokens that do not turn, followed by the patches, row by row. A patch turns by
    /// the coordinates of its row in the first half of the pairs, and by those of its column in the other half. `frequencies` are r/4
    /// angles per unit of a coordinate.
    pub fn of_patches(frequencies: &[f32], still: usize, [rows, columns]: [&[f32]; 2]) -> Self {
        let patches = rows.iter().flat_map(|row| columns.iter().flat_map(move |column| [row, column]));
        let turned = patches.flat_map(|coordinate| frequencies.iter().map(move |f| coordinate * f));
        let pairs = 2 * frequencies.len();
        let angles = std::iter::repeat_n(0.0, still * pairs).chain(turned);
        let (cosines, sines) = angles.map(|angle: f32| (angle.cos(), angle.sin())).unzip();
        Self { pairs, cosines, sines }
    }

    /// Returns r/2, and all cosines, position after position, followed by all sines.
    pub fn table(&self) -> (usize, Vec<f32>) {
        (self.pairs, [self.cosines.as_slice(), self.sines.as_slice()].concat())
    }

    /// Rotates the first r channels of every head in `x` (n tokens × heads × `head_width`). Positions count from 0 again every `length`
    /// tokens.
    pub fn apply(&self, x: &mut [f32], heads: usize, head_width: usize, length: usize, pairing: Pairing) {
        let pairs = self.pairs;
        for (token, row) in x.chunks_exact_mut(heads * head_width).enumerate() {
            let at = token % length * pairs;
            let turns = || self.cosines[at..at + pairs].iter().zip(&self.sines[at..at + pairs]);
            for head in row.chunks_exact_mut(head_width) {
                for (pair, (cosine, sine)) in turns().enumerate() {
                    let [a, b] = match pairing {
                        Pairing::Halves => [pair, pair + pairs],
                        Pairing::Interleaved => [2 * pair, 2 * pair + 1],
                    };
                    let [first, second] = [head[a], head[b]];
                    head[a] = first * cosine - second * sine;
                    head[b] = second * cosine + first * sine;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the product of a query at one position and a key at another.
    fn product(query: usize, key: usize, pairing: Pairing) -> f32 {
        let turns = RotaryTable::new(&[1.0, 0.1], 12, 1.0);
        let mut x: Vec<f32> = vec![0.0; 12 * 5];
        let (q, k) = ([0.3, -1.0, 0.7, 0.2, 0.5], [0.9, 0.4, -0.6, 1.1, 0.8]);
        let turned = |x: &mut Vec<f32>, vector: &[f32; 5], position: usize| -> Vec<f32> {
            x[position * 5..][..5].copy_from_slice(vector);
            turns.apply(x, 1, 5, 12, pairing);
            x[position * 5..][..5].to_vec()
        };
        let query = turned(&mut x, &q, query);
        x.fill(0.0);
        let key = turned(&mut x, &k, key);
        query.iter().zip(key).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn a_product_of_query_and_key_depends_on_their_distance_only() {
        for pairing in [Pairing::Halves, Pairing::Interleaved] {
            assert!((product(7, 4, pairing) - product(10, 7, pairing)).abs() < 1e-5);
            assert!((product(7, 4, pairing) - product(7, 5, pairing)).abs() > 1e-2);
        }
    }

    #[test]
    fn patches_turn_by_row_and_column_and_tokens_before_them_do_not() {
        let frequencies = [1.0, 0.25];
        let turns = RotaryTable::of_patches(&frequencies, 1, [&[0.5, 2.0], &[-1.0, 3.0, 4.0]]);
        let (pairs, table) = turns.table();
        assert_eq!((pairs, table.len()), (4, 2 * 7 * 4));
        // The last patch of the first row, and the first of the second.
        for (token, angles) in [(0, [0.0; 4]), (3, [0.5, 0.125, 4.0, 1.0]), (4, [2.0, 0.5, -1.0, -0.25])] {
            for (pair, angle) in angles.into_iter().enumerate() {
                let at = 4 * token + pair;
                assert_eq!(
                    [table[at], table[28 + at]],
                    [f32::cos(angle), f32::sin(angle)],
                    "{token}, {pair}"
                );
            }
        }
    }

    #[test]
    fn position_zero_and_channels_beyond_the_pairs_are_left_alone() {
        let turns = RotaryTable::new(&[1.0, 0.1], 2, 1.0);
        let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        turns.apply(&mut x, 1, 5, 2, Pairing::Halves);
        assert_eq!(x[..5], [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(x[9], 5.0);
        let (sine, cosine) = 1f32.sin_cos();
        assert!((x[5] - (cosine - 3.0 * sine)).abs() < 1e-6 && (x[7] - (3.0 * cosine + sine)).abs() < 1e-6);
    }
}
