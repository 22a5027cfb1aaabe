//! Sounds as input of an audio encoder: from the bytes of a file to log-mel features or a normalised waveform, as the feature
//! extractors of transformers prepare them.
//!
//! [`Extractor`] is what `preprocessor_config.json` asks for, as plain data. [`Extractor::sound`] goes from bytes to [`Features`].
//! docs/inputs.md has the rules and the measured differences.

mod decode;
mod extractor;
mod mel;
mod resample;

pub use decode::{MOST_RATE, MOST_SECONDS};
pub use extractor::{Extractor, Kind};
pub use mel::LogMel;

/// Features as an audio encoder reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// channels × length, the length fastest.
    pub values: Vec<f32>,
    /// Mel bins; 1 for a waveform.
    pub channels: usize,
    /// Frames of a spectrogram; samples of a waveform.
    pub length: usize,
    /// What the user should know about how they were made.
    pub notes: Vec<Note>,
}

/// Something that happened between a file and its features. `Display` makes a sentence of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Several channels became one.
    Averaged {
        /// How many there were.
        channels: usize,
    },
    /// The file has another rate than the model.
    Resampled {
        /// The file's, in Hz.
        from: u32,
        /// The model's, in Hz.
        to: u32,
    },
    /// The model reads a fixed time, and the sound is shorter.
    Padded {
        /// The model's time.
        seconds: u32,
    },
    /// The model reads a fixed time, or the sound is longer than [`MOST_SECONDS`].
    Cut {
        /// What is left.
        seconds: u32,
    },
    /// Every sample has the same value.
    Silent,
    /// Some packets could not be decoded and are left out.
    Damaged {
        /// How many.
        packets: usize,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Averaged { channels } => write!(f, "the mean of {channels} channels"),
            Self::Resampled { from, to } => {
                write!(f, "resampled from {} kHz to {} kHz", kilo(*from), kilo(*to))
            }
            Self::Padded { seconds } => write!(f, "padded with silence to {seconds} s"),
            Self::Cut { seconds } => write!(f, "the first {seconds} s"),
            Self::Silent => f.write_str("the sound is silent"),
            Self::Damaged { packets } => write!(f, "{packets} damaged packets are left out"),
        }
    }
}

fn kilo(hertz: u32) -> f64 {
    f64::from(hertz) / 1000.0
}

/// Why there are no features.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AudioError {
    /// The file has no format that is read.
    #[error("`{name}` is not a sound that can be read ({reason}): give WAV, FLAC, MP3 or Ogg Vorbis")]
    UnknownFormat {
        /// The file.
        name: String,
        /// The decoder's own words.
        reason: String,
    },
    /// A file without samples.
    #[error("`{name}` has no samples: give a sound of at least one")]
    Empty {
        /// The file.
        name: String,
    },
    /// A rate that no sound has.
    #[error("`{name}` has {rate} samples a second, and from 1 to {MOST_RATE} are read: convert it to 16 kHz")]
    Rate {
        /// The file.
        name: String,
        /// Samples a second.
        rate: u32,
    },
    /// Some samples are not finite numbers.
    #[error("`{name}` has samples that are infinite or not numbers: save it with 16 bits a sample")]
    NotFinite {
        /// The file.
        name: String,
    },
    /// The resampler gave up.
    #[error("`{name}` cannot be resampled from {from} Hz to {to} Hz ({reason}): convert it to {to} Hz")]
    Resampling {
        /// The file.
        name: String,
        /// Its rate.
        from: u32,
        /// The model's rate.
        to: u32,
        /// The resampler's own words.
        reason: String,
    },
    /// The configuration is not a JSON object.
    #[error("`{path}` is not a JSON object ({reason}): take it from the checkpoint again")]
    NotJson {
        /// The file.
        path: String,
        /// What the parser found.
        reason: String,
    },
    /// The configuration names no extractor.
    #[error(
        "`{path}` names no feature extractor: add the field feature_extractor_type, such as \"WhisperFeatureExtractor\""
    )]
    NoExtractor {
        /// The file.
        path: String,
    },
    /// The configuration names another extractor.
    #[error(
        "`{path}` asks for {class}, which is not supported; supported are WhisperFeatureExtractor and Wav2Vec2FeatureExtractor"
    )]
    UnknownExtractor {
        /// The file.
        path: String,
        /// What the file names.
        class: String,
    },
    /// A field that may change the features, and that Gammascope does not know.
    #[error(
        "`{path}` has {field} = {value}, which may change the features and is not supported: remove it if it does nothing"
    )]
    UnknownField {
        /// The file.
        path: String,
        /// The field.
        field: String,
        /// What it says.
        value: String,
    },
    /// A field with an impossible value.
    #[error("`{path}` has {field} = {value}, and {expected} is expected")]
    BadField {
        /// The file.
        path: String,
        /// The field.
        field: String,
        /// What it says.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
}
