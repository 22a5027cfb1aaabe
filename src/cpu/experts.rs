//! Routing: which experts process a token, and with what weights.

use super::elementary::sigmoid;
use crate::model::operation::Gate;

/// Added to the sum of sigmoids before the division (DeepSeek-V3's code). The sum of a softmax is never zero.
const TINY: f32 = 1e-20;

/// A router, resolved.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    /// How many experts process a token.
    pub chosen: usize,
    /// How scores become weights.
    pub gate: Gate,
    /// A number for each expert, which is added to its weight while experts are chosen.
    pub correction: Option<&'a [f32]>,
    /// Groups of experts, and of these, how many a token may choose from: those with the greatest sum of their two best. There is at
    /// least one expert in a group.
    pub groups: Option<[usize; 2]>,
    /// Whether the weights of the chosen experts sum to 1.
    pub normalised: bool,
    /// Factor of the weights after that.
    pub multiplier: f32,
    /// A number for each expert, which multiplies its weight after that.
    pub factors: Option<&'a [f32]>,
}

impl Router<'_> {
    /// Returns the chosen experts of one token and their weights, from the router's output for each expert. Experts of equal weight keep
    /// their order.
    pub fn route(&self, scores: &[f32]) -> Vec<(usize, f32)> {
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |score: &f32| match self.gate {
            Gate::Softmax => (score - most).exp(),
            Gate::Sigmoid => sigmoid(*score),
        };
        let mut weights: Vec<f32> = scores.iter().map(weight).collect();
        if self.gate == Gate::Softmax {
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        let mut ranks = weights.clone();
        for (rank, correction) in ranks.iter_mut().zip(self.correction.into_iter().flatten()) {
            *rank += correction;
        }
        if let Some([groups, of_groups]) = self.groups {
            self.keep_groups(&mut ranks, groups, of_groups);
        }
        let mut chosen: Vec<usize> = (0..scores.len()).collect();
        chosen.sort_by(|a, b| ranks[*b].total_cmp(&ranks[*a]));
        chosen.truncate(self.chosen);
        let mut divisor = 1.0;
        if self.normalised {
            divisor = chosen.iter().map(|expert| weights[*expert]).sum();
            if self.gate == Gate::Sigmoid {
                divisor += TINY;
            }
        }
        let factor = |expert: usize| self.factors.map_or(1.0, |factors| factors[expert]) * self.multiplier;
        chosen.into_iter().map(|expert| (expert, weights[expert] / divisor * factor(expert))).collect()
    }

    /// Sets the ranks of all experts to −∞ that are not in one of the best `kept` of `groups` groups.
    fn keep_groups(&self, ranks: &mut [f32], groups: usize, kept: usize) {
        let size = ranks.len() / groups;
        let mut sums: Vec<(usize, f32)> = ranks
            .chunks(size)
            .map(|group| {
                let mut group = group.to_vec();
                group.sort_by(|a, b| b.total_cmp(a));
                group.iter().take(2).sum()
            })
            .enumerate()
            .collect();
        sums.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        for (group, _) in sums.into_iter().skip(kept) {
            ranks[group * size..][..size].fill(f32::NEG_INFINITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[(usize, f32)], expected: &[(usize, f32)]) -> bool {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6)
    }

    const PLAIN: Router<'_> = Router {
        chosen: 2,
        gate: Gate::Softmax,
        correction: None,
        groups: None,
        normalised: false,
        multiplier: 1.0,
        factors: None,
    };

    #[test]
    fn the_greatest_are_chosen_and_their_weights_sum_to_one_if_normalised() {
        let scores = [0.0, 2f32.ln(), 5f32.ln(), -1e30];
        let normalised = Router { normalised: true, ..PLAIN };
        let sigmoid = Router { gate: Gate::Sigmoid, ..PLAIN };
        assert!(close(&PLAIN.route(&scores), &[(2, 0.625), (1, 0.25)]));
        assert!(close(&normalised.route(&scores), &[(2, 5.0 / 7.0), (1, 2.0 / 7.0)]));
        assert!(close(&sigmoid.route(&scores), &[(2, 5.0 / 6.0), (1, 2.0 / 3.0)]));
        let doubled = Router { multiplier: 2.0, ..normalised };
        assert!(close(&doubled.route(&scores), &[(2, 10.0 / 7.0), (1, 4.0 / 7.0)]));
        let own = Router { factors: Some(&[9.0, 0.5, 2.0, 9.0]), ..normalised };
        assert!(close(&own.route(&scores), &[(2, 10.0 / 7.0), (1, 1.0 / 7.0)]));
    }

    #[test]
    fn a_correction_changes_the_choice_and_not_the_weights() {
        let router = Router { gate: Gate::Sigmoid, correction: Some(&[0.0, -1.0, 0.0, 1.0]), ..PLAIN };
        // Sigmoids: 1/2, 2/3, 5/6, 1/2. Ranks: 1/2, −1/3, 5/6, 3/2.
        let scores = [0.0, 2f32.ln(), 5f32.ln(), 0.0];
        assert!(close(&router.route(&scores), &[(3, 0.5), (2, 5.0 / 6.0)]));
    }

    #[test]
    fn of_groups_those_with_the_best_pair_are_kept() {
        let router = Router { gate: Gate::Sigmoid, groups: Some([2, 1]), ..PLAIN };
        // The best expert is in the first group, the better pair in the second.
        let scores = [3.0, -9.0, -9.0, 1.0, 1.5, -9.0];
        let chosen: Vec<usize> = router.route(&scores).into_iter().map(|(expert, _)| expert).collect();
        assert_eq!(chosen, [4, 3]);
    }
}
