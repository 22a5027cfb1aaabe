//! Fixed codes of positions: sines and cosines that no checkpoint needs to store.

/// Computes a code for each place of a sequence (t × `width`): alternating sines and cosines, as in Vaswani et al., Attention is all you
/// need, 2017. Computed in f64.
pub fn sines(length: usize, width: usize) -> Vec<f32> {
    let angle = |place: usize, channel: usize| {
        place as f64 / 10_000f64.powf((2 * (channel / 2)) as f64 / width as f64)
    };
    let value = |place, channel| match channel % 2 {
        0 => libm::sin(angle(place, channel)) as f32,
        _ => libm::cos(angle(place, channel)) as f32,
    };
    (0..length).flat_map(|place| (0..width).map(move |channel| value(place, channel))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_their_formulas() {
        let found = sines(3, 4);
        let expected = [0.0, 1.0, 0.0, 1.0, 0.841471, 0.540302, 0.00999983, 0.99995, 0.909297, -0.416147];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }
}
