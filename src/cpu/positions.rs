//! Fixed codes of positions: sines and cosines that no checkpoint needs to store.

/// A code for each place of a sequence (t × `width`): sines and cosines in turn, as in Vaswani et al., Attention is all you need,
/// 2017, computed in f64.
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

/// A code for each place of a grid of `rows` × `columns` (t × `width`), for MAE: a quarter of the channels is the sines of the
/// column, a quarter its cosines, and the other half is of the row (He et al., Masked autoencoders, 2022).
pub fn sines_of_grid([rows, columns]: [usize; 2], width: usize) -> Vec<f32> {
    let quarter = width / 4;
    let value = |row: usize, column: usize, channel: usize| {
        let place = if channel / (2 * quarter.max(1)) == 0 { column } else { row };
        let (part, pair) = (channel / quarter.max(1) % 2, channel % quarter.max(1));
        let angle = place as f64 / 10_000f64.powf(pair as f64 / quarter as f64);
        if part == 0 { libm::sin(angle) as f32 } else { libm::cos(angle) as f32 }
    };
    let places = (0..rows * columns).map(|place| (place / columns, place % columns));
    places
        .flat_map(|(row, column)| (0..4 * quarter).map(move |channel| value(row, column, channel)))
        .collect()
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
        // transformers' get_2d_sincos_pos_embed(8, 2), its last row: row 1, column 1.
        let found = sines_of_grid([2, 2], 8);
        let last = [0.841471, 0.00999983, 0.540302, 0.99995];
        for (found, expected) in found[24..].iter().zip(last.into_iter().chain(last)) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        assert_eq!(found[8..12], found[24..28], "row 0, column 1");
        assert_eq!(found[12..16], [0.0, 0.0, 1.0, 1.0]);
    }
}
