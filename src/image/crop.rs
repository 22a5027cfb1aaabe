//! Takes the centre of an image, padded if the image is smaller.

use super::CHANNELS;
use super::decode::Rgb;

/// A step that crops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Where half a pixel goes.
    pub rounding: Rounding,
    /// The colour of the padding.
    pub fill: [u8; 3],
}

/// Where the centre is, if it does not fall on whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// transformers: crops half a pixel more at the end, and pads half a pixel more at the start.
    Transformers,
    /// torchvision and timm: half a pixel goes to the even side, and padding adds half a pixel more at the end.
    Torchvision,
}

impl Crop {
    /// Takes the centre of height × width.
    pub(super) fn apply(&self, image: &Rgb) -> Rgb {
        let (height, width) = (self.height as usize, self.width as usize);
        let (top, left) = (self.start(image.height, height), self.start(image.width, width));
        let mut values = self.fill.repeat(height * width);
        // Columns of the result that the image covers.
        let (from, to) =
            ((-left).max(0) as usize, (image.width as i64 - left).clamp(0, width as i64) as usize);
        for (row, target) in values.chunks_exact_mut(width * CHANNELS).enumerate() {
            let source = row as i64 + top;
            if source < 0 || source >= image.height as i64 || from >= to {
                continue;
            }
            let at = CHANNELS * (source as usize * image.width + (from as i64 + left) as usize);
            let wide = CHANNELS * (to - from);
            target[CHANNELS * from..CHANNELS * to].copy_from_slice(&image.values[at..at + wide]);
        }
        Rgb { width, height, values }
    }

    /// The first row or column of `size` that is in the result. Negative if the start is padded.
    fn start(&self, size: usize, wanted: usize) -> i64 {
        let spare = size as i64 - wanted as i64;
        match self.rounding {
            // Floor of the half: half a pixel more of padding at the start.
            Rounding::Transformers => spare.div_euclid(2),
            Rounding::Torchvision if spare < 0 => -(-spare / 2),
            Rounding::Torchvision => (spare as f64 / 2.0).round_ties_even() as i64,
        }
    }
}
