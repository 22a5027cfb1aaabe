//! The paper's claims about trained transformers (arXiv 2606.19491), compared with a run of this one.

use super::{
    FallPart, MeasuredVerdict, NormReport, Preservation, PreservationDirection, PreservationVerdict,
    ResidualFall, SiteVerification, StackName, Verification,
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
    /// Why it differs, as far as the run shows it. Null if it agrees, and in reports of earlier versions.
    #[serde(default)]
    pub why: Option<String>,
}

/// The paper gives |cos| to four decimal places: 1.0000.
pub(super) const FOUR_PLACES: f64 = 0.999_95;

/// The range that counts as about 10³: a power of ten on either side.
const DEEPENED: std::ops::RangeInclusive<f64> = 1e-4..=1e-2;

impl Claim {
    fn new(paper: &str, found: String, agrees: bool, why: impl FnOnce() -> String) -> Self {
        Self { paper: paper.to_owned(), found, agrees, why: (!agrees).then(why) }
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
                let paper = "An RMSNorm has no dead direction that its scale shows";
                let why = "the scale-free test decides nothing at the other sites: their depth^ lies between its limits";
                Self::new(paper, found, absent == others, || why.to_owned())
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
        let why = "the other sites subtract the mean too, but more directions vary as little as the rounding of f32, and the bottom one is a mix of them";
        Some(Self::new(paper, found, matched == resolved.len(), || why.to_owned()))
    }

    fn deepening(verification: &Verification, norms: &[NormReport]) -> Option<Self> {
        let random = verification.random_init.as_ref()?;
        let medians = random.medians()?;
        let of_scale = |name: &str| norms.iter().find(|norm| norm.name == name)?.kernel.deepening;
        let kernels = random.sites.iter().filter(|site| site.subtracts_mean());
        let scales: Vec<f64> = kernels.filter_map(|site| of_scale(&site.name)).collect();
        let predicted = order::median(scales.clone()).map_or(String::new(), |predicted| {
            format!("; the scales alone predict {} (HM(γ²)/AM(γ²), median)", short(predicted))
        });
        let found = format!(
            "it is {} of the initialisation's, the median of {} sites: λ_v × {}, the mean variance × {}{predicted}",
            short(medians.depth),
            medians.sites,
            short(medians.lambda_v),
            short(medians.mean)
        );
        let paper = "Training makes the eigenvalue along it about a thousand times smaller against the mean";
        Some(Self::new(paper, found, DEEPENED.contains(&medians.depth), || of_scales(&scales)))
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
            .then(|| Self::new(paper, found, sure == 0, || of_the_sum(&verification.falls)))
    }

    fn preservation(verification: &Verification) -> Option<Self> {
        let dead: Vec<&Preservation> = verification
            .preservation
            .iter()
            .filter(|row| row.in_kernel && row.direction == PreservationDirection::Kernel)
            .collect();
        let changed: Vec<&Preservation> =
            dead.iter().copied().filter(|row| row.verdict == PreservationVerdict::Changed).collect();
        let found = format!(
            "the function stays the same at {} of the {} norms whose reader was moved",
            dead.len() - changed.len(),
            dead.len()
        );
        let paper = "A reader moved along its norm's kernel, with the bias, does not change the function";
        let why = || {
            let over = changed.iter().flat_map(|row| row.points.iter().map(|point| point.value / row.floor));
            let greatest = short(over.fold(0.0, f64::max));
            format!("the change at the others is up to {greatest} times what counts as rounding")
        };
        (!dead.is_empty()).then(|| Self::new(paper, found, changed.is_empty(), why))
    }
}

/// Why training did not make the kernels about a thousand times deeper, from HM(γ²)/AM(γ²) of their sites.
fn of_scales(scales: &[f64]) -> String {
    let least = scales.iter().copied().reduce(f64::min);
    let greatest = scales.iter().copied().reduce(f64::max);
    let range = match (least, greatest) {
        (Some(least), Some(greatest)) => format!(", which is {} … {} here", short(least), short(greatest)),
        _ => String::new(),
    };
    format!(
        "depth is depth^ times HM(γ²)/AM(γ²){range}. depth^ is rounding before and after training. So only a scale that is nearly off makes a kernel a thousand times deeper"
    )
}

/// Why the least singular value of the stream falls, with what the run shows of the deepest fall that both halves of the tokens show.
fn of_the_sum(falls: &[ResidualFall]) -> String {
    let sum = "a block adds to the stream, and a sum can vary less along a direction than the stream did";
    let sure = falls.iter().filter(|fall| fall.on_both_halves);
    let deepest = sure.min_by(|a, b| a.ratio.value.total_cmp(&b.ratio.value));
    let Some((fall, place)) = deepest.and_then(|fall| Some((fall, fall.place?))) else {
        return sum.to_owned();
    };
    let part = match place.part {
        FallPart::Attention => "the attention makes it",
        FallPart::FeedForward => "the feed-forward part makes it",
        FallPart::Both => "attention and feed-forward part make it together",
    };
    format!(
        "{sum}. The deepest fall is after {} (× {:.3}): {part}, and the bottom directions before and after have |cos| {:.2}",
        StackName::of_block(fall.stack, fall.block),
        fall.ratio.value,
        place.same_direction
    )
}

/// Returns how many of the placed falls each part of a block causes.
pub(super) fn parts(falls: &[ResidualFall]) -> String {
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

/// Formats a number with three significant digits, or one that is far from 1 with an exponent.
pub(super) fn short(value: f64) -> String {
    if !(1e-3..1e3).contains(&value) {
        return format!("{value:.1e}");
    }
    let digits = (2.0 - value.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
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
        assert!(
            claims[0].why.as_ref().is_some_and(|why| why.starts_with("a block adds")),
            "{:?}",
            claims[0].why
        );
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
        let why = Claim::of(&found, &[])[0].why.clone().unwrap();
        assert!(why.contains("after block 1 (× 0.500): the feed-forward part makes it"), "{why}");
        assert!(why.ends_with("have |cos| 0.10"), "{why}");
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
            let claim = Claim::of(&found, &[]).remove(0);
            assert_eq!((claim.agrees, claim.why.is_none()), (agrees, agrees), "{ratio}");
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
