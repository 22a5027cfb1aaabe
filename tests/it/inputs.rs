//! Compares prepared images and sounds with transformers' processors and timm's transforms. `scripts/fixtures/inputs.py` writes
//! the files and the expected values.

use crate::support::spoiled::{IMAGES, SOUNDS, file, spoiled};
use base64::Engine;
use gammascope::audio::{self, AudioError, Extractor};
use gammascope::image::{self, ImageError, Processor};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Read;

fn cases(list: &str) -> Vec<Value> {
    serde_json::from_slice(&file(list)).unwrap()
}

fn unpacked(text: &Value) -> Vec<u8> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
    let mut unpacked = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn floats(text: &Value) -> Vec<f32> {
    unpacked(text).as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn greatest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

fn mean_square(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f32>() / left.len() as f32
}

fn parsed(config: &Value) -> Processor {
    Processor::parse("preprocessor_config.json", config.to_string().as_bytes()).unwrap()
}

/// JPEG decoders may round differently, more so with half of the colours. All other pixels are the same.
fn tolerance(name: &str) -> f32 {
    match name {
        "half.jpg" => 4.0,
        name if name.ends_with(".jpg") => 3.0,
        _ => 0.0,
    }
}

#[test]
fn pixels_are_those_of_the_reference() {
    let cases = cases("images.json");
    assert!(cases.len() > 100);
    let mut wrong = Vec::new();
    for case in &cases {
        let (name, config) = (case["file"].as_str().unwrap(), &case["config"]);
        let mut processor = parsed(config);
        let exact = case.get("floats");
        if exact.is_none() {
            (processor.rescale, processor.normalise) = (None, None);
        }
        let pixels = processor.image(name, &file(name)).unwrap();
        assert_eq!(json!([pixels.channels, pixels.height, pixels.width]), case["shape"], "{name} {config}");
        let (expected, most) = match exact {
            Some(exact) => (floats(exact), 1e-6),
            None => (unpacked(&case["pixels"]).into_iter().map(f32::from).collect(), tolerance(name)),
        };
        let difference = greatest(&pixels.values, &expected);
        if difference > most {
            wrong.push(format!("{difference} in {name} under {config}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn notes_say_how_an_image_was_changed() {
    let processor = parsed(&json!({ "image_processor_type": "ViTImageProcessor" }));
    let notes = |name: &str| -> Vec<String> {
        let pixels = processor.image(name, &file(name)).unwrap();
        pixels.notes.iter().map(ToString::to_string).collect()
    };
    assert!(notes("rgb.png").is_empty());
    assert_eq!(notes("rgba.png"), ["the alpha channel is dropped"]);
    assert_eq!(notes("animated.gif"), ["the first of 3 frames"]);
    assert_eq!(notes("still.gif"), [""; 0]);
    for name in ["animated.png", "animated.webp"] {
        assert_eq!(notes(name), ["the first of 2 frames", "the alpha channel is dropped"], "{name}");
    }
    assert_eq!(notes("turned6.jpg"), ["turned upright, as its metadata says"]);
    assert_eq!(notes("turned1.jpg"), [""; 0]);
    assert_eq!(notes("grey16.png"), ["a grey image of 16 bits: values above 255 become white, as in Pillow"]);
}

#[test]
fn a_video_is_its_frames_in_order() {
    let processor = parsed(&json!({
        "image_processor_type": "VideoMAEImageProcessor",
        "size": { "shortest_edge": 12 },
        "crop_size": { "height": 10, "width": 10 },
    }));
    let [first, second, third] = ["rgb.png", "grey.png", "rgba.png"].map(file);
    let files = [("f10.png", &third[..]), ("f9.png", &second), ("f1.png", &first), ("f11.png", &first)];
    let video = processor.video(&files, Some(2)).unwrap();
    assert_eq!((video.count, video.channels, video.height, video.width), (2, 3, 10, 10));
    let frame = |bytes: &[u8]| processor.image("f", bytes).unwrap().values;
    assert_eq!(video.values, [frame(&first), frame(&third)].concat());
    let notes: Vec<String> = video.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["the alpha channel is dropped", "2 of 4 frames, evenly spaced"]);
    assert_eq!(processor.video(&files, None).unwrap().count, 4);
    assert_eq!(processor.video(&[], None), Err(ImageError::NoFrames));

    let kept = Processor { steps: Vec::new(), ..processor };
    let differ = kept.video(&[("a", &first), ("b", &second)], None);
    assert_eq!(differ, Err(ImageError::FramesDiffer { name: "b".to_owned() }));
}

/// The error of a configuration.
fn refused(config: Value) -> String {
    Processor::parse("preprocessor_config.json", config.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn configurations_that_are_not_understood_are_refused() {
    let vit =
        |field: &str, value: Value| json!({ "image_processor_type": "ViTImageProcessor", field: value });
    for (config, part) in [
        (json!([]), "is not a JSON object"),
        (json!({}), "names no image processor"),
        (
            json!({ "image_processor_type": "LevitImageProcessor" }),
            "LevitImageProcessor, which is not supported",
        ),
        (vit("do_pad", json!(true)), "do_pad = true, which may change the pixels"),
        (vit("size_divisor", json!(32)), "size_divisor = 32"),
        (vit("data_format", json!("channels_last")), "data_format = \"channels_last\""),
        (vit("auto_map", json!({ "AutoImageProcessor": "own.Own" })), "auto_map = "),
        (vit("resample", json!(6)), "resample = 6, and a number from 0 to 5"),
        (vit("size", json!({ "longest_edge": 9 })), "size = {\"longest_edge\":9}, and height and width"),
        (vit("size", json!({ "height": 0, "width": 9 })), "size = "),
        (vit("size", json!([65535, 65535])), "65535 × 65535 pixels"),
        (vit("do_center_crop", json!(true)), "crop_size = null"),
        (vit("do_resize", json!("yes")), "do_resize = \"yes\", and true or false"),
        (vit("image_mean", json!([0.5])), "image_mean = [0.5], and one number for each of three channels"),
        (vit("image_std", json!([1, 0, 1])), "image_std = [1,0,1], and other numbers than 0"),
        (json!({ "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0 }), "crop_pct = 0"),
        (
            json!({ "pretrained_cfg": { "interpolation": "random" } }),
            "pretrained_cfg.interpolation = \"random\"",
        ),
        (json!({ "pretrained_cfg": { "input_size": [1, 9, 9] } }), "pretrained_cfg.input_size = [1,9,9]"),
        (json!({ "pretrained_cfg": { "crop_mode": "other" } }), "pretrained_cfg.crop_mode = \"other\""),
    ] {
        let sentence = refused(config);
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn older_configurations_mean_the_same() {
    let new = parsed(&json!({
        "image_processor_type": "CLIPImageProcessor",
        "size": { "shortest_edge": 224 },
        "crop_size": { "height": 224, "width": 224 },
    }));
    let old = json!({ "feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224 });
    assert_eq!(parsed(&old), new);
    assert_eq!(parsed(&json!({ "image_processor_type": "CLIPImageProcessorFast" })), new);
}

#[test]
fn a_processor_of_dinov3_squares_images_and_normalises_them_as_imagenet() {
    // As the published checkpoints have it.
    let dinov3 = json!({
        "crop_size": null, "data_format": "channels_first", "default_to_square": true, "device": null,
        "disable_grouping": null, "do_center_crop": null, "do_convert_rgb": null, "do_normalize": true,
        "do_rescale": true, "do_resize": true, "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "DINOv3ViTImageProcessorFast", "image_std": [0.229, 0.224, 0.225],
        "input_data_format": null, "resample": 2, "rescale_factor": 0.00392156862745098, "return_tensors": null,
        "size": { "height": 224, "width": 224 },
    });
    let mut vit = dinov3.clone();
    vit["image_processor_type"] = json!("ViTImageProcessor");
    assert_eq!(parsed(&dinov3), parsed(&vit));
    assert_eq!(parsed(&json!({ "image_processor_type": "DINOv3ViTImageProcessor" })), parsed(&dinov3));
}

#[test]
fn files_that_are_no_images_and_bombs_are_refused() {
    let processor = parsed(&json!({ "image_processor_type": "ViTImageProcessor" }));
    let sentence = |bytes: &[u8]| processor.image("f", bytes).unwrap_err().to_string();
    assert!(sentence(b"").contains("not an image that can be read"));
    assert!(sentence(b"{}").contains("not an image that can be read"));
    assert!(sentence(&file("rgb.png")[..100]).contains("cannot be decoded"));
    // A header with 65,535 × 65,535 pixels: the sides are at these positions in the files.
    let large = |name: &str, at: usize, side: &[u8]| {
        let mut bytes = file(name);
        bytes[at..at + side.len()].copy_from_slice(side);
        bytes
    };
    let gif = large("still.gif", 6, &[0xff; 4]);
    assert!(sentence(&gif).contains("65535 × 65535 pixels and at most 89478485"));
    let bmp = large("rgb.bmp", 18, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    assert!(sentence(&bmp).contains("65535 × 65535 pixels"), "{}", sentence(&bmp));
    let thin = image_of(20_000, 10);
    let pixels = processor.image("thin", &thin).unwrap();
    assert_eq!((pixels.height, pixels.width), (224, 224));
    let clip = parsed(&json!({ "image_processor_type": "CLIPImageProcessor", "size": 65_535 }));
    assert!(clip.image("thin", &thin).unwrap_err().to_string().contains("would make"));
}

/// A BMP of this size with one value.
fn image_of(width: u32, height: u32) -> Vec<u8> {
    let stride = (3 * width).next_multiple_of(4);
    let length = 54 + stride * height;
    let numbers = [length, 0, 54, 40, width, height, 0x18_0001, 0, 0, 0, 0, 0, 0];
    let mut bytes = b"BM".to_vec();
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.resize(length as usize, 77);
    bytes
}

#[test]
fn features_are_those_of_the_reference() {
    for case in cases("sounds.json") {
        let (name, config) = (case["file"].as_str().unwrap(), &case["config"]);
        let extractor = Extractor::parse("preprocessor_config.json", config.to_string().as_bytes()).unwrap();
        let features = extractor.sound(name, &file(name)).unwrap();
        assert_eq!(json!([features.channels, features.length]), case["shape"], "{name} {config}");
        let at = |name: &str| case[name].as_u64().unwrap() as usize;
        let rows = features.values.chunks(features.length);
        let kept: Vec<f32> =
            rows.flat_map(|row| row[at("first")..at("first") + at("kept")].iter().copied()).collect();
        let expected = floats(&case["values"]);
        // Resamplers differ at the end of the spectrum, so these two are compared by their root mean square.
        let (difference, most) = match name {
            "stereo8.wav" | "tone44.flac" => (mean_square(&kept, &expected).sqrt(), 5e-3),
            _ => (greatest(&kept, &expected), 1e-4),
        };
        assert!(difference < most, "{difference} in {name} under {config}");
    }
}

#[test]
fn notes_say_how_a_sound_was_changed() {
    let whisper = br#"{"feature_extractor_type": "WhisperFeatureExtractor"}"#;
    let whisper = Extractor::parse("p", whisper).unwrap();
    let notes = |extractor: &Extractor, name: &str| -> Vec<String> {
        let features = extractor.sound(name, &file(name)).unwrap();
        features.notes.iter().map(ToString::to_string).collect()
    };
    let stereo = ["the mean of 2 channels", "resampled from 8 kHz to 16 kHz", "padded with silence to 30 s"];
    assert_eq!(notes(&whisper, "stereo8.wav"), stereo);
    assert_eq!(notes(&whisper, "tone44.flac")[0], "resampled from 44.1 kHz to 16 kHz");
    assert_eq!(notes(&whisper, "silence.wav")[0], "the sound is silent");
    let hubert = br#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}"#;
    assert_eq!(notes(&Extractor::parse("p", hubert).unwrap(), "tone16.wav"), [""; 0]);
}

#[test]
fn sounds_and_extractors_that_are_not_understood_are_refused() {
    let sentence =
        |config: Value| Extractor::parse("p", config.to_string().as_bytes()).unwrap_err().to_string();
    let whisper = |field: &str, value: Value| json!({ "feature_extractor_type": "WhisperFeatureExtractor", field: value });
    for (config, part) in [
        (json!(1), "is not a JSON object"),
        (json!({}), "names no feature extractor"),
        (
            json!({ "feature_extractor_type": "ASTFeatureExtractor" }),
            "ASTFeatureExtractor, which is not supported",
        ),
        (whisper("dither", json!(1e-4)), "dither = 0.0001, which may change the features"),
        (whisper("hop_length", json!(0)), "hop_length = 0, and a whole number from 1"),
        (whisper("n_fft", json!(1 << 20)), "n_fft = 1048576"),
        (whisper("sampling_rate", json!(0)), "sampling_rate = 0"),
        (whisper("padding_side", json!("left")), "padding_side = \"left\", and right"),
        (
            json!({ "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 2 }),
            "feature_size = 2, and 1",
        ),
    ] {
        let sentence = sentence(config);
        assert!(sentence.contains(part), "{sentence}");
    }
    let extractor =
        Extractor::parse("p", br#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}"#).unwrap();
    let refused = |bytes: &[u8]| extractor.sound("f", bytes).unwrap_err();
    assert!(matches!(refused(b""), AudioError::UnknownFormat { .. }));
    assert!(matches!(refused(b"no sound"), AudioError::UnknownFormat { .. }));
    let mut wide = file("silence.wav");
    wide[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(refused(&wide).to_string().contains("it has more than 255 channels"));
    // The header of a WAV file without a sample.
    let mut empty = file("silence.wav");
    empty.truncate(44);
    empty[40..44].fill(0);
    assert_eq!(refused(&empty).to_string(), "`f` has no samples: give a sound of at least one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_give_pixels_or_a_message(bytes in spoiled(IMAGES)) {
        let processor = parsed(&json!({ "image_processor_type": "ViTImageProcessor", "size": 9 }));
        match processor.image("f", &bytes) {
            Ok(pixels) => prop_assert_eq!(pixels.values.len(), 3 * 9 * 9),
            Err(error) => prop_assert!(error.to_string().starts_with("`f`")),
        }
    }

    #[test]
    fn any_bytes_give_features_or_a_message(bytes in spoiled(SOUNDS)) {
        let extractor =
            Extractor::parse("p", br#"{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}"#).unwrap();
        match extractor.sound("f", &bytes) {
            Ok(features) => prop_assert_eq!(features.values.len(), features.length),
            Err(error) => prop_assert!(error.to_string().starts_with("`f`")),
        }
    }

    #[test]
    fn every_size_is_resized_and_cropped(
        (width, height) in (1u32..80, 1u32..80),
        (tall, wide) in (1u32..90, 1u32..90),
        (crop_tall, crop_wide) in (1u32..90, 1u32..90),
        resample in 0..6,
        class in prop::sample::select(vec!["ViT", "DeiT", "CLIP", "ConvNext"]),
    ) {
        let shortest = matches!(class, "CLIP" | "ConvNext");
        let size = if shortest { json!({ "shortest_edge": tall }) } else { json!({ "height": tall, "width": wide }) };
        let processor = parsed(&json!({
            "image_processor_type": format!("{class}ImageProcessor"),
            "size": size,
            "resample": resample,
            "do_center_crop": true,
            "crop_size": { "height": crop_tall, "width": crop_wide },
        }));
        let pixels = processor.image("f", &image_of(width, height)).unwrap();
        prop_assert_eq!((pixels.height, pixels.width), (crop_tall as usize, crop_wide as usize));
        prop_assert_eq!(pixels.values.len(), 3 * pixels.height * pixels.width);
        prop_assert!(pixels.values.iter().all(|value| value.is_finite()));
        // An image of one value has no other values, except for padding.
        let plain = parsed(&json!({ "image_processor_type": "ViTImageProcessor", "size": [tall, wide], "resample": resample }));
        let Processor { steps, .. } = plain;
        let bare = Processor { steps, rescale: None, normalise: None, tiles: false };
        let pixels = bare.image("f", &image_of(width, height)).unwrap();
        prop_assert!(pixels.values.iter().all(|&value| value == 77.0));
    }

    #[test]
    fn any_configuration_gives_a_processor_or_a_message(
        field in prop::sample::select(vec!["size", "crop_size", "resample", "image_mean", "do_resize", "pretrained_cfg", "n_fft"]),
        value in prop::sample::select(vec![
            json!(-1), json!(1e300), json!(u64::MAX), json!([]), json!([1]), json!([1, 2, 3]), json!({}), json!("x"), json!(null),
            json!({ "height": -1 }), json!({ "shortest_edge": 1e9, "longest_edge": 1 }), json!({ "input_size": [3, u32::MAX, 2] }),
            json!({ "crop_pct": 1e-300 }), json!({ "mean": "x" }),
        ]),
    ) {
        let image = json!({ "image_processor_type": "CLIPImageProcessor", field: &value }).to_string();
        let sound = json!({ "feature_extractor_type": "WhisperFeatureExtractor", field: value }).to_string();
        if let Err(error) = Processor::parse("p", image.as_bytes()) {
            prop_assert!(error.to_string().contains("`p`"));
        }
        if let Err(error) = Extractor::parse("p", sound.as_bytes()) {
            prop_assert!(error.to_string().contains("`p`"));
        }
    }
}

#[test]
fn constants_of_the_interface_are_what_documents_say() {
    assert_eq!((image::MOST_PIXELS, audio::MOST_SECONDS, audio::MOST_RATE), (89_478_485, 600, 384_000));
}
