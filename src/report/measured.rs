//! The outcome of a measurement. Each site is measured separately, in any order, by any thread or worker.

use super::story::Story;
use super::{SiteVerification, Verification, Warning};
use serde::{Deserialize, Serialize};

/// The outcome for one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Outcome {
    /// The measurement, if there is one.
    pub site: Option<SiteVerification>,
    /// Why there is none, or what went wrong.
    pub warnings: Vec<Warning>,
    /// Unit roundoff of the coarsest activations for this site.
    pub unit_roundoff: f64,
    /// Seconds of the GPU's kernel, by its own clock.
    pub kernel_seconds: Option<f64>,
}

/// The outcomes of a whole measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Outcomes {
    /// The outcome of each site that was begun.
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

impl Outcomes {
    /// Makes this part of the report, and its warnings. If no site was measured, returns the first reason.
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
            // After a GPU has failed, every later site repeats the warning.
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
            story: Story::default(),
        };
        Ok((verification, warnings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::WarningCode;

    fn warning(code: WarningCode, message: &str) -> Warning {
        Warning::new(code, "norm", message)
    }

    #[test]
    fn where_nothing_was_measured_the_reason_is_that_of_the_first_site() {
        let outcome = |message| Outcome {
            site: None,
            warnings: vec![
                warning(WarningCode::NotMeasured, message),
                warning(WarningCode::GpuFailed, "the GPU went away"),
            ],
            unit_roundoff: 0.0,
            kernel_seconds: None,
        };
        let measured = |outcomes| Outcomes {
            outcomes,
            warnings: vec![warning(WarningCode::ActivationsUnmatched, "one tensor is of no site")],
            device: "cpu".to_owned(),
            input: "y.npy".to_owned(),
            seconds: 1.0,
        };
        let why = |outcomes| measured(outcomes).verification().unwrap_err();
        assert_eq!(why(vec![outcome("a NaN in token 5"), outcome("too few tokens")]), "a NaN in token 5");
        assert_eq!(why(Vec::new()), "nothing was measured");
    }
}
