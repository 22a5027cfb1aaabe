//! The paper's claims about trained transformers (arXiv 2606.19491), compared with a run of this one.

use super::{
    FallPart, MeasuredVerdict, NormReport, PreservationDirection, PreservationVerdict, ResidualFall,
    SiteVerification, Verification,
};
use crate::order;
use serde::{Deserialize, Serialize};

/// A claim of the paper, and the result here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Claim {
    /// The paper's claim.
    pub paper: String,
    /// What this model shows, with its numbers.
    pub found: String,
    /// Whether the model agrees with the paper.
    pub agrees: bool,
}

/// The paper gives |cos| to four decimal places: 1.0000.
const FOUR_PLACES: f64 = 0.999_95;

/// The range that counts as about 10³: a power of ten on either side.
const DEEPENED: std::ops::RangeInclusive<f64> = 1e-4..=1e-2;

impl Claim {
    fn new(paper: &str, found: String, agrees: bool) -> Self {
        Self { paper: paper.to_owned(), found, agrees }
    }

    /// Returns the claims that a run of the model with these `norms` can test, in the order of the paper.
    pub fn of(verification: &Verification, norms: &[NormReport]) -> Vec<Self> {
        [
            Self::direction(verification),
            Self::deepening(verification, norms),
            Self::stream(verification),
            Self::preservation(verification),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn direction(verification: &Verification) -> Option<Self> {
        let sites = &verification.sites;
        let subtract: Vec<&SiteVerification> =
            sites.iter().filter(|site| site.verdict == MeasuredVerdict::MeanSubtracting).collect();
        let others = sites.len() - subtract.len();
        if subtract.is_empty() {
            let absent =
                sites.iter().filter(|site| site.verdict == MeasuredVerdict::NotMeanSubtracting).count();
            return (others > 0).then(|| {
                let found = format!("no such direction at {absent} of {others} sites");
                Self::new("An RMSNorm has no dead direction that its scale shows", found, absent == others)
            });
        }
        // If several directions lie below rounding, none of them is the bottom one.
        let resolved: Vec<f64> = subtract.iter().filter_map(|site| site.cos_scale_free).collect();
        if resolved.is_empty() {
            return None;
        }
        let matched = resolved.iter().filter(|cos| **cos >= FOUR_PLACES).count();
        let mut found = format!(
            "before the scale, the bottom direction is 1/√d to four decimal places at {matched} of {} sites that subtract the mean (|cos^|)",
            resolved.len()
        );
        if resolved.len() < subtract.len() {
            let unresolved = subtract.len() - resolved.len();
            found.push_str(&format!("; at {unresolved} more, several directions lie below rounding, and none can be called the bottom one"));
        }
        if others > 0 {
            found.push_str(&format!("; {others} other sites do not subtract it"));
        }
        let paper =
            "The direction read from a LayerNorm's scale is the bottom singular direction of its output";
        Some(Self::new(paper, found, matched == resolved.len()))
    }

    fn deepening(verification: &Verification, norms: &[NormReport]) -> Option<Self> {
        let random = verification.random_init.as_ref()?;
        let medians = random.medians()?;
        let of_scale = |name: &str| norms.iter().find(|norm| norm.name == name)?.kernel.deepening;
        let kernels = random.sites.iter().filter(|site| site.subtracts_mean());
        let predicted = order::median(kernels.filter_map(|site| of_scale(&site.name)).collect());
        let predicted = predicted.map_or(String::new(), |predicted| {
            format!("; the scales alone predict {} (HM(γ²)/AM(γ²), median)", ratio(predicted))
        });
        let found = format!(
            "it is {} of the initialisation's, the median of {} sites: λ_v × {}, the mean variance × {}{predicted}",
            ratio(medians.depth),
            medians.sites,
            ratio(medians.lambda_v),
            ratio(medians.mean)
        );
        let paper = "Training makes the eigenvalue along it about a thousand times smaller against the mean";
        Some(Self::new(paper, found, DEEPENED.contains(&medians.depth)))
    }

    fn stream(verification: &Verification) -> Option<Self> {
        let blocks = verification.residual.len();
        let falls = verification.falls.len();
        let sure = verification.falls.iter().filter(|fall| fall.on_both_halves).count();
        let found = match falls {
            0 => format!("it falls after none of {blocks} blocks by more than a hundredth"),
            _ => format!(
                "it falls by more than a hundredth after {falls} of {blocks} blocks, after {sure} of them on both halves of the tokens{}",
                parts(&verification.falls)
            ),
        };
        let paper =
            "The residual stream keeps its least singular value from block to block (13 of 14 models)";
        // The first block of a stack has no block before it.
        (blocks > verification.pass.as_ref().map_or(1, |pass| pass.stacks.len().max(1)))
            .then(|| Self::new(paper, found, sure == 0))
    }

    fn preservation(verification: &Verification) -> Option<Self> {
        let kept = |verdict| verdict == PreservationVerdict::Preserved;
        let dead: Vec<bool> = verification
            .preservation
            .iter()
            .filter(|row| row.in_kernel && row.direction == PreservationDirection::Kernel)
            .map(|row| kept(row.verdict))
            .collect();
        let preserved = dead.iter().filter(|preserved| **preserved).count();
        let found = format!(
            "the function stays the same at {preserved} of the {} norms whose reader was moved",
            dead.len()
        );
        let paper = "A reader moved along its norm's kernel, with the bias, does not change the function";
        (!dead.is_empty()).then(|| Self::new(paper, found, preserved == dead.len()))
    }
}

/// Returns how many of the placed falls each part of a block causes.
fn parts(falls: &[ResidualFall]) -> String {
    let count = |part| falls.iter().filter(|fall| fall.place.is_some_and(|place| place.part == part)).count();
    match [FallPart::Attention, FallPart::FeedForward, FallPart::Both].map(count) {
        [0, 0, 0] => String::new(),
        [attention, feed_forward, both] => {
            format!(
                " (attention makes {attention} of the falls, the feed-forward part {feed_forward}, both {both})"
            )
        }
    }
}

fn ratio(value: f64) -> String {
    if (0.01..1000.0).contains(&value) { format!("{value:.2}") } else { format!("{value:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::random_init::{RandomInit, RandomInitSite};
    use crate::report::{FallPlace, Interval, ResidualBlock, ResidualFall};

    fn verification(json: &str) -> Verification {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_stream_that_falls_on_both_halves_differs_from_the_paper() {
        let empty = r#"{"tokens":9,"width_ratio":4.0,"forward":"f32","device":"cpu","input":"","seconds":1.0,"kernel_seconds":null,"sites":[]}"#;
        let mut found = verification(empty);
        assert_eq!(Claim::of(&found, &[]), []);
        let block = |block, sigma_min| ResidualBlock {
            block,
            stack: None,
            sigma_min,
            low: sigma_min,
            high: sigma_min,
        };
        found.residual = vec![block(0, 1.0), block(1, 0.5)];
        assert!(Claim::of(&found, &[])[0].agrees, "a list of falls says where it falls");
        let ratio = Interval { value: 0.5, low: 0.4, high: 0.6 };
        found.falls = vec![ResidualFall { block: 1, stack: None, ratio, on_both_halves: true, place: None }];
        let claims = Claim::of(&found, &[]);
        assert!(!claims[0].agrees);
        assert!(claims[0].found.ends_with("on both halves of the tokens"), "{}", claims[0].found);
        assert!(claims[0].found.contains("1 of 2 blocks"), "{}", claims[0].found);
        found.falls[0].place = Some(FallPlace {
            part: FallPart::FeedForward,
            attention: 1.0,
            feed_forward: 0.5,
            gap: 2.0,
            same_direction: 0.1,
            mean: 0.1,
            inverse_scale: None,
            attention_energy: None,
            feed_forward_energy: None,
            near_dead: None,
        });
        let placed = &Claim::of(&found, &[])[0].found;
        assert!(placed.contains("attention makes 0 of the falls, the feed-forward part 1"), "{placed}");
        let site = |depth_ratio| RandomInitSite {
            name: String::new(),
            depth: 1e-14,
            depth_scale_free: Some(1e-14),
            cos_scale_free: Some(1.0),
            lambda_v: 1e-14,
            mean_variance: 1.0,
            below_tau: Some(1),
            depth_ratio: Some(depth_ratio),
            lambda_v_ratio: Some(depth_ratio),
            mean_ratio: Some(1.0),
        };
        for (ratio, agrees) in [(0.5, false), (1e-3, true)] {
            found.random_init = Some(RandomInit { seed: 1, seconds: 1.0, sites: vec![site(ratio)] });
            assert_eq!(Claim::of(&found, &[])[0].agrees, agrees, "{ratio}");
        }
    }

    #[test]
    fn sites_without_one_bottom_direction_are_neither_for_nor_against_the_paper() {
        let site = |cosine: &str| {
            let json = format!(
                r#"{{"name":"norm","tokens":9,"width":4,"heavy_tokens":0,"gram_crc32":"","mean_variance":1.0,"depth":1e-14,
                "depth_interval":{{"value":1e-14,"low":1e-14,"high":1e-14}},"cos":null,"cos_interval":null,"gap":null,
                "gap_interval":null,"sin_bound":null,"depth_scale_free":1e-14,"depth_scale_free_interval":null,
                "cos_scale_free":{cosine},"cos_scale_free_interval":null,"schur":null,"schur_interval":null,"schur_null":0.2,
                "spectrum":[],"direction":[],"principal_cosines":null,"principal_cosines_interval":null,"zero_variance":null,
                "raw_test_fooled":false,"verdict":"mean_subtracting","notes":[]}}"#
            );
            serde_json::from_str::<SiteVerification>(&json).unwrap()
        };
        let mut found = verification(
            r#"{"tokens":9,"width_ratio":4.0,"forward":"f32","device":"cpu","input":"","seconds":1.0,"kernel_seconds":null,"sites":[]}"#,
        );
        let claim = |found: &Verification| Claim::of(found, &[]).first().cloned();
        found.sites = vec![site("null")];
        assert_eq!(claim(&found), None);
        found.sites.push(site("1.0"));
        let said = claim(&found).unwrap();
        assert!(said.agrees && said.found.contains("at 1 of 1 sites"), "{}", said.found);
        assert!(said.found.contains("at 1 more, several directions lie below rounding"), "{}", said.found);
        found.sites.push(site("0.5"));
        assert!(!claim(&found).unwrap().agrees);
    }
}
