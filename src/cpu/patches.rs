//! Puts pixels into an order in which a convolution whose stride equals its kernel becomes a linear map.

/// Some images or videos: count × frames × channels × rows × columns values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Number of images or videos.
    pub count: usize,
    /// Channels of each frame.
    pub channels: usize,
    /// Frames, rows and columns.
    pub size: [usize; 3],
    /// Frames, rows and columns of a patch.
    pub patch: [usize; 3],
}

impl Canvas {
    /// Patches of each image, in frames, rows and columns. A remainder at an end is left out.
    pub fn grid(&self) -> [usize; 3] {
        std::array::from_fn(|side| self.size[side] / self.patch[side])
    }

    /// Makes a row for each patch, image by image, in frames, then rows, then columns of patches. A row has the channels, and in each its
    /// frames, rows and columns.
    pub fn patches(&self, pixels: &[f32]) -> Vec<f32> {
        let Self { count, channels, size: [frames, height, width], patch: [deep, high, wide] } = *self;
        let [of_frames, of_rows, of_columns] = self.grid();
        let patches = count * of_frames * of_rows * of_columns;
        let mut values = Vec::with_capacity(patches * channels * deep * high * wide);
        for patch in 0..patches {
            let (image, within) =
                (patch / (of_frames * of_rows * of_columns), patch % (of_frames * of_rows * of_columns));
            let (first_frame, within) =
                (within / (of_rows * of_columns) * deep, within % (of_rows * of_columns));
            let (first_row, column) = (within / of_columns * high, within % of_columns * wide);
            for channel in 0..channels {
                for frame in first_frame..first_frame + deep {
                    for row in first_row..first_row + high {
                        let plane = (image * frames + frame) * channels + channel;
                        let at = (plane * height + row) * width + column;
                        values.extend_from_slice(&pixels[at..at + wide]);
                    }
                }
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_channels_then_rows_then_columns_and_a_rest_belongs_to_none() {
        // Each value is its channel, row and column.
        let canvas = Canvas { count: 2, channels: 2, size: [1, 4, 5], patch: [1, 2, 2] };
        let mut pixels = Vec::new();
        for image in 0..2 {
            for channel in 0..2 {
                for row in 0..4 {
                    pixels.extend(
                        (0..5).map(|column| (1000 * image + 100 * channel + 10 * row + column) as f32),
                    );
                }
            }
        }
        let found = canvas.patches(&pixels);
        assert_eq!(canvas.grid(), [1, 2, 2]);
        assert_eq!(found.len(), 2 * 4 * 8);
        assert_eq!(found[..8], [0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 110.0, 111.0]);
        assert_eq!(found[8..12], [2.0, 3.0, 12.0, 13.0], "the next column of patches");
        assert_eq!(found[16..20], [20.0, 21.0, 30.0, 31.0], "the next row of patches");
        assert_eq!(found[32..36], [1000.0, 1001.0, 1010.0, 1011.0], "the next image");
    }

    #[test]
    fn a_patch_of_a_video_has_the_frames_of_a_channel_together() {
        let canvas = Canvas { count: 1, channels: 2, size: [4, 1, 1], patch: [2, 1, 1] };
        // Frame after frame, as videos are stored: channel 0 and 1 of each.
        let pixels = [0.0, 100.0, 1.0, 101.0, 2.0, 102.0, 3.0, 103.0];
        assert_eq!(canvas.patches(&pixels), [0.0, 1.0, 100.0, 101.0, 2.0, 3.0, 102.0, 103.0]);
    }
}
