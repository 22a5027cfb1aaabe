//! The exact Gram matrix (MATH §5). Y is rounded, column by column, to a grid that is a quarter of f32's rounding wide. The Gram matrix
//! of the rounded values is exact.
//!
//! A value on its grid is an integer k. If |k| is below `LIGHT`, it is split into two halves of 16 bits, k = 2¹⁶a + b. The sums of
//! products Σaa, Σbb and Σ(a + b)(a + b), which contains Σ(ab + ba), are matrix products in f64. Each product is at most 2³² and each sum
//! at most 2⁵³ for up to 2²¹ tokens. So f64 holds these integers exactly, in any order of addition. Tokens with a larger value (massive
//! activations) are added one by one in 128 bits.

use super::MeasureError;
use super::rows::Rows;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, Par};

/// Bits of the grid below the binade of a column's root mean square.
const GRID_BITS: i32 = 26;
/// A token with a value of this size or more is heavy. 127·(1 + 2⁸ + 2¹⁶ + 2²⁴) is the largest integer whose four balanced base-256
/// digits are all i8, a little below 2³¹.
pub(crate) const LIGHT: i32 = 127 * 0x0101_0101 + 1;
/// Most tokens whose products f64 sums exactly.
const MOST_TOKENS: usize = 1 << 21;
/// Tokens whose halves are in memory at once.
const AT_ONCE: usize = 1024;

/// The grids: values of a column are rounded to multiples of its grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Powers of two. `None` for a column of zeros.
    exponents: Vec<Option<i32>>,
}

/// Rounded values Y' as integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Gridded {
    tokens: usize,
    width: usize,
    grid: Grid,
    /// Light tokens, column by column: tokens × width, zero for heavy tokens.
    light: Vec<i32>,
    /// Heavy tokens, with all their values.
    heavy: Vec<Vec<i128>>,
}

/// The light tokens' integers.
#[derive(Debug, Clone, Copy)]
pub struct Light<'a> {
    /// n, heavy tokens included.
    pub tokens: usize,
    /// d.
    pub width: usize,
    /// Channel by channel: width × tokens, |k| < `LIGHT`, zero for heavy tokens.
    pub values: &'a [i32],
}

/// Exact sums of the integers and of their products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gram {
    tokens: usize,
    /// sⱼ = Σ k.
    pub sums: Vec<i128>,
    /// Gᵢⱼ = Σ kᵢkⱼ for i ≤ j, row by row.
    pub products: Vec<i128>,
    grid: Grid,
}

/// Returns ⌊log₂ x⌋ of a positive finite number, from its bits.
fn binade(x: f64) -> i32 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32;
    if exponent == 0 {
        // x is subnormal, so its leading bit is somewhere in the fraction.
        -1022 - (x.to_bits() << 12).leading_zeros() as i32 - 1
    } else {
        exponent - 1023
    }
}

/// Computes x·2^e without extra rounding, in steps that neither overflow nor underflow.
fn scaled(x: f64, e: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((e + 1023) as u64) << 52);
    let (mut x, mut e) = (x, e);
    while e > 1000 {
        x *= power(1000);
        e -= 1000;
    }
    while e < -1000 {
        x *= power(-1000);
        e += 1000;
    }
    x * power(e)
}

impl Grid {
    /// Chooses the grids 2^(⌊log₂ rmsⱼ⌋ − 26) of the columns of Y.
    pub fn of(rows: &Rows<'_>) -> Result<Self, MeasureError> {
        let (tokens, width) = (rows.tokens(), rows.width());
        if tokens > MOST_TOKENS {
            return Err(MeasureError::TooManyTokens { tokens, most: MOST_TOKENS });
        }
        let mut largest = vec![0_f64; width];
        rows.for_each(|row| largest.iter_mut().zip(row).for_each(|(most, y)| *most = most.max(y.abs())));
        // Scaled by the largest value, so that no square under- or overflows.
        let down: Vec<Option<i32>> =
            largest.into_iter().map(|most| (most > 0.0).then(|| -binade(most))).collect();
        let mut squares = vec![0.0; width];
        rows.for_each(|row| {
            for ((square, y), down) in squares.iter_mut().zip(row).zip(&down) {
                *square += scaled(*y, down.unwrap_or_default()).powi(2);
            }
        });
        let exponent = |(square, down): (f64, Option<i32>)| {
            down.map(|down| binade((square / tokens as f64).sqrt()) - down - GRID_BITS)
        };
        Ok(Self { exponents: squares.into_iter().zip(down).map(exponent).collect() })
    }

    /// Rounds Y, or a part of it, to these grids.
    pub fn round(&self, rows: &Rows<'_>) -> Gridded {
        let (tokens, width) = (rows.tokens(), rows.width());
        let mut light = vec![0_i32; tokens * width];
        let mut heavy = Vec::new();
        let (mut token, mut whole) = (0, vec![0.0; width]);
        rows.for_each(|row| {
            for ((k, y), exponent) in whole.iter_mut().zip(row).zip(&self.exponents) {
                *k = exponent.map_or(0.0, |e| scaled(*y, -e).round_ties_even());
            }
            if whole.iter().all(|k| k.abs() < f64::from(LIGHT)) {
                whole.iter().enumerate().for_each(|(channel, k)| light[channel * tokens + token] = *k as i32);
            } else {
                heavy.push(whole.iter().map(|k| *k as i128).collect());
            }
            token += 1;
        });
        Gridded { tokens, width, grid: self.clone(), light, heavy }
    }
}

impl Gridded {
    /// Rounds Y to its own grids.
    pub fn new(rows: &Rows<'_>) -> Result<Self, MeasureError> {
        Ok(Grid::of(rows)?.round(rows))
    }

    /// Number of tokens that are added one by one.
    pub fn heavy_tokens(&self) -> usize {
        self.heavy.len()
    }

    /// The tokens whose products a matrix product may sum.
    pub fn light(&self) -> Light<'_> {
        Light { tokens: self.tokens, width: self.width, values: &self.light }
    }

    /// The exact Gram matrix.
    pub fn gram(&self) -> Gram {
        self.gram_from(self.light().products())
    }

    /// Returns the exact Gram matrix from the light tokens' products, computed on any device: d(d + 1)/2 of them, as [`Light::products`]
    /// returns them. Adds column sums and heavy tokens.
    pub(crate) fn gram_from(&self, mut products: Vec<i128>) -> Gram {
        let (n, d) = (self.tokens, self.width);
        let mut sums: Vec<i128> = (0..d)
            .map(|channel| self.light[channel * n..][..n].iter().map(|&k| i128::from(k)).sum())
            .collect();
        for token in &self.heavy {
            sums.iter_mut().zip(token).for_each(|(sum, k)| *sum += k);
            let mut at = 0;
            for i in 0..d {
                for k in &token[i..] {
                    products[at] += token[i] * k;
                    at += 1;
                }
            }
        }
        Gram { tokens: n, sums, products, grid: self.grid.clone() }
    }
}

impl Light<'_> {
    /// Returns Σ kᵢkⱼ over the light tokens for i ≤ j, row by row.
    pub fn products(&self) -> Vec<i128> {
        let (n, d) = (self.tokens, self.width);
        // k = 2¹⁶a + b with b in −2¹⁵ … 2¹⁵ − 1.
        let low = |k: i32| f64::from(k as i16);
        let high = |k: i32| ((i64::from(k) - i64::from(k as i16)) >> 16) as f64;
        let mut sums = [(); 3].map(|()| Mat::<f64>::zeros(d, d));
        for first in (0..n).step_by(AT_ONCE) {
            let tokens = AT_ONCE.min(n - first);
            let k = |token: usize, channel: usize| self.values[channel * n + first + token];
            let parts = [
                Mat::from_fn(tokens, d, |token, channel| high(k(token, channel))),
                Mat::from_fn(tokens, d, |token, channel| low(k(token, channel))),
                Mat::from_fn(tokens, d, |token, channel| high(k(token, channel)) + low(k(token, channel))),
            ];
            for (sum, part) in sums.iter_mut().zip(&parts) {
                let (triangle, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                matmul(sum, triangle, Accum::Add, part.transpose(), whole, part, whole, 1.0, Par::Seq);
            }
        }
        let [high, low, both] = sums;
        let mut products = Vec::with_capacity(d * (d + 1) / 2);
        for i in 0..d {
            for j in i..d {
                let [high, low, both] = [&high, &low, &both].map(|sum| sum[(j, i)] as i64);
                let cross = i128::from(both - high - low);
                products.push((i128::from(high) << 32) + (cross << 16) + i128::from(low));
            }
        }
        products
    }
}

impl Gram {
    /// Returns the CRC-32 of the grids' exponents, the sums and the products, little-endian. Equal CRCs mean equal integers.
    pub fn crc32(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        // i32::MAX stands for a column of zeros: no column has a grid that coarse.
        self.grid.exponents.iter().for_each(|e| hasher.update(&e.unwrap_or(i32::MAX).to_le_bytes()));
        self.sums.iter().chain(&self.products).for_each(|k| hasher.update(&k.to_le_bytes()));
        hasher.finalize()
    }

    /// Adds the Gram matrix of the other half of the tokens, which has the same grids.
    pub fn plus(&self, other: &Self) -> Self {
        debug_assert_eq!(self.grid, other.grid);
        let add = |a: &[i128], b: &[i128]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        Self {
            tokens: self.tokens + other.tokens,
            sums: add(&self.sums, &other.sums),
            products: add(&self.products, &other.products),
            grid: self.grid.clone(),
        }
    }

    /// Returns C(Y') = (nG − s sᵀ)/n² in the units of Y, d × d. The numerator is exact and rounded once.
    pub fn covariance(&self) -> Mat<f64> {
        let (n, d) = (self.tokens as i128, self.sums.len());
        let squared = (self.tokens as f64) * (self.tokens as f64);
        let mut covariance = Mat::zeros(d, d);
        let mut at = 0;
        for i in 0..d {
            for j in i..d {
                let numerator = n * self.products[at] - self.sums[i] * self.sums[j];
                at += 1;
                let (Some(a), Some(b)) = (self.grid.exponents[i], self.grid.exponents[j]) else { continue };
                let value = scaled(numerator as f64 / squared, a + b);
                covariance[(i, j)] = value;
                covariance[(j, i)] = value;
            }
        }
        covariance
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::activations::Activations;
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    /// The difficult Y of MATH §5: means ten deviations off, columns of 1e-6 … 1e2, three tokens × 500, a constant column, a zero column,
    /// and one of subnormals.
    pub(crate) fn hostile(tokens: usize, width: usize, seed: u64) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut y = Vec::with_capacity(tokens * width);
        for token in 0..tokens {
            for channel in 0..width {
                let normal: f64 = random.sample(StandardNormal);
                let scale = 10f64.powf(-6.0 + 8.0 * channel as f64 / width as f64);
                let value = match channel {
                    3 => 0.7,
                    4 => 0.0,
                    5 => normal * 1e-42,
                    _ => scale * (normal + 10.0 * ((channel % 3) as f64 - 1.0)),
                };
                // The constant column stays constant.
                let outlier = token < 3.min(tokens / 4) && channel != 3;
                let value = if outlier { 500.0 * value } else { value };
                y.push(f64::from(value as f32));
            }
        }
        y
    }

    pub(crate) fn gridded(y: &[f64], width: usize) -> Gridded {
        Gridded::new(&Rows::new(&Activations::of("y", width, y.to_vec()))).unwrap()
    }

    /// Sums and products in 128 bits, token by token.
    fn by_hand(gridded: &Gridded) -> (Vec<i128>, Vec<i128>) {
        let (n, d) = (gridded.tokens, gridded.width);
        let light =
            (0..n).map(|token| (0..d).map(|c| i128::from(gridded.light[c * n + token])).collect::<Vec<_>>());
        let (mut sums, mut products) = (vec![0; d], Vec::new());
        let all: Vec<Vec<i128>> = light.chain(gridded.heavy.iter().cloned()).collect();
        for i in 0..d {
            sums[i] = all.iter().map(|token| token[i]).sum();
            (i..d).for_each(|j| products.push(all.iter().map(|token| token[i] * token[j]).sum()));
        }
        (sums, products)
    }

    #[test]
    fn the_gram_matrix_is_the_big_integer_one_on_hostile_data() {
        let gridded = gridded(&hostile(509, 41, 1), 41);
        assert!(gridded.heavy_tokens() > 0, "some outliers are beyond the grid");
        let gram = gridded.gram();
        assert_eq!((gram.sums.clone(), gram.products.clone()), by_hand(&gridded));
    }

    #[test]
    fn the_grid_moves_no_entry_of_the_covariance_by_more_than_math_5_says() {
        let (n, d) = (2048, 24);
        let y = hostile(n, d, 2);
        let c = gridded(&y, d).gram().covariance();
        let mean = |channel: usize| (0..n).map(|token| y[token * d + channel]).sum::<f64>() / n as f64;
        let means: Vec<f64> = (0..d).map(mean).collect();
        let exact = |i: usize, j: usize| {
            (0..n).map(|t| (y[t * d + i] - means[i]) * (y[t * d + j] - means[j])).sum::<f64>() / n as f64
        };
        for i in 0..d {
            for j in i..d {
                let bound = 1e-9 * (exact(i, i) * exact(j, j)).sqrt();
                // A constant column has no variance, and its mean in f64 is not exact.
                assert!(
                    (c[(i, j)] - exact(i, j)).abs() <= bound + 1e-28,
                    "{i}, {j}: {} {}",
                    c[(i, j)],
                    exact(i, j)
                );
            }
        }
        assert_eq!((c[(3, 3)], c[(4, 4)]), (0.0, 0.0), "constant and zero columns");
        assert!(c[(5, 5)] > 0.0, "subnormals are numbers");
    }

    proptest! {
        #[test]
        fn ragged_sizes_and_any_order_of_tokens_give_the_same_bits(
            (tokens, width, seed) in (1usize..70, 6usize..17, any::<u64>())
        ) {
            let y = hostile(tokens, width, seed);
            let whole = gridded(&y, width);
            let gram = whole.gram();
            prop_assert_eq!((gram.sums.clone(), gram.products.clone()), by_hand(&whole));
            let reversed: Vec<f64> = y.chunks(width).rev().flatten().copied().collect();
            let other = gridded(&reversed, width).gram();
            // The grid depends on a sum of squares, whose rounding may cross a binade.
            if other.grid == gram.grid {
                prop_assert_eq!(&other, &gram);
            }
            let y = Activations::of("y", width, y);
            let [first, second] = Rows::new(&y).halves().map(|half| whole.grid.round(&half).gram());
            prop_assert_eq!(first.plus(&second), gram);
        }
    }
}
