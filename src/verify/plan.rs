//! Which activations are measured at which site, and the whole of what was measured.

use super::activations::{Activations, ActivationsError, BEFORE_SCALE, matched};
use crate::report::{SiteVerification, Verification, Warning};

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Index of the site, tensor of its outputs, and tensor of its normalised inputs where it was captured; in the order
    /// of the sites.
    pub pairs: Vec<(usize, String, Option<String>)>,
    /// Tensors that match no site.
    pub unmatched: Vec<String>,
}

/// Matches the tensors of a file to the sites of a checkpoint, or to the `chosen` one of them only: a lone tensor of
/// another name is then taken to be that site's.
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
    /// What the user should know about it.
    pub fn warnings(&self) -> Vec<Warning> {
        let warning = |first: &String| Warning {
            code: "activations_unmatched".to_owned(),
            message: format!(
                "{} tensors of activations match no norm site, such as `{first}`: they were not measured",
                self.unmatched.len()
            ),
            r#where: first.clone(),
        };
        self.unmatched.first().map(warning).into_iter().collect()
    }
}

/// Everything that was measured of `input` on `device` in `seconds`, with activations whose coarsest type has this unit
/// roundoff.
pub fn verification(
    sites: Vec<SiteVerification>,
    unit_roundoff: f64,
    device: &str,
    input: String,
    seconds: f64,
) -> Verification {
    Verification {
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
        device: device.to_owned(),
        input,
        seconds,
        sites,
    }
}

/// A site that could not be measured; the others go on.
pub fn not_measured(site: &str, error: &impl std::fmt::Display) -> Warning {
    Warning { code: "not_measured".to_owned(), message: error.to_string(), r#where: site.to_owned() }
}

/// That a GPU was wanted and there is none to use.
pub fn no_gpu(error: &impl std::fmt::Display) -> Warning {
    Warning { code: "no_gpu".to_owned(), message: error.to_string(), r#where: "cpu".to_owned() }
}

/// Why a site without a usable scale cannot be measured.
pub fn no_scale(site: &str) -> String {
    format!("`{site}`: its scale could not be used, so there is no direction to measure")
}

/// The coarsest of several activations.
pub fn coarsest<'a>(activations: impl Iterator<Item = &'a Activations>) -> f64 {
    activations.map(|activations| activations.unit_roundoff).fold(0.0, f64::max)
}
