//! How the effective scale γ follows from the stored tensor w: γ = w, or γ = 1 + w. A wrong convention gives a wrong kernel.
//!
//! What is known of the code comes first (`prior`), and is checked against the values (`fit`): ports and conversions add the 1 of 1 +
//! w, leave it out, or add it twice. If the two contradict each other and the file does not say that its writer adds the 1, the
//! convention is unknown. If a norm lies one above or below the same norm in other blocks (`likeness`), only that norm is in doubt.

mod fit;
mod group;
mod likeness;
mod prior;
mod storage;

use super::site::NormSite;
use crate::checkpoint::config::Scope;
use crate::order;
use crate::report::words::grouped;
use crate::report::{NormKind, ScaleConvention};
use fit::{FEW, Fit, Lies};
use likeness::Quantiles;
use prior::Prior;
use storage::Storage;

pub use prior::Convention;
pub(super) use storage::Tally;

/// A site with what is known about it and what it stores.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The site.
    pub site: &'a NormSite,
    /// The configuration that applies to it.
    pub config: Option<Scope<'a>>,
    /// What it does.
    pub kind: NormKind,
    /// The stored scale, if it could be read.
    pub stored: Option<&'a [f64]>,
    /// Whether its file says that MLX wrote it. MLX's converters add the 1 for some families (Qwen3-Next, Qwen 3.5), and for
    /// others its code adds it at run time (Gemma). So the values decide.
    pub mlx: bool,
}

/// What γ − w seems to be at a site of unknown convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LikelyOffset {
    /// γ − w. A whole number.
    pub offset: i8,
    /// Whether the site's own values show it. Otherwise other norms are like this, and nothing shows that this one is not.
    pub shown: bool,
}

/// Sites whose values contradict what is known about them, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Indices of the sites, ascending.
    pub sites: Vec<usize>,
    /// What γ − w seems to be at these sites.
    pub likely: LikelyOffset,
    /// The sentence that the report shows.
    pub message: String,
}

/// Decides the convention of each site, and which of them are in doubt.
pub fn decide(seen: &[Seen<'_>]) -> (Vec<Convention>, Vec<Doubt>) {
    let storage = Storage::of(seen.iter().filter_map(|seen| Some((seen.site, seen.stored?))));
    let is_norm = |kind| matches!(kind, NormKind::LayerNorm | NormKind::RmsNorm);
    let priors: Vec<Prior> = seen
        .iter()
        .map(|&Seen { site, config, kind, .. }| {
            Prior::of(site, config, kind, storage.around_zero(site, is_norm(kind)))
        })
        .collect();
    // Sites with the same stated convention, in one part of the model and by one writer, are checked together.
    let stated = (0..seen.len()).filter_map(|index| {
        let Seen { site, kind, stored, mlx, .. } = seen[index];
        let claims_one = match priors[index].convention.convention {
            ScaleConvention::Weight => false,
            ScaleConvention::OnePlusWeight => true,
            ScaleConvention::None | ScaleConvention::Unknown => return None,
        };
        let part = site.stream.as_deref().unwrap_or(&site.stack);
        // A scale with a row for each head does not count.
        let counts = !site.per_head
            && priors[index].stated
            && is_norm(kind)
            && stored.is_some_and(|stored| !stored.is_empty());
        counts.then_some(((claims_one, mlx, part), index))
    });
    let pools = order::groups(stated);
    let mut decided = Decided {
        seen,
        conventions: priors.into_iter().map(|prior| prior.convention).collect(),
        doubts: Vec::new(),
    };
    for ((claims_one, mlx, _), members) in pools {
        decided.judge(claims_one, mlx, &members);
    }
    (decided.conventions, decided.doubts)
}

/// Conventions as they are known so far.
struct Decided<'a> {
    seen: &'a [Seen<'a>],
    conventions: Vec<Convention>,
    doubts: Vec<Doubt>,
}

/// A site of a pool.
#[derive(Clone, Copy)]
struct Member<'a> {
    index: usize,
    stored: &'a [f64],
    fit: Fit,
}

fn together<'m>(members: impl IntoIterator<Item = &'m Member<'m>>) -> Fit {
    Fit::sum(members.into_iter().map(|member| member.fit))
}

impl Decided<'_> {
    /// Checks the values of sites with one prior against it: γ = 1 + w (`claims_one`) or γ = w.
    fn judge(&mut self, claims_one: bool, mlx: bool, members: &[usize]) {
        let offset = if claims_one { 1.0 } else { 0.0 };
        let members: Vec<Member<'_>> = members
            .iter()
            .filter_map(|&index| {
                let stored = self.seen[index].stored?;
                Some(Member { index, stored, fit: Fit::of(stored, offset) })
            })
            .collect();
        let whole = together(&members);
        let may_hold_one = claims_one && mlx;
        if whole.values < FEW && !may_hold_one {
            return;
        }
        // A few norms are negative, and many are not.
        let (negative, others): (Vec<_>, Vec<_>) =
            members.iter().copied().partition(|member| member.fit.is_negative());
        let rest = together(&others);
        if !negative.is_empty() && 2 * rest.values >= whole.values && rest.lies() == Lies::Right {
            let evidence = evidence(claims_one, Lies::OneBelow, &together(&negative));
            self.doubt(claims_one, Lies::OneBelow, &negative, &others, &evidence);
            return self.hold_against_its_like(claims_one, &others);
        }
        // Some norms hold the 1 and some do not.
        let (without, with): (Vec<_>, Vec<_>) =
            members.iter().copied().partition(|member| member.fit.has_one_missing());
        if claims_one && !without.is_empty() && together(&with).is_around_two() {
            if may_hold_one && together(&with).values > together(&without).values {
                self.take_as_stored(&with);
                // As γ = w they are one below. The same values lie below 0 in both.
                let evidence = below_zero(&together(&without));
                self.doubt(false, Lies::OneBelow, &without, &with, &evidence);
            } else {
                let evidence = evidence(true, Lies::OneAbove, &together(&with));
                self.doubt(true, Lies::OneAbove, &with, &without, &evidence);
            }
            return;
        }
        match whole.lies() {
            Lies::OneAbove if may_hold_one => self.take_as_stored(&members),
            Lies::Right => {
                if may_hold_one {
                    for member in &members {
                        self.conventions[member.index].reason +=
                            &format!("; MLX wrote the file and has not added the 1: {}", below_zero(&whole));
                    }
                }
                self.hold_against_its_like(claims_one, &members);
            }
            lies => self.doubt(claims_one, lies, &members, &[], &evidence(claims_one, lies, &whole)),
        }
    }

    /// Takes the values as γ: the writer of the file has added the 1.
    fn take_as_stored(&mut self, members: &[Member<'_>]) {
        let evidence = evidence(true, Lies::OneAbove, &together(members));
        for member in members {
            let Convention { convention, reason } = &mut self.conventions[member.index];
            *convention = ScaleConvention::Weight;
            *reason += &format!(
                ", and the file already holds the 1: its header says that MLX wrote it, whose converters add the 1 for such families, and {evidence}"
            );
        }
    }

    /// Looks for norms that lie one above or below the others of their place in the block, or of their part of the model.
    fn hold_against_its_like(&mut self, claims_one: bool, members: &[Member<'_>]) {
        let offset = if claims_one { 1.0 } else { 0.0 };
        let shapes: Vec<Quantiles> = members
            .iter()
            .map(|member| likeness::quantiles(member.stored).map(|value| value + offset))
            .collect();
        let of = |places: &[usize]| {
            likeness::common(&places.iter().map(|&place| shapes[place]).collect::<Vec<_>>())
        };
        let every = of(&(0..members.len()).collect::<Vec<_>>());
        // Norms of other places may be different for good reasons, unless all are around 1.
        let every = every.filter(|common| (common[1] - 1.0).abs() <= 0.25);
        let places =
            (0..members.len()).map(|place| (group::key(self.seen[members[place].index].site), place));
        let mut off = [Vec::new(), Vec::new()];
        for (_, places) in order::groups(places) {
            let common = if places.len() < likeness::LEAST { every } else { of(&places) };
            for place in places {
                let shifted =
                    |shift| common.is_some_and(|common| likeness::is_shifted(&shapes[place], &common, shift));
                for (off, shift) in off.iter_mut().zip([1.0, -1.0]) {
                    if shifted(shift) {
                        off.push(place);
                    }
                }
            }
        }
        let is_off = |place: &usize| off.iter().any(|off| off.contains(place));
        let with_zeros = members.iter().filter(|member| member.fit.has_zeros()).count();
        let at_one: Vec<usize> = (0..members.len())
            .filter(|place| claims_one && with_zeros >= likeness::LEAST && !is_off(place))
            .filter(|&place| members[place].fit.ends_at_one())
            .collect();
        // If nothing was added to the numbers, those near zero are finer than 2⁻⁸.
        let (coarse, fine): (Vec<usize>, Vec<usize>) =
            (0..members.len()).partition(|&place| members[place].fit.is_coarse());
        let differ = claims_one && Fit::sum(fine.iter().map(|&place| members[place].fit)).is_fine();
        let coarse: Vec<usize> =
            coarse.into_iter().filter(|place| differ && !is_off(place) && !at_one.contains(place)).collect();
        // If some norms hold the 1, others may hold it too unless their own values show that they do not.
        let hold_one = coarse.len() + at_one.len() > 0;
        let open: Vec<usize> = (0..members.len())
            .filter(|place| hold_one && !is_off(place) && !at_one.contains(place) && !coarse.contains(place))
            .filter(|&place| !members[place].fit.is_without_one())
            .collect();
        let [above, below] = off;
        for (places, lies, evidence) in [
            (above, Lies::OneAbove, "they are spread as the others' are, 1 higher"),
            (below, Lies::OneBelow, "they are spread as the others' are, 1 lower"),
            (at_one, Lies::OneAbove, "the least is exactly 0, and −1 at others"),
            (coarse, Lies::OneAbove, "those near 0 are multiples of 2⁻⁸, as BF16 numbers plus 1 are"),
            (open, Lies::OneAbove, OPEN),
        ] {
            let places = order::distinct(places);
            let (these, others): (Vec<_>, Vec<_>) =
                (0..members.len()).partition(|place| places.binary_search(place).is_ok());
            let at = |places: Vec<usize>| places.into_iter().map(|place| members[place]).collect::<Vec<_>>();
            self.doubt(claims_one, lies, &at(these), &at(others), evidence);
        }
    }

    /// Records that `these`, if any, are not stored as stated, as `evidence` shows. `others` have the same prior and are stored
    /// as stated.
    fn doubt(
        &mut self,
        claims_one: bool,
        lies: Lies,
        these: &[Member<'_>],
        others: &[Member<'_>],
        evidence: &str,
    ) {
        let Some(first) = these.first() else { return };
        let (looks, offset, why) = match (claims_one, lies) {
            (true, Lies::OneAbove) => {
                ("γ itself", 0, "A conversion added the 1, and code that adds it again has a 1 too many")
            }
            (true, _) => ("γ − 2", 2, "A conversion subtracted 1, or subtracted it twice"),
            (false, Lies::OneAbove) => ("γ + 1", -1, "A conversion added a 1 that the code does not expect"),
            (false, _) => ("γ − 1", 1, "Either the code adds a 1, or a conversion left it out"),
        };
        let seem = if evidence == OPEN { "may be" } else { "look like" };
        let unlike = if others.is_empty() || evidence == OPEN { "" } else { ", unlike the others" };
        let said = &self.conventions[first.index].reason;
        let names: Vec<String> = these
            .iter()
            .take(NAMED)
            .map(|member| format!("`{}`", self.seen[member.index].site.name))
            .collect();
        let more = match these.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {} more", grouped(more as u64)),
        };
        let which = match (these.len(), others.len()) {
            (1, 0) => "of the only norm".to_owned(),
            (count, 0) => format!("of all {} norms", grouped(count as u64)),
            (count, others) => {
                format!("of {} of {} norms", grouped(count as u64), grouped((count + others) as u64))
            }
        };
        let message = format!(
            "{said}, but the values {which} ({}{more}) {seem} {looks}{unlike}: {evidence}. {why}. No kernel is offered there. Compare the file with the checkpoint it was made from",
            names.join(", ")
        );
        let reason = format!("{said}, but the values {seem} {looks}{unlike}: {evidence}");
        for member in these {
            self.conventions[member.index] =
                Convention { convention: ScaleConvention::Unknown, reason: reason.clone() };
        }
        let likely = LikelyOffset { offset, shown: evidence != OPEN };
        self.doubts.push(Doubt { sites: these.iter().map(|member| member.index).collect(), likely, message });
    }
}

/// The evidence about norms whose own values show nothing.
const OPEN: &str = "other norms hold the 1, and nothing shows that these do not";

/// How many norms a message names. It only counts the others.
const NAMED: usize = 4;

/// How many values of w lie below 0, if γ = 1 + w is claimed.
fn below_zero(fit: &Fit) -> String {
    let (count, all) = (grouped(fit.below_edge(Lies::OneAbove) as u64), grouped(fit.values as u64));
    format!("{count} of {all} stored values lie below 0")
}

/// What the values show, as the end of a sentence.
fn evidence(claims_one: bool, lies: Lies, fit: &Fit) -> String {
    let (count, all) = (grouped(fit.below_edge(lies) as u64), grouped(fit.values as u64));
    if lies == Lies::OneBelow && fit.is_zero() {
        return format!("all {all} stored values are {}", if claims_one { "−1" } else { "0" });
    }
    let edge = match (claims_one, lies) {
        (true, Lies::OneAbove) | (false, Lies::OneBelow) => "0",
        (false, _) => "1",
        (true, _) => "−1",
    };
    if fit.below_edge(lies) == 0 {
        return format!("none of {all} stored values lies below {edge}");
    }
    let only = if lies == Lies::OneAbove { "only " } else { "" };
    format!("{only}{count} of {all} stored values lie below {edge}")
}

#[cfg(test)]
mod tests;
