//! The command line, run as by a user, on the samples and on files made here.

use crate::support;
use assert_cmd::Command;
use gammascope::source::disk::DiskSource;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
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

/// The output of a command, without wrapped lines.
fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.env("COLUMNS", "1000").assert().success().get_output().stdout.clone()).unwrap()
}

fn stderr(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

fn report(paths: &[PathBuf]) -> Value {
    serde_json::from_str(&stdout(inspect().args(paths).arg("--json"))).unwrap()
}

#[test]
fn the_layer_norm_sample_is_recognised() {
    let text = stdout(inspect().arg(sample("layernorm")));
    assert!(text.starts_with("LayerNorm model. All 9 norms ignore one direction;"), "{text}");
    assert!(text.contains("final norm transformer.ln_f, kernel: γ⁻¹ direction"));
    assert!(!text.contains('\u{1b}'), "no colour where nobody looks");
}

#[test]
fn the_rms_norm_sample_has_no_direction() {
    let text = stdout(inspect().arg(sample("rmsnorm")));
    assert!(text.starts_with("RMSNorm model: no dead directions"), "{text}");
    assert!(text.contains("No reader has a dead direction."));
}

#[test]
fn json_follows_the_schema() {
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
    let [a, b] = ["m-1-of-2.safetensors", "m-2-of-2.safetensors"];
    std::fs::write(at(a), support::layer_norm("a.norm", &[1.0; 4])).unwrap();
    std::fs::write(at(b), support::layer_norm("b.norm", &[2.0; 4])).unwrap();
    let index = format!(
        r#"{{"weight_map":{{"a.norm.weight":"{a}","a.norm.bias":"{a}","b.norm.weight":"{b}","b.norm.bias":"{b}"}}}}"#
    );
    std::fs::write(at("model.safetensors.index.json"), index).unwrap();
    let by_shards = report(&[at(a), at(b)]);
    let by_index = report(&[at("model.safetensors.index.json")]);
    let by_folder = report(&[folder.path().to_owned()]);
    assert_eq!(by_shards["norms"].as_array().unwrap().len(), 2);
    assert_eq!(by_shards["norms"], by_index["norms"]);
    assert_eq!(by_shards["norms"], by_folder["norms"]);
}

#[test]
fn several_checkpoints_are_listed_and_never_added_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (step, value) in [("checkpoint-100", 1.0), ("checkpoint-200", 2.0)] {
        std::fs::create_dir(at(step)).unwrap();
        let path = at(step).join("model.safetensors");
        std::fs::write(path, support::layer_norm("norm", &[value; 4])).unwrap();
    }
    let said = stderr(inspect().arg(folder.path()), 2);
    assert!(said.contains("2 checkpoints") && said.contains("checkpoint-100`"), "{said}");
    let alone = report(&[at("checkpoint-200")]);
    assert_eq!(alone["norms"].as_array().unwrap().len(), 1);
    std::fs::write(at("llama.gguf"), b"GGUF").unwrap();
    std::fs::write(at("bert.gguf"), b"GGUF").unwrap();
    let said = stderr(inspect().args([at("llama.gguf"), at("bert.gguf")]), 2);
    assert!(said.contains("2 checkpoints") && said.contains("`bert.gguf`"), "{said}");
}

#[test]
fn tensors_that_are_stored_empty_are_named_with_the_norms_among_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, full: bool| {
        let values = if full { vec![0; 16] } else { Vec::new() };
        let tensors = ["layers.0.norm.weight", "layers.0.norm.bias", "layers.1.norm.weight", "head.weight"]
            .map(|name| (name, if name.starts_with("layers.1") { values.clone() } else { Vec::new() }))
            .map(|(name, bytes)| (name, vec![bytes.len() / 4], bytes));
        let views = tensors.iter().map(|(name, shape, bytes)| {
            (
                name,
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        });
        std::fs::write(folder.path().join(name), safetensors::serialize(views, None).unwrap()).unwrap();
        report(&[folder.path().join(name)])
    };
    let all = write("all.safetensors", false);
    let sentence = all["model"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("All 2 norms of this checkpoint are stored empty"), "{sentence}");
    let some = write("some.safetensors", true);
    let warnings = some["warnings"].as_array().unwrap();
    let empty = warnings.iter().find(|warning| warning["code"] == "tensors_empty").unwrap();
    let message = empty["message"].as_str().unwrap();
    assert!(message.starts_with("3 tensors are empty") && message.contains("`layers.0.norm`"), "{message}");
    assert_eq!(some["norms"].as_array().unwrap().len(), 1);
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
    assert!(text.starts_with("transformer.ln_f\nlayernorm, confidence 0.99"), "{text}");
    for piece in ["configuration", "layout", "shift", "names", "structure", "values", "writer energy"] {
        assert!(text.contains(&format!("{piece} ")), "{piece} in {text}");
    }
    assert!(text.contains("█") && text.contains("nats for layernorm\n") && text.contains("no normalisation"));
}

#[test]
fn an_explanation_needs_exactly_one_site() {
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

/// Writes a file of activations for sites of the LayerNorm sample, computed in f32 from random streams.
fn activations(folder: &Path, sites: &[(&str, &str)], tokens: usize) -> PathBuf {
    let path = sample("layernorm").join("model.safetensors");
    let source = DiskSource::open(&path, "model.safetensors").unwrap();
    let inspection = pollster::block_on(gammascope::inspect::inspect(vec![source], |_| {})).unwrap();
    let mut random = SmallRng::seed_from_u64(3);
    let named: Vec<(&str, Vec<usize>, Vec<f32>)> = sites
        .iter()
        .map(|(site, tensor)| {
            let at = inspection.report.norms.iter().position(|norm| norm.name == *site).unwrap();
            let (scale, shift) =
                (inspection.scales[at].as_ref().unwrap(), inspection.shifts[at].as_ref().unwrap());
            let mut values = Vec::new();
            for _ in 0..tokens {
                let x: Vec<f32> = (0..128).map(|_| random.sample::<f32, _>(StandardNormal) + 0.5).collect();
                let mean = x.iter().sum::<f32>() / 128.0;
                let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 128.0 + 1e-5).sqrt();
                let output = |(channel, x): (usize, &f32)| {
                    (x - mean) / deviation * scale.values()[channel] as f32 + shift[channel] as f32
                };
                values.extend(x.iter().enumerate().map(output));
            }
            (*tensor, vec![tokens, 128], values)
        })
        .collect();
    let listed: Vec<(&str, &[usize], Vec<f32>)> =
        named.iter().map(|(name, shape, values)| (*name, shape.as_slice(), values.clone())).collect();
    let file = folder.join("activations.safetensors");
    std::fs::write(&file, support::tensors(&listed)).unwrap();
    file
}

fn measure(options: &[&std::ffi::OsStr]) -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("measure").arg(sample("layernorm")).args(options);
    command
}

#[test]
fn measured_sites_follow_the_schema_and_become_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let sites = [("transformer.ln_f", "transformer.ln_f"), ("transformer.h.1.ln_2", "h.1.ln_2")];
    let file = activations(folder.path(), &sites, 600);
    let options = ["--activations".as_ref(), file.as_os_str()];
    let text = stdout(&mut measure(&options));
    assert!(
        text.starts_with("2 sites measured on 600 tokens or more (n/d 4.7): 2 subtract the mean"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&stdout(measure(&options).arg("--json"))).unwrap();
    let verification = &json["verification"];
    assert_eq!((&verification["tokens"], &verification["forward"]), (&600.into(), &"f32".into()));
    for field in [
        "name",
        "depth",
        "cos",
        "gap",
        "sin_bound",
        "depth_scale_free",
        "cos_scale_free",
        "schur",
        "schur_null",
        "verdict",
    ] {
        assert!(!verification["sites"][0][field].is_null(), "{field}");
    }
    assert_eq!(verification["sites"][0]["verdict"], "mean_subtracting");
    let norms = json["norms"].as_array().unwrap();
    let evidence = |name: &str| {
        let norm = norms.iter().find(|norm| norm["name"] == name).unwrap();
        norm["evidence"].as_array().unwrap().iter().any(|piece| piece["source"] == "activations")
    };
    assert!(
        evidence("transformer.ln_f") && evidence("transformer.h.1.ln_2") && !evidence("transformer.h.0.ln_1")
    );
}

#[test]
fn measurements_of_either_checkpoint_are_compared_and_the_rest_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let file = activations(folder.path(), &[("transformer.ln_f", "transformer.ln_f")], 600);
    let compare = |options: &[&std::ffi::OsStr]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("compare").args([sample("layernorm"), sample("layernorm")]).args(options);
        command
    };
    let options = ["--activations-after".as_ref(), file.as_os_str()];
    let json: Value = serde_json::from_str(&stdout(compare(&options).arg("--json"))).unwrap();
    let sites = json["sites"].as_array().unwrap();
    for site in sites {
        let is_measured = site["name"] == "transformer.ln_f";
        assert_eq!(site["depth_scale_free_after"].as_f64().is_some_and(|depth| depth < 1e-8), is_measured);
        assert_eq!(site["depth_after"].is_number(), is_measured);
        assert!(site["depth"].is_null() && site["depth_scale_free"].is_null());
    }
    let text = stdout(compare(&options).arg("--all"));
    assert!(text.contains("depth^") && text.contains("– → "), "{text}");
    assert!(!stdout(compare(&[]).arg("--all")).contains("depth^"));
    let error = stderr(&mut compare(&["--activations-before".as_ref(), "no.npy".as_ref()]), 2);
    assert!(error.contains("no.npy"), "{error}");
}

#[test]
fn a_norm_alone_is_no_evidence_and_says_so() {
    let alone = |more: &[&str]| {
        stdout(
            Command::cargo_bin("gammascope")
                .unwrap()
                .arg("measure")
                .arg(sample("layernorm"))
                .args(["--alone", "--site", "ln_f"])
                .args(more),
        )
    };
    let text = alone(&[]);
    assert!(
        text.contains("no evidence about the model") && text.contains("reliable at all of them"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&alone(&["--json"])).unwrap();
    assert_eq!(
        (&json["schema"], &json["evidence_about_the_model"]),
        (&"gammascope.norm_alone/1".into(), &false.into())
    );
    assert_eq!(json["sites"][0]["layernorm"]["verdict"], "mean_subtracting");
    assert_eq!(json["sites"][0]["rmsnorm"]["verdict"], "not_mean_subtracting");
    let error = stderr(Command::cargo_bin("gammascope").unwrap().arg("measure").arg(sample("layernorm")), 1);
    assert!(error.contains("--activations <FILE>"), "{error}");
}

#[test]
fn the_example_of_the_library_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["run", "--quiet", "--locked", "--example", "inspect"])
        // The same features as these tests, so that it is already built.
        .args(if cfg!(feature = "gpu") { &["--features", "gpu"][..] } else { &[] })
        .arg("--")
        .arg(sample("layernorm"))
        .arg(folder.path());
    // With the variables that cargo sets for this test, the inner cargo would build half of the dependencies again.
    for (name, _) in std::env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start))
        });
        if own {
            cargo.env_remove(name);
        }
    }
    let text = stdout(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(text.starts_with("LayerNorm model. All 9 norms ignore one direction"), "{text}");
    assert!(text.contains("transformer.ln_f: LayerNorm, InverseScale"), "{text}");
    assert!(std::fs::read_to_string(folder.path().join("kernel.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn the_report_names_the_block_and_the_part_of_a_fall() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward/gpt2");
    let run = |options: &[&str]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        stdout(command.arg("verify").arg(&fixture).args(["--device", "cpu"]).args(options))
    };
    let report: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    let [fall] = &report["verification"]["falls"].as_array().unwrap()[..] else { panic!("one fall") };
    let (place, number) = (&fall["place"], |value: &Value| value.as_f64().unwrap());
    assert_eq!(place["part"], "feed_forward");
    let product = number(&place["attention"]) * number(&place["feed_forward"]);
    assert!((product / number(&fall["ratio"]["value"]) - 1.0).abs() < 1e-12, "{fall}");
    let text = run(&[]);
    assert!(text.contains("1 fall, ") && text.contains("feed-forward × 0.8"), "{text}");
}

#[test]
fn the_samples_are_run_and_measured_and_their_kernels_are_no_evidence() {
    for (name, verdict) in [("layernorm", "mean_subtracting"), ("rmsnorm", "not_mean_subtracting")] {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        let text = stdout(command.arg("verify").arg(sample(name)).args(["--tokens", "512", "--json"]));
        let report: Value = serde_json::from_str(&text).unwrap();
        let verification = &report["verification"];
        let sites = verification["sites"].as_array().unwrap();
        assert_eq!(sites.len(), 9, "{name}");
        assert!(sites.iter().all(|site| site["verdict"] == verdict), "{name}");
        assert!(verification["input"].as_str().unwrap().contains("with the assumed kind of every norm"));
        assert_eq!(verification["residual"].as_array().unwrap().len(), 4);
        let activations = |norm: &Value| {
            norm["evidence"].as_array().unwrap().iter().any(|piece| piece["source"] == "activations")
        };
        assert!(!report["norms"].as_array().unwrap().iter().any(activations), "{name}: a circle");
    }
    // One field that transformers' code may read, and one that it does not.
    let config =
        r#"{"model_type":"gpt2","n_embd":128,"n_layer":4,"n_head":4,"attention_chunk_size":8,"our_step":3}"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(sample("layernorm").join("model.safetensors"), folder.path().join("model.safetensors"))
        .unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let verify = || {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("verify").arg(folder.path()).args(["--blocks", "1", "--sites", "final"]);
        command
    };
    let error = stderr(&mut verify(), 2);
    assert!(error.contains("attention_chunk_size") && !error.contains("our_step"), "{error}");
    let run = verify().args(["--assume", "attention_chunk_size", "--json"]).assert().success();
    let report: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let warnings = report["warnings"].as_array().unwrap().iter();
    let left_out: Vec<&str> = warnings
        .filter(|warning| warning["code"] == "fields_left_out")
        .filter_map(|warning| warning["message"].as_str())
        .collect();
    assert!(
        left_out.len() == 1 && left_out[0].contains("`attention_chunk_size`, `our_step`"),
        "{left_out:?}"
    );
}

#[test]
fn a_trained_model_runs_with_its_initialisation_and_a_configuration_runs_alone() {
    let verify = |path: &Path, options: &[&str]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        stdout(command.arg("verify").arg(path).args(["--random-init", "1", "--tokens", "640"]).args(options))
    };
    let report = |path: &Path| serde_json::from_str::<Value>(&verify(path, &["--json"])).unwrap();
    for (name, subtracts) in [("layernorm", true), ("rmsnorm", false)] {
        let verification = &report(&sample(name))["verification"];
        let initial = &verification["random_init"];
        assert_eq!(initial["seed"], 1);
        let names = |sites: &Value| {
            sites.as_array().unwrap().iter().map(|site| site["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&initial["sites"]), names(&verification["sites"]));
        // The residual stream is that of the trained model.
        assert_eq!(verification["residual"].as_array().unwrap().len(), 4);
        let text = verify(&sample(name), &[]);
        assert!(text.contains("weights drawn from seed 1"), "{text}");
        assert!(text.contains("The paper’s claims"), "{text}");
        let says = |what: &str| {
            let claims = verification["claims"].as_array().unwrap();
            claims.iter().any(|claim| claim["found"].as_str().unwrap().contains(what))
        };
        assert!(says("of 4 blocks"), "the stream: {}", verification["claims"]);
        assert_eq!(says("at 9 of 9 sites that subtract the mean"), subtracts);
        assert_eq!(says("no such direction at 9 of 9 sites"), !subtracts);
        assert_eq!(says("the median of 9 sites"), subtracts);
        assert_eq!(text.contains("median of 9 sites with an exact kernel"), subtracts, "{text}");
        assert_eq!(text.contains("None of its 9 sites has an exact kernel"), !subtracts, "{text}");
    }
    let alone = report(&sample("layernorm").join("config.json"));
    assert!(alone["verification"]["random_init"].is_null());
    assert_eq!(alone["verification"]["sites"].as_array().unwrap().len(), 9);
    assert!(alone["checkpoint"]["name"].as_str().unwrap().ends_with("-random-1"), "{}", alone["checkpoint"]);
}

#[test]
fn the_first_blocks_are_run_alone_and_a_plan_runs_nothing() {
    let verify = |options: &[&str]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("verify").arg(sample("rmsnorm")).args(["--tokens", "640"]).args(options);
        command
    };
    let report = |options: &[&str]| serde_json::from_str::<Value>(&stdout(&mut verify(options))).unwrap();
    let (whole, first) = (report(&["--json"]), report(&["--json", "--blocks", "2"]));
    let verification = &first["verification"];
    assert_eq!(verification["pass"]["left_out"], 2);
    assert!(verification["loss"].is_null() && verification["pass"]["loss"].is_null(), "no head, no loss");
    let names: Vec<&str> =
        verification["sites"].as_array().unwrap().iter().map(|site| site["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 5, "two norms a block and the final one: {names:?}");
    assert_eq!(*names.last().unwrap(), "model.norm");
    let residual = |report: &Value| report["verification"]["residual"].as_array().unwrap()[..2].to_vec();
    assert_eq!(residual(&first), residual(&whole), "the stream after a block does not know what follows");
    let warned = |report: &Value| {
        report["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "blocks_left_out")
    };
    assert!(warned(&first) && !warned(&whole));
    let mut few = Command::cargo_bin("gammascope").unwrap();
    let error = stderr(few.arg("verify").arg(sample("rmsnorm")).args(["--tokens", "128"]), 2);
    assert!(error.contains("at least 129"), "{error}");
    let error = stderr(&mut verify(&["--blocks", "9"]), 2);
    assert!(error.contains("has 4") && error.contains("1 to 4"), "{error}");

    let plan = report(&["--plan", "--json", "--blocks", "2"]);
    assert_eq!((&plan["blocks"], &plan["left_out"], &plan["sites"]), (&2.into(), &2.into(), &5.into()));
    let all = report(&["--plan", "--json"]);
    assert_eq!((&all["blocks"], &all["left_out"], &all["sites"]), (&4.into(), &0.into(), &9.into()));
    assert!(all["operations"].as_f64() > plan["operations"].as_f64());
    let text = stdout(&mut verify(&["--plan"]));
    assert!(text.contains("5 sequences of 128 tokens") && text.contains("Time "), "{text}");
}

fn share() -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("share");
    command
}

#[test]
fn a_link_can_follow_the_address_of_any_page() {
    let link =
        stdout(share().arg(sample("layernorm")).args(["--page", "https://example.org/scope/#verdict"]));
    let (page, fragment) = link.trim().split_once('#').unwrap();
    assert_eq!(page, "https://example.org/scope/");
    let shared = gammascope::share::Shared::read(&format!("#{fragment}")).unwrap();
    assert_eq!(shared.report.norms.len(), 9);
    assert!(shared.report.shared.unwrap().names);
    let bare = stdout(share().arg(sample("layernorm")).arg("--no-names"));
    assert!(bare.starts_with("#report=1."), "{bare}");
    let shared = gammascope::share::Shared::read(&bare).unwrap();
    assert_eq!(shared.report.norms[0].name, "norm 1");
}

#[test]
fn the_html_file_overwrites_only_an_earlier_report() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    for _ in 0..2 {
        let text = stdout(share().arg(sample("rmsnorm")).arg("--html").arg(&page));
        assert!(text.contains("report.html: ") && text.ends_with(" kB\n"), "{text}");
    }
    assert!(std::fs::read_to_string(&page).unwrap().contains("RMSNorm model: no dead directions"));
    let precious = folder.path().join("thesis.html");
    std::fs::write(&precious, "<p>mine</p>").unwrap();
    let error = stderr(share().arg(sample("rmsnorm")).arg("--html").arg(&precious), 1);
    assert!(error.contains("is not an earlier report, so it is not overwritten"), "{error}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "<p>mine</p>");
}

#[test]
fn activations_that_match_no_site_are_measured_only_when_the_site_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = activations(folder.path(), &[("transformer.ln_f", "mine")], 600);
    let options = ["--activations".as_ref(), file.as_os_str()];
    let error = stderr(&mut measure(&options), 2);
    assert!(error.contains("`mine`") && error.contains("name the site they are of"), "{error}");
    let text = stdout(measure(&options).args(["--site", "ln_f"]));
    assert!(text.contains("1 site measured"), "{text}");
}

#[test]
fn too_few_tokens_are_unreadable_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = activations(folder.path(), &[("transformer.ln_f", "transformer.ln_f")], 100);
    let error = stderr(&mut measure(&["--activations".as_ref(), file.as_os_str()]), 2);
    assert!(error.contains("at least 129 tokens"), "{error}");
}

#[cfg(feature = "gpu")]
#[test]
#[ignore = "needs a GPU"]
fn a_gpu_gives_the_numbers_of_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let sites = [("transformer.ln_f", "transformer.ln_f"), ("transformer.h.1.ln_2", "h.1.ln_2")];
    let file = activations(folder.path(), &sites, 600);
    let sites = |device: &str| -> Value {
        let options = [
            "--activations".as_ref(),
            file.as_os_str(),
            "--json".as_ref(),
            "--device".as_ref(),
            device.as_ref(),
        ];
        let report: Value = serde_json::from_str(&stdout(&mut measure(&options))).unwrap();
        assert_eq!(report["verification"]["device"] == "cpu", device == "cpu");
        assert!(
            !report["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "gpu_failed")
        );
        report["verification"]["sites"].clone()
    };
    assert_eq!(sites("gpu"), sites("cpu"), "every number, bit for bit");
}

#[test]
fn a_model_of_images_runs_on_pixels_of_a_file_or_on_noise() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images/dinov2");
    let (folder, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model.join(file), folder.path().join(file)).unwrap();
    }
    let verify = |options: &[&str]| {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("verify").arg(folder.path()).args(options);
        command
    };
    let text = stdout(&mut verify(&[]));
    assert!(text.contains("A forward pass of 8 sequences of 17 tokens, run as `dinov2`"), "{text}");
    assert!(text.contains("Input: noise with a 1/f spectrum instead of images"), "{text}");
    assert!(text.contains("5 sites measured") && text.contains("5 subtract the mean"), "{text}");
    let values = |count: usize| -> Vec<f32> {
        let mut random = SmallRng::seed_from_u64(1);
        (0..count).map(|_| random.sample(StandardNormal)).collect()
    };
    let pixels = |shape: &[usize]| {
        let file = support::tensors(&[("pixel_values", shape, values(shape.iter().product()))]);
        let path = beside.path().join("pixels.safetensors");
        std::fs::write(&path, file).unwrap();
        path.display().to_string()
    };
    let text = stdout(&mut verify(&["--pixels", &pixels(&[9, 3, 16, 16])]));
    assert!(text.contains("Input: the first 8 of 9 in pixels.safetensors"), "{text}");
    let error = stderr(&mut verify(&["--pixels", &pixels(&[9, 3, 15, 16])]), 2);
    assert!(error.contains("15 × 16 pixels, which are not whole patches of 4 × 4"), "{error}");
    let error = stderr(&mut verify(&["--pixels", &pixels(&[9, 16, 16])]), 2);
    assert!(error.contains("is [9, 16, 16]"), "{error}");
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let [photo, animation] = ["rgb.jpg", "animated.gif"].map(|name| inputs.join(name).display().to_string());
    let error = stderr(&mut verify(&["--images", &photo]), 2);
    assert!(error.contains("add the model's preprocessor_config.json"), "{error}");
    let processor =
        r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 16}, "crop_size": 16}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), processor).unwrap();
    let text = stdout(&mut verify(&["--images", &photo, &photo, &photo, &animation]));
    assert!(text.contains("Input: 4 images") && text.contains("4 sequences of 17 tokens"), "{text}");
    assert!(text.contains("animated.gif") && text.contains("the first of"), "{text}");
    let error = stderr(&mut verify(&["--uniform"]), 2);
    assert!(error.contains("the model reads images, and was given token ids"), "{error}");
}
