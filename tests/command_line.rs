//! The command line as a user runs it, on the samples and on files made here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "cli")]

mod support;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn inspect() -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("inspect");
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn stderr(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

fn report(paths: &[PathBuf]) -> Value {
    serde_json::from_str(&stdout(inspect().args(paths).arg("--json"))).unwrap()
}

#[test]
fn the_layer_norm_sample_is_told_to_be_one() {
    let text = stdout(inspect().arg(sample("layernorm")));
    assert!(
        text.starts_with("LayerNorm transformer, 9 norm sites, an exact dead direction at each;"),
        "{text}"
    );
    assert!(text.contains("final norm transformer.ln_f: γ⁻¹ direction"));
    assert!(!text.contains('\u{1b}'), "no colour where nobody looks");
}

#[test]
fn the_rms_norm_sample_has_no_direction() {
    let text = stdout(inspect().arg(sample("rmsnorm")));
    assert!(text.starts_with("RMSNorm transformer, 9 norm sites: no mean is subtracted"), "{text}");
    assert!(text.contains("No reader has a dead direction."));
}

#[test]
fn json_is_the_contract() {
    let report = report(&[sample("layernorm")]);
    assert_eq!(report["schema"], "gammascope.report/1");
    assert_eq!(report["tool_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["model"]["verdict"], "layernorm");
    assert_eq!(report["model"]["final_norm"], "transformer.ln_f");
    assert_eq!((&report["model"]["layers"], &report["model"]["width"]), (&4.into(), &128.into()));
    assert!(report["verification"].is_null());
    for field in ["name", "format", "shards", "tensors", "parameters", "bytes", "bytes_read"] {
        assert!(!report["checkpoint"][field].is_null(), "{field}");
    }
    for field in ["outright", "with_bias_shift", "constant_shift", "share"] {
        assert!(report["dead_parameters"][field].is_number(), "{field}");
    }
    let norm = &report["norms"][0];
    for field in [
        "name",
        "scale",
        "shift",
        "width",
        "role",
        "kind",
        "confidence",
        "scale_convention",
        "evidence",
        "kernel",
    ] {
        assert!(!norm[field].is_null(), "{field}");
    }
    for field in [
        "form",
        "coordinates",
        "participation",
        "max_component",
        "max_index",
        "scale_min_abs",
        "near_dead",
        "predicted_below_tau",
    ] {
        assert!(!norm["kernel"][field].is_null(), "{field}");
    }
    for field in ["source", "says", "strength", "detail"] {
        assert!(!norm["evidence"][0][field].is_null(), "{field}");
    }
}

#[test]
fn reading_is_bounded_by_headers_and_norms() {
    for name in ["layernorm", "rmsnorm"] {
        let checkpoint = &report(&[sample(name)])["checkpoint"];
        let number = |field: &str| checkpoint[field].as_f64().unwrap();
        assert!(number("bytes_read") <= number("header_bytes") + 1.2 * number("norm_bytes"), "{checkpoint}");
    }
}

#[test]
fn a_file_a_folder_an_index_and_its_shards_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.safetensors"), support::layer_norm("a.norm", &[1.0; 4])).unwrap();
    std::fs::write(at("b.safetensors"), support::layer_norm("b.norm", &[2.0; 4])).unwrap();
    let index = r#"{"weight_map":{"a.norm.weight":"a.safetensors","a.norm.bias":"a.safetensors","b.norm.weight":"b.safetensors","b.norm.bias":"b.safetensors"}}"#;
    std::fs::write(at("model.safetensors.index.json"), index).unwrap();
    let by_shards = report(&[at("a.safetensors"), at("b.safetensors")]);
    let by_index = report(&[at("model.safetensors.index.json")]);
    let by_folder = report(&[folder.path().to_owned()]);
    assert_eq!(by_shards["norms"].as_array().unwrap().len(), 2);
    assert_eq!(by_shards["norms"], by_index["norms"]);
    assert_eq!(by_shards["norms"], by_folder["norms"]);
}

#[test]
#[cfg(unix)]
fn a_dangling_link_in_a_folder_is_passed_over_unless_it_is_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("model.safetensors"), support::layer_norm("norm", &[1.0; 4])).unwrap();
    std::os::unix::fs::symlink("nowhere", at("tokenizer.json")).unwrap();
    assert_eq!(report(&[folder.path().to_owned()])["norms"].as_array().unwrap().len(), 1);
    std::os::unix::fs::symlink("nowhere", at("adapter.safetensors")).unwrap();
    assert!(stderr(inspect().arg(folder.path()), 2).contains("adapter.safetensors` could not be read"));
}

#[test]
fn wrong_usage_is_1_and_unreadable_input_is_2() {
    stderr(&mut inspect(), 1);
    stderr(inspect().arg("--no-such-option"), 1);
    assert!(stderr(inspect().arg("no/such/file.safetensors"), 2).contains("`no/such/file.safetensors`"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.safetensors");
    std::fs::write(&path, []).unwrap();
    assert!(stderr(inspect().arg(&path), 2).contains("`empty.safetensors`: the file is empty"));
}

#[test]
fn warnings_are_an_exit_code_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model-00001-of-00002.safetensors");
    std::fs::write(&path, support::layer_norm("norm", &[1.0; 4])).unwrap();
    assert!(stdout(inspect().arg(&path)).contains("`model-00002-of-00002.safetensors` is missing"));
    stderr(inspect().arg(&path).arg("--strict"), 3);
    stdout(inspect().arg(sample("layernorm")).arg("--strict"));
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, support::layer_norm("\u{1b}[31mred\u{7}.norm", &[1.0; 4])).unwrap();
    let text = stdout(inspect().arg(&path));
    assert!(!text.contains(['\u{1b}', '\u{7}']) && text.contains("\\u{1b}[31mred\\u{7}.norm"), "{text}");
}

#[test]
fn a_site_is_explained_evidence_by_evidence() {
    let text = stdout(inspect().arg(sample("layernorm")).args(["--explain", "ln_f"]));
    assert!(text.starts_with("transformer.ln_f\nlayernorm, confidence 0.999; role final"), "{text}");
    for piece in ["configuration", "layout", "shift", "names", "structure", "values", "writer energy"] {
        assert!(text.contains(&format!("{piece} ")), "{piece} in {text}");
    }
    assert!(text.contains("█") && text.contains("nats:"));
}

#[test]
fn an_explanation_wants_one_site() {
    let ambiguous = stderr(inspect().arg(sample("layernorm")).args(["--explain", "ln_1"]), 1);
    assert!(ambiguous.contains("4 norm sites end with `ln_1`"), "{ambiguous}");
    let absent = stderr(inspect().arg(sample("layernorm")).args(["--explain", "ln_9"]), 1);
    assert!(absent.contains("there is no norm site `ln_9`"), "{absent}");
}

#[test]
fn weights_are_sampled_unless_refused_and_never_counted_as_read() {
    let with = report(&[sample("layernorm")]);
    let arguments = [sample("layernorm").into_os_string(), "--json".into(), "--no-weights".into()];
    let without: Value = serde_json::from_str(&stdout(inspect().args(arguments))).unwrap();
    assert_eq!(without["checkpoint"]["weight_bytes_read"], 0);
    assert_eq!(without["writers"], Value::Array(vec![]));
    assert!(with["checkpoint"]["weight_bytes_read"].as_u64().unwrap() > 100_000);
    assert_eq!(with["checkpoint"]["bytes_read"], without["checkpoint"]["bytes_read"]);
    let energies: Vec<f64> = with["writers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|writer| writer["part"] != "embedding")
        .map(|writer| writer["energy"].as_f64().unwrap())
        .collect();
    assert_eq!(energies.len(), 8);
    assert!(energies.iter().all(|&energy| energy < 0.6), "trained structure: {energies:?}");
}
