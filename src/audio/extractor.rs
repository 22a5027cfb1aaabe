//! What a `preprocessor_config.json` asks for, as plain data, and the code that does it.
//!
//! Absent fields have the values of transformers 5.24's classes.

use super::decode::{MOST_RATE, MOST_SECONDS, Sound, decode};
use super::mel::LogMel;
use super::resample::resample;
use super::{AudioError, Features, Note};
use serde_json::{Map, Value, json};

/// What happens to a sound before an encoder reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extractor {
    /// The model's samples a second.
    pub rate: u32,
    /// What is made of the samples.
    pub kind: Kind,
}

/// What an encoder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whisper's log-mel spectrogram.
    LogMel(LogMel),
    /// The samples, as wav2vec 2.0, HuBERT and WavLM read them.
    Waveform {
        /// Whether they get mean 0 and variance 1.
        normalise: bool,
    },
}

/// The number that transformers adds to the variance.
const EPSILON: f64 = 1e-7;
/// Limits of a configuration.
const MOST_WINDOW: u64 = 1 << 14;
const MOST_BINS: u64 = 1024;
/// Most values of a spectrogram: ten minutes in 128 bins.
const MOST_VALUES: u64 = 1 << 23;

/// Fields that do not change the features of a sound that is prepared alone: names, masks, which side is padded, what follows
/// from others.
const HARMLESS: [&str; 16] = [
    "_valid_processor_keys",
    "auto_map",
    "do_normalize",
    "feature_extractor_type",
    "mel_filters",
    "model_input_names",
    "n_samples",
    "nb_max_frames",
    "padding_side",
    "padding_value",
    "processor_class",
    "return_attention_mask",
    "return_tensors",
    "sampling_rate",
    "feature_size",
    "transformers_version",
];

impl Extractor {
    /// The extractor of a `preprocessor_config.json`.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, AudioError> {
        let not_json = |reason: String| AudioError::NotJson { path: path.to_owned(), reason };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(error.to_string()))?;
        let Value::Object(fields) = value else { return Err(not_json("it is another value".to_owned())) };
        Reader { path, fields: &fields }.extractor()
    }

    /// Makes features of the sound of a file.
    pub fn sound(&self, name: &str, bytes: &[u8]) -> Result<Features, AudioError> {
        // One second more than the model reads, so that resampling sees what comes next.
        let seconds = match self.kind {
            Kind::LogMel(mel) => mel.seconds() + 1,
            Kind::Waveform { .. } => MOST_SECONDS,
        };
        let (sound, mut notes) = decode(name, bytes, seconds)?;
        let from = sound.rate;
        let sound = resample(sound, self.rate).map_err(|reason| AudioError::Resampling {
            name: name.to_owned(),
            from,
            to: self.rate,
            reason,
        })?;
        if from != self.rate {
            notes.push(Note::Resampled { from, to: self.rate });
        }
        Ok(self.features(&sound, notes))
    }

    fn features(&self, sound: &Sound, mut notes: Vec<Note>) -> Features {
        match self.kind {
            Kind::LogMel(mel) => {
                let seconds = mel.seconds();
                match sound.samples.len().cmp(&mel.samples) {
                    std::cmp::Ordering::Less => notes.push(Note::Padded { seconds }),
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Greater => {
                        notes.retain(|note| !matches!(note, Note::Cut { .. }));
                        notes.push(Note::Cut { seconds });
                    }
                }
                let heard = &sound.samples[..sound.samples.len().min(mel.samples)];
                Features { values: mel.features(heard), channels: mel.bins, length: mel.frames(), notes }
            }
            Kind::Waveform { normalise } => {
                let values = if normalise { standardised(&sound.samples) } else { sound.samples.clone() };
                Features { channels: 1, length: values.len(), values, notes }
            }
        }
    }
}

/// Scales samples to mean 0 and variance 1.
fn standardised(samples: &[f32]) -> Vec<f32> {
    let count = samples.len() as f64;
    let mean = samples.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = samples.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>();
    let deviation = (squares / count + EPSILON).sqrt();
    samples.iter().map(|&sample| ((f64::from(sample) - mean) / deviation) as f32).collect()
}

/// A configuration while it is read.
struct Reader<'a> {
    path: &'a str,
    fields: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn extractor(&self) -> Result<Extractor, AudioError> {
        let class = self.field("feature_extractor_type").and_then(Value::as_str);
        let class = class.ok_or_else(|| AudioError::NoExtractor { path: self.path.to_owned() })?;
        let rate = self.number(
            "sampling_rate",
            16_000,
            1..=u64::from(MOST_RATE),
            "a whole number from 1 to 384000",
        )?;
        let rate = rate as u32;
        let kind = match class {
            "WhisperFeatureExtractor" => {
                self.refuse_unknown(&["n_fft", "hop_length", "chunk_length"])?;
                Kind::LogMel(self.log_mel(rate)?)
            }
            "Wav2Vec2FeatureExtractor" => {
                self.refuse_unknown(&[])?;
                if self.number("feature_size", 1, 0..=MOST_BINS, "1")? != 1 {
                    return Err(self.bad("feature_size", "1"));
                }
                let normalise = match self.field("do_normalize") {
                    None => true,
                    Some(value) => {
                        value.as_bool().ok_or_else(|| self.bad("do_normalize", "true or false"))?
                    }
                };
                Kind::Waveform { normalise }
            }
            class => {
                let (path, class) = (self.path.to_owned(), class.to_owned());
                return Err(AudioError::UnknownExtractor { path, class });
            }
        };
        Ok(Extractor { rate, kind })
    }

    fn log_mel(&self, rate: u32) -> Result<LogMel, AudioError> {
        let bins = self.number("feature_size", 80, 1..=MOST_BINS, "a whole number from 1 to 1024")?;
        let window = self.number("n_fft", 400, 2..=MOST_WINDOW, "a whole number from 2 to 16384")?;
        let hop = self.number("hop_length", 160, 1..=MOST_WINDOW, "a whole number from 1 to 16384")?;
        let most = u64::from(MOST_SECONDS);
        let seconds = self.number("chunk_length", 30, 1..=most, "a whole number of seconds from 1 to 600")?;
        let samples = seconds * u64::from(rate);
        if samples <= window.max(hop) {
            return Err(self.bad("chunk_length", "more than one window of n_fft"));
        }
        if samples / hop * bins > MOST_VALUES {
            return Err(self.bad("hop_length", "a larger number, as the spectrogram would be too large"));
        }
        let silence = self.field("padding_value").is_none_or(|value| value.as_f64() == Some(0.0));
        if !silence {
            return Err(self.bad("padding_value", "0"));
        }
        if self.field("padding_side").is_some_and(|side| *side != json!("right")) {
            return Err(self.bad("padding_side", "right"));
        }
        Ok(LogMel {
            bins: bins as usize,
            rate,
            window: window as usize,
            hop: hop as usize,
            samples: samples as usize,
        })
    }

    /// A field that is present and not null. Null means the class's own value.
    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn bad(&self, field: &str, expected: &'static str) -> AudioError {
        let value = self.fields.get(field).unwrap_or(&Value::Null).to_string();
        AudioError::BadField { path: self.path.to_owned(), field: field.to_owned(), value, expected }
    }

    fn number(
        &self,
        name: &str,
        usual: u64,
        range: std::ops::RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, AudioError> {
        match self.field(name) {
            None => Ok(usual),
            Some(value) => {
                value.as_u64().filter(|number| range.contains(number)).ok_or_else(|| self.bad(name, expected))
            }
        }
    }

    fn refuse_unknown(&self, read: &[&str]) -> Result<(), AudioError> {
        let other = self.fields.iter().find(|(name, value)| {
            let off = value.is_null() || **value == json!(false) || **value == json!(0.0);
            !off && !HARMLESS.contains(&name.as_str()) && !read.contains(&name.as_str())
        });
        other.map_or(Ok(()), |(field, value)| {
            let (path, field, value) = (self.path.to_owned(), field.clone(), value.to_string());
            Err(AudioError::UnknownField { path, field, value })
        })
    }
}
