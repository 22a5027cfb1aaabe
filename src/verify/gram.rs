//! The exact Gram matrix (MATH §5): Y is rounded, column by column, to a grid a quarter of f32's own rounding wide, and the
//! Gram matrix of what it was rounded to is computed without any error.
//!
//! A value on its grid is an integer k. Where |k| is below [`LIGHT`] it is split in two halves of 16 bits, k = 2¹⁶a + b, and
//! the sums of products Σaa, Σ(ab + ba), Σbb are matrix products in f64: each product is below 2³¹, each sum below 2⁵³ for up to
//! 2²² tokens, so they are integers that f64 holds exactly, in whatever order they are added. Tokens with a larger value
//! (massive activations) are added one by one in 128 bits.

use super::MeasureError;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

/// Bits of the grid below the binade of a column's root mean square.
const GRID_BITS: i32 = 26;
/// Values of this size and beyond make their token a heavy one: 127·(1 + 2⁸ + 2¹⁶ + 2²⁴) is the largest integer whose four
/// balanced base-256 digits are all i8, a little short of 2³¹.
pub(crate) const LIGHT: i32 = 127 * 0x0101_0101 + 1;
/// Tokens whose halves' products f64 sums exactly.
const MOST_TOKENS: usize = 1 << 22;

/// Y' as integers, and what they are multiples of.
#[derive(Debug, Clone, PartialEq)]
pub struct Gridded {
    tokens: usize,
    width: usize,
    /// Power of two of each column's grid; `None` for a column that is zero throughout.
    exponents: Vec<Option<i32>>,
    /// Light tokens, column by column: tokens × width, zero where the token is heavy.
    light: Vec<i32>,
    /// Heavy tokens, whole.
    heavy: Vec<Vec<i128>>,
}

/// The light tokens' integers.
#[derive(Debug, Clone, Copy)]
pub struct Light<'a> {
    /// n, heavy tokens among them.
    pub tokens: usize,
    /// d.
    pub width: usize,
    /// Channel by channel: width × tokens, |k| < [`LIGHT`], zero where the token is heavy.
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
    exponents: Vec<Option<i32>>,
}

/// ⌊log₂ x⌋ of a positive finite number, from its bits.
fn binade(x: f64) -> i32 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32;
    if exponent == 0 {
        // Subnormal: the leading bit is somewhere in the fraction.
        -1022 - (x.to_bits() << 12).leading_zeros() as i32 - 1
    } else {
        exponent - 1023
    }
}

/// x·2^e without a rounding of its own, in steps that neither overflow nor underflow on the way.
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

impl Gridded {
    /// Rounds Y (tokens × width, token by token) to the grids 2^(⌊log₂ rmsⱼ⌋ − 26).
    pub fn new(y: &[f64], tokens: usize, width: usize) -> Result<Self, MeasureError> {
        if tokens > MOST_TOKENS {
            return Err(MeasureError::TooManyTokens { tokens, most: MOST_TOKENS });
        }
        let mut exponents = Vec::with_capacity(width);
        for channel in 0..width {
            let largest = (0..tokens).map(|token| y[token * width + channel].abs()).fold(0.0, f64::max);
            exponents.push((largest > 0.0).then(|| {
                // Scaled by the largest, no square under- or overflows.
                let down = -binade(largest);
                let sum: f64 =
                    (0..tokens).map(|token| scaled(y[token * width + channel], down).powi(2)).sum();
                binade((sum / tokens as f64).sqrt()) - down - GRID_BITS
            }));
        }
        let mut light = vec![0_i32; tokens * width];
        let mut heavy = Vec::new();
        let integer = |token: usize, channel: usize| {
            exponents[channel].map_or(0.0, |e| scaled(y[token * width + channel], -e).round_ties_even())
        };
        for token in 0..tokens {
            let whole = (0..width).map(|channel| integer(token, channel));
            if whole.clone().all(|k| k.abs() < f64::from(LIGHT)) {
                whole.enumerate().for_each(|(channel, k)| light[channel * tokens + token] = k as i32);
            } else {
                heavy.push(whole.map(|k| k as i128).collect());
            }
        }
        Ok(Self { tokens, width, exponents, light, heavy })
    }

    /// Tokens that are added one by one.
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

    /// The exact Gram matrix from the light tokens' products, wherever they were summed: d(d + 1)/2 of them, as
    /// [`Light::products`] gives them. Column sums and heavy tokens are added here.
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
        Gram { tokens: n, sums, products, exponents: self.exponents.clone() }
    }
}

impl Light<'_> {
    /// Σ kᵢkⱼ over the light tokens for i ≤ j, row by row.
    pub fn products(&self) -> Vec<i128> {
        let (n, d) = (self.tokens, self.width);
        // k = 2¹⁶a + b with b in −2¹⁵ … 2¹⁵ − 1.
        let low = |k: i32| i32::from(k as i16);
        let high = Mat::from_fn(n, d, |token, channel| {
            let k = self.values[channel * n + token];
            ((i64::from(k) - i64::from(low(k))) >> 16) as f64
        });
        let low = Mat::from_fn(n, d, |token, channel| f64::from(low(self.values[channel * n + token])));
        let product = |a: &Mat<f64>, b: &Mat<f64>| {
            let mut product = Mat::zeros(d, d);
            matmul(&mut product, Accum::Replace, a.transpose(), b, 1.0, Par::Seq);
            product
        };
        let (hh, hl, ll) = (product(&high, &high), product(&high, &low), product(&low, &low));
        let mut products = Vec::with_capacity(d * (d + 1) / 2);
        for i in 0..d {
            for j in i..d {
                let cross = hl[(i, j)] as i128 + hl[(j, i)] as i128;
                products.push(((hh[(i, j)] as i128) << 32) + (cross << 16) + ll[(i, j)] as i128);
            }
        }
        products
    }
}

impl Gram {
    /// CRC-32 of the grids' exponents, the sums and the products, little-endian: whoever has the same has the same integers.
    pub fn crc32(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        // No column has a grid as coarse as i32::MAX: it stands for a column of zeros.
        self.exponents.iter().for_each(|e| hasher.update(&e.unwrap_or(i32::MAX).to_le_bytes()));
        self.sums.iter().chain(&self.products).for_each(|k| hasher.update(&k.to_le_bytes()));
        hasher.finalize()
    }

    /// C(Y') = (nG − s sᵀ)/n² in the units of Y: the numerator exactly, rounded once. d × d.
    pub fn covariance(&self) -> Mat<f64> {
        let (n, d) = (self.tokens as i128, self.sums.len());
        let squared = (self.tokens as f64) * (self.tokens as f64);
        let mut covariance = Mat::zeros(d, d);
        let mut at = 0;
        for i in 0..d {
            for j in i..d {
                let numerator = n * self.products[at] - self.sums[i] * self.sums[j];
                at += 1;
                let (Some(a), Some(b)) = (self.exponents[i], self.exponents[j]) else { continue };
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
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    /// MATH §5's hostile Y: means ten deviations off, columns of 1e-6 … 1e2, three tokens × 500, a constant column, a zero
    /// one, one of subnormals.
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
                // The constant column stays one.
                let outlier = token < 3.min(tokens / 4) && channel != 3;
                let value = if outlier { 500.0 * value } else { value };
                y.push(f64::from(value as f32));
            }
        }
        y
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
        let gridded = Gridded::new(&hostile(509, 41, 1), 509, 41).unwrap();
        assert!(gridded.heavy_tokens() > 0, "some outliers are beyond the grid");
        let gram = gridded.gram();
        assert_eq!((gram.sums.clone(), gram.products.clone()), by_hand(&gridded));
    }

    #[test]
    fn the_grid_moves_no_entry_of_the_covariance_by_more_than_math_5_says() {
        let (n, d) = (2048, 24);
        let y = hostile(n, d, 2);
        let c = Gridded::new(&y, n, d).unwrap().gram().covariance();
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
            let gridded = Gridded::new(&y, tokens, width).unwrap();
            let gram = gridded.gram();
            prop_assert_eq!((gram.sums.clone(), gram.products.clone()), by_hand(&gridded));
            let reversed: Vec<f64> = y.chunks(width).rev().flatten().copied().collect();
            let other = Gridded::new(&reversed, tokens, width).unwrap().gram();
            // The grid rests on a sum of squares, whose rounding may fall on the other side of a binade.
            if other.exponents == gram.exponents {
                prop_assert_eq!(other, gram);
            }
        }
    }
}
