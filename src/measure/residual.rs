//! The residual stream, block by block: its least singular value, and where it falls (MATH §4).

use super::MeasureError;
use super::activations::Activations;
use super::centred::Centred;
use super::eigen::Pairs;
use super::gram::{Gram, Gridded};
use super::rows::Rows;
use super::site::Covariances;
use crate::report::{Eigenvalue, Interval, ResidualBlock, ResidualFall};
use faer::Mat;
use serde::{Deserialize, Serialize};

/// A step down by less than this share is no fall.
const TOLERANCE: f64 = 0.01;

/// σ_min of the centred stream after one block, on all tokens and on both halves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stream {
    all: f64,
    halves: Option<[f64; 2]>,
}

/// Measures the stream after a block from its values (n × d); `gram` computes the exact Gram matrix.
pub async fn stream(
    values: &Activations,
    gram: impl AsyncFn(&Gridded) -> Gram,
) -> Result<Stream, MeasureError> {
    let site = values.tensor.as_str();
    if values.tokens <= values.width {
        let (tokens, width) = (values.tokens, values.width);
        return Err(MeasureError::TooFewTokens { site: site.to_owned(), tokens, width });
    }
    let rows = Rows::new(values);
    let covariances = Covariances::of(&rows, &gram).await?;
    let centred = Centred::new(rows);
    let failed = || MeasureError::NoConvergence { site: site.to_owned() };
    let all = least(&centred, &covariances.all).ok_or_else(failed)?;
    let [first, second] = &centred.halves();
    let halves = match &covariances.halves {
        Some([a, b]) => Some([least(first, a).ok_or_else(failed)?, least(second, b).ok_or_else(failed)?]),
        None => None,
    };
    Ok(Stream { all, halves })
}

/// √λ_min. Where C has lost it in rounding, from what the values themselves do along its bottom eigenvector.
fn least(centred: &Centred<'_>, covariance: &Mat<f64>) -> Option<f64> {
    let pairs = Pairs::bottom(covariance, 1)?;
    let value = pairs.values[0];
    if value > Eigenvalue::RESOLVED * Pairs::largest(covariance)? {
        return Some(value.sqrt());
    }
    let bottom: Vec<f64> = pairs.vectors.col(0).iter().copied().collect();
    Some(centred.along(&bottom).variance.sqrt())
}

/// The profile over the blocks, in their order.
pub fn profile(streams: &[Stream]) -> Vec<ResidualBlock> {
    streams
        .iter()
        .zip(0..)
        .map(|(stream, block)| {
            let [first, second] = stream.halves.unwrap_or([stream.all; 2]);
            ResidualBlock {
                block,
                sigma_min: stream.all,
                low: first.min(second).min(stream.all),
                high: first.max(second).max(stream.all),
            }
        })
        .collect()
}

/// The blocks after which σ_min is less than before them, by more than a hundredth.
pub fn falls(streams: &[Stream]) -> Vec<ResidualFall> {
    streams
        .windows(2)
        .zip(1..)
        .filter_map(|(pair, block)| {
            let [before, after] = pair else { return None };
            let value = after.all / before.all;
            let on_halves = before.halves.zip(after.halves);
            let [first, second] =
                on_halves.map_or([value; 2], |(before, after)| [after[0] / before[0], after[1] / before[1]]);
            let (low, high) = (first.min(second).min(value), first.max(second).max(value));
            (value < 1.0 - TOLERANCE).then(|| ResidualFall {
                block,
                ratio: Interval { value, low, high },
                on_both_halves: on_halves.is_some() && high < 1.0 - TOLERANCE,
            })
        })
        .collect()
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
        block_on(stream(&noise(tokens, deviations), async |y: &Gridded| y.gram())).unwrap()
    }

    #[test]
    fn the_least_singular_value_is_the_deviation_of_the_quietest_direction() {
        for quiet in [0.5, 1e-3, 1e-9] {
            let stream = measured(4000, &[2.0, quiet, 1.0, 4.0]);
            assert!((stream.all / quiet - 1.0).abs() < 0.1, "{quiet}: {stream:?}");
            let [block] = profile(&[stream])[..] else { panic!("one block") };
            assert!(block.low <= block.sigma_min && block.sigma_min <= block.high && block.low < block.high);
        }
    }

    #[test]
    fn a_fall_is_named_with_its_size_and_a_rise_is_none() {
        let streams = [1.0, 2.0, 1.0, 0.998].map(|quiet| measured(2000, &[quiet, 3.0]));
        let [fall] = &falls(&streams)[..] else { panic!("{:?}", falls(&streams)) };
        assert_eq!(fall.block, 2);
        assert!((fall.ratio.value - 0.5).abs() < 0.01 && fall.on_both_halves, "{fall:?}");
    }

    #[test]
    fn fewer_tokens_than_channels_are_refused() {
        let error = block_on(stream(&noise(3, &[1.0; 4]), async |y: &Gridded| y.gram())).unwrap_err();
        assert!(matches!(error, MeasureError::TooFewTokens { .. }), "{error}");
    }
}
