//! A fold that is killed goes on where it stopped.

use crate::fold::{Tensors, failure, file, fixture, fold, in_f32, names_in};
use gammascope::report::fold::FoldReport;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";
const EMBEDDING: &str = "gpt_neox.embed_in.weight";
/// Rows of the embedding, which takes long to copy.
const ROWS: u64 = 2 << 20;

/// The GPT-NeoX fixture with a large embedding in a second shard, which takes no place on the disk.
fn model(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let mut tensors: Tensors = in_f32(&fixture("gpt_neox"));
    let width = tensors.remove(EMBEDDING).unwrap().1[1] as u64;
    tensors.remove("embed_out.weight");
    fs::write(folder.join(FIRST), file(&tensors)).unwrap();
    let bytes = ROWS * width * 4;
    let header =
        serde_json::json!({EMBEDDING: {"dtype": "F32", "shape": [ROWS, width], "data_offsets": [0, bytes]}});
    let header = header.to_string();
    let mut second = File::create(folder.join(SECOND)).unwrap();
    second.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    second.write_all(header.as_bytes()).unwrap();
    second.set_len(8 + header.len() as u64 + bytes).unwrap();
    let shards = tensors.keys().map(|name| (name.clone(), FIRST.into()));
    let map: serde_json::Map<_, _> = shards.chain([(EMBEDDING.to_owned(), SECOND.into())]).collect();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let config = fs::read(fixture("gpt_neox").join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["vocab_size"] = ROWS.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Starts a fold and waits until it has finished the first shard.
fn begun(model: &Path, out: &Path, part: &Path) -> Child {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("gammascope"))
        .args(["fold", "--scales", "-o"])
        .args([out, model])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !part.join(".finished.json").exists() {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_killed_fold_goes_on_with_the_next_shard() {
    let work = tempfile::tempdir().unwrap();
    let [input, out, part] = ["model", "out", ".out.part"].map(|name| work.path().join(name));
    model(&input);
    let mut killed = begun(&input, &out, &part);
    // Another process does not write the same folder at the same time.
    let error = failure(fold().arg(&input).args(["--scales", "-o"]).arg(&out), 2);
    assert!(error.contains("another process is writing"), "{error}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(part.join(FIRST).exists() && !out.exists());
    let written = |folder: &Path| fs::metadata(folder.join(FIRST)).unwrap().modified().unwrap();
    let before = written(&part);

    let said = failure(fold().arg(&input).args(["--scales", "-o"]).arg(&out), 0);
    assert!(said.contains("1 of 2 shards are finished already"), "{said}");
    assert_eq!(written(&out), before, "the first shard is not written again");
    assert_eq!(names_in(work.path()), ["model", "out"]);
    let names = ["config.json", "fold.json", FIRST, SECOND, "model.safetensors.index.json"];
    assert_eq!(names_in(&out), names);
    let report: FoldReport = serde_json::from_slice(&fs::read(out.join("fold.json")).unwrap()).unwrap();
    assert!(!report.tensors.is_empty() && report.tensors.iter().all(|tensor| tensor.rounding.is_some()));

    // The same as without the kill.
    fold().arg(&input).args(["--scales", "-o"]).arg(work.path().join("whole")).assert().success();
    for name in names {
        let [resumed, whole] =
            [&out, &work.path().join("whole")].map(|folder| fs::read(folder.join(name)).unwrap());
        assert!(resumed == whole, "{name}");
    }
}

#[test]
fn what_a_killed_fold_of_other_operations_left_is_written_again() {
    let work = tempfile::tempdir().unwrap();
    let [input, out, part] = ["model", "out", ".out.part"].map(|name| work.path().join(name));
    model(&input);
    let mut killed = begun(&input, &out, &part);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let said = failure(fold().arg(&input).args(["--scales", "--shifts", "-o"]).arg(&out), 0);
    assert!(!said.contains("finished already"), "{said}");
    assert_eq!(names_in(work.path()), ["model", "out"]);
}

#[test]
fn a_folder_of_somebody_else_is_not_taken_for_a_part() {
    let work = tempfile::tempdir().unwrap();
    let [out, part] = ["out", ".out.part"].map(|name| work.path().join(name));
    fs::create_dir(&part).unwrap();
    fs::write(part.join("mine.txt"), "mine").unwrap();
    let model = fixture("llama").join("model.safetensors");
    let error = failure(fold().arg(model).args(["--scales", "-o"]).arg(&out), 2);
    assert!(error.contains("was not written by gammascope"), "{error}");
    assert_eq!(names_in(&part), ["mine.txt"]);
}
