//! From the plan of a measurement to what came of it: every site is measured on its own, in any order and place.

use super::{NormKind, SiteVerification, Verification, Warning};
use serde::{Deserialize, Serialize};

/// What is about to be measured, and what that takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeasurementPlan {
    /// Names of the sites, in the order of the network.
    pub sites: Vec<String>,
    /// Tokens n, the fewest and the most of any site.
    #[cfg_attr(test, ts(type = "[number, number]"))]
    pub tokens: [u64; 2],
    /// Bytes of activations to be read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications, of the exact sums and of the eigenvalues.
    pub operations: f64,
    /// Bytes of memory that the largest site takes.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// About how long it takes, one site after the other, judged by a trial on this machine.
    pub seconds: f64,
    /// Operations a second of the exact sums and of the eigenvalues, in that trial.
    pub speeds: [f64; 2],
    /// Where the exact sums are computed: "cpu", or the name of the GPU.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// What to know before it begins.
    pub warnings: Vec<Warning>,
}

/// How a model is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunOptions {
    /// Tokens, rounded up to whole sequences; without, four for each channel of the stream.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub tokens: Option<u64>,
    /// Tokens of a sequence; without, 128.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub sequence: Option<u64>,
    /// Blocks, from the first on; without, all of them.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number | null"))]
    pub blocks: Option<u64>,
    /// Which norms are measured.
    pub sites: RunSites,
    /// What is run.
    pub input: RunInput,
    /// Whether readers are moved along their kernels and other directions, to see what the function does.
    pub preservation: bool,
}

/// Which norms of a run are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunSites {
    /// The final norm.
    Final,
    /// All of them.
    All,
}

/// What a model is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunInput {
    /// The sample text where there is a tokenizer for it, else uniform ids.
    Usual,
    /// Uniform ids.
    Uniform,
    /// A text of the user's.
    Text,
    /// Token ids of the user's.
    Ids,
}

/// A model that is about to be run, and what that takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunPlan {
    /// The family it is run as.
    pub family: String,
    /// The kind that its norms are told to be.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Sequences.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
    /// Blocks that are run.
    #[cfg_attr(test, ts(type = "number"))]
    pub blocks: u64,
    /// Blocks after those.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub left_out: u64,
    /// Norms that are measured.
    #[cfg_attr(test, ts(type = "number"))]
    pub sites: u64,
    /// What the tokens are.
    pub input: String,
    /// Whether the kind is judged by loss, which takes a second pass.
    pub losses: bool,
    /// Passes with a reader moved.
    #[cfg_attr(test, ts(type = "number"))]
    pub moves: u64,
    /// Tokens that it is judged by at most; fewer where fewer decide it.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub loss_tokens: u64,
    /// Bytes of weights to be read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications of the pass and of what is measured.
    pub operations: f64,
    /// Bytes of memory that the pass takes: activations, the weights of the largest part of a block, and what is read ahead.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// Bytes of memory that measuring a norm takes.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory_of_site: u64,
    /// About how long the pass takes, judged by a trial on this machine.
    pub pass_seconds: f64,
    /// About how long it takes to measure, one thing after the other.
    pub measuring_seconds: f64,
    /// Where the pass runs: "cpu", or the name of the GPU.
    pub device: String,
    /// Where the exact sums are computed.
    pub gram_device: String,
    /// What to know before it begins.
    pub warnings: Vec<Warning>,
}

/// What came of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was measured, if it was.
    pub site: Option<SiteVerification>,
    /// Why not, or what went wrong on the way.
    pub warnings: Vec<Warning>,
    /// That of the coarsest activations read for it.
    pub unit_roundoff: f64,
    /// Seconds of the GPU's kernel, by its own clock.
    pub kernel_seconds: Option<f64>,
}

/// All that came of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of each site that was begun.
    pub outcomes: Vec<Outcome>,
    /// Warnings of the plan.
    pub warnings: Vec<Warning>,
    /// Where the exact sums were computed.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// Wall time.
    pub seconds: f64,
}

impl Measured {
    /// The part of the report, and what there is to warn of; the first reason why, where no site was measured.
    pub fn verification(self) -> Result<(Verification, Vec<Warning>), String> {
        let (mut sites, mut warnings, mut unit_roundoff) = (Vec::new(), self.warnings, 0_f64);
        let why = self.outcomes.iter().find(|outcome| outcome.site.is_none());
        let why = why.and_then(|outcome| outcome.warnings.first()).map(|warning| warning.message.clone());
        let mut kernel_seconds: Option<f64> = None;
        for outcome in self.outcomes {
            let spent = [kernel_seconds, outcome.kernel_seconds];
            kernel_seconds = spent.into_iter().flatten().reduce(|all, more| all + more);
            unit_roundoff = unit_roundoff.max(outcome.unit_roundoff);
            sites.extend(outcome.site);
            // A GPU that fails says so at every site after that.
            let new: Vec<_> = outcome.warnings.into_iter().filter(|new| !warnings.contains(new)).collect();
            warnings.extend(new);
        }
        if sites.is_empty() {
            return Err(why.unwrap_or_else(|| "nothing was measured".to_owned()));
        }
        let verification = Verification {
            tokens: sites.iter().map(|site| site.tokens).min().unwrap_or_default(),
            width_ratio: sites
                .iter()
                .map(|site| site.tokens as f64 / site.width as f64)
                .fold(f64::INFINITY, f64::min),
            forward: if unit_roundoff > 1e-7 {
                "f16"
            } else if unit_roundoff > 1e-12 {
                "f32"
            } else {
                "f64"
            }
            .to_owned(),
            device: self.device,
            input: self.input,
            seconds: self.seconds,
            kernel_seconds,
            sites,
            residual: Vec::new(),
            falls: Vec::new(),
            loss: None,
            pass: None,
            preservation: Vec::new(),
            random_init: None,
            claims: Vec::new(),
        };
        Ok((verification, warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(code: &str, message: &str) -> Warning {
        Warning { code: code.to_owned(), message: message.to_owned(), r#where: "norm".to_owned() }
    }

    #[test]
    fn where_nothing_was_measured_the_reason_is_that_of_the_first_site() {
        let outcome = |message| Outcome {
            site: None,
            warnings: vec![warning("not_measured", message), warning("gpu_failed", "the GPU went away")],
            unit_roundoff: 0.0,
            kernel_seconds: None,
        };
        let measured = |outcomes| Measured {
            outcomes,
            warnings: vec![warning("activations_unmatched", "one tensor is of no site")],
            device: "cpu".to_owned(),
            input: "y.npy".to_owned(),
            seconds: 1.0,
        };
        let why = |outcomes| measured(outcomes).verification().unwrap_err();
        assert_eq!(why(vec![outcome("a NaN in token 5"), outcome("too few tokens")]), "a NaN in token 5");
        assert_eq!(why(Vec::new()), "nothing was measured");
    }
}
