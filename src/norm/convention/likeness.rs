//! Finds a norm whose scale is that of the same norm in other blocks, plus or minus one.

use crate::order;

/// Three quantiles of a scale.
pub(super) type Quantiles = [f64; 3];
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];

/// Norms are alike if no quantile differs by more. Trained norms of one place differ more from block to block in Gemma-3-270M and
/// Whisper, about which nothing is reported, and less in SmolLM2 and MiniLM.
const ALIKE: f64 = 0.25;
/// This share of a group must be alike before a norm that is not alike is reported.
const AGREEMENT: f64 = 2.0 / 3.0;
/// Fewer norms are not a group.
pub(super) const LEAST: usize = 4;

/// This many values, evenly spaced, give quantiles that are near enough.
const ENOUGH: usize = 512;

/// The quantiles of a scale with at least one value.
pub(super) fn quantiles(scale: &[f64]) -> Quantiles {
    let mut values: Vec<f64> = scale.iter().step_by(scale.len().div_ceil(ENOUGH)).copied().collect();
    order::sort_by(&mut values, f64::total_cmp);
    SHARES.map(|share| values[(share * (values.len() - 1) as f64).round() as usize])
}

/// What most of a group have in common. `None` if they are too few or too different.
pub(super) fn common(group: &[Quantiles]) -> Option<Quantiles> {
    if group.len() < LEAST {
        return None;
    }
    let middle = |at: usize| quantiles(&group.iter().map(|one| one[at]).collect::<Vec<_>>())[1];
    let common = [middle(0), middle(1), middle(2)];
    let alike = group.iter().filter(|one| is_shifted(one, &common, 0.0)).count();
    (alike as f64 >= AGREEMENT * group.len() as f64).then_some(common)
}

/// Whether a norm has what is common, plus `shift`.
pub(super) fn is_shifted(one: &Quantiles, common: &Quantiles, shift: f64) -> bool {
    one.iter().zip(common).all(|(one, common)| (one - common - shift).abs() <= ALIKE)
}
