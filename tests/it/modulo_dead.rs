//! Comparing two checkpoints in canonical form: what is apart only along dead directions is the same, and anything else is not.

use crate::fold::{
    ALL, CANONICAL, Tensors, config, file, fixture, folded, in_f32, sample, set, sources, values,
};
use assert_cmd::Command;
use gammascope::fold::modulo_dead;
use gammascope::inspect;
use gammascope::report::comparison::Comparison;
use gammascope::report::modulo_dead::{ModuloDead, ReaderDifference};
use pollster::block_on;
use std::path::Path;

fn compared(before: &[u8], after: &[u8], config: &[u8]) -> Result<ModuloDead, String> {
    let open = |weights: &[u8]| block_on(inspect::open(sources(weights.to_vec(), config), |_| {})).unwrap();
    block_on(modulo_dead(&open(before), &open(after), |_, _| {})).map_err(|error| error.to_string())
}

fn reader<'a>(found: &'a ModuloDead, name: &str) -> &'a ReaderDifference {
    found.readers.iter().find(|reader| reader.name.ends_with(name)).unwrap()
}

#[test]
fn a_checkpoint_and_its_canonical_form_differ_by_rounding() {
    for family in ["gpt_neox", "gpt2", "bert", "mpt", "phi"] {
        let folder = fixture(family);
        let (weights, config) = (file(&in_f32(&folder)), config(&folder));
        let (_, canonical) = folded(&weights, &config, CANONICAL);
        let found = compared(&weights, &canonical, &config).unwrap();
        let [stored, modulo_dead, rounding] =
            [found.weights.stored, found.weights.modulo_dead, found.weights.rounding].map(Option::unwrap);
        assert!(stored > 1e-2, "{family}: {stored:.1e}");
        assert!(
            modulo_dead > 0.0 && modulo_dead < 2.0 * rounding,
            "{family}: {modulo_dead:.1e} {rounding:.1e}"
        );
        assert!(rounding < 1e-7);
        if let Some(biases) = found.biases {
            assert!(biases.modulo_dead.unwrap() < 1e-6, "{family}: {biases:?}");
        }
        assert_eq!((found.others, found.unpaired.len()), (Some(0.0), 0), "{family}");
    }
}

/// W + a vᵀ and b − a vᵀβ, in f32, at one reader of GPT-NeoX.
fn moved(tensors: &Tensors, a: f64) -> Tensors {
    let norm = "gpt_neox.layers.1.post_attention_layernorm";
    let map = "gpt_neox.layers.1.mlp.dense_h_to_4h";
    let mut tensors = tensors.clone();
    let of = |name: &str| -> Vec<f64> { values(&tensors, name).into_iter().map(f64::from).collect() };
    let [gamma, beta, mut weight, mut bias] = [
        of(&format!("{norm}.weight")),
        of(&format!("{norm}.bias")),
        of(&format!("{map}.weight")),
        of(&format!("{map}.bias")),
    ];
    let along: f64 = gamma.iter().zip(&beta).map(|(gamma, beta)| beta / gamma).sum();
    for (row, bias) in weight.chunks_mut(gamma.len()).zip(&mut bias) {
        row.iter_mut().zip(&gamma).for_each(|(value, gamma)| *value += a / gamma);
        *bias -= a * along;
    }
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<_>>();
    set(&mut tensors, &format!("{map}.weight"), &narrow(weight));
    set(&mut tensors, &format!("{map}.bias"), &narrow(bias));
    tensors
}

#[test]
fn a_change_along_a_dead_direction_is_none_and_any_other_is() {
    let folder = fixture("gpt_neox");
    let (tensors, config) = (in_f32(&folder), config(&folder));
    let weights = file(&tensors);
    let dead = compared(&weights, &file(&moved(&tensors, 0.1)), &config).unwrap();
    let one = reader(&dead, "layers.1.mlp.dense_h_to_4h.weight");
    assert!(one.weight.stored.unwrap() > 0.1, "{one:?}");
    assert!(one.weight.modulo_dead.unwrap() < 1e-6, "{one:?}");
    assert!(one.bias.unwrap().stored.unwrap() > 0.1 && one.bias.unwrap().modulo_dead.unwrap() < 1e-5);
    let same = reader(&dead, "layers.0.mlp.dense_h_to_4h.weight");
    assert_eq!((same.weight.stored, same.weight.modulo_dead), (Some(0.0), Some(0.0)));

    // One value more, where the scale is largest: hardly any of that lies along a dead direction.
    let mut other = tensors.clone();
    let name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight";
    let mut weight = values(&other, name);
    let scale = values(&other, "gpt_neox.layers.1.post_attention_layernorm.weight");
    let largest = (0..scale.len()).max_by(|&a, &b| scale[a].abs().total_cmp(&scale[b].abs())).unwrap();
    weight[largest] += 1.0;
    set(&mut other, name, &weight);
    let alive = compared(&weights, &file(&other), &config).unwrap();
    let one = reader(&alive, "layers.1.mlp.dense_h_to_4h.weight");
    let (stored, modulo_dead) = (one.weight.stored.unwrap(), one.weight.modulo_dead.unwrap());
    assert!(modulo_dead > 0.8 * stored && stored > 0.1, "{one:?}");

    // A tensor that reads no norm.
    let mut other = tensors.clone();
    set(&mut other, "gpt_neox.layers.0.mlp.dense_4h_to_h.bias", &[1.0; 32]);
    let found = compared(&weights, &file(&other), &config).unwrap();
    assert!(found.weights.stored == Some(0.0) && found.others.unwrap() > 0.1);
}

#[test]
fn a_tied_unembedding_is_compared_as_stored_because_embedding_reads_it_whole() {
    let folder = fixture("gpt2");
    let (weights, config) = (file(&in_f32(&folder)), config(&folder));
    let (_, other) = folded(&weights, &config, ALL);
    let found = compared(&weights, &other, &config).unwrap();
    let tied = reader(&found, "wte.weight");
    assert!(tied.left.as_ref().unwrap().contains("(tied)"));
    assert_eq!(tied.weight.stored, tied.weight.modulo_dead);
}

#[test]
fn a_checkpoint_without_the_head_lacks_one_reader() {
    let folder = fixture("gpt_neox");
    let (tensors, config) = (in_f32(&folder), config(&folder));
    let mut headless = tensors.clone();
    headless.remove("embed_out.weight");
    let found = compared(&file(&tensors), &file(&headless), &config).unwrap();
    assert_eq!(found.unpaired, ["embed_out.weight"]);
    assert_eq!(found.weights.stored, Some(0.0));
}

#[test]
fn other_models_are_an_error_that_names_what_differs() {
    let [small, other] = ["gpt_neox", "llama"].map(fixture);
    let open = |folder: &Path| {
        let files = sources(file(&in_f32(folder)), &config(folder));
        block_on(inspect::open(files, |_| {})).unwrap()
    };
    let error = block_on(modulo_dead(&open(&small), &open(&other), |_, _| {})).unwrap_err().to_string();
    assert!(error.contains("cannot be paired") && error.contains("outputs"), "{error}");
    let unknown =
        block_on(inspect::open(sources(file(&in_f32(&small)), br#"{"model_type": "unheard-of"}"#), |_| {}));
    let error = block_on(modulo_dead(&unknown.unwrap(), &open(&small), |_, _| {})).unwrap_err().to_string();
    assert!(error.contains("everything that reads a norm is known"), "{error}");
}

#[test]
fn the_command_prints_both_differences_and_refuses_other_formats() {
    let compare = || {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("compare").env("COLUMNS", "200");
        command
    };
    let work = tempfile::tempdir().unwrap();
    let model = sample("layernorm");
    let (weights, config) = (file(&in_f32(&model)), config(&model));
    let (_, canonical) = folded(&weights, &config, CANONICAL);
    for (name, weights) in [("a", &weights), ("b", &canonical)] {
        std::fs::create_dir(work.path().join(name)).unwrap();
        std::fs::write(work.path().join(name).join("model.safetensors"), weights).unwrap();
        std::fs::write(work.path().join(name).join("config.json"), &config).unwrap();
    }
    let [a, b] = ["a", "b"].map(|name| work.path().join(name));
    let run = compare().args([&a, &b]).arg("--modulo-dead").assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(
        text.contains("modulo dead directions (rounding") && text.contains("all other tensors: the same"),
        "{text}"
    );
    let run = compare().args([&a, &b]).args(["--modulo-dead", "--json"]).assert().success();
    let report: Comparison = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let found = report.modulo_dead.unwrap();
    assert!(found.weights.modulo_dead.unwrap() < 1e-6 && found.weights.stored.unwrap() > 1e-3, "{found:?}");
    let run = compare().args([&a, &b]).arg("--json").assert().success();
    let report: Comparison = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(report.modulo_dead, None);
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/model.bin");
    let run = compare().args([&other, &other]).arg("--modulo-dead").assert().code(2);
    let error = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(error.contains("--modulo-dead compares only those"), "{error}");
}
