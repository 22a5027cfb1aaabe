//! Puts features of sounds into an order in which a convolution over time becomes a linear map.

use crate::model::architecture::Reach;
use std::ops::Range;

/// Transposes count × `channels` × `frames` to n × `channels`, frame after frame.
pub fn frame_by_frame(features: &[f32], channels: usize, frames: usize) -> Vec<f32> {
    let mut x = Vec::with_capacity(features.len());
    for sound in features.chunks_exact(channels * frames) {
        for frame in 0..frames {
            x.extend((0..channels).map(|channel| sound[channel * frames + frame]));
        }
    }
    x
}

/// Makes a row for each of these `places` of a convolution over the frames of one sound. A row has the channels, and in each the frames
/// that the convolution reads at this place.
///
/// `x` is frames × `channels`, beginning with frame `first`. It has the frames [`Reach::inputs`] of the places; frames beyond them count
/// as zero.
pub fn windows(x: &[f32], channels: usize, first: usize, reach: Reach, places: Range<usize>) -> Vec<f32> {
    let Reach { kernel, stride, padding } = reach;
    let frames = x.len() / channels;
    let mut rows = Vec::with_capacity(places.len() * channels * kernel);
    for place in places {
        // Frames of padding come before the first frame, 0.
        let begin = place * stride;
        for channel in 0..channels {
            let at = |frame: usize| {
                let frame = frame.checked_sub(padding + first).filter(|frame| *frame < frames);
                frame.map_or(0.0, |frame| x[frame * channels + channel])
            };
            rows.extend((begin..begin + kernel).map(at));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_frames_of_a_channel_together_and_zeros_beyond_the_ends() {
        // Two sounds of two channels and three frames.
        let features = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 4.0, 5.0, 6.0, 40.0, 50.0, 60.0];
        let x = frame_by_frame(&features, 2, 3);
        assert_eq!(x[..6], [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        let reach = Reach { kernel: 3, stride: 1, padding: 1 };
        let found = windows(&x[..6], 2, 0, reach, 0..3);
        assert_eq!(found[..6], [0.0, 1.0, 2.0, 0.0, 10.0, 20.0]);
        assert_eq!(found[12..], [2.0, 3.0, 0.0, 20.0, 30.0, 0.0]);
        let other = Reach { stride: 2, ..reach };
        assert_eq!(windows(&x[..6], 2, 0, other, 0..2)[6..], found[12..], "every other frame");
        // The last place of the second sound alone. It reads the last two frames.
        let inputs = reach.inputs(&(2..3), 3);
        assert_eq!(inputs, 1..3);
        assert_eq!(windows(&x[8..], 2, inputs.start, reach, 2..3), [5.0, 6.0, 0.0, 50.0, 60.0, 0.0]);
    }

    #[test]
    fn places_in_pieces_read_what_all_of_them_read() {
        for (kernel, stride, padding) in [(3, 2, 1), (10, 5, 0), (2, 2, 0), (4, 1, 2), (1, 3, 0)] {
            let reach = Reach { kernel, stride, padding };
            let x: Vec<f32> = (1..=2 * 37).map(|value| value as f32).collect();
            let places = reach.outputs(37);
            let whole = windows(&x, 2, 0, reach, 0..places);
            let pieces = (0..places).step_by(3).flat_map(|from| {
                let piece = from..(from + 3).min(places);
                let inputs = reach.inputs(&piece, 37);
                windows(&x[2 * inputs.start..2 * inputs.end], 2, inputs.start, reach, piece)
            });
            assert_eq!(pieces.collect::<Vec<_>>(), whole, "{reach:?}");
        }
    }
}
