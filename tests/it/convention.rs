//! The effective γ of files from conversions that add the 1 of 1 + w, leave it out, or add it to only some norms.

use crate::support;
use gammascope::compare::compare;
use gammascope::inspect::{self, Inspection};
use gammascope::report::{KernelForm, ScaleConvention, WarningCode};
use gammascope::run::planned::{Extent, Model};
use gammascope::source::disk::DiskSource;
use half::bf16;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::path::Path;

const WIDTH: usize = 24;
const BLOCKS: usize = 3;
/// The channels of this norm that are off.
const OFF: (&str, [usize; 2]) = ("model.layers.2.post_attention_layernorm.weight", [5, 11]);

/// γ of each norm. γ and γ − 1 are exact in BF16.
fn scales(per_unit: f64) -> Vec<(String, Vec<f64>)> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut scale = |width: usize| -> Vec<f64> {
        let unit = |random: &mut SmallRng| random.random::<f64>() + random.random::<f64>() - 1.0;
        (0..width).map(|_| 1.0 + (0.45 * unit(&mut random) * per_unit).round() / per_unit).collect()
    };
    let mut scales = Vec::new();
    for block in 0..BLOCKS {
        for (norm, width) in [
            ("input_layernorm", WIDTH),
            ("post_attention_layernorm", WIDTH),
            ("self_attn.q_norm", 8),
            ("self_attn.k_norm", 8),
        ] {
            scales.push((format!("model.layers.{block}.{norm}.weight"), scale(width)));
        }
    }
    scales.push(("model.norm.weight".to_owned(), scale(WIDTH)));
    let (_, off) = scales.iter_mut().find(|(name, _)| name == OFF.0).unwrap();
    OFF.1.iter().for_each(|&channel| off[channel] = 0.0);
    scales
}

/// A checkpoint of this family that stores γ + `added(name)`.
fn opened(model_type: &str, format: Option<&str>, added: impl Fn(&str) -> f64) -> Inspection {
    let mut entries = serde_json::Map::new();
    if let Some(format) = format {
        entries.insert("__metadata__".to_owned(), json!({ "format": format }));
    }
    let mut data: Vec<u8> = Vec::new();
    let mut store = |name: String, shape: Vec<usize>, values: Vec<f64>| {
        let begin = data.len();
        data.extend(values.into_iter().flat_map(|value| bf16::from_f64(value).to_le_bytes()));
        entries.insert(name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [begin, data.len()] }));
    };
    for block in 0..BLOCKS {
        for (map, rows, columns) in [
            ("self_attn.q_proj", 2 * WIDTH, WIDTH),
            ("self_attn.k_proj", 16, WIDTH),
            ("self_attn.v_proj", 16, WIDTH),
            ("self_attn.o_proj", WIDTH, WIDTH),
            ("mlp.gate_proj", 40, WIDTH),
            ("mlp.up_proj", 40, WIDTH),
            ("mlp.down_proj", WIDTH, 40),
        ] {
            let values = (0..rows * columns).map(|index| (index % 7) as f64 / 100.0 - 0.03).collect();
            store(format!("model.layers.{block}.{map}.weight"), vec![rows, columns], values);
        }
    }
    for (name, scale) in scales(128.0) {
        let added = added(&name);
        store(name, vec![scale.len()], scale.into_iter().map(|scale| scale + added).collect());
    }
    let file = support::file(&serde_json::Value::Object(entries).to_string(), &data);
    let config = json!({ "model_type": model_type, "hidden_size": WIDTH, "num_hidden_layers": BLOCKS });
    support::open(vec![("model.safetensors", file), ("config.json", config.to_string().into_bytes())])
        .unwrap()
}

fn conventions(inspection: &Inspection) -> Vec<ScaleConvention> {
    let mut found: Vec<ScaleConvention> = Vec::new();
    for norm in &inspection.report.norms {
        if !found.contains(&norm.scale_convention) {
            found.push(norm.scale_convention);
        }
    }
    found
}

fn warnings(inspection: &Inspection) -> Vec<&str> {
    let off = inspection.report.warnings.iter().filter(|warning| warning.code == WarningCode::ScaleOffByOne);
    off.map(|warning| warning.message.as_str()).collect()
}

fn coordinates(inspection: &Inspection) -> Vec<u32> {
    let site = inspection.report.norms.iter().find(|norm| norm.scale.as_deref() == Some(OFF.0)).unwrap();
    site.kernel.coordinates.clone()
}

#[test]
fn a_file_of_mlx_with_the_one_in_it_has_the_kernel_of_the_original() {
    for family in ["qwen3_next", "gemma3_text", "qwen3_5_text"] {
        let original = opened(family, Some("pt"), |_| -1.0);
        let converted = opened(family, Some("mlx"), |_| 0.0);
        assert_eq!(conventions(&original), [ScaleConvention::OnePlusWeight], "{family}");
        assert_eq!(conventions(&converted), [ScaleConvention::Weight], "{family}");
        assert_eq!((coordinates(&original), coordinates(&converted)), (vec![5, 11], vec![5, 11]));
        assert!(warnings(&original).is_empty() && warnings(&converted).is_empty());
        let comparison = compare(&original, &converted).unwrap();
        assert!(comparison.sites.iter().all(|site| !site.changed()));
        assert_eq!(comparison.constant, None);
        assert!(comparison.sentence.contains("every scale is the same: one stores γ"), "{family}");
        // MLX's code for Gemma adds the 1 at run time, so its files have the original values.
        let kept = opened(family, Some("mlx"), |_| -1.0);
        assert_eq!(conventions(&kept), [ScaleConvention::OnePlusWeight], "{family}");
    }
}

#[test]
fn a_1_too_many_or_too_few_is_a_warning_and_there_is_no_kernel() {
    let original = opened("gemma3_text", None, |_| -1.0);
    for (added, looks, constant) in [(0.0, "γ itself", 1.0), (-2.0, "γ − 2", -1.0)] {
        for format in [None, Some("pt")] {
            let shifted = opened("gemma3_text", format, |_| added);
            assert_eq!(conventions(&shifted), [ScaleConvention::Unknown]);
            assert!(shifted.report.norms.iter().all(|norm| norm.kernel.form == KernelForm::Unknown));
            assert!(shifted.report.norms.iter().all(|norm| norm.problem.is_some()));
            assert!(shifted.scales.iter().all(Option::is_none));
            assert!(shifted.report.model.sentence.contains("unknown at 13 norms"));
            let said = warnings(&shifted);
            assert!(said.len() == 1 && said[0].contains(looks), "{said:?}");
            let comparison = compare(&original, &shifted).unwrap();
            assert_eq!(comparison.constant, Some(constant));
            assert!(comparison.sentence.contains("every norm differs by the constant"));
        }
    }
}

#[test]
fn the_values_of_a_family_that_scales_by_w_are_checked_too() {
    let right = opened("qwen3", Some("pt"), |_| 0.0);
    assert_eq!((conventions(&right), warnings(&right).len()), (vec![ScaleConvention::Weight], 0));
    for (added, looks) in [(-1.0, "γ − 1"), (1.0, "γ + 1")] {
        let shifted = opened("qwen3", Some("mlx"), |_| added);
        assert_eq!(conventions(&shifted), [ScaleConvention::Unknown]);
        assert!(warnings(&shifted)[0].contains(looks), "{:?}", warnings(&shifted));
    }
}

#[test]
fn norms_that_a_conversion_forgot_are_named_and_the_others_keep_their_kernel() {
    // A list of endings that lacks the norms on queries and keys.
    let forgotten = |name: &str| name.contains("self_attn");
    let converted = opened("qwen3_next", Some("mlx"), |name| if forgotten(name) { -1.0 } else { 0.0 });
    for norm in &converted.report.norms {
        let expected = if forgotten(&norm.name) { ScaleConvention::Unknown } else { ScaleConvention::Weight };
        assert_eq!(norm.scale_convention, expected, "{}", norm.name);
    }
    assert_eq!(coordinates(&converted), [5, 11]);
    let said = warnings(&converted);
    assert!(said.len() == 1 && said[0].contains("6 of 13 norms"), "{said:?}");
}

#[test]
fn a_constant_added_to_every_scale_is_one_line_of_a_comparison() {
    let before = opened("qwen3", None, |_| 0.0);
    let after = opened("qwen3", None, |name| if name.contains("norm") { 0.25 } else { 0.0 });
    let comparison = compare(&before, &after).unwrap();
    assert_eq!(comparison.constant, Some(0.25));
    assert!(
        comparison.sentence.starts_with("13 norm sites in common, every norm differs by the constant 0.25")
    );
    let some = opened("qwen3", None, |name| if name.contains("input") { 0.25 } else { 0.0 });
    assert_eq!(compare(&before, &some).unwrap().constant, None);
}

#[test]
fn a_model_whose_scales_are_not_stored_as_its_family_takes_them_is_not_run() {
    // The stored scales of this Nemotron are around 1, like γ.
    for (family, runs) in [("gemma3", true), ("llama", true), ("nemotron", false)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family);
        let files = ["model.safetensors", "config.json"];
        let sources = files.map(|file| DiskSource::open(&folder.join(file), file).unwrap()).into();
        let opened = pollster::block_on(inspect::open(sources, |_| {})).unwrap();
        let model = Model::new(opened.checkpoint(), Extent::default()).unwrap();
        let fits = model.fits(&opened.inspection.report);
        assert_eq!(fits.is_ok(), runs, "{family}");
        if let Err(error) = fits {
            let message = error.to_string();
            assert!(
                message.contains("takes its scale as 1 + w") && message.contains("γ itself"),
                "{message}"
            );
        }
    }
}
