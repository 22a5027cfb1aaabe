//! Weights that are stored as a direction and a length.

/// Replaces v by g ⊙ v/‖v‖. `gain` has a value for each place of the last dimension, and the length of v is taken separately at each
/// place.
pub fn weight_norm(direction: &mut [f32], gain: &[f32]) {
    let mut squares = vec![0.0f64; gain.len()];
    for row in direction.chunks_exact(gain.len()) {
        squares.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value).powi(2));
    }
    let factors: Vec<f64> =
        gain.iter().zip(squares).map(|(gain, squares)| f64::from(*gain) / squares.sqrt()).collect();
    for row in direction.chunks_exact_mut(gain.len()) {
        row.iter_mut().zip(&factors).for_each(|(value, factor)| *value = (f64::from(*value) * factor) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_the_length_of_its_gain_at_each_place() {
        // Two places: v is (3, 4) and (0, 2).
        let mut weight = [3.0, 0.0, 4.0, 2.0];
        weight_norm(&mut weight, &[10.0, -1.0]);
        assert_eq!(weight, [6.0, 0.0, 8.0, -1.0]);
    }
}
