//! Features of sounds to run a model on that reads them: noise, where nothing else makes them.

use crate::pixels::{PixelError, noise as pixel_noise};

/// Features of sounds of one length, as the model's feature extractor makes them.
#[derive(Debug, Clone, PartialEq)]
pub struct SoundFeatures {
    /// count × channels × frames values.
    pub values: Vec<f32>,
    /// Sounds, channels and frames.
    pub shape: [usize; 3],
    /// What they are, for the report.
    pub what: String,
}

/// Noise with a 1/f spectrum in the place of features, of mean 0 and deviation 1, the same on every machine.
pub fn noise(shape: [usize; 3]) -> Result<SoundFeatures, PixelError> {
    let [count, channels, frames] = shape;
    let values = pixel_noise([count, 1, 1, channels, frames])?.values;
    Ok(SoundFeatures {
        values,
        shape,
        what: "noise with a 1/f spectrum in the place of features of sounds".to_owned(),
    })
}
