//! Writer energy (MATH §3, ours): what training left in the matrices that write the residual stream. No name can hide it.
//!
//! Under an RMSNorm nothing singles out the stream's mean, and the energy is 1. Measured: 0.79–1.13 at the writers of
//! SmolLM2-135M and Gemma-3-270M, 0.83–1.28 at our own sample's. Their means are 0.97, 1.00 and 1.09, which give the spread
//! below. Under LayerNorm the energy starts at 1 and falls as training goes on (our own 4-layer model: 1.0, 0.8 after 300 steps,
//! 0.23–0.52 after 1,200; all-MiniLM-L6-v2 0.11–0.28). Its value shows only how far training went, so its density is taken as
//! flat between 0 and 1. The writers of a stack share their training, so their mean counts once, however many there are.
//!
//! It abstains on weights that look like a random draw (at initialisation both kinds are at 1), if blocks disagree, and if
//! nothing could be sampled.

use super::{Evidence, EvidenceSource, Witness};
use crate::kernel::energy::Pooled;
use crate::norm::behaviour::Likelihood;

/// Spread of the mean energy of RMSNorm models: see above.
const RMS_SPREAD: f64 = 0.08;
/// Rows of a random draw have a dispersion of 1 ± √(2/d); trained: all-MiniLM 20 (median), SmolLM2 16, Gemma 107, our
/// samples 2.9 and 1.8.
const TRAINED_DISPERSION: f64 = 1.5;
/// Blocks disagree when at least this share of them is clearly on either side.
const DISAGREEMENT: f64 = 0.2;
/// Writers whose every column sums to zero, up to rounding, were centred on purpose.
const CENTRED: f64 = 1e-3;
/// Most nats towards LayerNorm. A null of many standard deviations is beyond counting, but the flat density is only a model.
const MOST_LAYER_NORM: f64 = 6.0;
/// Most nats towards RMSNorm: what the flat density gives at 1.
const MOST_RMS_NORM: f64 = -2.0;

/// What is known about a residual stream from a sample of its writers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stream {
    /// The writers of its blocks.
    pub writers: Pooled,
    /// Energy of the token embedding that starts it.
    pub embedding: Option<f64>,
}

impl Stream {
    /// Whether all sampled columns of what is written to the stream sum to zero over its channels. Then the stream has no mean,
    /// and a norm that does not subtract it does the same as one that does.
    pub fn is_centred(&self) -> bool {
        self.writers.greatest < CENTRED && self.embedding.is_some_and(|energy| energy < CENTRED)
    }
}

/// Judges the writers of the site's stream.
pub(super) fn weigh(witness: &Witness<'_>) -> Evidence {
    let abstain = |detail: String| Evidence::abstain(EvidenceSource::WriterEnergy, detail);
    if !witness.site.reads_stream() {
        return abstain("the site does not read the residual stream".to_owned());
    }
    let Some(stream) = witness.writers else {
        return abstain(witness.no_writers.to_owned());
    };
    let writers = &stream.writers;
    let (mean, count) = (writers.mean, writers.writers);
    let said = format!("{count} writers of the stream have energy {mean:.2} along its mean");
    if stream.is_centred() {
        let detail = format!(
            "every sampled column of the embedding and of {count} writers sums to zero (energy {:.0e}): the stream has no mean, so a norm of either kind behaves as LayerNorm",
            writers.greatest
        );
        return Evidence {
            source: EvidenceSource::WriterEnergy,
            likelihood: unseen(MOST_LAYER_NORM),
            detail,
        };
    }
    if writers.row_dispersion < TRAINED_DISPERSION {
        return abstain(format!(
            "{said}, but their rows are as alike as a random draw's (dispersion {:.2}): untrained weights say nothing",
            writers.row_dispersion
        ));
    }
    if writers.low >= DISAGREEMENT && writers.high >= DISAGREEMENT {
        return abstain(format!(
            "blocks disagree: {:.0} % of {count} writers have a low energy along the stream's mean, {:.0} % do not",
            100.0 * writers.low,
            100.0 * writers.high
        ));
    }
    let ratio = log_likelihood_ratio(mean, writers.null_deviation);
    let reading = if ratio > 0.0 {
        "training did not use that mean, as under LayerNorm or a norm over few groups"
    } else {
        "as under RMSNorm, or a LayerNorm hardly trained"
    };
    Evidence {
        source: EvidenceSource::WriterEnergy,
        likelihood: unseen(ratio),
        detail: format!("{said}: {reading}"),
    }
}

/// Evidence of `ratio` nats that the norm does not see the stream's mean. A LayerNorm does not see it, and a norm over groups hardly
/// does, so this cannot tell them apart. An RMSNorm sees it, and so does a module that normalises nothing.
fn unseen(ratio: f64) -> Likelihood {
    if ratio == 0.0 {
        return Likelihood::NOTHING;
    }
    let spanning = if ratio > 0.0 { ratio } else { ((1.0 + ratio.exp()) / 2.0).ln() };
    Likelihood([ratio, 0.0, spanning, 0.0])
}

/// Log likelihood ratio of two densities: flat between 0 and 1 for LayerNorm, normal around 1 for RMSNorm.
fn log_likelihood_ratio(mean: f64, null_deviation: f64) -> f64 {
    let deviation = RMS_SPREAD.hypot(null_deviation);
    let z = (mean - 1.0) / deviation;
    let rms = -0.5 * z * z - (deviation * std::f64::consts::TAU.sqrt()).ln();
    if mean > 1.0 {
        // Far above 1 neither kind was ever seen.
        return if z > 5.0 { 0.0 } else { MOST_RMS_NORM };
    }
    (-rms).clamp(MOST_RMS_NORM, MOST_LAYER_NORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_models_of_math_3_fall_on_their_sides() {
        for (mean, deviation) in [(0.19, 0.012), (0.4, 0.03), (0.5, 0.03)] {
            assert_eq!(log_likelihood_ratio(mean, deviation), MOST_LAYER_NORM, "{mean}");
        }
        for (mean, deviation) in [(0.97, 0.01), (1.0, 0.01), (1.09, 0.03), (0.9, 0.03)] {
            let ratio = log_likelihood_ratio(mean, deviation);
            assert!((-2.0..-0.5).contains(&ratio), "{mean}: {ratio}");
        }
    }

    #[test]
    fn between_the_kinds_it_is_weak_and_far_above_one_it_is_nothing() {
        assert!(log_likelihood_ratio(0.8, 0.03).abs() < 2.0);
        assert_eq!(log_likelihood_ratio(3.0, 0.03), 0.0);
    }
}
