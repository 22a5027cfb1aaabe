//! What happens to one matrix, line by line in memory order and in f64 (MATH §3).
//!
//! y = γ⊙x̂ + β is the norm's output, and W (m × k) with bias b reads it. Scales and shifts: W ← W diag γ, b ← b + Wβ, γ ← 1, β ← 0.
//! Along a dead direction v, vᵀy = vᵀβ for every token, so W ← W − (W v) vᵀ and b ← b + W v (vᵀβ). A writer U (d × k) of a stream that
//! is only read without its mean: U ← U − 1 (1ᵀU)/d.

use crate::model::architecture::Linear;
use crate::model::operation::Layout;
use std::sync::Arc;

/// A change of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// Of a reader: its columns are multiplied (k values), and then its dead part is removed.
    Read {
        /// γ, if it is folded.
        scale: Option<Arc<[f64]>>,
        /// The dead part.
        dead: Dead,
    },
    /// Of a writer: the mean over its outputs is removed.
    Centre,
}

/// What of a reader has no effect.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Dead {
    /// Nothing, or it is not removed.
    Kept,
    /// Along this direction of unit length (k values).
    Direction(Arc<[f64]>),
    /// Of these inputs.
    Channels(Arc<[usize]>),
}

/// Number of lines of a matrix in memory, and of the values of a line.
pub(super) fn lines(map: &Linear) -> [usize; 2] {
    match map.layout {
        Layout::OutputInput => [map.outputs, map.inputs],
        Layout::InputOutput => [map.inputs, map.outputs],
    }
}

impl Change {
    /// Whether every line depends on sums over all lines, which [`Change::add`] collects: one for each value of a line.
    pub(super) fn needs_sums(&self, layout: Layout) -> bool {
        match (self, layout) {
            (Self::Read { dead: Dead::Direction(_), .. }, Layout::InputOutput) => true,
            (Self::Read { .. }, _) => false,
            (Self::Centre, layout) => layout == Layout::OutputInput,
        }
    }

    /// Adds a line to the sums.
    pub(super) fn add(&self, at: usize, line: &[f64], sums: &mut [f64]) {
        let factor = match self {
            Self::Read { scale, dead: Dead::Direction(v) } => {
                v[at] * scale.as_ref().map_or(1.0, |scale| scale[at])
            }
            Self::Read { .. } | Self::Centre => 1.0,
        };
        sums.iter_mut().zip(line).for_each(|(sum, value)| *sum += factor * value);
    }

    /// Changes a line.
    pub(super) fn apply(&self, map: &Linear, at: usize, line: &mut [f64], sums: &[f64]) {
        match (self, map.layout) {
            (Self::Read { scale, dead }, Layout::OutputInput) => {
                if let Some(scale) = scale {
                    line.iter_mut().zip(scale.iter()).for_each(|(value, scale)| *value *= scale);
                }
                match dead {
                    Dead::Kept => {}
                    Dead::Direction(v) => {
                        let along: f64 = line.iter().zip(v.iter()).map(|(value, v)| value * v).sum();
                        line.iter_mut().zip(v.iter()).for_each(|(value, v)| *value -= along * v);
                    }
                    Dead::Channels(channels) => channels.iter().for_each(|&channel| line[channel] = 0.0),
                }
            }
            (Self::Read { scale, dead }, Layout::InputOutput) => {
                if let Some(scale) = scale {
                    line.iter_mut().for_each(|value| *value *= scale[at]);
                }
                match dead {
                    Dead::Kept => {}
                    Dead::Direction(v) => {
                        line.iter_mut().zip(sums).for_each(|(value, along)| *value -= along * v[at]);
                    }
                    Dead::Channels(channels) if channels.contains(&at) => line.fill(0.0),
                    Dead::Channels(_) => {}
                }
            }
            (Self::Centre, Layout::OutputInput) => {
                let d = map.outputs as f64;
                line.iter_mut().zip(sums).for_each(|(value, sum)| *value -= sum / d);
            }
            (Self::Centre, Layout::InputOutput) => centre(line),
        }
    }

    /// Says what it does, as formulas.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Read { scale, dead } => {
                let scale = scale.iter().map(|_| "W ← W diag γ");
                let dead = match dead {
                    Dead::Kept => None,
                    Dead::Direction(_) => Some("W ← W − (W v) vᵀ, v ∝ 1/γ"),
                    Dead::Channels(_) => Some("columns of zero scales ← 0"),
                };
                scale.chain(dead).collect::<Vec<_>>().join("; ")
            }
            Self::Centre => "U ← U − 1 mean(U)".to_owned(),
        }
    }
}

/// Adds the share of a line in W s (m values) to `product`.
pub(super) fn add_product(layout: Layout, at: usize, line: &[f64], s: &[f64], product: &mut [f64]) {
    match layout {
        Layout::OutputInput => {
            product[at] = line.iter().zip(s).map(|(value, s)| value * s).sum();
        }
        Layout::InputOutput => {
            product.iter_mut().zip(line).for_each(|(product, value)| *product += value * s[at]);
        }
    }
}

/// Subtracts the mean.
pub(super) fn centre(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|value| *value -= mean);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::direction::Kernel;
    use crate::kernel::scale::Scale;
    use proptest::prelude::*;

    /// Values of a generator that is the same everywhere, in −1 … 1.
    fn values(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
            })
            .collect()
    }

    fn normalised(x: &[f64], subtracts_mean: bool) -> Vec<f64> {
        let d = x.len() as f64;
        let mean = if subtracts_mean { x.iter().sum::<f64>() / d } else { 0.0 };
        let size = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d + 1e-5).sqrt();
        x.iter().map(|x| (x - mean) / size).collect()
    }

    fn changed(change: &Change, map: &Linear, weight: &[f64]) -> Vec<f64> {
        let [_, length] = lines(map);
        let mut sums = vec![0.0; length];
        let mut weight = weight.to_vec();
        if change.needs_sums(map.layout) {
            weight.chunks(length).enumerate().for_each(|(at, line)| change.add(at, line, &mut sums));
        }
        weight.chunks_mut(length).enumerate().for_each(|(at, line)| change.apply(map, at, line, &sums));
        weight
    }

    fn product(map: &Linear, weight: &[f64], x: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; map.outputs];
        let [_, length] = lines(map);
        weight
            .chunks(length)
            .enumerate()
            .for_each(|(at, line)| add_product(map.layout, at, line, x, &mut product));
        product
    }

    proptest! {
        #[test]
        fn folding_and_the_canonical_form_keep_what_a_reader_computes(
            seed in any::<u64>(), d in 2usize..12, m in 1usize..6, zeros in 0usize..3,
            transposed in any::<bool>(), subtracts_mean in any::<bool>(),
            scales in any::<bool>(), shifts in any::<bool>(), canonical in any::<bool>()
        ) {
            let layout = if transposed { Layout::InputOutput } else { Layout::OutputInput };
            let map = Linear { weight: 0, first: 0, bias: None, first_bias: 0, inputs: d, outputs: m, layout };
            let mut gamma: Vec<f64> = values(seed, d).into_iter().map(|value| value + 1.5).collect();
            let mut beta = values(seed ^ 1, d);
            for at in 0..zeros.min(d - 1) {
                gamma[at] = 0.0;
                // Scales alone cannot be folded past a shift on such a channel.
                if scales && !shifts { beta[at] = 0.0; }
            }
            let weight = values(seed ^ 2, d * m);
            let parts = super::super::plan::Parts::of(&gamma, &beta, subtracts_mean, scales, shifts);
            let (dead, constant) = if canonical { parts.canonical() } else { (Dead::Kept, vec![0.0; d]) };
            let change = Change::Read { scale: scales.then(|| gamma.clone().into()), dead: dead.clone() };
            let new = changed(&change, &map, &weight);
            let s: Vec<f64> = parts.moved.iter().zip(&constant).map(|(a, b)| a + b).collect();
            let bias = product(&map, &weight, &s);
            for token in 0..4 {
                let x = normalised(&values(seed ^ (token + 3), d), subtracts_mean);
                let y: Vec<f64> = (0..d).map(|i| gamma[i] * x[i] + beta[i]).collect();
                let z: Vec<f64> = (0..d).map(|i| parts.scale[i] * x[i] + parts.shift[i]).collect();
                let before = product(&map, &weight, &y);
                let after = product(&map, &new, &z);
                for o in 0..m {
                    prop_assert!((before[o] - after[o] - bias[o]).abs() < 1e-11, "{} {} {}", before[o], after[o], bias[o]);
                }
            }
            if canonical {
                let scale = Scale::new(gamma.clone()).unwrap();
                let columns = |i: usize| (0..m).map(|o| if transposed { new[i * m + o] } else { new[o * d + i] }).collect::<Vec<f64>>();
                match Kernel::of(&scale, subtracts_mean) {
                    Kernel::None => prop_assert_eq!(dead, Dead::Kept),
                    Kernel::Coordinates(zeros) => prop_assert!(zeros.iter().all(|&i| columns(i).iter().all(|value| *value == 0.0))),
                    Kernel::InverseScale(_) => {
                        let Dead::Direction(v) = &dead else { panic!("a direction") };
                        prop_assert!(product(&map, &new, v).iter().all(|along| along.abs() < 1e-12));
                    }
                }
            }
        }

        #[test]
        fn a_centred_writer_writes_the_same_without_its_mean(
            seed in any::<u64>(), d in 1usize..9, k in 1usize..7, transposed in any::<bool>()
        ) {
            let layout = if transposed { Layout::InputOutput } else { Layout::OutputInput };
            let map = Linear { weight: 0, first: 0, bias: None, first_bias: 0, inputs: k, outputs: d, layout };
            let (weight, x) = (values(seed, d * k), values(seed ^ 1, k));
            let mut before = product(&map, &weight, &x);
            centre(&mut before);
            let after = product(&map, &changed(&Change::Centre, &map, &weight), &x);
            for (before, after) in before.iter().zip(&after) {
                prop_assert!((before - after).abs() < 1e-12);
            }
        }
    }
}
