//! Text as input of `gammascope verify`, with the tokenizer.json beside the weights. The tokenizer of the samples has a token for each
//! byte, whose id is the byte, as in their training.

use assert_cmd::Command;
use gammascope::inspect::{Opened, open};
use gammascope::source::memory::MemorySource;
use gammascope::text::ids::Wanted;
use gammascope::text::input::of_checkpoint;
use gammascope::text::{Choice, SAMPLE};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn bytes() -> Vec<u8> {
    std::fs::read(at("samples/layernorm/tokenizer.json")).unwrap()
}

/// The tokenizer with only lower-case letters and the space, with ids from 0 on, and "ea" as one token.
fn letters() -> Vec<u8> {
    let mut tokenizer: Value = serde_json::from_slice(&bytes()).unwrap();
    let letters = ('a'..='z').chain(['Ġ']).map(String::from).chain(["ea".to_owned()]);
    tokenizer["model"]["vocab"] = letters.enumerate().map(|(id, token)| (token, json!(id))).collect();
    tokenizer["model"]["merges"] = json!([["e", "a"]]);
    tokenizer.to_string().into_bytes()
}

/// A new folder with the files of a checkpoint and a tokenizer.
fn with_tokenizer(checkpoint: &str, tokenizer: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "config.json"] {
        std::fs::copy(at(checkpoint).join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer).unwrap();
    folder
}

fn dropped(checkpoint: &str, tokenizer: Option<&[u8]>) -> Opened<MemorySource> {
    let mut sources: Vec<MemorySource> = ["model.safetensors", "config.json"]
        .map(|file| MemorySource::new(format!("m/{file}"), std::fs::read(at(checkpoint).join(file)).unwrap()))
        .into();
    sources.extend(tokenizer.map(|bytes| MemorySource::new("m/tokenizer.json", bytes)));
    block_on(open(sources, |_| {})).unwrap()
}

fn verify(paths: &[&Path], options: &[&str]) -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("verify").args(paths).args(options).env("COLUMNS", "1000");
    command
}

fn report(mut command: Command) -> Value {
    let output = command.arg("--json").assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

fn refusal(mut command: Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

#[test]
fn a_dropped_tokenizer_makes_the_ids_and_is_no_part_of_the_report() {
    let (with, without) =
        (dropped("tests/forward/gpt2", Some(&letters())), dropped("tests/forward/gpt2", None));
    assert_eq!(
        serde_json::to_value(&with.inspection.report).unwrap(),
        serde_json::to_value(&without.inspection.report).unwrap()
    );
    let text = Choice::Text { name: "notes.txt".to_owned(), bytes: b"a dead lead".to_vec() };
    let wanted = Wanted { tokens: 8, further: 0, length: 4, vocabulary: 80 };
    let (found, _) = block_on(of_checkpoint(&with, Some(&text), wanted, 33)).unwrap();
    assert_eq!(found.ids, [0, 26, 3, 27, 3, 26, 11, 27]);
    let error = block_on(of_checkpoint(&without, Some(&text), wanted, 33)).unwrap_err().to_string();
    assert!(error.contains("no tokenizer.json beside the weights"), "{error}");
    let (found, why) = block_on(of_checkpoint(&without, None, wanted, 33)).unwrap();
    assert_eq!((found.is_text, why), (false, None));
    let (found, why) = block_on(of_checkpoint(&with, None, wanted, 33)).unwrap();
    assert_eq!((found.is_text, why), (true, None));
}

#[test]
fn the_samples_run_the_sample_text_and_their_losses_show_their_kinds() {
    for (name, kind) in [("samples/layernorm", "layernorm"), ("samples/rmsnorm", "rmsnorm")] {
        let report = report(verify(&[&at(name)], &["--sites", "final"]));
        let verification = &report["verification"];
        let input = verification["input"].as_str().unwrap();
        assert!(
            input.starts_with("the sample text (GNU General Public License, version 3), in a forward pass"),
            "{input}"
        );
        // In nats per byte. Ids with another meaning would cost ln 256 = 5.5 and more.
        let loss = verification["pass"]["loss"].as_f64().unwrap();
        assert!(loss < 2.0, "{name}: {loss}");
        assert_eq!(verification["pass"]["sequences"], 4, "the norms are measured on 512 tokens");
        let judged = &verification["loss"];
        assert_eq!(judged["kind"], kind, "{judged}");
        // With 508 tokens, the difference is under five standard errors.
        let tokens = judged["tokens"].as_u64().unwrap();
        assert!(tokens > 508 && tokens.is_multiple_of(127), "{judged}: each but the first of a sequence");
        for norm in report["norms"].as_array().unwrap() {
            let pieces = norm["evidence"].as_array().unwrap();
            let piece = pieces.iter().find(|piece| piece["source"] == "loss").unwrap();
            assert!(piece["says"] == kind && piece["strength"].as_f64().unwrap() > 5.0, "{name}: {piece}");
            assert_eq!(norm["kind"], kind);
        }
    }
}

#[test]
fn a_number_of_tokens_also_limits_the_loss() {
    let report = report(verify(&[&at("samples/layernorm")], &["--sites", "final", "--tokens", "512"]));
    let judged = &report["verification"]["loss"];
    assert_eq!(judged["tokens"], 508, "each but the first of a sequence, under both kinds");
    assert_eq!(judged["kind"], "unknown");
    let pieces = report["norms"][0]["evidence"].as_array().unwrap();
    let piece = pieces.iter().find(|piece| piece["source"] == "loss").unwrap();
    assert!(piece["detail"].as_str().unwrap().contains("under five standard errors"), "{piece}");
    assert_eq!(piece["strength"], 0.0);
}

#[test]
fn the_loss_of_random_weights_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ids = folder.path().join("ids.txt");
    std::fs::write(&ids, SAMPLE.bytes().map(|byte| format!("{byte} ")).collect::<String>()).unwrap();
    for seed in ["1", "2", "3"] {
        let ids = ids.to_str().unwrap();
        let options = ["--sites", "final", "--tokens", "2048", "--ids", ids, "--random-init", seed];
        // Without the weights, so that only the initialisation runs.
        let report = report(verify(&[&at("samples/rmsnorm/config.json")], &options));
        assert_eq!(report["verification"]["loss"], Value::Null);
        let warnings = report["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|warning| warning["code"] == "loss_of_a_guess"), "{warnings:?}");
    }
}

#[test]
fn a_verified_site_is_explained_with_its_loss() {
    let mut command = verify(&[&at("samples/rmsnorm")], &["--sites", "final", "--explain", "model.norm"]);
    let output = command.assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.trim_start().starts_with("loss ")).collect();
    // The detail is below the bar.
    let line = lines[1];
    assert!(line.contains("nats as LayerNorm and") && line.contains("standard errors"), "{text}");
    let error = refusal(verify(&[&at("samples/rmsnorm")], &["--tokens", "256", "--explain", "nowhere"]), 1);
    assert!(error.contains("no norm site `nowhere`"), "{error}");
}

#[test]
fn a_lone_file_finds_the_tokenizer_beside_it() {
    let folder = with_tokenizer("tests/forward/gpt2", &letters());
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, SAMPLE).unwrap();
    let options = ["--text", text.to_str().unwrap(), "--sequence", "32"];
    let report = report(verify(&[&folder.path().join("model.safetensors")], &options));
    assert!(
        report["verification"]["input"]
            .as_str()
            .unwrap()
            .starts_with("the text notes.txt, in a forward pass")
    );
}

#[test]
fn a_tokenizer_that_does_not_fit_is_a_warning_unless_text_was_asked_for() {
    let folder = with_tokenizer("tests/forward/gpt2", &bytes());
    let report = report(verify(&[folder.path()], &["--sequence", "32"]));
    let warnings = report["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|warning| warning["code"] == "text_not_run").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("of another model"), "{warning}");
    let text = at("src/text/sample.txt");
    let error = refusal(verify(&[folder.path()], &["--text", text.to_str().unwrap()]), 2);
    assert!(error.contains("`sample.txt`: token ") && error.contains("of another model"), "{error}");
    let quiet = report_of_uniform(folder.path());
    assert!(quiet["warnings"].as_array().unwrap().iter().all(|warning| warning["code"] != "text_not_run"));
}

fn report_of_uniform(folder: &Path) -> Value {
    report(verify(&[folder], &["--uniform", "--sequence", "32"]))
}

#[test]
fn bad_inputs_get_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let model = with_tokenizer("tests/forward/gpt2", &letters());
    let says = |checkpoint: &Path, options: &[&str], part: &str| {
        let error = refusal(verify(&[checkpoint], options), 2);
        assert!(error.contains(part), "{error}");
    };
    says(model.path(), &["--text", &file("empty.txt", b"")], "`empty.txt` is empty");
    says(model.path(), &["--text", &file("short.txt", b"dead")], "`short.txt` has 3 token ids");
    says(model.path(), &["--text", &file("latin.txt", b"d\xe4ad")], "byte 1 is invalid");
    says(model.path(), &["--text", "nowhere.txt"], "`nowhere.txt` could not be read");
    says(model.path(), &["--ids", &file("ids.txt", b"1 2 dead")], "\"dead\", word 3, is not a token id");
    says(model.path(), &["--uniform", "--sequence", "0"], "sequences of 0 are none");
    says(
        &at("tests/forward/gpt2/model.safetensors"),
        &["--text", &file("a.txt", b"dead")],
        "no tokenizer.json beside the weights",
    );
    let usage = refusal(verify(&[model.path()], &["--uniform", "--text", "a.txt"]), 1);
    assert!(usage.contains("cannot be used with"), "{usage}");
    let usage = refusal(verify(&[model.path()], &["--uniform", "--ids", "a.txt"]), 1);
    assert!(usage.contains("cannot be used with"), "{usage}");
}
