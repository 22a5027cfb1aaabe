//! Finds whether all norms of two checkpoints differ by one number, as a missing or doubled 1 of 1 + w makes them.

use crate::report::ScaleConvention;
use std::borrow::Cow;

/// Two BF16 numbers that were rounded differently differ by at most this share of the larger: half a unit in the last place each.
const ROUNDING: f64 = 1.0 / 256.0;
/// A difference this near to a whole number is taken as that number.
const NEARLY_WHOLE: f64 = 1.0 / 64.0;
/// A difference of fewer roundings than this does not show.
const CLEARLY: f64 = 4.0;

/// The scale of one site in one of the two checkpoints.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a> {
    /// γ, if it is known.
    pub(super) effective: Option<&'a [f64]>,
    /// w, if γ is not known.
    pub(super) undecided: Option<&'a [f64]>,
    pub(super) convention: ScaleConvention,
}

impl<'a> Scales<'a> {
    /// w.
    fn stored(self) -> Option<Cow<'a, [f64]>> {
        match (self.effective, self.convention) {
            (Some(scale), ScaleConvention::OnePlusWeight) => {
                Some(scale.iter().map(|scale| scale - 1.0).collect())
            }
            (Some(scale), _) => Some(scale.into()),
            (None, _) => self.undecided.map(Cow::from),
        }
    }
}

/// What all pairs have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Difference {
    /// γ is the same except for rounding, and stored as w in one and as γ − 1 in the other.
    Stored,
    /// γ of the second is that of the first plus this.
    Effective(f64),
    /// The same of w, because γ is not known everywhere.
    OfStored(f64),
}

/// What all pairs of sites have in common, if anything, and if every scale could be read.
pub(super) fn difference(pairs: &[(Scales<'_>, Scales<'_>)]) -> Option<Difference> {
    let effective: Option<Vec<Pair<'_>>> = pairs
        .iter()
        .map(|(before, after)| Some((Cow::from(before.effective?), Cow::from(after.effective?))))
        .collect();
    if let Some(effective) = effective {
        let constant = constant(&effective)?;
        let restored = || pairs.iter().any(|(before, after)| before.convention != after.convention);
        return match constant {
            0.0 => restored().then_some(Difference::Stored),
            _ => Some(Difference::Effective(constant)),
        };
    }
    let stored: Option<Vec<_>> =
        pairs.iter().map(|(before, after)| Some((before.stored()?, after.stored()?))).collect();
    constant(&stored?).filter(|&constant| constant != 0.0).map(Difference::OfStored)
}

/// The same scale in both checkpoints.
type Pair<'a> = (Cow<'a, [f64]>, Cow<'a, [f64]>);

/// The number that turns the first of each pair into the second when added, except for rounding.
fn constant(pairs: &[Pair<'_>]) -> Option<f64> {
    if pairs.iter().any(|(before, after)| before.len() != after.len()) {
        return None;
    }
    let values =
        || pairs.iter().flat_map(|(before, after)| before.iter().copied().zip(after.iter().copied()));
    let mut differences: Vec<f64> = values().map(|(before, after)| after - before).collect();
    if differences.is_empty() {
        return None;
    }
    let middle = differences.len() / 2;
    let median = *differences.select_nth_unstable_by(middle, f64::total_cmp).1;
    let whole = median.round();
    let constant = if (median - whole).abs() <= NEARLY_WHOLE { whole } else { median };
    let rounding = |(before, after): (f64, f64)| ROUNDING * before.abs().max(after.abs());
    let fits = values().all(|(before, after)| (after - before - constant).abs() <= rounding((before, after)));
    let shows = values().filter(|&pair| constant.abs() > CLEARLY * rounding(pair)).count();
    (fits && (constant == 0.0 || 2 * shows > differences.len())).then_some(constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: ScaleConvention = ScaleConvention::Weight;
    const ONE_PLUS: ScaleConvention = ScaleConvention::OnePlusWeight;

    fn known(scale: &[f64], convention: ScaleConvention) -> Scales<'_> {
        Scales { effective: Some(scale), undecided: None, convention }
    }

    #[test]
    fn one_number_for_all_is_found_through_rounding() {
        let before = [vec![0.25, 0.5, -0.1, 7.0], vec![0.75, 40.0, 0.0]];
        // To eight bits, as BF16 has them.
        let coarse = |value: f64| {
            let unit = 2f64.powi(value.abs().log2().floor() as i32 - 7);
            (value / unit).round() * unit
        };
        for added in [1.0, -2.0, 0.625] {
            let after: Vec<Vec<f64>> = before
                .iter()
                .map(|scale| scale.iter().map(|value| coarse(value + added)).collect())
                .collect();
            let pairs: Vec<_> = before.iter().zip(&after).map(|(a, b)| (known(a, W), known(b, W))).collect();
            assert_eq!(difference(&pairs), Some(Difference::Effective(added)), "{added}");
        }
    }

    #[test]
    fn another_number_at_one_value_is_no_constant() {
        let (before, after) = ([0.25, 0.5, 0.75], [1.25, 1.5, 2.75]);
        assert_eq!(difference(&[(known(&before, W), known(&after, W))]), None);
        assert_eq!(difference(&[(known(&before, W), known(&before, W))]), None, "nothing differs");
    }

    #[test]
    fn a_number_below_the_rounding_does_not_count() {
        let (before, after) = ([100.0, 200.0, 300.0], [100.2, 200.2, 300.2]);
        assert_eq!(difference(&[(known(&before, W), known(&after, W))]), None);
    }

    #[test]
    fn what_is_stored_is_compared_where_the_scale_is_not_known() {
        let (scale, stored) = ([0.5, 1.0, 1.5], [0.5, 1.0, 1.5]);
        let unknown =
            Scales { effective: None, undecided: Some(&stored), convention: ScaleConvention::Unknown };
        assert_eq!(difference(&[(known(&scale, ONE_PLUS), unknown)]), Some(Difference::OfStored(1.0)));
        assert_eq!(difference(&[(unknown, known(&scale, ONE_PLUS))]), Some(Difference::OfStored(-1.0)));
        assert_eq!(difference(&[(known(&scale, W), unknown)]), None);
        let unread = Scales { undecided: None, ..unknown };
        assert_eq!(difference(&[(known(&scale, ONE_PLUS), unread)]), None);
    }

    #[test]
    fn the_same_scale_stored_otherwise_is_the_same() {
        let (scale, rounded) = ([0.5, 1.0, 1.501], [0.5, 1.0, 1.5]);
        let pair = (known(&scale, ONE_PLUS), known(&rounded, W));
        assert_eq!(difference(&[pair]), Some(Difference::Stored));
    }
}
