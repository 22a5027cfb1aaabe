//! Features of sounds in the order in which a convolution over time reads them, so that it becomes a linear map.

/// n × `channels` of count × `channels` × `frames`: frame after frame.
pub fn frame_by_frame(features: &[f32], channels: usize, frames: usize) -> Vec<f32> {
    let mut x = Vec::with_capacity(features.len());
    for sound in features.chunks_exact(channels * frames) {
        for frame in 0..frames {
            x.extend((0..channels).map(|channel| sound[channel * frames + frame]));
        }
    }
    x
}

/// A row for each place of a convolution over three frames, with a frame of zeros at either end of every sound: channels, and in each
/// its three frames. `x` is n × `channels`, sounds of `frames` frames one after the other.
pub fn windows(x: &[f32], [frames, channels]: [usize; 2], stride: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(3 * x.len().div_ceil(stride));
    for sound in x.chunks_exact(frames * channels) {
        for centre in (0..frames).step_by(stride) {
            for channel in 0..channels {
                let at = |frame: usize| sound.get(frame * channels + channel).copied().unwrap_or(0.0);
                rows.extend([centre.checked_sub(1).map_or(0.0, at), at(centre), at(centre + 1)]);
            }
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
        let found = windows(&x, [3, 2], 1);
        assert_eq!(found[..6], [0.0, 1.0, 2.0, 0.0, 10.0, 20.0]);
        assert_eq!(found[12..24], [2.0, 3.0, 0.0, 20.0, 30.0, 0.0, 0.0, 4.0, 5.0, 0.0, 40.0, 50.0]);
        assert_eq!(windows(&x, [3, 2], 2)[6..12], found[12..18], "every other frame");
    }
}
