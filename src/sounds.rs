//! Inputs of a sound model: features of sound files, or noise without files.

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
    /// Description for the report.
    pub what: String,
}

/// Why files cannot become features.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SoundError {
    /// The sound, or the configuration that says how sounds are prepared, is unusable.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The configuration could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// More noise is needed than is made.
    #[error(transparent)]
    Noise(#[from] PixelError),
    /// There is no configuration for preparing sounds.
    #[error(
        "no file beside the weights says how sounds are prepared: add the model's preprocessor_config.json"
    )]
    NoExtractor,
    /// No sound was given.
    #[error("no sound was given: choose at least one")]
    NoSounds,
}

/// Prepares sound files and cuts each to the length of the shortest: a pass takes sequences of one length, and it would also measure
/// silence at the end. Warnings say what was changed on the way.
pub fn of_files(
    files: &[MemorySource],
    extractor: &Extractor,
) -> Result<(SoundFeatures, Vec<Warning>), SoundError> {
    let prepare =
        |file: &MemorySource| Ok((file.path().to_owned(), extractor.sound(file.path(), file.bytes())?));
    let sounds = files.iter().map(prepare).collect::<Result<Vec<_>, AudioError>>()?;
    let shortest = sounds.iter().min_by_key(|(_, sound)| sound.length).ok_or(SoundError::NoSounds)?;
    let (channels, frames) = (shortest.1.channels, shortest.1.length);
    let (mut values, mut warnings) = (Vec::new(), Vec::new());
    for (name, sound) in &sounds {
        let mut warn = |what: String| {
            warnings.push(Warning::new(WarningCode::SoundChanged, name, format!("{name}: {what}")));
        };
        sound.notes.iter().for_each(|note| warn(note.to_string()));
        if sound.length > frames {
            let length = sound.length;
            let short = &shortest.0;
            warn(format!(
                "the first {frames} of {length} samples, because {short} has no more, and all sounds run at one length"
            ));
        }
        values.extend(sound.values.chunks_exact(sound.length).flat_map(|channel| &channel[..frames]));
    }
    let what = match files {
        [file] => format!("the sound {}", file.path()),
        _ => format!("{} sounds", files.len()),
    };
    Ok((SoundFeatures { values, shape: [files.len(), channels, frames], what }, warnings))
}

/// How the checkpoint says that sounds are prepared: by its `preprocessor_config.json`. All Whisper models prepare them alike except
/// for the number of `channels`, so one without that file is read like the others.
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

/// Noise with a 1/f spectrum in place of features, with mean 0 and deviation 1. It is the same on every machine.
pub fn noise(shape: [usize; 3]) -> Result<SoundFeatures, SoundError> {
    let [count, channels, frames] = shape;
    let values = pixel_noise([count, 1, 1, channels, frames])?.values;
    Ok(SoundFeatures {
        values,
        shape,
        what: "noise with a 1/f spectrum instead of features of sounds".to_owned(),
    })
}
