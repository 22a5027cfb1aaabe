//! Routing: which experts process a token, and with what weights.

use super::elementary::sigmoid;
use crate::model::operation::Gate;

/// Returns the `chosen` experts with the greatest weights for one token, from the router's output. Experts of equal weight keep their order.
/// If `normalised`, their weights sum to one.
pub fn route(scores: &[f32], gate: Gate, chosen: usize, normalised: bool) -> Vec<(usize, f32)> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |score: &f32| match gate {
        Gate::Softmax => (score - most).exp(),
        Gate::Sigmoid => sigmoid(*score),
    };
    let mut weights: Vec<(usize, f32)> = scores.iter().map(weight).enumerate().collect();
    if gate == Gate::Softmax {
        divide(&mut weights);
    }
    weights.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    weights.truncate(chosen);
    if normalised {
        divide(&mut weights);
    }
    weights
}

fn divide(weights: &mut [(usize, f32)]) {
    let sum: f32 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_chosen_and_their_weights_sum_to_one_if_normalised() {
        let scores = [0.0, 2f32.ln(), 5f32.ln(), -1e30];
        let close = |found: Vec<(usize, f32)>, expected: [(usize, f32); 2]| {
            found.len() == 2
                && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6)
        };
        assert!(close(route(&scores, Gate::Softmax, 2, false), [(2, 0.625), (1, 0.25)]));
        assert!(close(route(&scores, Gate::Softmax, 2, true), [(2, 5.0 / 7.0), (1, 2.0 / 7.0)]));
        assert!(close(route(&scores, Gate::Sigmoid, 2, false), [(2, 5.0 / 6.0), (1, 2.0 / 3.0)]));
    }
}
