//! Finds how the scales of a model are stored from their values alone, for sites without a configuration or layout that says it.

use super::group::{Key, key};
use crate::norm::site::NormSite;
use crate::order;

/// Scales stored around zero have at least this many values between −1.05 and −0.5.
const LOW_VALUES: usize = 16;
/// They have at most this fraction as many below −1.05: an effective scale is rarely negative. Measured: Gemma-3-270M (1 + w)
/// 3,085 and 97; SmolLM2-135M (w) 0 and 2; all-MiniLM-L6-v2 (w) 0 and 0.
pub(super) const BEYOND_FRACTION: f64 = 0.2;
/// Or at least this share of them is negative, out of at least `FEW`. Of 10 trained models that store γ, none has more than 2 %
/// negative values. About half of the values are negative in scales around 0 that were trained for a short time.
const NEGATIVE_SHARE: f64 = 0.2;
const FEW: usize = 64;

/// How the scales of a model are stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Storage {
    /// Counts of the same norm in all blocks. Sorted.
    groups: Vec<(Key, Tally)>,
    /// Counts of all groups together, for groups that are too small.
    whole: Tally,
}

/// Counts of the values of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// In all.
    values: usize,
    /// Below zero.
    negative: usize,
    /// −1.05 to −0.5.
    low: usize,
    /// Below −1.05.
    beyond: usize,
    /// Exactly zero.
    zeros: usize,
}

impl Storage {
    /// Counts the values of each site whose stored scale could be read.
    pub(super) fn of<'a>(stored: impl Iterator<Item = (&'a NormSite, &'a [f64])>) -> Self {
        let mut whole = Tally::default();
        let mut groups = Vec::new();
        for (key, stored) in order::groups(stored.map(|(site, values)| (key(site), values))) {
            let mut tally = Tally::default();
            stored.into_iter().for_each(|values| tally.add(values));
            whole.merge(tally);
            groups.push((key, tally));
        }
        Self { groups, whole }
    }

    /// Whether a site's scale is stored around zero, as γ − 1. `None` if the values could be either. Only the scale of a norm is
    /// positive as a rule (`is_norm`): a LayerScale has either sign.
    pub(super) fn around_zero(&self, site: &NormSite, is_norm: bool) -> Option<bool> {
        let own = self.groups.binary_search_by_key(&&key(site), |(key, _)| key).ok();
        let own = own.and_then(|found| self.groups[found].1.around_zero(is_norm));
        own.or_else(|| self.whole.around_zero(is_norm))
    }
}

impl Tally {
    pub(crate) fn add(&mut self, values: &[f64]) {
        self.values += values.len();
        for &value in values {
            self.negative += usize::from(value < 0.0);
            self.low += usize::from((-1.05..-0.5).contains(&value));
            self.beyond += usize::from(value < -1.05);
            self.zeros += usize::from(value == 0.0);
        }
    }

    fn merge(&mut self, other: Self) {
        self.values += other.values;
        self.negative += other.negative;
        self.low += other.low;
        self.beyond += other.beyond;
        self.zeros += other.zeros;
    }

    /// Whether they look like scales stored as γ − 1.
    pub(crate) fn reaches_down_to_minus_one(self) -> bool {
        self.low >= LOW_VALUES && self.beyond as f64 <= BEYOND_FRACTION * self.low as f64
    }

    /// Whether they look like scales stored as γ − 1 that training hardly moved.
    fn has_both_signs(self) -> bool {
        let negative = self.negative as f64;
        self.values >= FEW
            && negative >= NEGATIVE_SHARE * self.values as f64
            && self.beyond as f64 <= BEYOND_FRACTION * negative
    }

    /// `None` if the values are too few or could be either.
    fn around_zero(self, is_norm: bool) -> Option<bool> {
        if self.zeros == self.values {
            // An untrained 1 + w; as w it would switch the site off.
            return Some(true);
        }
        if self.reaches_down_to_minus_one() || (is_norm && self.has_both_signs()) {
            return Some(true);
        }
        (self.negative == 0 || self.beyond > self.low).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[f64]) -> Option<bool> {
        let mut tally = Tally::default();
        tally.add(values);
        tally.around_zero(true)
    }

    #[test]
    fn values_that_reach_down_to_minus_one_are_stored_around_zero() {
        let stored: Vec<f64> = (0..64).map(|i| f64::from(i) / 32.0 - 1.0).collect();
        assert_eq!(tally(&stored), Some(true));
        let negative: Vec<f64> = stored.iter().map(|value| 3.0 * value).collect();
        assert_eq!(tally(&negative), Some(false));
    }

    #[test]
    fn small_values_of_both_signs_are_stored_around_zero_at_a_norm() {
        let stored: Vec<f64> = (0..64).map(|i| (f64::from(i) - 31.5) / 200.0).collect();
        assert_eq!(tally(&stored), Some(true));
        assert_eq!(tally(&stored[..32]), None, "too few");
        let mut layer_scale = Tally::default();
        layer_scale.add(&stored);
        assert_eq!(layer_scale.around_zero(false), None);
    }

    #[test]
    fn a_few_negative_scales_do_not_make_it_one_plus() {
        let mut stored = vec![0.9; 64];
        stored[3] = -0.01;
        assert_eq!(tally(&stored), None);
        stored[4] = -2.1;
        assert_eq!(tally(&stored), Some(false));
    }

    #[test]
    fn ones_are_an_untrained_w_and_zeros_an_untrained_one_plus_w() {
        assert_eq!((tally(&[1.0; 8]), tally(&[0.0; 8])), (Some(false), Some(true)));
    }
}
