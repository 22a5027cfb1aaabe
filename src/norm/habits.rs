//! How often norms of each behaviour occur in such surroundings, with and without a shift, under such a name: counted on measured
//! modules of many libraries (`registry/counts.tsv`).
//!
//! The counts are smoothed towards coarser descriptions: p(H | fine) = (n(fine, H) + α·p(H | coarse)) / (n(fine) + α), from all norms to
//! those with a shift or without, to the maps around them, to the stack and position. Names are counted given the shift and the maps. If
//! the names show the library ([`super::library`]), its own counts follow, from coarse to fine again. The product of the steps is a
//! posterior, and its prior is what was counted: it assumes that checkpoints are like those that were measured. [`super::verdict`] says
//! how far an uncounted library may differ.

use super::behaviour::{Behaviour, Likelihood};
use super::names;
use super::registry::Knowledge;
use super::surroundings::Surroundings;
use crate::order;
use crate::tables::Table;
use std::sync::OnceLock;

/// α: a description seen fewer times than this says less than the coarser one.
const PRIOR_COUNTS: f64 = 3.0;
/// α for a name's counts: a single name misleads more often than structure does.
const NAME_PRIOR_COUNTS: f64 = 6.0;

/// If one argument makes the difference, habits alone settle nothing: 12 to 1 is below the threshold of a verdict.
const ONE_ARGUMENT: f64 = 12.0;

/// If a library has this many counted norms beside these maps, or in this place, its own counts decide there.
const KNOWN_PLACE: u32 = 8;

/// What the counts say of one site, each given those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Habits {
    /// How often each behaviour was counted at all.
    pub prior: Likelihood,
    /// Given a shift, or given none.
    pub shift: Likelihood,
    /// Given its surroundings.
    pub surroundings: Likelihood,
    /// Given its name.
    pub name: Likelihood,
    /// Number of norms of each behaviour in exactly these surroundings, with a shift or without as here.
    pub alike: [u32; 4],
    /// The library that the names show.
    pub library: Option<&'static str>,
}

impl Default for Habits {
    fn default() -> Self {
        let nothing = Likelihood::NOTHING;
        Self {
            prior: nothing,
            shift: nothing,
            surroundings: nothing,
            name: nothing,
            alike: [0; 4],
            library: None,
        }
    }
}

/// A line of the table: what was counted in one library.
struct Line {
    shift: bool,
    /// From coarse to fine, as in [`Surroundings`].
    around: [&'static str; 3],
    name: &'static str,
    library: &'static str,
    counts: [u32; 4],
}

fn lines() -> &'static Vec<Line> {
    static LINES: OnceLock<Vec<Line>> = OnceLock::new();
    LINES.get_or_init(|| {
        let mut described = ("", "");
        let rows = Table::Counts.text().lines().filter(|line| !line.starts_with('#'));
        rows.filter_map(|row| line(row, &mut described)).collect()
    })
}

/// The lines of one coarse description.
fn lines_beside(coarse: &str) -> &'static [&'static Line] {
    static LINES: OnceLock<Vec<(&str, Vec<&Line>)>> = OnceLock::new();
    let by_coarse = LINES.get_or_init(|| order::groups(lines().iter().map(|line| (line.around[0], line))));
    order::value_of(by_coarse, coarse).map_or(&[], Vec::as_slice)
}

/// Parses one row. Its shift and surroundings are empty if they are those of the row above, which `described` holds.
fn line(row: &'static str, described: &mut (&'static str, &'static str)) -> Option<Line> {
    let mut cells = row.split('\t');
    let mut next = || cells.next();
    let (stated, name, library) = ((next()?, next()?), next()?, next()?);
    if stated != ("", "") {
        *described = stated;
    }
    let (shift, finest) = (described.0 == "shift", described.1);
    let mut counts = [0; 4];
    for (count, cell) in counts.iter_mut().zip(cells) {
        *count = cell.parse().ok()?;
    }
    let mut ends = finest.match_indices("; ").map(|(at, _)| at);
    let (coarse, finer) = (ends.next()?, ends.nth(1)?);
    Some(Line { shift, around: [&finest[..coarse], &finest[..finer], finest], name, library, counts })
}

/// The class of a module's name that the counts use.
pub fn name_class(path: &str) -> &'static str {
    // A numbered norm takes the name of its list: group_norms.3.
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let last = path.rsplit(['.', '/']).next().unwrap_or_default();
    let named = path.rsplit(['.', '/']).find(|part| !is_number(part)).unwrap_or_default();
    let compact = names::compact(named);
    let word = |wanted: &str| names::words(named).iter().any(|word| word == wanted);
    if compact.contains("batchnorm") || word("bn") {
        "batch"
    } else if compact.contains("groupnorm") || word("gn") {
        "group"
    } else if compact.contains("instancenorm") {
        "instance"
    } else if compact.contains("grn") || compact == "lnx" {
        "response"
    } else if names::says_rms(named) {
        "rms"
    } else if compact.contains("layernorm") || compact.contains("layrnorm") {
        "layernorm"
    } else if word("ln") || word("lnf") {
        "ln"
    } else if is_number(&last) {
        "number"
    } else if compact.contains("norm") {
        "norm"
    } else {
        "no norm's"
    }
}

impl Habits {
    /// What the counts say about a site if only its shift, or the lack of one, is known.
    pub fn of_shift(shift: bool) -> Self {
        let all = Tally::of(lines().iter()).smoothed([0.25; 4], PRIOR_COUNTS);
        let with_shift =
            Tally::of(lines().iter().filter(|line| line.shift == shift)).smoothed(all, PRIOR_COUNTS);
        let mut habits =
            Self { prior: ratio(all, [0.25; 4]), shift: ratio(with_shift, all), ..Self::default() };
        if !shift {
            habits.allow(Behaviour::LayerNorm, Behaviour::RmsNorm);
            habits.shift = habits.shift.and(std::mem::replace(&mut habits.surroundings, Likelihood::NOTHING));
        }
        habits
    }

    /// What the counts say about a site in these surroundings, in a checkpoint of `library` if that is known.
    pub fn of(
        shift: bool,
        around: &Surroundings,
        name: &str,
        library: Option<&'static str>,
        knowledge: Knowledge,
    ) -> Self {
        let known = || lines().iter().filter(|line| knowledge.has(line.library));
        let descriptions = [around.coarse(), around.finer(), around.finest()];
        let all = Tally::of(known()).smoothed([0.25; 4], PRIOR_COUNTS);
        let with_shift = Tally::of(known().filter(|line| line.shift == shift)).smoothed(all, PRIOR_COUNTS);
        let beside: Vec<&Line> = lines_beside(&descriptions[0])
            .iter()
            .copied()
            .filter(|line| line.shift == shift && knowledge.has(line.library))
            .collect();
        let shifted = || beside.iter().copied();
        let own = || shifted().filter(|line| Some(line.library) == library);
        let mut standing = with_shift;
        for (level, description) in descriptions.iter().enumerate() {
            let tally = Tally::of(shifted().filter(|line| line.around[level] == description));
            standing = tally.smoothed(standing, PRIOR_COUNTS);
        }
        for (level, description) in descriptions.iter().enumerate() {
            let tally = Tally::of(own().filter(|line| line.around[level] == description));
            standing = tally.smoothed(standing, PRIOR_COUNTS);
        }
        let like = Tally::of(shifted()).smoothed(with_shift, PRIOR_COUNTS);
        let called = Tally::of(shifted().filter(|line| line.name == name)).smoothed(like, NAME_PRIOR_COUNTS);
        let (own_beside, own_called) = (Tally::of(own()), Tally::of(own().filter(|line| line.name == name)));
        let (like, called) = if own_beside.total() >= KNOWN_PLACE {
            let like = own_beside.smoothed(like, PRIOR_COUNTS);
            (like, own_called.smoothed(like, NAME_PRIOR_COUNTS))
        } else {
            (like, called)
        };
        let mut habits = Self {
            prior: ratio(all, [0.25; 4]),
            shift: ratio(with_shift, all),
            surroundings: ratio(standing, with_shift),
            name: ratio(called, like),
            alike: Tally::of(shifted().filter(|line| line.around[2] == descriptions[2])).0,
            library,
        };
        let own_here = Tally::of(own().filter(|line| line.around[2] == descriptions[2]));
        let known_place = own_here.total() >= KNOWN_PLACE && own_here.is_of_one();
        if !shift {
            if !known_place && !around.only_rms() {
                habits.allow(Behaviour::LayerNorm, Behaviour::RmsNorm);
            }
        } else if around.among_convolutions() || around.outside_transformers() {
            habits.allow(Behaviour::LayerNorm, Behaviour::Spanning);
            habits.allow(Behaviour::Spanning, Behaviour::LayerNorm);
        }
        habits
    }

    /// Some code differs in one argument of a constructor: a LayerNorm loses its shift, a GroupNorm becomes a LayerNorm over the
    /// channels. Six of the eight sources that have norms without a shift have LayerNorms among them. So `behaviour` is never less
    /// likely than `instead_of` by more than a factor of [`ONE_ARGUMENT`].
    fn allow(&mut self, behaviour: Behaviour, instead_of: Behaviour) {
        let all = self.together();
        let missing = all.under(instead_of) - ONE_ARGUMENT.ln() - all.under(behaviour);
        self.surroundings.0[behaviour as usize] += missing.max(0.0);
    }

    /// Makes a plain scale and shift as likely as a LayerNorm: in MobileBERT, both have the same surroundings.
    pub(super) fn allow_plain(&mut self) {
        let all = self.together();
        self.surroundings.0[Behaviour::Plain as usize] +=
            all.under(Behaviour::LayerNorm) - all.under(Behaviour::Plain);
    }

    /// All four together.
    pub fn together(&self) -> Likelihood {
        self.prior.and(self.shift).and(self.surroundings).and(self.name)
    }
}

fn ratio(given: [f64; 4], before: [f64; 4]) -> Likelihood {
    Likelihood(std::array::from_fn(|at| (given[at] / before[at]).ln()))
}

/// Number of norms of each behaviour.
struct Tally([u32; 4]);

impl Tally {
    fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Whether only one behaviour was counted.
    fn is_of_one(&self) -> bool {
        self.0.iter().filter(|&&count| count > 0).count() == 1
    }

    fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        Self(lines.fold([0; 4], |sum, line| std::array::from_fn(|at| sum[at] + line.counts[at])))
    }

    fn smoothed(&self, coarser: [f64; 4], weight: f64) -> [f64; 4] {
        let all = self.0.iter().sum::<u32>();
        std::array::from_fn(|at| (f64::from(self.0[at]) + weight * coarser[at]) / (f64::from(all) + weight))
    }
}

/// Counts over all libraries: norms of each behaviour, with a shift or without.
pub fn counted(shift: bool) -> [u32; 4] {
    Tally::of(lines().iter().filter(|line| line.shift == shift)).0
}

/// The libraries that were counted.
pub fn libraries() -> Vec<&'static str> {
    order::distinct(lines().iter().map(|line| line.library))
}
