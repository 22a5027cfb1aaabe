//! Which activations are measured at which site, and the outcome of each.

use super::activations::{Activations, ActivationsError, BEFORE_SCALE, Captured, matched};
use super::capture::Kept;
use super::eigen;
use super::gram::{Gram, Gridded};
use super::rows::Rows;
use super::site::{Norm, measure};
use crate::inspect::Inspection;
use crate::report::{SiteVerification, Warning, WarningCode};
use crate::report::{measured::Outcome, plan::MeasurementPlan};
use crate::source::ByteSource;

/// What will be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Index of the site, tensor of its outputs, and tensor of its normalised inputs if it was captured, in the order of the sites.
    pub pairs: Vec<(usize, String, Option<String>)>,
    /// Tensors that match no site.
    pub unmatched: Vec<String>,
}

/// Matches the tensors of a file to the sites of a checkpoint, or only to the `chosen` one. In that case a lone tensor of any name
/// belongs to that site.
pub fn plan(sites: &[&str], tensors: &[&str], chosen: Option<&str>) -> Result<Plan, ActivationsError> {
    let mut pairs = matched(sites, tensors);
    let is_matched = |name: &str, pairs: &[(usize, &str)]| pairs.iter().any(|(_, tensor)| *tensor == name);
    let mut unmatched: Vec<&str> = tensors
        .iter()
        .copied()
        .filter(|name| !name.ends_with(BEFORE_SCALE) && !is_matched(name, &pairs))
        .collect();
    if let Some(chosen) = chosen {
        pairs.retain(|(site, _)| sites[*site] == chosen);
        let site = sites.iter().position(|site| *site == chosen);
        if let (true, [only], Some(site)) = (pairs.is_empty(), unmatched.as_slice(), site) {
            pairs.push((site, *only));
        }
        unmatched.clear();
    }
    if pairs.is_empty() {
        let some = tensors.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(ActivationsError::NoMatch(format!(
            "none of the activations ({some}) is named as a norm site of the checkpoint (`{}`, …): name the site they are of, or rename them",
            sites.first().unwrap_or(&"none")
        )));
    }
    pairs.sort_by_key(|(site, _)| *site);
    let pairs = pairs
        .into_iter()
        .map(|(site, tensor)| {
            let before = format!("{tensor}{BEFORE_SCALE}");
            let before = tensors.contains(&before.as_str()).then_some(before);
            (site, tensor.to_owned(), before)
        })
        .collect();
    Ok(Plan { pairs, unmatched: unmatched.into_iter().map(str::to_owned).collect() })
}

impl Plan {
    /// Warns about tensors that match no site.
    pub fn warnings(&self) -> Vec<Warning> {
        let warning = |first: &String| {
            Warning::new(
                WarningCode::ActivationsUnmatched,
                first.clone(),
                match self.unmatched.len() {
                    1 => format!(
                        "the tensor `{first}` of the activations matches no norm site: it was not measured"
                    ),
                    many => format!(
                        "{many} tensors of activations match no norm site, such as `{first}`: they were not measured"
                    ),
                },
            )
        };
        self.unmatched.first().map(warning).into_iter().collect()
    }
}

/// Tokens and width of the trial that measures the speed of this machine. Smaller ones show less than the speed of real sizes, but a
/// browser has to be quick.
const TRIAL: [usize; 2] = if cfg!(target_arch = "wasm32") { [1024, 256] } else { [1024, 512] };

/// Additions and multiplications for one site: those of the exact sums, and those of the eigenvalues.
///
/// The sums are computed twice, for y and x̂. All eigenvalues of C are computed once. Three covariances (all tokens and both halves) are
/// factorised, each with and without the direction.
pub(crate) fn operations(tokens: f64, width: f64) -> [f64; 2] {
    [6.0 * tokens * width * width, 16.0 / 3.0 * width.powi(3)]
}

/// The same for the residual stream at one place of a block: one set of sums, and the bottom pairs of two covariances on average instead
/// of a spectrum. Pairs take less than half of the time of a spectrum.
pub(crate) fn block_operations(tokens: f64, width: f64) -> [f64; 2] {
    [3.0 * tokens * width * width, width.powi(3)]
}

/// Bytes that measuring one site takes: its activations, their integers, the products and a few matrices.
#[deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]
pub(crate) fn memory(bytes: u64, tokens: u64, width: u64) -> u64 {
    let halves = tokens.saturating_mul(width).saturating_mul(2);
    let matrices = width.saturating_mul(width).saturating_mul(6 * 8);
    bytes.saturating_add(halves).saturating_add(matrices)
}

impl Plan {
    /// Estimates the cost at these speeds.
    #[deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]
    pub fn cost<S: ByteSource>(
        &self,
        captured: &Captured<S>,
        inspection: &Inspection,
        device: &str,
        speeds: Speeds,
    ) -> MeasurementPlan {
        let sizes: Vec<(u64, u64, u64)> = self
            .pairs
            .iter()
            .map(|(_, tensor, before)| {
                let [outputs, before] = [Some(tensor), before.as_ref()].map(|name| captured.size(name?));
                let (tokens, width, bytes) = outputs.unwrap_or_default();
                (tokens, width, bytes.saturating_add(before.map_or(0, |(_, _, bytes)| bytes)))
            })
            .collect();
        let work = sizes.iter().map(|&(tokens, width, _)| operations(tokens as f64, width as f64));
        let [sums, eigen] = work.fold([0.0, 0.0], |[a, b], [sums, eigen]| [a + sums, b + eigen]);
        let tokens = || sizes.iter().map(|(tokens, ..)| *tokens);
        MeasurementPlan {
            sites: self.pairs.iter().map(|(site, ..)| inspection.report.norms[*site].name.clone()).collect(),
            tokens: [tokens().min().unwrap_or_default(), tokens().max().unwrap_or_default()],
            bytes: sizes.iter().fold(0, |all: u64, (_, _, bytes)| all.saturating_add(*bytes)),
            operations: sums + eigen,
            memory: sizes.iter().map(|&(n, d, bytes)| memory(bytes, n, d)).max().unwrap_or_default(),
            seconds: sums / speeds.sums + eigen / speeds.eigen,
            speeds: [speeds.sums, speeds.eigen],
            device: device.to_owned(),
            input: captured.file().rsplit('/').next().unwrap_or_default().to_owned(),
            warnings: self.warnings(),
        }
    }

    /// Measures one of its sites. A failure becomes a warning, so that the other sites continue.
    pub async fn measure<S: ByteSource>(
        &self,
        at: usize,
        captured: &Captured<S>,
        inspection: &Inspection,
        gram: impl AsyncFn(&Gridded) -> Gram,
    ) -> Outcome {
        let (site, tensor, before) = &self.pairs[at];
        let name = inspection.report.norms[*site].name.as_str();
        let mut unit_roundoff = 0.0;
        let measured = async {
            let scale = inspection.scales[*site].as_ref().ok_or_else(|| no_scale(name))?;
            let sentence = |error: ActivationsError| error.to_string();
            let outputs = captured.read(tensor).await.map_err(sentence)?;
            let before = match before {
                Some(before) => Some(captured.read(before).await.map_err(sentence)?),
                None => None,
            };
            unit_roundoff = coarsest([Some(&outputs), before.as_ref()].into_iter().flatten());
            let norm = Norm { name, scale, shift: inspection.shifts[*site].as_deref() };
            let kept = Kept::of(&outputs);
            let whole = outputs.tokens;
            let mut outputs = kept.apply(outputs);
            let before =
                before.map(|before| if before.tokens == whole { kept.apply(before) } else { before });
            let left_out = kept.left_out();
            outputs.notes.extend(left_out.clone());
            let measured = measure(norm, &outputs, before.as_ref(), gram).await;
            measured.map_err(|error| match left_out {
                Some(left_out) => format!("{error} ({left_out})"),
                None => error.to_string(),
            })
        };
        let measured = measured.await;
        outcome(name, measured, unit_roundoff)
    }
}

/// Makes the outcome of measuring the site `name`.
pub(crate) fn outcome(name: &str, measured: Result<SiteVerification, String>, unit_roundoff: f64) -> Outcome {
    match measured {
        Ok(site) => Outcome { site: Some(site), warnings: Vec::new(), unit_roundoff, kernel_seconds: None },
        Err(message) => {
            let warning = Warning::new(WarningCode::NotMeasured, name, message);
            Outcome { site: None, warnings: vec![warning], unit_roundoff, kernel_seconds: None }
        }
    }
}

/// Operations per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speeds {
    /// Speed of the exact sums.
    pub sums: f64,
    /// Speed of the eigenvalues.
    pub eigen: f64,
}

impl Speeds {
    /// Measures the speeds in a trial. `clock` returns seconds, perhaps only to a millisecond.
    pub async fn of(gram: impl AsyncFn(&Gridded) -> Gram, clock: impl Fn() -> f64) -> Self {
        let [tokens, width] = TRIAL;
        let value = |at: usize| ((at * 7919 % 10_007) as f64 / 5003.0 - 1.0) * (1.0 + (at % width) as f64);
        let y = Activations::of("trial", width, (0..tokens * width).map(value).collect());
        let rows = Rows::new(&y);
        let Ok(gridded) = Gridded::new(&rows) else {
            return Self { sums: f64::INFINITY, eigen: f64::INFINITY };
        };
        // The first calls also compile, allocate and start threads.
        let covariance = gram(&gridded).await.covariance();
        eigen::eigenvalues(&covariance);
        let began = clock();
        gram(&gridded).await;
        let summed = clock();
        eigen::eigenvalues(&covariance);
        let done = clock();
        let (n, d) = (tokens as f64, width as f64);
        Self {
            sums: 3.0 * n * d * d / (summed - began).max(1e-3),
            eigen: 4.0 / 3.0 * d.powi(3) / (done - summed).max(1e-3),
        }
    }
}

/// Says why a site without a usable scale cannot be measured.
pub fn no_scale(site: &str) -> String {
    format!("`{site}`: its scale could not be used, so there is no direction to measure")
}

/// Returns the unit roundoff of the coarsest of several activations.
fn coarsest<'a>(activations: impl Iterator<Item = &'a Activations>) -> f64 {
    activations.map(|activations| activations.unit_roundoff).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_size_has_a_plan() {
        assert_eq!(memory(8, 2, 3), 8 + 12 + 432);
        assert_eq!(memory(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
