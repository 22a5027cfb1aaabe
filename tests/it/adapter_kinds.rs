//! Realistic adapters on the command line: with their own norms, for bases with other names, and of every method.

use crate::support;
use crate::support::network::{Network, Random, WIDTH, Weights};
use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

const LORA: &str = r#"{"peft_type":"LORA","r":2}"#;
const RANK: usize = 2;

/// The files of a base and an adapter.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// The base of `network` with its tensors renamed.
    fn new(network: Network, weights: &Weights, renamed: impl Fn(&str) -> String) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        let tensors: Vec<Named> = weights
            .iter()
            .map(|(name, (shape, values))| {
                (renamed(name), shape.clone(), values.iter().map(|&value| value as f32).collect())
            })
            .collect();
        case.write("base/model.safetensors", &tensors);
        std::fs::write(case.at("base/config.json"), network.config()).unwrap();
        case
    }

    fn plain(network: Network, weights: &Weights) -> Self {
        Self::new(network, weights, str::to_owned)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, tensors: &[Named]) {
        let listed: Vec<(&str, &[usize], Vec<f32>)> = tensors
            .iter()
            .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone()))
            .collect();
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), support::tensors(&listed)).unwrap();
    }

    fn run(&self, tensors: &[Named], config: Option<&str>, json: bool, code: i32) -> (String, String) {
        self.write("tuned/adapter_model.safetensors", tensors);
        let at = self.at("tuned/adapter_config.json");
        match config {
            Some(config) => std::fs::write(at, config).unwrap(),
            None => _ = std::fs::remove_file(at),
        }
        let mut command = gammascope("adapter", &self.at("base"));
        command.arg(self.at("tuned")).args(json.then_some("--json"));
        let output = command.assert().code(code).get_output().clone();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn report(&self, tensors: &[Named], config: Option<&str>) -> Value {
        serde_json::from_str(&self.run(tensors, config, true, 0).0).unwrap()
    }

    fn refused(&self, tensors: &[Named], config: Option<&str>) -> String {
        self.run(tensors, config, true, 2).1
    }
}

fn gammascope(verb: &str, path: &Path) -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg(verb).arg(path).env("COLUMNS", "1000");
    command
}

fn matrix(rows: usize, columns: usize, random: &mut Random) -> (Vec<usize>, Vec<f32>) {
    (vec![rows, columns], (0..rows * columns).map(|_| random.next() as f32).collect())
}

fn lora(module: &str, inputs: usize, outputs: usize, random: &mut Random) -> Vec<Named> {
    [("lora_A", RANK, inputs), ("lora_B", outputs, RANK)]
        .map(|(factor, rows, columns)| {
            let (shape, values) = matrix(rows, columns, random);
            (format!("base_model.model.{module}.{factor}.weight"), shape, values)
        })
        .to_vec()
}

/// ‖M v‖²/‖M‖² with v = γ⁻¹/‖γ⁻¹‖, from the definition.
fn share(rows: &[f64], scale: &[f64]) -> f64 {
    let inverse: Vec<f64> = scale.iter().map(|&gamma| 1.0 / gamma).collect();
    let norm: f64 = inverse.iter().map(|v| v * v).sum();
    let along = |row: &[f64]| row.iter().zip(&inverse).map(|(a, v)| a * v).sum::<f64>().powi(2);
    let wasted: f64 = rows.chunks(scale.len()).map(along).sum();
    wasted / norm / rows.iter().map(|a| a * a).sum::<f64>()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn module<'a>(report: &'a Value, end: &str) -> &'a Value {
    let modules = report["modules"].as_array().unwrap();
    modules
        .iter()
        .find(|module| module["module"].as_str().unwrap().ends_with(end))
        .unwrap_or_else(|| panic!("{report:#}"))
}

fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

fn why<'a>(report: &'a Value, end: &str) -> &'a str {
    let skipped = report["skipped"].as_array().unwrap();
    let found = skipped.iter().find(|skipped| skipped["module"].as_str().unwrap().ends_with(end));
    found.unwrap_or_else(|| panic!("{report:#}"))["why"].as_str().unwrap()
}

#[test]
fn norms_of_the_adapter_replace_those_of_the_base_however_they_are_saved() {
    let network = Network::Gpt2 { tied: true };
    let weights = network.weights(&mut Random(1));
    let case = Case::plain(network, &weights);
    let mut random = Random(2);
    let path = |block: usize, part: &str| format!("transformer.h.{block}.{part}");
    let mut tensors = Vec::new();
    for block in 0..2 {
        tensors.extend(lora(&path(block, "attn.c_attn"), WIDTH, 3 * WIDTH, &mut random));
        tensors.extend(lora(&path(block, "mlp.c_fc"), WIDTH, 8, &mut random));
    }
    let tuned: Vec<f32> = (0..WIDTH).map(|index| 0.4 + 0.3 * index as f32).collect();
    let of_base = |norm: &str| weights[&format!("{}.weight", path(0, norm))].1.clone();
    let difference: Vec<f32> =
        tuned.iter().zip(of_base("ln_1")).map(|(tuned, base)| tuned - base as f32).collect();
    for (ending, values) in [
        ("weight", &tuned),
        ("modules_to_save.weight", &tuned),
        ("modules_to_save.default.weight", &tuned),
        ("ln_tuning_layers.default.weight", &tuned),
        ("w_norm", &difference),
        ("diff", &difference),
    ] {
        let mut all = tensors.clone();
        all.push((format!("base_model.model.{}.{ending}", path(0, "ln_1")), vec![WIDTH], values.clone()));
        all.push((
            format!("base_model.model.{}.original_module.weight", path(0, "ln_2")),
            vec![WIDTH],
            vec![3.0; WIDTH],
        ));
        let report = case.report(&all, Some(LORA));
        assert_eq!(report["own_scales"], serde_json::json!([path(0, "ln_1")]), "{ending}");
        says(report["sentence"].as_str().unwrap(), &["4 of 4", "its own scale for 1 norm site:"]);
        for (end, own, norm) in [("h.0.attn.c_attn", true, "ln_1"), ("h.0.mlp.c_fc", false, "ln_2")] {
            let module = module(&report, end);
            let a = &tensors.iter().find(|(name, ..)| name.contains(&format!("{end}.lora_A"))).unwrap().2;
            let scale = if own { wide(&tuned) } else { of_base(norm) };
            near(&module["wasted"], share(&wide(a), &scale));
            assert_eq!(module["own_scale"], own, "{ending} {end}");
        }
    }
    let mut all = tensors.clone();
    all.push((format!("base_model.model.{}.weight", path(1, "ln_2")), vec![WIDTH], tuned));
    let (text, _) = case.run(&all, Some(LORA), false, 0);
    says(&text, &["transformer.h.1.ln_2*", "the adapter's own scale"]);
}

#[test]
fn a_scale_of_the_adapter_follows_the_convention_of_its_site_and_may_have_zeros() {
    let weights = Network::Llama.weights(&mut Random(1));
    let case = Case::plain(Network::Llama, &weights);
    let config = Network::Llama
        .config()
        .replace("\"llama\"", "\"gemma\"")
        .replace("LlamaForCausalLM", "GemmaForCausalLM");
    std::fs::write(case.at("base/config.json"), config).unwrap();
    let mut tensors = lora("model.layers.0.self_attn.q_proj", WIDTH, WIDTH, &mut Random(2));
    // 1 + w is zero in channel 2 of the adapter, and nowhere in the base.
    let mut own: Vec<f32> =
        weights["model.layers.0.input_layernorm.weight"].1.iter().map(|&scale| scale as f32).collect();
    own[2] = -1.0;
    tensors.push(("base_model.model.model.layers.0.input_layernorm.weight".to_owned(), vec![WIDTH], own));
    let report = case.report(&tensors, Some(LORA));
    let a = wide(&tensors[0].2);
    let column: f64 = a.chunks(WIDTH).map(|row| row[2] * row[2]).sum();
    let module = module(&report, "q_proj");
    assert_eq!(
        (module["form"].as_str(), module["kernel_dimension"].as_u64()),
        (Some("coordinates"), Some(1))
    );
    near(&module["wasted"], column / a.iter().map(|a| a * a).sum::<f64>());
}

#[test]
fn an_unusable_scale_of_the_adapter_leaves_its_readers_out() {
    let network = Network::Gpt2 { tied: true };
    let weights = network.weights(&mut Random(1));
    let case = Case::plain(network, &weights);
    let norm = "transformer.h.0.ln_1";
    let of_base: Vec<f32> = weights[&format!("{norm}.weight")].1.iter().map(|&scale| scale as f32).collect();
    let lora = [
        lora("transformer.h.0.attn.c_attn", WIDTH, 3 * WIDTH, &mut Random(2)),
        lora("transformer.h.1.attn.c_attn", WIDTH, 3 * WIDTH, &mut Random(3)),
    ]
    .concat();
    let with = |name: &str, values: Vec<f32>| {
        [lora.clone(), vec![(format!("base_model.model.{name}.weight"), vec![values.len()], values)]].concat()
    };
    // Stored as γ − 1, as another library might do.
    let report = case.report(&with(norm, of_base.iter().map(|scale| scale - 1.0).collect()), Some(LORA));
    says(why(&report, "h.0.attn.c_attn"), &["transformer.h.0.ln_1.weight", "by about one"]);
    assert_eq!(report["modules"].as_array().unwrap().len(), 1);
    let report = case.report(&with(norm, vec![f32::NAN; WIDTH]), Some(LORA));
    says(why(&report, "h.0.attn.c_attn"), &["NaN"]);
    // A norm that the base does not have may come before any map of its block.
    let report = case.report(&with("transformer.h.0.pre_norm", of_base.clone()), Some(LORA));
    says(why(&report, "h.0.attn.c_attn"), &["`transformer.h.0.pre_norm`", "not in the base"]);
    assert_eq!(report["modules"].as_array().unwrap().len(), 1);
    says(&case.refused(&with(norm, vec![1.0; 8]), Some(LORA)), &["8 values", "another base"]);
    let only = [("base_model.model.transformer.h.0.ln_1.weight".to_owned(), vec![WIDTH], of_base)];
    says(&case.refused(&only, None), &["norms only"]);
}

/// An adapter on the maps of GPT-2 that read a norm, in one block.
fn gpt2_adapter(stem: &str) -> Vec<Named> {
    let mut random = Random(7);
    let maps = |block: usize| [(block, "attn.c_attn", 3 * WIDTH), (block, "mlp.c_fc", 8)];
    let all = (0..2).flat_map(maps);
    all.flat_map(|(block, map, outputs)| lora(&format!("{stem}.{block}.{map}"), WIDTH, outputs, &mut random))
        .collect()
}

fn shares(report: &Value) -> Vec<f64> {
    report["modules"].as_array().unwrap().iter().map(|module| module["wasted"].as_f64().unwrap()).collect()
}

#[test]
fn a_base_under_other_names_gives_the_same_shares_and_shows_the_renaming() {
    let network = Network::Gpt2 { tied: true };
    let weights = network.weights(&mut Random(1));
    let plain = Case::plain(network, &weights).report(&gpt2_adapter("transformer.h"), Some(LORA));
    assert_eq!((plain["renamings"].as_array().unwrap().len(), shares(&plain).len()), (0, 4));
    for (of_base, of_adapter) in [
        ("language_model.transformer.h", "model.language_model.h"),
        ("language_model.transformer.h", "transformer.h"),
        ("h", "transformer.h"),
        ("decoder.h", "model.decoder.transformer.h"),
    ] {
        let case = Case::new(network, &weights, |name| name.replace("transformer.h", of_base));
        let report = case.report(&gpt2_adapter(of_adapter), Some(LORA));
        assert_eq!(shares(&report), shares(&plain), "{of_base} {of_adapter}");
        let expected = serde_json::json!([{ "from": of_adapter, "to": of_base, "found": 4 }]);
        assert_eq!(report["renamings"], expected);
        let (text, _) = case.run(&gpt2_adapter(of_adapter), Some(LORA), false, 0);
        says(
            &text,
            &[&format!("`{of_adapter}` of the adapter is `{of_base}` of the base (4 found this way)")],
        );
    }
}

#[test]
fn a_part_of_a_pipeline_is_found_under_kohyas_names() {
    let network = Network::Gpt2 { tied: true };
    let weights = network.weights(&mut Random(1));
    let case = Case::new(network, &weights, str::to_owned);
    std::fs::create_dir_all(case.at("base/text_encoder")).unwrap();
    std::fs::rename(case.at("base/model.safetensors"), case.at("base/text_encoder/model.safetensors"))
        .unwrap();
    std::fs::rename(case.at("base/config.json"), case.at("base/text_encoder/config.json")).unwrap();
    case.write(
        "base/unet/diffusion_pytorch_model.safetensors",
        &[("conv_in.weight".to_owned(), vec![4, 4], vec![0.5; 16])],
    );
    let kohya: Vec<Named> = gpt2_adapter("transformer.h")
        .into_iter()
        .map(|(name, shape, values)| {
            let path = name.trim_start_matches("base_model.model.");
            let (module, factor) = path.split_once(".lora_").unwrap();
            let factor = if factor.starts_with('A') { "lora_down" } else { "lora_up" };
            (format!("lora_te_{}.{factor}.weight", module.replace('.', "_")), shape, values)
        })
        .collect();
    let report = case.report(&kohya, None);
    let plain = Case::plain(network, &weights).report(&gpt2_adapter("transformer.h"), Some(LORA));
    assert_eq!(shares(&report), shares(&plain), "{report:#}");
    assert_eq!(report["renamings"][0]["to"], "text_encoder/transformer.h");
}

#[test]
fn two_possible_places_are_named_and_only_wrong_shapes_mean_another_base() {
    let network = Network::Gpt2 { tied: true };
    let mut weights = network.weights(&mut Random(1));
    for (name, value) in weights.clone() {
        weights.insert(format!("second.{name}"), value);
    }
    let case = Case::new(network, &weights, |name| {
        if name.starts_with("second.") { name.to_owned() } else { format!("first.{name}") }
    });
    let said = case.refused(&gpt2_adapter("transformer.h"), Some(LORA));
    says(&said, &["more than one place", "`first.transformer.h` or `second.transformer.h`", "rename"]);
    assert!(!said.contains("another base"), "{said}");
    let report = case.report(&gpt2_adapter("second.transformer.h"), Some(LORA));
    assert!(module(&report, "0.mlp.c_fc")["site"].as_str().unwrap().starts_with("second."));

    let said =
        case.refused(&lora("model.layers.0.self_attn.q_proj", WIDTH, WIDTH, &mut Random(2)), Some(LORA));
    says(&said, &["`model.layers.0.self_attn.q_proj`", "no module", "transformer.h.0.attn.c_attn"]);
    assert!(!said.contains("another base"), "{said}");
    let said = case.refused(&lora("model.h.0.attn.c_attn", 12, 36, &mut Random(2)), Some(LORA));
    says(&said, &["2 × 12", "another base"]);
}

/// The factors of one module, each with its name, and the ΔW that they give.
fn update(method: &str, outputs: usize, random: &mut Random) -> (Vec<Named>, Vec<f64>) {
    let mut factors: Vec<Named> = Vec::new();
    let mut make = |name: &str, rows: usize, columns: usize| {
        let (shape, values) = matrix(rows, columns, random);
        factors.push((name.to_owned(), shape, values.clone()));
        wide(&values)
    };
    let times = |left: &[f64], right: &[f64], inner: usize| -> Vec<f64> {
        let (rows, columns) = (left.len() / inner, right.len() / inner);
        let at = |row: usize, column: usize| {
            (0..inner).map(|k| left[row * inner + k] * right[k * columns + column]).sum()
        };
        (0..rows).flat_map(|row| (0..columns).map(move |column| at(row, column))).collect()
    };
    let kron = |first: &[f64], second: &[f64], inner: usize| -> Vec<f64> {
        let (rows, columns) = (second.len() / inner, WIDTH / inner);
        let at = |row: usize, column: usize| {
            first[row / rows * columns + column / inner] * second[row % rows * inner + column % inner]
        };
        (0..outputs).flat_map(|row| (0..WIDTH).map(move |column| at(row, column))).collect()
    };
    let delta = match method {
        "lokr" => {
            let (first, second) = (make("lokr_w1", 2, 3), make("lokr_w2", outputs / 2, 2));
            kron(&first, &second, 2)
        }
        "lokr of factors" => {
            let first = times(&make("lokr_w1_a", 2, 1), &make("lokr_w1_b", 1, 2), 1);
            let second = times(&make("lokr_w2_a", outputs / 2, 2), &make("lokr_w2_b", 2, 3), 2);
            kron(&first, &second, 3)
        }
        "loha" => {
            let first = times(&make("hada_w1_a", outputs, 2), &make("hada_w1_b", 2, WIDTH), 2);
            let second = times(&make("hada_w2_a", outputs, 2), &make("hada_w2_b", 2, WIDTH), 2);
            first.iter().zip(second).map(|(first, second)| first * second).collect()
        }
        "difference" => make("diff", outputs, WIDTH),
        "adalora" => {
            let (a, e) = (make("lora_A", 3, WIDTH), make("lora_E", 3, 1));
            let scaled: Vec<f64> = a.iter().enumerate().map(|(at, value)| value * e[at / WIDTH]).collect();
            times(&make("lora_B", outputs, 3), &scaled, 3)
        }
        other => panic!("{other}"),
    };
    (factors, delta)
}

#[test]
fn other_methods_are_measured_by_the_update_that_they_make() {
    let weights = Network::Bert.weights(&mut Random(1));
    let case = Case::plain(Network::Bert, &weights);
    let scale = &weights["encoder.layer.0.output.LayerNorm.weight"].1;
    for (method, name) in [
        ("lokr", "lokr"),
        ("lokr of factors", "lokr"),
        ("loha", "loha"),
        ("difference", "difference"),
        ("adalora", "ada_lora"),
    ] {
        for prefix in [
            "base_model.model.encoder.layer.1.attention.self.query.",
            "lycoris_encoder_layer_1_attention_self_query.",
        ] {
            let (factors, delta) = update(method, WIDTH, &mut Random(5));
            let named = |(factor, shape, values): Named| (format!("{prefix}{factor}"), shape, values);
            let mut tensors: Vec<Named> = factors.into_iter().map(named).collect();
            tensors.push((format!("{prefix}alpha"), vec![], vec![1.0]));
            let report = case.report(&tensors, None);
            let module = &report["modules"][0];
            assert_eq!(
                (&module["method"], &module["site"]),
                (&name.into(), &"encoder.layer.0.output.LayerNorm".into()),
                "{report:#}"
            );
            near(&module["wasted"], share(&delta, scale));
            near(&module["null"], 1.0 / WIDTH as f64);
            assert!(module["null_deviation"].as_f64().unwrap() > 0.0);
            let energy: f64 = delta.iter().map(|value| value * value).sum();
            near(&module["energy"], energy);
        }
    }
    let (text, _) = case.run(
        &update("loha", WIDTH, &mut Random(5))
            .0
            .into_iter()
            .map(|(name, shape, values)| {
                (format!("encoder.layer.1.attention.self.key.{name}"), shape, values)
            })
            .collect::<Vec<_>>(),
        None,
        false,
        0,
    );
    says(&text, &["‖ΔW v‖²/‖ΔW‖²"]);
}

#[test]
fn vera_needs_its_shared_matrices() {
    let weights = Network::Bert.weights(&mut Random(1));
    let case = Case::plain(Network::Bert, &weights);
    let mut random = Random(4);
    // As wide and as high as the largest module.
    let (a, b) = (matrix(3, 8, &mut random), matrix(8, 3, &mut random));
    let ((_, d), (_, rows)) = (matrix(1, 3, &mut random), matrix(1, WIDTH, &mut random));
    let module = "base_model.model.encoder.layer.1.attention.self.value";
    let vectors = [
        (format!("{module}.vera_lambda_b"), vec![WIDTH], rows.clone()),
        (format!("{module}.vera_lambda_d"), vec![3], d.clone()),
    ];
    let shared = [
        ("base_model.vera_A".to_owned(), a.0, a.1.clone()),
        ("base_model.vera_B".to_owned(), b.0, b.1.clone()),
    ];
    let config = r#"{"peft_type":"VERA","r":3}"#;
    let report = case.report(&[vectors.to_vec(), shared.to_vec()].concat(), Some(config));
    let mut delta = Vec::new();
    for (row, factor) in rows.iter().enumerate() {
        for column in 0..WIDTH {
            let sum: f32 = (0..3).map(|k| b.1[row * 3 + k] * d[k] * a.1[k * 8 + column]).sum();
            delta.push(f64::from(factor * sum));
        }
    }
    near(
        &report["modules"][0]["wasted"],
        share(&delta, &weights["encoder.layer.0.output.LayerNorm.weight"].1),
    );
    let report = case.report(&vectors, Some(config));
    says(why(&report, "self.value"), &["save_projection=True"]);
}

#[test]
fn mlx_and_diffusers_lora_is_lora() {
    let weights = Network::Bert.weights(&mut Random(1));
    let case = Case::plain(Network::Bert, &weights);
    let module = "encoder.layer.1.attention.self.query";
    let (shape, a) = matrix(RANK, WIDTH, &mut Random(2));
    let expected = share(&wide(&a), &weights["encoder.layer.0.output.LayerNorm.weight"].1);
    let transposed: Vec<f32> = (0..WIDTH).flat_map(|column| [a[column], a[WIDTH + column]]).collect();
    for (name, shape, values) in [
        ("lora.down.weight", shape.clone(), a.clone()),
        ("lora_linear_layer.down.weight", shape.clone(), a.clone()),
        ("lora_a.weight", shape, a),
        ("lora_a", vec![WIDTH, RANK], transposed),
    ] {
        let report = case.report(&[(format!("{module}.{name}"), shape, values)], None);
        near(&report["modules"][0]["wasted"], expected);
    }
}

#[test]
fn methods_that_need_more_are_named_with_what_to_do() {
    let weights = Network::Bert.weights(&mut Random(1));
    let case = Case::plain(Network::Bert, &weights);
    let module = "base_model.model.encoder.layer.1.attention.self.query";
    let lora = lora("encoder.layer.1.attention.self.key", WIDTH, WIDTH, &mut Random(2));
    for (factor, shape, name, remedy) in [
        ("ia3_l", vec![WIDTH, 1], "IA³", "gammascope compare"),
        ("oft_R.weight", vec![2, 3], "OFT", "gammascope compare"),
        ("oft_blocks", vec![2, 3, 3], "OFT", "gammascope compare"),
        ("boft_R", vec![1, 2, 3, 3], "BOFT", "gammascope compare"),
        ("fourierft_spectrum", vec![8], "FourierFT", "gammascope compare"),
    ] {
        let values = vec![0.5; shape.iter().product()];
        let tensors = [(format!("{module}.{factor}"), shape, values)];
        says(&case.refused(&tensors, None), &[name, remedy]);
        // In a LoRA adapter, it is one module that is left out.
        let report = case.report(&[lora.clone(), tensors.to_vec()].concat(), None);
        says(why(&report, "self.query"), &[name, remedy]);
        assert_eq!(report["modules"].as_array().unwrap().len(), 1);
    }
    let dora = [
        ("dora_scale", vec![WIDTH, 1]),
        ("lora_down.weight", vec![2, WIDTH]),
        ("lora_up.weight", vec![WIDTH, 2]),
    ];
    let dora = dora.map(|(factor, shape)| {
        let values = vec![0.5; shape.iter().product()];
        (format!("lycoris_encoder_layer_1_attention_self_query.{factor}"), shape, values)
    });
    says(&case.refused(&dora, None), &["DoRA", "merge"]);
    says(&case.refused(&lora, Some(r#"{"peft_type":"NEWER"}"#)), &["NEWER", "merge"]);
}

#[test]
fn inspecting_an_adapter_names_its_method_and_the_command_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let module = "base_model.model.encoder.layer.1.attention.self.query";
    for (factors, name) in [
        (&["lora_A.weight", "lora_B.weight"][..], "a LoRA adapter"),
        (&["lokr_w1", "lokr_w2_a", "lokr_w2_b"], "a LoKr adapter"),
        (&["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"], "a LoHa adapter"),
        (&["ia3_l"], "an IA³ adapter"),
        (&["oft_r"], "an OFT adapter"),
        (&["vera_lambda_b", "vera_lambda_d"], "a VeRA adapter"),
        (&["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"], "a DoRA adapter"),
    ] {
        // With norms beside the factors, it is still an adapter and not a model.
        for norms in [0, 4] {
            let mut tensors: Vec<Named> = factors
                .iter()
                .map(|factor| (format!("{module}.{factor}"), vec![2, 2], vec![0.5; 4]))
                .collect();
            tensors.extend((0..norms).map(|norm| {
                (
                    format!("base_model.model.encoder.layer.{norm}.output.LayerNorm.weight"),
                    vec![2],
                    vec![1.0, 2.0],
                )
            }));
            let listed: Vec<(&str, &[usize], Vec<f32>)> = tensors
                .iter()
                .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), values.clone()))
                .collect();
            let file = folder.path().join("some.safetensors");
            std::fs::write(&file, support::tensors(&listed)).unwrap();
            let output = gammascope("inspect", &file).assert().code(2).get_output().clone();
            says(
                &String::from_utf8(output.stderr).unwrap(),
                &[name, "not a model", "gammascope adapter BASE ADAPTER"],
            );
        }
    }
}
