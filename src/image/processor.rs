//! What happens to an image before a patch embedding reads it, as plain data, and the code that does it.

use super::crop::Crop;
use super::decode::{Rgb, decode};
use super::resize::Resize;
use super::{CHANNELS, ImageError, Note, Pixels};

/// What happens to an image before a patch embedding reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    /// Steps on 8 bits a channel, in order.
    pub steps: Vec<Step>,
    /// The factor for values of 0 to 255.
    pub rescale: Option<f64>,
    /// What happens to the values after that.
    pub normalise: Option<Normalise>,
    /// Whether the configuration asks for tiles of the image too, which are not made.
    pub tiles: bool,
}

/// A step on 8 bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Resizes to another size.
    Resize(Resize),
    /// Takes the centre.
    Crop(Crop),
}

/// (value - mean) / deviation, by channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalise {
    /// The mean.
    pub mean: [f32; CHANNELS],
    /// The standard deviation.
    pub deviation: [f32; CHANNELS],
}

impl Processor {
    /// The image of a file as pixels: 1 × channels × height × width.
    pub fn image(&self, name: &str, bytes: &[u8]) -> Result<Pixels, ImageError> {
        let (image, mut notes) = self.prepared(name, bytes)?;
        notes.extend(self.tiles.then_some(Note::OneTile));
        Ok(self.pixels(&[image], notes))
    }

    /// The image of a file after all steps, of 8 bits a channel.
    pub(super) fn prepared(&self, name: &str, bytes: &[u8]) -> Result<(Rgb, Vec<Note>), ImageError> {
        let (image, notes) = decode(name, bytes)?;
        let apply = |image: Rgb, step: &Step| match step {
            Step::Resize(resize) => resize.apply(name, image),
            Step::Crop(crop) => Ok(crop.apply(&image)),
        };
        Ok((self.steps.iter().try_fold(image, apply)?, notes))
    }

    /// Makes pixels of images of one size with 8 bits a channel.
    pub(super) fn pixels(&self, images: &[Rgb], notes: Vec<Note>) -> Pixels {
        let (height, width) = images.first().map_or((0, 0), |image| (image.height, image.width));
        let tables = self.tables();
        let planes = images.iter().flat_map(|image| {
            let plane = |(channel, table): (usize, &[f32; 256])| {
                let pixels = image.values.iter().skip(channel).step_by(CHANNELS);
                pixels.map(|&value| table[usize::from(value)]).collect::<Vec<f32>>()
            };
            tables.iter().enumerate().map(plane).collect::<Vec<_>>()
        });
        let values = planes.collect::<Vec<_>>().concat();
        Pixels { values, count: images.len(), channels: CHANNELS, height, width, notes }
    }

    /// What each of the 256 values becomes, by channel: the factor in f64, the rest in f32, as in transformers.
    fn tables(&self) -> [[f32; 256]; CHANNELS] {
        std::array::from_fn(|channel| {
            std::array::from_fn(|value| {
                let value = self.rescale.map_or(value as f32, |factor| (value as f64 * factor) as f32);
                self.normalise.map_or(value, |by| (value - by.mean[channel]) / by.deviation[channel])
            })
        })
    }
}
