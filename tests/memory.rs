//! How much memory any bytes may take. This is a separate program, because it counts all allocations of the process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "it/support/spoiled.rs"]
mod spoiled;

use gammascope::audio::Extractor;
use gammascope::image::Processor;
use peak_alloc::PeakAlloc;
use proptest::test_runner::{Config, TestRunner};
use spoiled::{IMAGES, SOUNDS, file, spoiled};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// In MB: an image with the largest number of pixels while it is decoded, and as much again for its decoder.
const IMAGE: f32 = 1600.0;
/// In MB: ten minutes of samples, twice while the list grows, and the memory of a decoder.
const SOUND: f32 = 1600.0;

#[test]
fn spoiled_files_stay_within_bounds() {
    let processor =
        Processor::parse("p", br#"{"image_processor_type": "ViTImageProcessor", "size": 9}"#).unwrap();
    let extractor =
        Extractor::parse("p", br#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}"#).unwrap();
    let peak = |run: &dyn Fn()| {
        MEMORY.reset_peak_usage();
        run();
        MEMORY.peak_usage_as_mb()
    };
    let own = peak(&|| drop(std::hint::black_box(vec![1u8; 50_000_000])));
    assert!((45.0..60.0).contains(&own), "what is allocated is counted: {own} MB");

    // This header of a BMP file claims nearly the largest number of pixels, and the file has none of them.
    let mut large = file("rgb.bmp");
    large[18..26].copy_from_slice(&[9459i32.to_le_bytes(), 9459i32.to_le_bytes()].concat());
    let used = peak(&|| drop(processor.image("f", &large)));
    assert!(used < IMAGE, "{used} MB");

    let mut runner = TestRunner::new(Config::with_cases(400));
    let image = |bytes: Vec<u8>| {
        let used = peak(&|| drop(processor.image("f", &bytes)));
        assert!(used < IMAGE, "{used} MB");
        Ok(())
    };
    runner.run(&spoiled(IMAGES), image).unwrap();
    let sound = |bytes: Vec<u8>| {
        let used = peak(&|| drop(extractor.sound("f", &bytes)));
        assert!(used < SOUND, "{used} MB");
        Ok(())
    };
    runner.run(&spoiled(SOUNDS), sound).unwrap();
}
