//! The residual stream, block by block: its least singular value, where it falls, and in which direction (MATH §4).

use super::MeasureError;
use super::activations::Activations;
use super::centred::{Centred, dot};
use super::eigen::Pairs;
use super::gram::{Gram, Gridded};
use super::rows::Rows;
use super::site::Covariances;
use crate::kernel::direction::Kernel;
use crate::kernel::scale::Scale;
use crate::report::{Eigenvalue, FallPart, FallPlace, Interval, ResidualBlock, ResidualFall, StackName};
use faer::Mat;
use serde::{Deserialize, Serialize};

/// A decrease by less than this share does not count as a fall.
const TOLERANCE: f64 = 0.01;

/// The residual stream of one block, before it is measured.
#[derive(Debug)]
pub struct BlockStreams {
    /// The stream after the block, n × d values.
    pub after: Activations,
    /// The stream between its attention and its feed-forward part, n × d values.
    pub after_attention: Option<Activations>,
    /// Index in the report of the norm that reads the stream next.
    pub next: Option<usize>,
}

/// σ_min of the centred stream of one block, and its bottom direction u after the block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stream {
    after: Least,
    /// σ_min between the parts of the block.
    after_attention: Option<f64>,
    bottom: Option<BottomDirection>,
}

/// σ_min on all tokens and on both halves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Least {
    all: f64,
    halves: Option<[f64; 2]>,
}

/// The direction u along which a stream varies least, if rounding does not hide it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BottomDirection {
    /// d values, of unit length.
    components: Vec<f64>,
    /// λ₂/λ₁.
    gap: f64,
    /// |⟨u, v⟩|, where v belongs to the scale that reads the stream next.
    inverse_scale: Option<f64>,
    /// Length of u in the near-dead channels of that scale.
    near_dead: Option<f64>,
    /// Energy of the attention and of the feed-forward part of the block along u, once it is known.
    #[serde(default)]
    written: [Option<f64>; 2],
}

/// Measures the stream of a block. `next` is the scale (d values) that reads it next, and `gram` computes the exact Gram matrix.
pub async fn stream(
    streams: &BlockStreams,
    next: Option<&Scale>,
    gram: impl AsyncFn(&Gridded) -> Gram,
) -> Result<Stream, MeasureError> {
    let after = &streams.after;
    let (centred, covariances) = covariances(after, &gram).await?;
    let failed = || MeasureError::NoConvergence { site: after.tensor.clone() };
    let (all, pairs) = least(&centred, &covariances.all).ok_or_else(failed)?;
    let halves = match (&covariances.halves, &centred.halves()) {
        (Some([a, b]), [first, second]) => {
            Some([least(first, a).ok_or_else(failed)?.0, least(second, b).ok_or_else(failed)?.0])
        }
        (None, _) => None,
    };
    let next = next.filter(|scale| scale.width() == after.width);
    let bottom = pairs.map(|pairs| BottomDirection::of(&pairs, next));
    let after_attention = match &streams.after_attention {
        Some(values) => {
            let (centred, covariances) = self::covariances(values, &gram).await?;
            Some(least(&centred, &covariances.all).ok_or_else(failed)?.0)
        }
        None => None,
    };
    Ok(Stream { after: Least { all, halves }, after_attention, bottom })
}

async fn covariances<'a>(
    values: &'a Activations,
    gram: &impl AsyncFn(&Gridded) -> Gram,
) -> Result<(Centred<'a>, Covariances), MeasureError> {
    if values.tokens <= values.width {
        let (site, tokens, width) = (values.tensor.clone(), values.tokens, values.width);
        return Err(MeasureError::TooFewTokens { site, tokens, width });
    }
    let rows = Rows::new(values);
    let covariances = Covariances::of(&rows, gram).await?;
    Ok((Centred::new(rows), covariances))
}

impl BottomDirection {
    /// Compares the bottom pair with the scale that reads the stream next.
    fn of(pairs: &Pairs, next: Option<&Scale>) -> Self {
        let components: Vec<f64> = pairs.vectors.col(0).iter().copied().collect();
        let inverse_scale = next.and_then(|scale| match Kernel::of(scale, true) {
            Kernel::InverseScale(v) => Some(dot(&components, &v.components).abs()),
            _ => None,
        });
        let length = |channels: Vec<usize>| {
            channels.into_iter().fold(0.0, |sum, channel| sum + components[channel].powi(2)).sqrt()
        };
        let near_dead = next.map(|scale| length(scale.near_dead()));
        let gap = pairs.values.get(1).map_or(f64::INFINITY, |second| second / pairs.values[0]);
        Self { gap, inverse_scale, near_dead, components, written: [None; 2] }
    }

    /// Returns |⟨u, 1/√d⟩|.
    fn mean(&self) -> f64 {
        self.components.iter().sum::<f64>().abs() / (self.components.len() as f64).sqrt()
    }
}

/// Returns √λ_min and the two bottom pairs. If λ_min of C is lost in rounding, it comes from the values themselves along the bottom
/// eigenvector, and there are no pairs.
fn least(centred: &Centred<'_>, covariance: &Mat<f64>) -> Option<(f64, Option<Pairs>)> {
    let pairs = Pairs::bottom(covariance, 2)?;
    let value = pairs.values[0];
    if value > Eigenvalue::RESOLVED * Pairs::largest(covariance)? {
        return Some((value.sqrt(), Some(pairs)));
    }
    let bottom: Vec<f64> = pairs.vectors.col(0).iter().copied().collect();
    Some((centred.along(&bottom).variance.sqrt(), None))
}

impl Stream {
    /// The bottom direction u after the block (d values), if rounding does not hide it.
    pub fn bottom(&self) -> Option<&[f64]> {
        self.bottom.as_ref().map(|bottom| bottom.components.as_slice())
    }

    /// Takes the energies of the parts of the block along u.
    pub fn take_energies(&mut self, energies: [Option<f64>; 2]) {
        if let Some(bottom) = &mut self.bottom {
            bottom.written = energies;
        }
    }

    /// Returns σ_min of this stream over that of the stream before.
    pub fn ratio(&self, before: &Self) -> f64 {
        self.after.all / before.after.all
    }
}

/// Returns the profile over the blocks of a stack, in their order.
pub fn profile(streams: &[Stream], stack: Option<StackName>) -> Vec<ResidualBlock> {
    streams
        .iter()
        .zip(0..)
        .map(|(stream, block)| {
            let Least { all, halves } = stream.after;
            let [first, second] = halves.unwrap_or([all; 2]);
            ResidualBlock {
                block,
                stack,
                sigma_min: all,
                low: first.min(second).min(all),
                high: first.max(second).max(all),
            }
        })
        .collect()
}

/// Returns the falls of σ_min: the blocks of a stack after which it is at least a hundredth less than before.
pub fn falls(streams: &[Stream], stack: Option<StackName>) -> Vec<ResidualFall> {
    streams
        .windows(2)
        .zip(1..)
        .filter_map(|(pair, block)| {
            let [before, after] = pair else { return None };
            let value = after.after.all / before.after.all;
            let on_halves = before.after.halves.zip(after.after.halves);
            let [first, second] =
                on_halves.map_or([value; 2], |(before, after)| [after[0] / before[0], after[1] / before[1]]);
            let (low, high) = (first.min(second).min(value), first.max(second).max(value));
            (value < 1.0 - TOLERANCE).then(|| ResidualFall {
                block,
                stack,
                ratio: Interval { value, low, high },
                on_both_halves: on_halves.is_some() && high < 1.0 - TOLERANCE,
                place: place(before, after),
            })
        })
        .collect()
}

/// Says in which part of a block σ_min falls, and in which direction. `None` if rounding hides the direction before or after, or if the
/// stream between the parts was not measured.
fn place(before: &Stream, after: &Stream) -> Option<FallPlace> {
    let between = after.after_attention?;
    let (was, is) = (before.bottom.as_ref()?, after.bottom.as_ref()?);
    let (attention, feed_forward) = (between / before.after.all, after.after.all / between);
    let part = match [attention, feed_forward].map(|ratio| ratio < 1.0 - TOLERANCE) {
        [true, false] => FallPart::Attention,
        [false, true] => FallPart::FeedForward,
        _ => FallPart::Both,
    };
    Some(FallPlace {
        part,
        attention,
        feed_forward,
        gap: is.gap,
        same_direction: dot(&was.components, &is.components).abs(),
        mean: is.mean(),
        inverse_scale: is.inverse_scale,
        near_dead: is.near_dead,
        attention_energy: is.written[0],
        feed_forward_energy: is.written[1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    fn noise(tokens: usize, deviations: &[f64]) -> Activations {
        let mut random = SmallRng::seed_from_u64(7);
        let mut value = |at: usize| {
            let normal: f64 = random.sample(StandardNormal);
            3.0 + normal * deviations[at % deviations.len()]
        };
        let values = (0..tokens * deviations.len()).map(&mut value).collect();
        Activations::of("block", deviations.len(), values)
    }

    fn measured(tokens: usize, deviations: &[f64]) -> Stream {
        of_parts(tokens, None, deviations, None)
    }

    fn of_parts(tokens: usize, between: Option<&[f64]>, after: &[f64], next: Option<&Scale>) -> Stream {
        let after_attention = between.map(|deviations| noise(tokens, deviations));
        let streams = BlockStreams { after: noise(tokens, after), after_attention, next: None };
        block_on(stream(&streams, next, async |y: &Gridded| y.gram())).unwrap()
    }

    #[test]
    fn the_least_singular_value_is_the_deviation_of_the_quietest_direction() {
        for quiet in [0.5, 1e-3, 1e-9] {
            let stream = measured(4000, &[2.0, quiet, 1.0, 4.0]);
            assert!((stream.after.all / quiet - 1.0).abs() < 0.1, "{quiet}: {stream:?}");
            let [block] = profile(&[stream], None)[..] else { panic!("one block") };
            assert!(block.low <= block.sigma_min && block.sigma_min <= block.high && block.low < block.high);
        }
    }

    #[test]
    fn a_fall_has_its_size_and_a_rise_is_no_fall() {
        let streams = [1.0, 2.0, 1.0, 0.998].map(|quiet| measured(2000, &[quiet, 3.0]));
        let [fall] = &falls(&streams, None)[..] else { panic!("{:?}", falls(&streams, None)) };
        assert_eq!(fall.block, 2);
        assert!((fall.ratio.value - 0.5).abs() < 0.01 && fall.on_both_halves, "{fall:?}");
        assert_eq!(fall.place, None, "the stream between the parts was not measured");
    }

    #[test]
    fn a_fall_is_placed_in_the_part_that_makes_it_and_in_its_direction() {
        // The next norm almost switches off channel 0, so both v and the near-dead channels are channel 0.
        let scale = Scale::new(vec![1e-4, 1.0, 1.0, 1.0]).unwrap();
        let before = of_parts(4000, Some(&[1.0, 3.0, 3.0, 3.0]), &[1.0, 3.0, 3.0, 3.0], Some(&scale));
        let placed = |between: &[f64], after: &[f64]| {
            let after = of_parts(4000, Some(between), after, Some(&scale));
            let [fall] = falls(&[before.clone(), after], None)[..] else { panic!("one fall") };
            let place = fall.place.unwrap();
            assert!((place.attention * place.feed_forward / fall.ratio.value - 1.0).abs() < 1e-12);
            place
        };
        let same = [0.5, 3.0, 3.0, 3.0];
        let attention = placed(&same, &same);
        assert_eq!(attention.part, FallPart::Attention);
        for cosine in
            [attention.same_direction, attention.inverse_scale.unwrap(), attention.near_dead.unwrap()]
        {
            assert!(cosine > 0.99, "{attention:?}");
        }
        assert!((attention.mean - 0.5).abs() < 0.05 && (attention.gap - 36.0).abs() < 6.0, "{attention:?}");
        let other = placed(&[1.0, 3.0, 3.0, 3.0], &[3.0, 0.5, 3.0, 3.0]);
        assert_eq!(other.part, FallPart::FeedForward);
        for cosine in [other.same_direction, other.inverse_scale.unwrap(), other.near_dead.unwrap()] {
            assert!(cosine < 0.05, "{other:?}");
        }
        assert_eq!(placed(&[0.7, 3.0, 3.0, 3.0], &same).part, FallPart::Both);
    }

    #[test]
    fn a_direction_below_rounding_has_no_place() {
        let streams = [1e-3, 1e-12].map(|quiet| of_parts(400, Some(&[1.0, 1.0]), &[quiet, 1.0], None));
        let [fall] = falls(&streams, None)[..] else { panic!("one fall") };
        assert_eq!(fall.place, None);
    }

    #[test]
    fn fewer_tokens_than_channels_are_refused() {
        let streams = BlockStreams { after: noise(3, &[1.0; 4]), after_attention: None, next: None };
        let error = block_on(stream(&streams, None, async |y: &Gridded| y.gram())).unwrap_err();
        assert!(matches!(error, MeasureError::TooFewTokens { .. }), "{error}");
    }
}
