//! What a run of the model shows of the paper (arXiv 2606.19491), step by step in the order of the paper: one sentence for each step.

use super::claims::{FOUR_PLACES, parts, short};
use super::random_init::RandomInitSite;
use super::words::{capitalised, plural};
use super::{
    MeasuredVerdict, NormKind, NormReport, Preservation, PreservationDirection, PreservationVerdict,
    ResidualBlock, ResidualFall, SiteVerification, Verification,
};
use crate::order;
use serde::{Deserialize, Serialize};

/// One sentence for each step. Null if the run did not measure what the step is about, and in reports of earlier versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Story {
    /// At random initialisation: whether each LayerNorm has the predicted direction, and each RMSNorm none.
    pub initial: Option<String>,
    /// After training: how deep the kernels are, beside what the scales alone predict.
    pub deepening: Option<String>,
    /// Where the least singular value of the residual stream falls.
    pub stream: Option<String>,
    /// Whether the function stays the same when readers are moved along kernels.
    pub preservation: Option<String>,
}

impl Story {
    /// Tells what a run of the model with these `norms` shows.
    pub fn of(verification: &Verification, norms: &[NormReport]) -> Self {
        Self {
            initial: initial(verification, norms),
            deepening: deepening(verification, norms),
            stream: stream(verification),
            preservation: preservation(&verification.preservation),
        }
    }
}

fn initial(verification: &Verification, norms: &[NormReport]) -> Option<String> {
    let sites = &verification.random_init.as_ref()?.sites;
    let of = |kind: NormKind| -> Vec<&RandomInitSite> {
        let is =
            |site: &&RandomInitSite| norms.iter().any(|norm| norm.name == site.name && norm.kind == kind);
        sites.iter().filter(is).collect()
    };
    let found = [layer_norms(&of(NormKind::LayerNorm)), rms_norms(&of(NormKind::RmsNorm))];
    let found: Vec<String> = found.into_iter().flatten().collect();
    (!found.is_empty()).then(|| format!("{}.", found.join("; ")))
}

fn layer_norms(sites: &[&RandomInitSite]) -> Option<String> {
    let subtract = || sites.iter().filter(|site| site.subtracts_mean());
    let cosines = || subtract().filter_map(|site| site.cos_scale_free);
    let matched = cosines().filter(|cos| *cos >= FOUR_PLACES).count();
    let unresolved = subtract().count() - cosines().count();
    let deepest = sites.iter().filter_map(|site| site.depth_scale_free).reduce(f64::max)?;
    let mut found = format!(
        "{matched} of {} LayerNorms have the predicted direction to four decimal places",
        sites.len()
    );
    if let Some(least) = cosines().reduce(f64::min) {
        found.push_str(&format!(" (|cos^| {least:.4} or more, depth^ {} or less)", short(deepest)));
    }
    if unresolved > 0 {
        found.push_str(&format!(
            "; at {unresolved} more, several directions lie below rounding, and none can be called the bottom one"
        ));
    }
    Some(found)
}

fn rms_norms(sites: &[&RandomInitSite]) -> Option<String> {
    let depths = || sites.iter().filter_map(|site| site.depth_scale_free);
    let without = depths().filter(|depth| *depth > MeasuredVerdict::NOT_SUBTRACTED).count();
    let least = depths().reduce(f64::min)?;
    let greatest = sites.iter().filter_map(|site| site.cos_scale_free).reduce(f64::max);
    let cosine = greatest.map_or(String::new(), |cosine| format!("|cos^| {cosine:.2} or less, "));
    let sites = sites.len();
    Some(format!(
        "{without} of {sites} RMSNorms lack the direction of a LayerNorm ({cosine}depth^ {least:.2} or more)"
    ))
}

fn deepening(verification: &Verification, norms: &[NormReport]) -> Option<String> {
    let kernels: Vec<&SiteVerification> =
        verification.sites.iter().filter(|site| site.verdict == MeasuredVerdict::MeanSubtracting).collect();
    if kernels.is_empty() {
        return (!verification.sites.is_empty()).then(|| {
            "No measured norm has a kernel, so there is none that training could deepen.".to_owned()
        });
    }
    let of_scale = |name: &str| norms.iter().find(|norm| norm.name == name)?.kernel.deepening;
    let median = |of: &dyn Fn(&SiteVerification) -> Option<f64>| {
        order::median(kernels.iter().filter_map(|site| of(site)).collect())
    };
    let predicted = median(&|site| of_scale(&site.name)).map(short);
    let sites = plural(kernels.len(), "site");
    Some(match (verification.random_init.as_ref().and_then(|random| random.medians()), predicted) {
        (Some(medians), Some(predicted)) => format!(
            "The depth after training is {} times that at the initialisation; the scales alone predict {predicted} times (medians of {sites}).",
            short(medians.depth)
        ),
        (Some(medians), None) => format!(
            "The depth after training is {} times that at the initialisation (median of {sites}).",
            short(medians.depth)
        ),
        (None, predicted) => {
            let depth = median(&|site| Some(site.depth)).map_or(String::new(), short);
            let predicted = predicted.map_or(String::new(), |predicted| {
                format!("; the scales alone predict {predicted} times the depth at the initialisation")
            });
            format!("The kernels have a depth of {depth}{predicted} (medians of {sites}).")
        }
    })
}

fn stream(verification: &Verification) -> Option<String> {
    let stacks = verification.residual.chunk_by(|a, b| a.stack == b.stack);
    let found: Vec<String> = stacks.filter_map(|blocks| profile(blocks, &verification.falls)).collect();
    (!found.is_empty()).then(|| found.join(" "))
}

/// Describes the least singular value of one stack.
fn profile(blocks: &[ResidualBlock], falls: &[ResidualFall]) -> Option<String> {
    let (first, last) = (blocks.first()?, blocks.last()?);
    let of = first.stack.map_or(String::new(), |stack| format!(" of the {}", stack.text()));
    let falls: Vec<ResidualFall> = falls.iter().filter(|fall| fall.stack == first.stack).copied().collect();
    let falls = match falls.len() {
        0 => "It never falls by more than a hundredth".to_owned(),
        all => format!(
            "It falls by more than a hundredth after {} of {}, after {} of them on both halves of the tokens{}",
            all,
            plural(blocks.len(), "block"),
            falls.iter().filter(|fall| fall.on_both_halves).count(),
            parts(&falls)
        ),
    };
    Some(format!(
        "The least singular value{of} is {} after block {} and {} after block {}. {falls}.",
        short(first.sigma_min),
        first.block,
        short(last.sigma_min),
        last.block
    ))
}

fn preservation(rows: &[Preservation]) -> Option<String> {
    let is_dead = |row: &&Preservation| row.in_kernel && row.direction == PreservationDirection::Kernel;
    let (dead, others): (Vec<&Preservation>, Vec<&Preservation>) = rows.iter().partition(is_dead);
    let count = |rows: &[&Preservation], verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let along = match dead.len() {
        0 => "no dead direction is predicted at the moved readers".to_owned(),
        norms => format!(
            "along the kernel, with the bias moved, the function stays at its rounding at {} of {}",
            count(&dead, PreservationVerdict::Preserved),
            plural(norms, "norm")
        ),
    };
    let changed = count(&others, PreservationVerdict::Changed);
    let others = plural(others.len(), "case");
    (!rows.is_empty()).then(|| {
        capitalised(&format!("{along}; along other directions it changes in {changed} of {others}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Interval;
    use crate::report::random_init::RandomInit;

    fn verification() -> Verification {
        let empty = r#"{"tokens":9,"width_ratio":4.0,"forward":"f32","device":"cpu","input":"","seconds":1.0,"kernel_seconds":null,"sites":[]}"#;
        serde_json::from_str(empty).unwrap()
    }

    fn at_initialisation(depth: f64, cosine: Option<f64>) -> RandomInitSite {
        RandomInitSite {
            name: String::new(),
            depth,
            depth_scale_free: Some(depth),
            cos_scale_free: cosine,
            lambda_v: depth,
            mean_variance: 1.0,
            below_tau: Some(1),
            depth_ratio: Some(0.5),
            lambda_v_ratio: Some(0.5),
            mean_ratio: Some(1.0),
        }
    }

    #[test]
    fn a_run_that_measured_nothing_has_no_story() {
        assert_eq!(Story::of(&verification(), &[]), Story::default());
    }

    #[test]
    fn a_layernorm_with_several_directions_below_rounding_is_counted_apart() {
        let [whole, several] = [Some(1.0), None].map(|cosine| at_initialisation(1e-14, cosine));
        let found = layer_norms(&[&whole, &several]).unwrap();
        assert!(found.starts_with("1 of 2 LayerNorms have the predicted direction"), "{found}");
        assert!(found.contains("(|cos^| 1.0000 or more, depth^ 1.0e-14 or less); at 1 more"), "{found}");
        let another = at_initialisation(1e-14, Some(0.7));
        assert!(layer_norms(&[&whole, &another]).unwrap().starts_with("1 of 2 "));
        let absent = at_initialisation(0.8, Some(0.1));
        let found = rms_norms(&[&absent, &at_initialisation(1e-14, Some(1.0))]).unwrap();
        assert!(found.starts_with("1 of 2 RMSNorms lack the direction of a LayerNorm"), "{found}");
        assert_eq!(layer_norms(&[]), None);
        assert_eq!(rms_norms(&[]), None);
    }

    #[test]
    fn the_stream_of_each_stack_has_its_own_falls() {
        let mut found = verification();
        found.random_init = Some(RandomInit { seed: 1, seconds: 1.0, sites: Vec::new() });
        let block = |block, sigma_min| ResidualBlock {
            block,
            stack: None,
            sigma_min,
            low: sigma_min,
            high: sigma_min,
        };
        found.residual = vec![block(0, 1.0), block(1, 0.5)];
        let ratio = Interval { value: 0.5, low: 0.4, high: 0.6 };
        found.falls = vec![ResidualFall { block: 1, stack: None, ratio, on_both_halves: true, place: None }];
        let said = Story::of(&found, &[]).stream.unwrap();
        assert!(said.contains("1.00 after block 0 and 0.500 after block 1. It falls"), "{said}");
        assert!(said.contains("after 1 of 2 blocks, after 1 of them on both halves"), "{said}");
        found.falls[0].stack = Some(crate::report::StackName::Decoder);
        assert!(Story::of(&found, &[]).stream.unwrap().ends_with("never falls by more than a hundredth."));
    }
}
