//! A file without storage: a beginning that is kept, then f32 values that a rule computes when they are read.
//!
//! A value depends only on its rule and its place. So any range gives the same bytes in any order and on any machine, and nothing is
//! stored.

use super::{ByteSource, SourceError};
use std::ops::Range;

/// Bytes of a pair of values, which are generated together.
const PAIR: u64 = 8;

/// How the values of a part are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// All the same.
    Constant(f32),
    /// Independent normal values of mean 0.
    Normal {
        /// Their standard deviation.
        deviation: f64,
        /// Other keys give other values.
        key: u64,
    },
    /// Logarithms of independent values that are uniform between two bounds.
    LogUniform {
        /// The lower bound, above 0.
        least: f64,
        /// The upper bound.
        most: f64,
        /// Other keys give other values.
        key: u64,
    },
    /// Sines and cosines of the places in a grid, as MAE's code makes them (He et al., Masked autoencoders, 2022). Of the channels
    /// of a place, a quarter holds sines of its column, a quarter cosines of its column, and the other half the same for its row.
    /// 0 in other channels and in the rows before the grid.
    Grid {
        /// Rows before it.
        before: u64,
        /// Places of a row of the grid.
        columns: u64,
        /// Channels of a place.
        width: u64,
    },
}

impl Rule {
    /// Values 2 `pair` and 2 `pair` + 1.
    fn pair(self, pair: u64) -> [f32; 2] {
        match self {
            Self::Constant(value) => [value; 2],
            Self::Normal { deviation, key } => normals(key, pair).map(|value| (deviation * value) as f32),
            Self::LogUniform { least, most, key } => {
                uniforms(key, pair).map(|share| libm::log(least + (most - least) * share) as f32)
            }
            Self::Grid { before, columns, width } => {
                [0, 1].map(|second| of_grid(pair.saturating_mul(2) + second, before, columns, width) as f32)
            }
        }
    }
}

/// A step of SplitMix64: a generator whose n-th word is a function of n, so that it can begin anywhere.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser (Steele, Lea and Flood, 2014): each bit of `word` changes each bit of the result half of the time.
pub fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Two independent uniform values from 0 to 1 (excluded), of 53 bits each: words 2 `pair` and 2 `pair` + 1.
fn uniforms(key: u64, pair: u64) -> [f64; 2] {
    let word = |at: u64| mixed(key.wrapping_add(at.wrapping_add(1).wrapping_mul(STEP)));
    let (first, second) = (pair.wrapping_mul(2), pair.wrapping_mul(2).wrapping_add(1));
    [first, second].map(|at| (word(at) >> 11) as f64 * 2f64.powi(-53))
}

/// Two independent standard normal values, by Box and Muller's transform of two uniform ones.
///
/// Logarithm, sine and cosine are `libm`'s, as the system's differ from machine to machine.
fn normals(key: u64, pair: u64) -> [f64; 2] {
    let [first, second] = uniforms(key, pair);
    // In (0, 1], as 0 has no logarithm.
    let radius = (-2.0 * libm::log(1.0 - first)).sqrt();
    let (sine, cosine) = libm::sincos(std::f64::consts::TAU * second);
    [radius * cosine, radius * sine]
}

/// The value at `at` of [`Rule::Grid`].
fn of_grid(at: u64, before: u64, columns: u64, width: u64) -> f64 {
    let (place, channel, quarter) = (at / width.max(1), at % width.max(1), width / 4);
    let Some(place) = place.checked_sub(before).filter(|_| channel < 4 * quarter) else { return 0.0 };
    let side = if channel < 2 * quarter { place % columns.max(1) } else { place / columns.max(1) };
    let pair = (channel % quarter) as f64 / quarter as f64;
    let angle = side as f64 / libm::pow(10_000.0, pair);
    if channel / quarter % 2 == 0 { libm::sin(angle) } else { libm::cos(angle) }
}

/// Consecutive values of one rule.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    /// Their bytes in the file.
    bytes: Range<u64>,
    rule: Rule,
}

impl Part {
    /// Appends those of its bytes that are in `wanted`.
    fn write(&self, wanted: &Range<u64>, bytes: &mut Vec<u8>) {
        let from = wanted.start.max(self.bytes.start) - self.bytes.start;
        let to = wanted.end.min(self.bytes.end) - self.bytes.start;
        let mut at = from / PAIR * PAIR;
        while at < to {
            let [first, second] = self.rule.pair(at / PAIR).map(f32::to_le_bytes);
            let both = [first, second].concat();
            bytes.extend_from_slice(&both[(from.max(at) - at) as usize..(to.min(at + PAIR) - at) as usize]);
            at += PAIR;
        }
    }
}

/// A file that is made while it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedSource {
    path: String,
    beginning: Vec<u8>,
    parts: Vec<Part>,
}

impl GeneratedSource {
    /// A file of these bytes, and after them the values of each part: their number and their rule.
    ///
    /// A file has no more than 2^64 bytes. Values beyond are left out.
    pub fn new(
        path: impl Into<String>,
        beginning: Vec<u8>,
        parts: impl IntoIterator<Item = (u64, Rule)>,
    ) -> Self {
        let mut end = beginning.len() as u64;
        let part = |(values, rule): (u64, Rule)| {
            let bytes = end..end.saturating_add(values.saturating_mul(4));
            end = bytes.end;
            Part { bytes, rule }
        };
        let parts = parts.into_iter().map(part).collect();
        Self { path: path.into(), beginning, parts }
    }
}

impl ByteSource for GeneratedSource {
    fn path(&self) -> &str {
        &self.path
    }

    fn length(&self) -> u64 {
        self.parts.last().map_or(self.beginning.len() as u64, |part| part.bytes.end)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let end = range.end.min(self.length());
        let wanted = range.start.min(end)..end;
        let mut bytes = Vec::with_capacity((wanted.end - wanted.start) as usize);
        let kept = |at: u64| at.min(self.beginning.len() as u64) as usize;
        bytes.extend_from_slice(&self.beginning[kept(wanted.start)..kept(wanted.end)]);
        let first = self.parts.partition_point(|part| part.bytes.end <= wanted.start);
        for part in self.parts[first..].iter().take_while(|part| part.bytes.start < wanted.end) {
            part.write(&wanted, &mut bytes);
        }
        Ok(bytes)
    }

    /// Bytes in a gap would have to be computed.
    fn bridged(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_grid_have_the_codes_of_mae() {
        // transformers' get_2d_sincos_pos_embed(8, 2, add_cls_token=True): 5 rows of 8.
        let value = |row: u64, channel: u64| of_grid(8 * row + channel, 1, 2, 8);
        assert!((0..8).all(|channel| value(0, channel) == 0.0), "the class token");
        let one = [0.841470985, 0.009999833, 0.540302306, 0.999950000];
        let zero = [0.0, 0.0, 1.0, 1.0];
        for (row, expected) in [(1, [zero, zero]), (2, [one, zero]), (3, [zero, one]), (4, [one, one])] {
            for (channel, expected) in (0..).zip(expected.concat()) {
                assert!((value(row, channel) - expected).abs() < 1e-8, "{row} {channel}");
            }
        }
    }
    use futures_util::FutureExt;

    fn source(key: u64) -> GeneratedSource {
        let normal = Rule::Normal { deviation: 0.5, key };
        GeneratedSource::new(
            "a",
            vec![1, 2, 3],
            [(5, normal), (0, normal), (2, Rule::Constant(1.0)), (7, normal)],
        )
    }

    fn read(source: &GeneratedSource, range: Range<u64>) -> Vec<u8> {
        source.read(range).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn every_range_gives_the_bytes_that_the_whole_file_has_there() {
        let source = source(7);
        let whole = read(&source, 0..u64::MAX);
        assert_eq!(whole.len() as u64, source.length());
        assert_eq!(source.length(), 3 + 4 * 14);
        for start in (0..=whole.len()).rev() {
            for end in start..=whole.len() {
                assert_eq!(read(&source, start as u64..end as u64), whole[start..end], "{start}..{end}");
            }
        }
        assert_eq!(whole[3 + 20..3 + 28], [1f32.to_le_bytes(), 1f32.to_le_bytes()].concat());
        // Two parts under one key begin alike.
        assert_eq!(whole[3..3 + 20], whole[3 + 28..3 + 48]);
    }

    #[test]
    fn logarithms_of_uniform_values_have_their_bounds_and_their_mean() {
        let rule = |key| Rule::LogUniform { least: 0.01, most: 16.0, key };
        let values: Vec<f64> =
            (0..50_000).flat_map(|pair| rule(3).pair(pair)).map(|value| f64::from(value).exp()).collect();
        assert!(values.iter().all(|value| (0.009_999..16.000_01).contains(value)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        // Five standard errors.
        assert!((mean - 8.005).abs() < 5.0 * 16.0 / 12f64.sqrt() / 1e5f64.sqrt(), "{mean}");
        assert_ne!(rule(3).pair(0), rule(4).pair(0));
    }

    #[test]
    fn another_key_gives_other_values() {
        assert_ne!(read(&source(7), 3..23), read(&source(8), 3..23));
    }

    #[test]
    fn values_are_normal() {
        let count = 1_000_000;
        let values: Vec<f64> = (0..count / 2).flat_map(|pair| normals(3, pair)).collect();
        let moment = |power: i32| values.iter().map(|value| value.powi(power)).sum::<f64>() / count as f64;
        // Five standard errors of each.
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error = 5.0 * f64::sqrt(variance / count as f64);
            assert!((moment(power) - expected).abs() < error, "moment {power}: {}", moment(power));
        }
        let neighbours = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / count as f64;
        assert!(neighbours.abs() < 5e-3, "{neighbours}");
        let within = values.iter().filter(|value| value.abs() < 1.0).count() as f64 / count as f64;
        assert!((within - 0.682_689).abs() < 2.5e-3, "{within}");
    }
}
