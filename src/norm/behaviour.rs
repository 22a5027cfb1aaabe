//! What a norm module may do, as four hypotheses, and what a piece of evidence says about each.
//!
//! Names and shapes cannot tell a LayerNorm from a GroupNorm with certainty (MATH §8): each piece of evidence is a likelihood
//! under all four, not a ratio of two.

use crate::report::{NormBehaviour, NormKind};

/// What the module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Subtracts the mean over the channels of one position and scales by their deviation.
    LayerNorm,
    /// Scales the channels of one position by their root mean square.
    RmsNorm,
    /// Takes its statistics over positions, groups of channels or the batch too: group, instance, global, cumulative and batch
    /// norms, and GRN.
    Spanning,
    /// Normalises nothing: a plain scale and shift, LayerScale, DyT.
    Plain,
}

impl Behaviour {
    /// All of them, in the order of [`Likelihood`].
    pub const ALL: [Self; 4] = [Self::LayerNorm, Self::RmsNorm, Self::Spanning, Self::Plain];

    /// The kind that a report gives it.
    pub fn kind(self) -> NormKind {
        match self {
            Self::LayerNorm => NormKind::LayerNorm,
            Self::RmsNorm => NormKind::RmsNorm,
            Self::Spanning | Self::Plain => NormKind::Other,
        }
    }
}

impl From<Behaviour> for NormBehaviour {
    fn from(behaviour: Behaviour) -> Self {
        match behaviour {
            Behaviour::LayerNorm => Self::LayerNorm,
            Behaviour::RmsNorm => Self::RmsNorm,
            Behaviour::Spanning => Self::Spanning,
            Behaviour::Plain => Self::Plain,
        }
    }
}

/// Logarithms, in nats, of what was seen under each of [`Behaviour::ALL`], up to a constant: all equal says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood(pub [f64; 4]);

impl Likelihood {
    /// Says nothing.
    pub const NOTHING: Self = Self([0.0; 4]);

    /// Evidence of `nats` for one kind against any other. `NormKind::Other` is both of its behaviours; unknown says nothing.
    pub fn of(kind: NormKind, nats: f64) -> Self {
        if kind == NormKind::Unknown {
            return Self::NOTHING;
        }
        Self(Behaviour::ALL.map(|behaviour| if behaviour.kind() == kind { 0.0 } else { -nats }))
    }

    /// ln P(seen | LayerNorm) − ln P(seen | RMSNorm) = `ratio`, which says nothing about other norms: they get the mean of the two.
    pub fn between(ratio: f64) -> Self {
        if ratio == 0.0 {
            return Self::NOTHING;
        }
        let neither = ((ratio.exp() + 1.0) / 2.0).ln();
        Self([ratio, 0.0, neither, neither])
    }

    /// Combines two independent observations.
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] + other.0[at]))
    }

    /// Combines two observations of the same thing: under each hypothesis, the one that speaks more strongly against it counts.
    pub fn same_thing(self, other: Self) -> Self {
        let (a, b) = (self.from_best(), other.from_best());
        Self(std::array::from_fn(|at| a.0[at].min(b.0[at])))
    }

    /// As a posterior, mixed with a uniform one: with probability `unlike` all hypotheses are equal.
    pub fn tempered(self, unlike: f64) -> Self {
        Self(self.normalised().map(|share| ((1.0 - unlike) * share + unlike / 4.0).ln()))
    }

    /// The same with 0 for the hypothesis that it favours.
    pub fn from_best(self) -> Self {
        let best = self.0.into_iter().fold(f64::NEG_INFINITY, f64::max);
        Self(self.0.map(|log| log - best))
    }

    /// Probabilities that add up to 1.
    pub fn normalised(self) -> [f64; 4] {
        let shares = self.from_best().0.map(f64::exp);
        let all: f64 = shares.iter().sum();
        shares.map(|share| share / all)
    }

    /// What it says about one behaviour.
    pub fn under(self, behaviour: Behaviour) -> f64 {
        self.0[behaviour as usize]
    }

    /// ln P(seen | LayerNorm) − ln P(seen | RMSNorm).
    pub fn ratio(self) -> f64 {
        self.under(Behaviour::LayerNorm) - self.under(Behaviour::RmsNorm)
    }

    /// Whether it is about LayerNorm and RMSNorm only: see [`Self::between`].
    fn is_between(self) -> bool {
        let [layer, rms, spanning, plain] = self.0;
        let neither = ((layer.exp() + rms.exp()) / 2.0).ln();
        spanning == plain && (spanning - neither).abs() < LEAST_MARGIN
    }

    /// The kind that it favours, and by how many nats over any other kind that it says something about. Unknown and 0 if two
    /// kinds are equal.
    pub fn leaning(self) -> (NormKind, f64) {
        if self.is_between() && self.ratio().abs() > LEAST_MARGIN {
            let kind = if self.ratio() > 0.0 { NormKind::LayerNorm } else { NormKind::RmsNorm };
            return (kind, self.ratio().abs());
        }
        let of = |kind: NormKind| {
            let same = Behaviour::ALL.into_iter().filter(|behaviour| behaviour.kind() == kind);
            same.map(|behaviour| self.under(behaviour)).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut kinds =
            [NormKind::LayerNorm, NormKind::RmsNorm, NormKind::Other].map(|kind| (kind, of(kind)));
        // The sort is stable: of two equal kinds the first is named, LayerNorm before another norm, with the margin to the third.
        kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
        if kinds[0].0 == NormKind::LayerNorm && kinds[1].0 == NormKind::Other && kinds[0].1 == kinds[1].1 {
            let margin = kinds[0].1 - kinds[2].1;
            return if margin > LEAST_MARGIN {
                (NormKind::LayerNorm, margin)
            } else {
                (NormKind::Unknown, 0.0)
            };
        }
        let margin = kinds[0].1 - kinds[1].1;
        if margin > LEAST_MARGIN { (kinds[0].0, margin) } else { (NormKind::Unknown, 0.0) }
    }

    /// The kind whose probability this raises most, given what was known before it, and by how many nats it raises that kind's
    /// odds. The kind with the largest factor would mislead: a kind that was nearly ruled out may have it and still be ruled out.
    pub fn leaning_given(self, before: Self) -> (NormKind, f64) {
        let probabilities = |likelihood: Self| {
            let shares = likelihood.normalised();
            [NormKind::LayerNorm, NormKind::RmsNorm, NormKind::Other].map(|kind| {
                let same =
                    Behaviour::ALL.into_iter().zip(shares).filter(|(behaviour, _)| behaviour.kind() == kind);
                (kind, same.map(|(_, share)| share).sum::<f64>())
            })
        };
        let odds = |share: f64| (share / (1.0 - share)).ln();
        let rises = std::iter::zip(probabilities(before), probabilities(before.and(self)));
        let rises = rises.filter(|(_, (_, after))| *after >= RULED_OUT);
        let most = rises.max_by(|(a, after), (b, later)| (after.1 - a.1).total_cmp(&(later.1 - b.1)));
        match most {
            Some(((kind, share), (_, after))) if odds(after) - odds(share) > LEAST_MARGIN => {
                (kind, odds(after) - odds(share))
            }
            _ => (NormKind::Unknown, 0.0),
        }
    }
}

/// Rounds a value for the report: logarithms differ in their last digit from machine to machine, and reports must not.
pub(super) fn reported(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// A kind that is less probable than this is ruled out, whatever it gained.
const RULED_OUT: f64 = 0.01;

/// Smaller differences are rounding.
const LEAST_MARGIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_follow_the_likelihoods() {
        let said = Likelihood::of(NormKind::LayerNorm, 6.0).normalised();
        assert!((said.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(said[0] > 0.99);
        assert_eq!(Likelihood::NOTHING.normalised(), [0.25; 4]);
    }

    #[test]
    fn two_looks_at_one_thing_count_once_and_a_contradiction_says_nothing() {
        let layer = Likelihood::of(NormKind::LayerNorm, 6.0);
        assert_eq!(layer.same_thing(layer), layer);
        let clash = layer.same_thing(Likelihood::of(NormKind::RmsNorm, 6.0));
        assert_eq!(clash.under(Behaviour::LayerNorm), clash.under(Behaviour::RmsNorm));
    }

    #[test]
    fn a_ratio_between_two_kinds_says_nothing_of_a_third() {
        let said = Likelihood::between(4.0);
        assert!((said.under(Behaviour::LayerNorm) - said.under(Behaviour::RmsNorm) - 4.0).abs() < 1e-12);
        let mean = (4f64.exp() + 1.0) / 2.0;
        assert!((said.under(Behaviour::Spanning).exp() - mean).abs() < 1e-9);
        assert!((said.leaning().1 - 4.0).abs() < 1e-9);
    }

    #[test]
    fn tempering_bounds_what_a_habit_can_say() {
        let said = Likelihood::of(NormKind::RmsNorm, 40.0).tempered(0.04).normalised();
        assert!((said[0] - 0.01).abs() < 1e-9 && (said[1] - 0.97).abs() < 1e-9);
    }

    #[test]
    fn a_likelihood_leans_towards_the_kind_it_speaks_for() {
        assert_eq!(Likelihood::of(NormKind::Other, 2.0).leaning(), (NormKind::Other, 2.0));
        assert_eq!(Likelihood([6.0, 0.0, 6.0, 0.0]).leaning(), (NormKind::LayerNorm, 6.0));
        assert_eq!(Likelihood::NOTHING.leaning(), (NormKind::Unknown, 0.0));
    }

    #[test]
    fn a_kind_that_was_ruled_out_is_not_what_a_piece_of_evidence_speaks_for() {
        // A shift rules RMSNorm out. These surroundings are rare around LayerNorms.
        let (shift, around) = (Likelihood([0.0, -7.0, -3.0, -6.0]), Likelihood([-3.0, 0.0, -0.5, -2.0]));
        assert_eq!(around.leaning().0, NormKind::RmsNorm);
        let (kind, nats) = around.leaning_given(shift);
        assert_eq!(kind, NormKind::Other);
        assert!((2.0..3.0).contains(&nats), "{nats}");
        assert_eq!(Likelihood::NOTHING.leaning_given(shift), (NormKind::Unknown, 0.0));
        // All that gains is RMSNorm, and it stays ruled out.
        let name = Likelihood([0.0, 0.5, 0.0, 0.0]);
        assert_eq!(name.leaning_given(shift), (NormKind::Unknown, 0.0));
    }
}
