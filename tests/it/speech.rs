//! Compares the forward pass of a real model of sounds on a spoken sentence with transformers on the same file in f64
//! (`scripts/fixtures/speech.py`).

use crate::support::families::{expected, furthest, open, streams_are_near};
use gammascope::audio::Extractor;
use gammascope::forward::{Input, Inputs, Pass};
use gammascope::model::resolve;
use std::path::Path;

/// The largest difference of a value, divided by the root mean square of its matrix. The last block has values 125 times as large.
const TOLERANCE: f64 = 3e-4;

#[test]
#[ignore = "needs .cache/models/whisper-tiny.en, and whisper-tiny.en-speech by scripts/fixtures/speech.py"]
fn whisper_tiny_has_the_streams_of_transformers_on_speech_in_both_stacks() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models");
    let beside = models.join("whisper-tiny.en-speech");
    let (checkpoint, expected) = (open(&models.join("whisper-tiny.en")), expected(&beside));
    let architecture = resolve(&checkpoint).unwrap();
    let config = br#"{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80}"#;
    let extractor = Extractor::parse("preprocessor_config.json", config).unwrap();
    let own = extractor.sound("speech.wav", &std::fs::read(beside.join("speech.wav")).unwrap()).unwrap();
    let off = furthest(&own.values, &expected["features"].0);
    assert!(off < TOLERANCE, "features: {off}");
    let features: Vec<f32> = expected["features"].0.iter().map(|value| *value as f32).collect();
    let (ids, shape) = &expected["decoder.ids"];
    let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    let encoder = Some(Input::features(&features, [1, 80, 3000]).unwrap());
    let inputs = Inputs { encoder, own: Input::token_ids(&ids, shape[1] as usize).unwrap() };
    let pass = Pass::new(&checkpoint, &architecture, inputs).unwrap();
    streams_are_near(&pass, &expected, TOLERANCE);
}
