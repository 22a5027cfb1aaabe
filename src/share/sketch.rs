//! A scale in a few dozen bytes: its smallest values with five digits, the others as a curve.
//!
//! Figures of a kernel need the smallest |γᵢ|, which may be 1e-33 next to 0.8. So these are stored separately, each with its channel. The
//! others are sorted by size and sampled, and sizes between two samples are interpolated in the logarithm.

use crate::kernel::scale::Scale;
use serde::{Deserialize, Serialize};

/// Number of the smallest values that are kept exactly: at least the first, at most the second, and all near-dead ones in between.
const EXACT: [usize; 2] = [3, 16];
/// Points of the curve.
const POINTS: usize = 16;
/// Number of heights above the lowest. For scales within a factor of ten, a step is about a percent.
const STEPS: f64 = 255.0;

/// The sketch of a scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sketch {
    /// Channels of the smallest |γᵢ| that are not zero, the smallest first.
    channels: Vec<u32>,
    /// Their γᵢ.
    values: Vec<f64>,
    /// The smallest and the largest |γᵢ| of the other channels.
    range: Option<[f64; 2]>,
    /// Their sizes at equal steps of rank, as increases from point to point, in logarithmic steps from the smallest to the largest.
    rises: Vec<u32>,
    /// How many of the others are negative.
    negative: u32,
}

impl Sketch {
    pub(super) fn of(scale: &Scale) -> Self {
        let values = scale.values();
        let mut order: Vec<usize> = (0..values.len()).filter(|&channel| values[channel] != 0.0).collect();
        order.sort_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()));
        let [least, most] = EXACT;
        let near_dead = scale.near_dead().len() - scale.zeros().len();
        let (exact, others) = order.split_at(near_dead.clamp(least, most).min(order.len()));
        let size = |rank: usize| values[others[rank]].abs();
        let range = (!others.is_empty()).then(|| [size(0), size(others.len() - 1)]);
        let height = |point: usize| {
            let rank = (point * (others.len() - 1)) as f64 / (POINTS - 1) as f64;
            let [low, high] = range.unwrap_or([1.0; 2]);
            let steps = STEPS * (size(rank.round() as usize) / low).ln() / (high / low).ln();
            if steps.is_finite() { steps.round() as u32 } else { 0 }
        };
        let mut before = 0;
        let mut rises = Vec::new();
        if range.is_some_and(|[low, high]| low < high) {
            for height in (0..POINTS).map(height) {
                rises.push(height - before);
                before = height;
            }
        }
        Self {
            channels: exact.iter().map(|&channel| channel as u32).collect(),
            values: exact.iter().map(|&channel| values[channel]).collect(),
            range,
            rises,
            negative: others.iter().filter(|&&channel| values[channel] < 0.0).count() as u32,
        }
    }

    /// Makes a similar scale of `width` channels, zero at `zeros`. Exact values are at their channels, the others anywhere. `None` for
    /// numbers that no sketch has.
    pub(super) fn scale(&self, width: u64, zeros: &[u32]) -> Option<Scale> {
        let width = usize::try_from(width).ok().filter(|width| (1..=1 << 20).contains(width))?;
        let mut values = vec![None; width];
        let kept = self.channels.iter().copied().zip(self.values.iter().copied());
        for (channel, value) in kept.chain(zeros.iter().map(|&channel| (channel, 0.0))) {
            *values.get_mut(channel as usize)? = Some(value);
        }
        let others = values.iter().filter(|value| value.is_none()).count();
        let [low, high] = self.range.unwrap_or([1.0; 2]);
        let mut height = 0.0;
        let heights: Vec<f64> = self
            .rises
            .iter()
            .map(|&rise| {
                height += f64::from(rise);
                height
            })
            .collect();
        let size = |rank: usize| {
            let at = rank as f64 / (others.max(2) - 1) as f64 * (heights.len().max(1) - 1) as f64;
            let point = at.floor() as usize;
            let (below, above) = (heights.get(point)?, heights.get(point + 1).or(heights.get(point))?);
            let height = below + (above - below) * (at - point as f64);
            Some(low * ((high / low).ln() * height / STEPS).exp())
        };
        let sign = |rank: usize| {
            // The number of negative values, spread evenly over the ranks.
            let negatives = |ranks: usize| ranks * self.negative as usize / others.max(1);
            if negatives(rank + 1) > negatives(rank) { -1.0 } else { 1.0 }
        };
        let places = values.iter_mut().filter(|value| value.is_none());
        for (rank, place) in places.enumerate() {
            // The last rank is exactly the largest, without rounding.
            let exact = if rank + 1 == others { Some(high) } else { size(rank) };
            *place = Some(sign(rank) * exact.unwrap_or(low));
        }
        Scale::new(values.into_iter().flatten().collect()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::direction::Kernel;
    use proptest::prelude::*;

    fn again(values: &[f64]) -> (Scale, Scale) {
        let scale = Scale::new(values.to_vec()).unwrap();
        let zeros: Vec<u32> = scale.zeros().into_iter().map(|channel| channel as u32).collect();
        let sketched = Sketch::of(&scale).scale(values.len() as u64, &zeros).unwrap();
        (scale, sketched)
    }

    #[test]
    fn the_smallest_keep_their_values_and_channels() {
        let mut values: Vec<f64> = (0..768).map(|at| 0.5 + 0.001 * f64::from((at * 77) % 768)).collect();
        (values[127], values[223]) = (4.8e-33, -5e-33);
        let (scale, sketched) = again(&values);
        assert_eq!((sketched.values()[127], sketched.values()[223]), (4.8e-33, -5e-33));
        let [Kernel::InverseScale(exact), Kernel::InverseScale(sketch)] =
            [Kernel::of(&scale, true), Kernel::of(&sketched, true)]
        else {
            panic!("both have a direction")
        };
        assert_eq!(exact.largest().0, sketch.largest().0);
        assert!((exact.participation() / sketch.participation() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_constant_scale_and_a_single_value_stay_what_they_are() {
        for values in [vec![1.0; 9], vec![-2.0], vec![0.0; 3], vec![0.0, 1.0, 1.0, 2.0, 0.5, 3.0]] {
            let (scale, sketched) = again(&values);
            let sorted = |scale: &Scale| {
                let mut values = scale.values().to_vec();
                values.sort_by(f64::total_cmp);
                values
            };
            assert_eq!(sorted(&scale), sorted(&sketched), "{values:?}");
        }
    }

    #[test]
    fn numbers_that_no_sketch_has_give_no_scale() {
        let sketch =
            Sketch { channels: vec![9], values: vec![1.0], range: None, rises: Vec::new(), negative: 0 };
        assert_eq!(sketch.scale(9, &[]), None);
        assert_eq!(sketch.scale(0, &[]), None);
        assert_eq!(sketch.scale(u64::MAX, &[]), None);
    }

    proptest! {
        #[test]
        fn sizes_are_near_what_they_were(logs in proptest::collection::vec(-3.0_f64..1.0, 8..300)) {
            let values: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
            let (scale, sketched) = again(&values);
            let (before, after) = (scale.magnitudes(), sketched.magnitudes());
            prop_assert!((before.min / after.min - 1.0).abs() < 1e-9 && (before.max / after.max - 1.0).abs() < 1e-9);
            // The error between two of 16 points is at most the gap between their ranks.
            let mut logs: Vec<f64> = logs.clone();
            logs.sort_by(f64::total_cmp);
            let gap = logs.windows(2.max(logs.len() / 10)).map(|part| part[part.len() - 1] - part[0]).fold(0.0, f64::max);
            prop_assert!((before.median / after.median).ln().abs() <= gap + 0.02, "{before:?} {after:?}");
        }
    }
}
