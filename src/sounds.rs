//! Inputs of a model that reads sounds: features of sound files, or noise without them.

use crate::audio::{AudioError, Extractor};
use crate::checkpoint::{Checkpoint, formats};
use crate::pixels::{PixelError, noise as pixel_noise};
use crate::report::{Warning, WarningCode};
use crate::source::memory::MemorySource;
use crate::source::{ByteSource, SourceError};
use serde_json::json;

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

/// Why files give no features.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SoundError {
    /// As a sound, or the configuration that says how sounds are prepared.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The configuration could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// More noise than is made.
    #[error(transparent)]
    Noise(#[from] PixelError),
    /// Nothing says how sounds are prepared.
    #[error(
        "no file beside the weights says how sounds are prepared: add the model's preprocessor_config.json"
    )]
    NoExtractor,
    /// No sound.
    #[error("no sound was given: choose at least one")]
    NoSounds,
    /// Sounds that come out at different lengths.
    #[error(
        "`{name}` becomes {length} frames and the sounds before it {before}: the model's feature extractor keeps their lengths, so give sounds of one length"
    )]
    Lengths {
        /// The first sound that differs.
        name: String,
        /// Its frames.
        length: usize,
        /// Those of the sounds before it.
        before: usize,
    },
}

/// What was prepared of sound files. Warnings say what was changed on the way.
pub fn of_files(
    files: &[MemorySource],
    extractor: &Extractor,
) -> Result<(SoundFeatures, Vec<Warning>), SoundError> {
    let (mut values, mut warnings, mut shape) = (Vec::new(), Vec::new(), None);
    for file in files {
        let name = file.path();
        let sound = extractor.sound(name, file.bytes())?;
        let message = |note| format!("{name}: {note}");
        let notes =
            sound.notes.iter().map(|note| Warning::new(WarningCode::SoundChanged, name, message(note)));
        warnings.extend(notes);
        let [_, before] = *shape.get_or_insert([sound.channels, sound.length]);
        if sound.length != before {
            return Err(SoundError::Lengths { name: name.to_owned(), length: sound.length, before });
        }
        values.extend(sound.values);
    }
    let [channels, frames] = shape.ok_or(SoundError::NoSounds)?;
    let what = match files {
        [file] => format!("the sound {}", file.path()),
        _ => format!("{} sounds", files.len()),
    };
    Ok((SoundFeatures { values, shape: [files.len(), channels, frames], what }, warnings))
}

/// How the checkpoint wants sounds prepared: by its `preprocessor_config.json`. Every Whisper prepares them alike except for the number
/// of `channels`, so one without that file is read as the others.
pub async fn extractor<S: ByteSource>(
    checkpoint: &Checkpoint<S>,
    family: &str,
    channels: usize,
) -> Result<Extractor, SoundError> {
    if let Some(read) = checkpoint.for_run(formats::PREPROCESSOR).await {
        let (path, bytes) = read?;
        return Ok(Extractor::parse(&path, &bytes)?);
    }
    if family != "whisper" {
        return Err(SoundError::NoExtractor);
    }
    let usual = json!({ "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": channels });
    Ok(Extractor::parse("the usual preprocessor of Whisper", usual.to_string().as_bytes())?)
}

/// Noise with a 1/f spectrum in the place of features, of mean 0 and deviation 1, the same on every machine.
pub fn noise(shape: [usize; 3]) -> Result<SoundFeatures, SoundError> {
    let [count, channels, frames] = shape;
    let values = pixel_noise([count, 1, 1, channels, frames])?.values;
    Ok(SoundFeatures {
        values,
        shape,
        what: "noise with a 1/f spectrum instead of features of sounds".to_owned(),
    })
}
