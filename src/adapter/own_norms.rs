//! Norms in an adapter: at these sites, its modules read the adapter's own scale, not the base's.

use super::Adapter;
use super::parts::OwnNorm;
use crate::inspect::Inspection;
use crate::kernel::scale::Scale;
use crate::norm::names_a_norm;
use crate::report::ScaleConvention;
use crate::source::ByteSource;
use std::collections::HashMap;

/// The adapter and the base use different conventions for scales (γ and γ − 1) if the median difference is one within this
/// tolerance, and the median distance from it is no larger.
const OFF_BY_ONE: f64 = 0.25;

/// The scales of an adapter's own norms.
#[derive(Debug, Default)]
pub(super) struct OwnScales {
    /// By site: the effective scale γ, or why it is not known.
    pub(super) scales: HashMap<usize, Result<Scale, String>>,
    /// Paths of norms for which the base has no site.
    unplaced: Vec<String>,
}

impl OwnScales {
    /// Reads the scales of `norms`, each with the site that it belongs to.
    pub(super) async fn read<S: ByteSource>(
        adapter: &Adapter<S>,
        base: &Inspection,
        norms: impl Iterator<Item = (&OwnNorm, Option<usize>)>,
    ) -> Self {
        let mut own = Self::default();
        for (norm, site) in norms {
            match site {
                Some(site) => {
                    let scale = match adapter.checkpoint.read(&[norm.tensor], |_, _| {}).await.pop() {
                        Some(Ok(values)) => effective(norm, values, base, site),
                        Some(Err(error)) => Err(error.to_string()),
                        None => continue,
                    };
                    let name = &adapter.checkpoint.tensors[norm.tensor].name;
                    let scale = scale.map_err(|why| {
                        format!("the adapter has its own scale `{name}` for the norm, and {why}")
                    });
                    own.scales.insert(site, scale);
                }
                None if names_a_norm(&norm.path) => own.unplaced.push(norm.path.clone()),
                None => {}
            }
        }
        own
    }

    /// A norm without a site that a module may read: one of its block or, for a module outside the blocks, one outside them.
    pub(super) fn unplaced_beside(&self, module: &str) -> Option<&str> {
        let beside = |norm: &&String| block_of(norm) == block_of(module);
        self.unplaced.iter().find(beside).map(String::as_str)
    }
}

/// γ at a site from what the adapter stores.
fn effective(norm: &OwnNorm, values: Vec<f64>, base: &Inspection, site: usize) -> Result<Scale, String> {
    let of_base = base.scales[site].as_ref().map(Scale::values);
    let values = if norm.added {
        let of_base = of_base.ok_or("it is added to the base's scale, which cannot be used")?;
        values.iter().zip(of_base).map(|(change, scale)| scale + change).collect()
    } else {
        let values: Vec<f64> = match base.report.norms[site].scale_convention {
            ScaleConvention::Weight => values,
            ScaleConvention::OnePlusWeight => values.into_iter().map(|value| 1.0 + value).collect(),
            ScaleConvention::None => return Err("the base's norm has no scale".to_owned()),
            ScaleConvention::Unknown => {
                return Err("whether the model scales by w or by 1 + w is not known".to_owned());
            }
        };
        if of_base.is_some_and(|of_base| off_by_one(&values, of_base)) {
            return Err("it differs from the base's scale by about one: one of them may store γ and the other γ − 1, and Gammascope cannot tell which".to_owned());
        }
        values
    };
    Scale::new(values).map_err(|error| error.to_string())
}

fn off_by_one(values: &[f64], of_base: &[f64]) -> bool {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let differences: Vec<f64> = values.iter().zip(of_base).map(|(value, base)| value - base).collect();
    let middle = median(differences.clone());
    let spread = median(differences.iter().map(|difference| (difference - middle).abs()).collect());
    (middle.abs() - 1.0).abs() < OFF_BY_ONE && spread < OFF_BY_ONE
}

/// A path up to the first number in it.
fn block_of(path: &str) -> &str {
    let separator = if path.contains('.') { '.' } else { '_' };
    let mut end = 0;
    for component in path.split(separator) {
        end += component.len();
        if !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit()) {
            return &path[..end];
        }
        end += 1;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_stored_by_the_other_convention_is_off_by_one_and_a_tuned_one_is_not() {
        let base: Vec<f64> = (0..64).map(|index| 0.5 + f64::from(index) / 64.0).collect();
        let moved = |by: f64| -> Vec<f64> { base.iter().map(|scale| 1.05 * scale + by).collect() };
        assert!(off_by_one(&moved(1.0), &base) && off_by_one(&moved(-1.0), &base));
        assert!(!off_by_one(&moved(0.0), &base) && !off_by_one(&moved(0.5), &base));
        // Far from the base in every channel, and by one on average.
        let wide: Vec<f64> =
            base.iter().zip(0..).map(|(scale, index)| scale + f64::from(index % 3)).collect();
        assert!(!off_by_one(&wide, &base));
    }

    #[test]
    fn a_norm_without_a_site_is_beside_the_modules_of_its_block() {
        let own = OwnScales { unplaced: vec!["m.layers.3.extra_norm".to_owned()], ..OwnScales::default() };
        assert!(own.unplaced_beside("m.layers.3.q_proj").is_some());
        assert_eq!(own.unplaced_beside("m.layers.31.q_proj"), None);
        assert_eq!(own.unplaced_beside("lm_head"), None);
    }
}
