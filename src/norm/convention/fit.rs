//! Checks how well the values of a scale fit their stated convention: γ = w + o with o = 0 or 1, or off by one.
//!
//! An effective scale is rarely negative, and training leaves some channels below their initial 1. Measured on 11 trained models
//! (docs/which-norm.md), all norms of a model together: at most 0.3 % of γ lie below −0.05, and 1.3 % or more below 0.95. So if
//! values are γ − 1 instead of γ, many lie below −0.05 and hardly any below −1.05. If they are γ + 1, hardly any lie below 0.95.
//! A single norm may also look like that, so these rules are for many together.

/// Values are counted below each of these.
const EDGES: [f64; 7] = [-1.05, -0.05, 0.5, 0.95, 1.25, 1.5, 2.5];
const BELOW_MINUS_ONE: usize = 0;
const NEGATIVE: usize = 1;
const HALF: usize = 2;
const BELOW_ONE: usize = 3;
const ABOVE_ONE: usize = 4;
const ONE_AND_A_HALF: usize = 5;
const TWO_AND_A_HALF: usize = 6;

/// Largest share of a model's γ below −0.05: seven times the largest that was measured.
const MOST_NEGATIVE: f64 = 0.02;
/// The same for one norm, where up to 1 % was measured.
const MOST_NEGATIVE_OF_ONE: f64 = 0.1;
/// Least share of a model's γ below 0.95: between the 1.3 % of γ and the 0.3 % of γ + 1.
const LEAST_BELOW_ONE: f64 = 0.005;
/// Fewer values say nothing.
pub(super) const FEW: usize = 64;

/// Smaller stored values, above all zeros, are on every grid. Larger ones are on a coarse grid anyway.
const NEAR_ZERO: std::ops::Range<f64> = 1.0 / 4096.0..0.25;
/// The spacing of BF16 numbers from 0.5 to 1.
const GRID: f64 = 1.0 / 256.0;
/// All of this many BF16 numbers near 0 are multiples of 2⁻⁸ by chance at most once in 4⁸ times.
const ENOUGH_NEAR_ZERO: usize = 8;

/// Counts of the values w + o, and of the stored ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) values: usize,
    below: [usize; EDGES.len()],
    zeros: usize,
    /// Values of exactly 1, and whether there are lower ones.
    ones: usize,
    any_below_one: bool,
    /// Stored values near zero, and how many of these are multiples of 2⁻⁸.
    near_zero: usize,
    on_grid: usize,
}

/// How γ differs from w + o.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lies {
    /// The values are γ.
    Right,
    /// The values are γ + 1.
    OneAbove,
    /// The values are γ − 1.
    OneBelow,
}

impl Fit {
    pub(super) fn of(stored: &[f64], offset: f64) -> Self {
        let mut fit = Self { values: stored.len(), ..Self::default() };
        for &value in stored {
            let scale = value + offset;
            for (below, edge) in fit.below.iter_mut().zip(EDGES) {
                *below += usize::from(scale < edge);
            }
            fit.zeros += usize::from(scale == 0.0);
            fit.ones += usize::from(scale == 1.0);
            fit.any_below_one |= scale < 1.0;
            if NEAR_ZERO.contains(&value.abs()) {
                fit.near_zero += 1;
                fit.on_grid += usize::from((value / GRID).fract() == 0.0);
            }
        }
        fit
    }

    pub(super) fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |mut sum, fit| {
            sum.values += fit.values;
            sum.below.iter_mut().zip(fit.below).for_each(|(sum, below)| *sum += below);
            sum.zeros += fit.zeros;
            sum.ones += fit.ones;
            sum.any_below_one |= fit.any_below_one;
            sum.near_zero += fit.near_zero;
            sum.on_grid += fit.on_grid;
            sum
        })
    }

    fn share(&self, edge: usize) -> f64 {
        self.below[edge] as f64 / self.values as f64
    }

    /// Whether half of the values lie below this edge.
    fn half_below(&self, edge: usize) -> bool {
        2 * self.below[edge] >= self.values
    }

    /// Whether every value switches its channel off: an untrained γ − 1 taken for γ.
    pub(super) fn is_zero(&self) -> bool {
        self.zeros == self.values
    }

    fn hardly_below_minus_one(&self) -> bool {
        self.below[BELOW_MINUS_ONE] as f64 <= super::storage::BEYOND_FRACTION * self.below[NEGATIVE] as f64
    }

    /// Judges many norms of a model together.
    pub(super) fn lies(&self) -> Lies {
        if self.is_zero() || (self.share(NEGATIVE) >= MOST_NEGATIVE && self.hardly_below_minus_one()) {
            Lies::OneBelow
        } else if self.share(BELOW_ONE) <= LEAST_BELOW_ONE && !self.half_below(ABOVE_ONE) {
            Lies::OneAbove
        } else {
            Lies::Right
        }
    }

    /// Whether one norm has too many negative values. A norm can be below the others of its model for good reasons, but hardly
    /// negative.
    pub(super) fn is_negative(&self) -> bool {
        self.share(NEGATIVE) >= MOST_NEGATIVE_OF_ONE && self.hardly_below_minus_one()
    }

    /// Whether the values look like γ − 1 with a 1 added: on both sides of 1, hardly below 0, and around 1.
    pub(super) fn has_one_missing(&self) -> bool {
        let (below_one, negative) = (self.below[BELOW_ONE] as f64, self.below[NEGATIVE] as f64);
        below_one >= MOST_NEGATIVE_OF_ONE * self.values as f64
            && negative <= super::storage::BEYOND_FRACTION * below_one
            && self.is_around_one()
    }

    fn is_around_one(&self) -> bool {
        !self.half_below(HALF) && self.half_below(ONE_AND_A_HALF)
    }

    /// Whether the values look like γ + 1 of a γ around 1.
    pub(super) fn is_around_two(&self) -> bool {
        self.lies() == Lies::OneAbove && !self.half_below(ONE_AND_A_HALF) && self.half_below(TWO_AND_A_HALF)
    }

    /// Number of values below the edge that the sentence about them names: 0 for values that should be positive, 1 for γ + 1.
    pub(super) fn below_edge(&self, lies: Lies) -> usize {
        self.below[if lies == Lies::OneAbove { BELOW_ONE } else { NEGATIVE }]
    }

    /// Whether every stored value near 0 is a multiple of 2⁻⁸, as those of BF16 numbers plus 1 are.
    pub(super) fn is_coarse(&self) -> bool {
        self.near_zero >= ENOUGH_NEAR_ZERO && self.on_grid == self.near_zero
    }

    /// Whether the values show that no 1 was added: some near 0 are not the sum of a BF16 number and 1, a channel is exactly off,
    /// or too many lie below 1 for a γ + 1.
    pub(super) fn is_without_one(&self) -> bool {
        self.has_zeros()
            || (self.near_zero >= ENOUGH_NEAR_ZERO && !self.is_coarse())
            || self.share(BELOW_ONE) >= MOST_NEGATIVE
    }

    /// Whether it switches a channel off exactly.
    pub(super) fn has_zeros(&self) -> bool {
        self.zeros > 0
    }

    /// Whether its least value is exactly 1, as a γ of exactly 0 plus 1 is, and not every value is 1.
    pub(super) fn ends_at_one(&self) -> bool {
        self.ones > 0 && self.ones < self.values && !self.any_below_one
    }

    /// Whether most stored values near 0 are off the grid, as in numbers that nothing was added to.
    pub(super) fn is_fine(&self) -> bool {
        self.near_zero >= FEW && 2 * self.on_grid < self.near_zero
    }
}
