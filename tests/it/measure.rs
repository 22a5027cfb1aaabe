//! Measures norms on activations: both kinds, scales that fool the raw test, and every kind of bad file.

use crate::support;
use gammascope::kernel::scale::Scale;
use gammascope::kernel::spectrum::{IsotropicSpectrum, TAU};
use gammascope::measure::MeasureError;
use gammascope::measure::activations::{Activations, ActivationsError, Captured, Values};
use gammascope::measure::alone::alone;
use gammascope::measure::gram::{Gram, Gridded};
use gammascope::measure::site::{Norm, measure};
use gammascope::report::{Component, MeasuredVerdict, SiteVerification};
use gammascope::source::memory::MemorySource;
use pollster::block_on;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const WIDTH: usize = 48;
const TOKENS: usize = 400;

/// The outputs of a norm in f32 arithmetic, as in a forward pass.
fn outputs(subtracts_mean: bool, scale: &[f64], shift: Option<&[f64]>, tokens: usize) -> Activations {
    let mut random = SmallRng::seed_from_u64(5);
    let d = scale.len();
    let mut values = Vec::with_capacity(tokens * d);
    for _ in 0..tokens {
        // A stream with an offset and channels of different size, like real streams.
        let x: Vec<f32> = (0..d)
            .map(|channel| (random.sample::<f32, _>(StandardNormal) + 0.3) * (0.5 + (channel % 5) as f32))
            .collect();
        let mean = if subtracts_mean { x.iter().sum::<f32>() / d as f32 } else { 0.0 };
        let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / d as f32;
        let inverse = 1.0 / (square + 1e-6).sqrt();
        values.extend(x.iter().enumerate().map(|(channel, x)| {
            let y = (x - mean) * inverse * scale[channel] as f32;
            y + shift.map_or(0.0, |shift| shift[channel] as f32)
        }));
    }
    let tensor = "norm".to_owned();
    let unit_roundoff = f64::from(f32::EPSILON) / 2.0;
    Activations { tensor, tokens, width: d, values: Values::F32(values), unit_roundoff, notes: Vec::new() }
}

/// The same with every value changed.
fn with(y: &Activations, change: impl Fn(usize, f64) -> f64) -> Activations {
    let values = (0..y.values.len()).map(|at| change(at, y.values.get(at)) as f32).collect();
    Activations { values: Values::F32(values), ..y.clone() }
}

fn trained(d: usize) -> Vec<f64> {
    (0..d).map(|channel| 0.6 + 0.4 * (channel as f64 * 1.7).sin()).collect()
}

async fn on_cpu(gridded: &Gridded) -> Gram {
    gridded.gram()
}

fn measured(scale: &[f64], shift: Option<&[f64]>, y: &Activations) -> Result<SiteVerification, MeasureError> {
    let scale = Scale::new(scale.to_vec()).unwrap();
    block_on(measure(Norm { name: "norm", scale: &scale, shift }, y, None, on_cpu))
}

#[test]
fn math_4_a_layer_norm_has_its_kernel_and_a_certificate() {
    let (scale, shift) = (trained(WIDTH), vec![0.1; WIDTH]);
    let site = measured(&scale, Some(&shift), &outputs(true, &scale, Some(&shift), TOKENS)).unwrap();
    assert_eq!(site.verdict, MeasuredVerdict::MeanSubtracting);
    assert!(site.depth < 1e-12 && site.depth_scale_free.unwrap() < 1e-12, "{site:?}");
    assert!(site.cos.unwrap() > 0.999_999 && site.cos_scale_free.unwrap() > 0.999_999);
    assert!(site.sin_bound.unwrap() < 1e-4 && site.gap.unwrap() > 1e8);
    assert!(site.schur.unwrap() < 0.5, "near its null of {}: {:?}", site.schur_null, site.schur);
    assert!(site.depth_interval.low <= site.depth && site.depth <= site.depth_interval.high);
    let schur = site.schur_interval.unwrap();
    assert!(schur.low <= site.schur.unwrap() && schur.low < schur.high, "{schur:?}");
    assert!(site.cos_interval.unwrap().low > 0.999_999);
    let apart = |component: &Component| (component.predicted - component.measured).abs();
    assert_eq!(site.direction.len(), WIDTH);
    assert!(site.direction.iter().all(|component| apart(component) < 1e-5), "{:?}", site.direction);
}

#[test]
fn math_4_an_rms_norm_has_none() {
    let scale = trained(WIDTH);
    let site = measured(&scale, None, &outputs(false, &scale, None, TOKENS)).unwrap();
    assert_eq!(site.verdict, MeasuredVerdict::NotMeanSubtracting);
    assert!(site.depth_scale_free.unwrap() > 0.1 && site.cos.unwrap() < 0.9, "{site:?}");
    assert!(!site.raw_test_fooled);
}

#[test]
fn math_4_an_almost_off_channel_fools_the_raw_test_and_not_the_verdict() {
    let mut scale = trained(WIDTH);
    scale[7] = 1e-4;
    let site = measured(&scale, None, &outputs(false, &scale, None, TOKENS)).unwrap();
    assert!(site.cos.unwrap() > 0.999 && site.raw_test_fooled, "{site:?}");
    assert_eq!(site.verdict, MeasuredVerdict::NotMeanSubtracting);
    assert!(site.notes.iter().any(|note| note.contains("only because a scale is nearly off")));
    let (cosine, halves) = (site.principal_cosines.unwrap()[0], site.principal_cosines_interval.unwrap()[0]);
    assert!(cosine > 0.99, "the channel is dead all the same");
    assert!(0.99 < halves.low && halves.low <= cosine && cosine <= halves.high, "{halves:?}");
}

#[test]
fn zero_scales_are_confirmed_as_coordinates() {
    let mut scale = trained(WIDTH);
    (scale[3], scale[20]) = (0.0, 0.0);
    for (subtracts, verdict) in
        [(false, MeasuredVerdict::NotMeanSubtracting), (true, MeasuredVerdict::Inconclusive)]
    {
        let site = measured(&scale, None, &outputs(subtracts, &scale, None, TOKENS)).unwrap();
        assert_eq!(site.zero_variance, Some(0.0));
        assert_eq!(site.principal_cosines.as_ref().unwrap().len(), 2);
        assert!(site.cos.unwrap() > 0.999_999 && site.depth == 0.0);
        assert!(site.cos_interval.unwrap().low > 0.999_999, "on both halves too");
        // The zeros hide part of x̂, so the sum of a LayerNorm stays unknown.
        assert_eq!(site.verdict, verdict, "{subtracts}: {site:?}");
    }
}

#[test]
fn the_normalised_input_itself_decides_what_zero_scales_hide() {
    let mut scale = trained(WIDTH);
    scale[3] = 0.0;
    let y = outputs(true, &scale, None, TOKENS);
    let before = outputs(true, &[1.0; WIDTH], None, TOKENS);
    let scale = Scale::new(scale).unwrap();
    let norm = Norm { name: "norm", scale: &scale, shift: None };
    let site = block_on(measure(norm, &y, Some(&before), on_cpu)).unwrap();
    assert_eq!(site.verdict, MeasuredVerdict::MeanSubtracting);
}

#[test]
fn a_norm_alone_shows_its_kernel_as_one_kind_and_none_as_the_other() {
    let scale = Scale::new(trained(WIDTH)).unwrap();
    let alone = block_on(alone(Norm { name: "norm", scale: &scale, shift: None }, None, on_cpu)).unwrap();
    assert!(!alone.epsilon_configured && alone.epsilon == 1e-5);
    assert_eq!(alone.layernorm.verdict, MeasuredVerdict::MeanSubtracting);
    assert_eq!(alone.rmsnorm.verdict, MeasuredVerdict::NotMeanSubtracting);
    assert_eq!((alone.layernorm.tokens, alone.rmsnorm.tokens), (4 * WIDTH as u64, 4 * WIDTH as u64));
}

#[test]
fn a_norm_alone_is_decided_even_if_a_scale_near_zero_fools_the_raw_test() {
    let mut scale = trained(WIDTH);
    scale[11] = 1e-4;
    let scale = Scale::new(scale).unwrap();
    let alone =
        block_on(alone(Norm { name: "norm", scale: &scale, shift: None }, Some(1e-6), on_cpu)).unwrap();
    assert!(alone.rmsnorm.raw_test_fooled && alone.rmsnorm.cos.unwrap() > 0.99, "{:?}", alone.rmsnorm);
    assert!(!alone.layernorm.raw_test_fooled, "there the direction is a kernel");
}

#[test]
fn several_directions_below_rounding_are_not_told_apart() {
    let mut scale = trained(WIDTH);
    (scale[7], scale[9]) = (1e-30, 2e-30);
    let site = measured(&scale, None, &outputs(true, &scale, None, TOKENS)).unwrap();
    assert_eq!((site.cos, site.gap, site.schur), (None, None, None));
    assert!(site.principal_cosines.unwrap().iter().all(|cosine| *cosine > 0.999_999), "but the two are dead");
    assert_eq!(site.verdict, MeasuredVerdict::MeanSubtracting);
}

#[test]
fn sixteen_bit_activations_move_the_band() {
    let scale = trained(WIDTH);
    let mut y = outputs(true, &scale, None, TOKENS);
    y = with(&y, |_, value| half::f16::from_f64(value).to_f64());
    y.unit_roundoff = 2f64.powi(-11);
    let site = measured(&scale, None, &y).unwrap();
    assert!(site.depth_scale_free.unwrap() > 1e-8, "as f32 it would be inconclusive");
    assert_eq!(site.verdict, MeasuredVerdict::MeanSubtracting);
}

#[test]
fn too_few_tokens_are_refused_with_the_number_needed() {
    let scale = trained(WIDTH);
    let error = measured(&scale, None, &outputs(true, &scale, None, WIDTH)).unwrap_err().to_string();
    assert!(error.contains("at least 49 tokens") && error.contains("better 192"), "{error}");
    let site = measured(&scale, None, &outputs(true, &scale, None, 2 * WIDTH)).unwrap();
    assert!(site.notes.iter().any(|note| note.contains("less than 4 times the width")));
}

#[test]
fn a_value_that_is_no_number_is_named() {
    let scale = trained(WIDTH);
    let y = outputs(true, &scale, None, TOKENS);
    let y = with(&y, |at, value| if at == 5 * WIDTH + 9 { f64::NAN } else { value });
    let error = measured(&scale, None, &y).unwrap_err().to_string();
    assert!(error.contains("token 5, channel 9 is NaN"), "{error}");
}

#[test]
fn constant_activations_and_those_of_another_width_are_refused() {
    let scale = trained(WIDTH);
    let y = outputs(true, &scale, None, TOKENS);
    assert!(
        measured(&trained(WIDTH + 1), None, &y)
            .unwrap_err()
            .to_string()
            .contains("they belong to another site")
    );
    let y = with(&y, |_, _| 1.5);
    assert!(measured(&scale, None, &y).unwrap_err().to_string().contains("all 400 tokens are the same"));
}

#[test]
fn values_before_the_scale_are_recognised_by_their_statistics() {
    let scale = trained(WIDTH);
    let before = outputs(true, &[1.0; WIDTH], None, TOKENS);
    let said = |y: &Activations| {
        measured(&scale, None, y).unwrap().notes.iter().any(|note| note.contains("before the scale, not"))
    };
    assert!(said(&before) && !said(&outputs(true, &scale, None, TOKENS)));
}

/// An .npy file of version 1.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn opened(path: &str, bytes: Vec<u8>) -> Result<Activations, ActivationsError> {
    pollster::block_on(async {
        let captured = Captured::open(MemorySource::new(path, bytes)).await?;
        let name = captured.names()[0].to_owned();
        captured.read(&name).await
    })
}

#[test]
fn npy_files_of_every_order_and_endianness_are_read() {
    let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let little = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let big: Vec<u8> = expected.iter().flat_map(|value: &f64| (*value as f32).to_be_bytes()).collect();
    let rows = little(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let columns = little(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    for (file, note) in [
        (npy("'<f4'", false, "(2, 3)", &rows), ""),
        (npy("'>f4'", false, "(2, 3)", &big), ""),
        (npy("'<f4'", true, "(2, 3)", &columns), "Fortran order"),
        (npy("'<f4'", false, "(1, 2, 3)", &rows), "1 × 2 × 3 was flattened to 2 tokens × 3"),
    ] {
        let array = opened("folder/layer.norm.npy", file).unwrap();
        assert_eq!((array.tensor.as_str(), array.tokens, array.width), ("layer.norm", 2, 3));
        assert_eq!(array.values, Values::F32(expected.map(|value| value as f32).to_vec()));
        assert!(note.is_empty() || array.notes.iter().any(|said| said.contains(note)), "{:?}", array.notes);
    }
}

#[test]
fn files_that_are_no_activations_are_answered_with_a_sentence() {
    for (path, bytes, says) in [
        ("a.npy", Vec::new(), "not an .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00".to_vec(), "not an .npy file"),
        ("a.npy", npy("'<f4'", false, "(2, 3)", &[0; 7]), "not an .npy file"),
        ("a.npy", npy("'<i4'", false, "(2, 3)", &[0; 24]), "save it with numpy.save as float32"),
        ("a.npy", npy("'|O'", false, "(2, 3)", &[0; 24]), "not an .npy file"),
        ("a.npy", npy("'<f4'", false, "(6,)", &[0; 24]), "has 1 dimensions"),
        ("a.safetensors", Vec::new(), "a.safetensors"),
    ] {
        let error = opened(path, bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{path}: {error}");
    }
    let integers = support::file(r#"{"norm":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}"#, &[0; 16]);
    assert!(opened("a.safetensors", integers).unwrap_err().to_string().contains("is stored as I32"));
}

#[test]
fn directions_below_tau_are_counted_beside_what_the_scale_predicts() {
    let mut planted = trained(WIDTH);
    // One channel that is off is the kernel of the LayerNorm itself. The second is one direction more.
    (planted[3], planted[17]) = (1e-5, 2e-5);
    for (scale, subtracts_mean, expected) in [
        (trained(WIDTH), true, 1),
        (trained(WIDTH), false, 0),
        (planted.clone(), true, 2),
        (planted, false, 2),
    ] {
        let y = outputs(subtracts_mean, &scale, None, TOKENS);
        let site = measured(&scale, None, &y).unwrap();
        assert_eq!(site.below_tau, Some(expected), "{subtracts_mean}");
        let predicted = IsotropicSpectrum::new(&Scale::new(scale.clone()).unwrap(), subtracts_mean);
        assert_eq!(predicted.count_below(TAU), expected as usize);
        assert!((site.lambda_v.unwrap() / (site.depth * site.mean_variance) - 1.0).abs() < 1e-12);
        // The rounding of bfloat16 leaves more than that along any direction.
        let coarse = Activations { unit_roundoff: 2f64.powi(-9), ..y };
        assert_eq!(measured(&scale, None, &coarse).unwrap().below_tau, None);
    }
}

#[test]
fn behind_a_narrow_map_no_direction_is_called_the_bottom_one() {
    let scale = vec![1.0; WIDTH];
    let mut random = SmallRng::seed_from_u64(9);
    let map: Vec<f32> = (0..4 * WIDTH).map(|_| random.sample(StandardNormal)).collect();
    let mut values = Vec::new();
    for _ in 0..TOKENS {
        let z: [f32; 4] = std::array::from_fn(|_| random.sample(StandardNormal));
        let x: Vec<f32> = map.chunks(4).map(|row| row.iter().zip(z).map(|(a, z)| a * z).sum()).collect();
        let mean = x.iter().sum::<f32>() / WIDTH as f32;
        let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / WIDTH as f32;
        values.extend(x.iter().map(|x| (x - mean) / square.sqrt()));
    }
    let y = Activations { values: Values::F32(values), ..outputs(true, &scale, None, TOKENS) };
    let site = measured(&scale, None, &y).unwrap();
    assert_eq!((site.verdict, site.cos), (MeasuredVerdict::MeanSubtracting, None));
    assert!(site.below_tau.unwrap() > 40, "{:?}", site.below_tau);
    assert!(site.notes.iter().any(|note| note.contains("no scale is near zero")), "{:?}", site.notes);
}
