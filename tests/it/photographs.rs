//! Compares the forward pass of a real model of images on real photographs with transformers on the same pixels
//! (`scripts/fixtures/photographs.py`).

use crate::support::families::{expected, open, streams_are_near};
use gammascope::forward::{Input, Pass};
use gammascope::model::resolve;
use gammascope::pixels::PixelValues;
use gammascope::source::memory::MemorySource;
use pollster::block_on;
use std::path::Path;

/// The largest difference of a value, divided by the root mean square of its matrix.
const TOLERANCE: f64 = 1e-4;

#[test]
#[ignore = "needs .cache/models/dinov2-small, and dinov2-small-photographs by scripts/fixtures/photographs.py"]
fn dinov2_small_has_the_streams_of_transformers_on_photographs() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models");
    let beside = models.join("dinov2-small-photographs");
    let (checkpoint, expected) = (open(&models.join("dinov2-small")), expected(&beside));
    let architecture = resolve(&checkpoint).unwrap();
    let name = "photographs.safetensors".to_owned();
    let bytes = std::fs::read(beside.join(&name)).unwrap();
    let pixels = block_on(PixelValues::read(&MemorySource::new(name, bytes), None)).unwrap();
    let input = Input::pixels(&pixels.values, pixels.shape).unwrap();
    let pass = Pass::new(&checkpoint, &architecture, input).unwrap();
    streams_are_near(&pass, &expected, TOLERANCE);
}
