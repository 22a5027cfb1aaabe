//! `compare`, `export`, `adapter` and `scan`, run as by a user.

use crate::support;
use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn gammascope(verb: &str) -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg(verb).env("COLUMNS", "1000");
    command
}

/// stdout and stderr of a command that ends with `code`.
fn output(command: &mut Command, code: i32) -> (String, String) {
    let output = command.assert().code(code).get_output().clone();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_comparison_is_a_table_or_its_schema() {
    let (text, _) = output(gammascope("compare").args([sample("layernorm"), sample("rmsnorm")]), 0);
    assert!(text.starts_with("9 norm sites in common, 9 of them changed, 9 with another kind."), "{text}");
    assert!(text.contains("layernorm → rmsnorm") && text.contains("transformer.ln_f ↔ model.norm"), "{text}");
    let (json, _) =
        output(gammascope("compare").args([sample("layernorm"), sample("layernorm")]).arg("--json"), 0);
    let comparison: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(comparison["schema"], "gammascope.comparison/1");
    assert_eq!(comparison["sites"].as_array().unwrap().len(), 9);
    assert_eq!(
        (&comparison["sites"][0]["angle"], &comparison["sites"][0]["matched_by"]),
        (&0.0.into(), &"name".into())
    );
}

#[test]
fn checkpoints_with_nothing_in_common_are_unreadable_input() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, support::layer_norm("tower.final_layer_norm", &[1.0; 5])).unwrap();
    let (_, said) = output(gammascope("compare").args([sample("layernorm"), other]), 2);
    assert!(said.contains("no site in common") && said.lines().count() == 1, "{said}");
    output(gammascope("compare").arg(sample("layernorm")), 1);
}

#[test]
fn an_export_never_overwrites_what_is_no_export() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.json");
    let export = |file: &Path, code| {
        let arguments = [sample("layernorm").into_os_string(), "-o".into(), file.into()];
        output(gammascope("export").args(arguments).args(["--no-weights", "--site", "ln_f"]), code)
    };
    let (said, _) = export(&file, 0);
    assert!(said.contains("1 kernel directions"), "{said}");
    let exported: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (&exported["schema"], &exported["sites"][0]["name"]),
        (&"gammascope.kernels/1".into(), &"transformer.ln_f".into())
    );
    export(&file, 0);
    let precious = folder.path().join("model.safetensors");
    std::fs::write(&precious, support::layer_norm("norm", &[1.0; 5])).unwrap();
    let (_, said) = export(&precious, 1);
    assert!(said.contains("not overwritten"), "{said}");
    assert_eq!(std::fs::read(&precious).unwrap(), support::layer_norm("norm", &[1.0; 5]));
}

#[test]
fn an_export_needs_an_existing_site_with_a_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.safetensors");
    let (_, said) = output(gammascope("export").arg(sample("rmsnorm")).arg("-o").arg(&file), 2);
    assert!(said.contains("none of the 9 norm sites"), "{said}");
    let (_, said) = output(
        gammascope("export").arg(sample("layernorm")).arg("-o").arg(&file).args(["--site", "nowhere"]),
        1,
    );
    assert!(said.contains("no norm site `nowhere`"), "{said}");
    assert!(!file.exists());
}

#[test]
fn an_adapter_is_a_folder_or_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let a = (0..4 * 128).map(|index| (index as f32 * 0.7).sin()).collect();
    let name = "base_model.model.transformer.h.1.attn.c_attn.lora_A.weight";
    let file = folder.path().join("adapter_model.safetensors");
    std::fs::write(&file, support::tensors(&[(name, &[4, 128], a)])).unwrap();
    let config = folder.path().join("adapter_config.json");
    std::fs::write(&config, r#"{"peft_type":"LORA","r":4}"#).unwrap();
    let weigh = |adapter: &Path, code| {
        output(
            gammascope("adapter").arg(sample("layernorm")).arg(adapter).args(["--json", "--no-weights"]),
            code,
        )
    };
    let report: Value = serde_json::from_str(&weigh(folder.path(), 0).0).unwrap();
    assert_eq!(report["schema"], "gammascope.adapter/1");
    let module = &report["modules"][0];
    assert_eq!((&module["site"], &module["null"]), (&"transformer.h.1.ln_1".into(), &(1.0 / 128.0).into()));
    let of_file: Value = serde_json::from_str(&weigh(&file, 0).0).unwrap();
    assert_eq!(of_file["modules"], report["modules"]);
    std::fs::write(&config, r#"{"peft_type":"LORA","r":4,"use_dora":true}"#).unwrap();
    assert!(weigh(&file, 2).1.contains("DoRA"), "the configuration beside a lone file is read");
    let (_, said) = weigh(&sample("rmsnorm"), 2);
    assert!(said.contains("no tensor named like"), "{said}");
}

#[test]
fn a_scan_writes_one_line_a_checkpoint_and_failures_are_lines_too() {
    let folder = tempfile::tempdir().unwrap();
    let (list, lines_at) = (folder.path().join("list.txt"), folder.path().join("lines.jsonl"));
    let (layer, rms) = (sample("layernorm"), sample("rmsnorm"));
    let text = format!(
        "# two models\n{}\n\n{}\n/no/such/model\n{}/\n",
        layer.display(),
        rms.display(),
        layer.display()
    );
    std::fs::write(&list, text).unwrap();
    let scan = |code, strict: bool| {
        let mut command = gammascope("scan");
        command.arg(&list).arg("-o").arg(&lines_at).args(["--no-weights", "--jobs", "2"]);
        if strict {
            command.arg("--strict");
        }
        output(&mut command, code)
    };
    let (_, said) = scan(3, true);
    assert!(said.contains("Repeated lines: 1."), "{said}");
    assert!(said.contains("3 checkpoints inspected, 1 with an error"), "{said}");
    let written = lines(&lines_at);
    assert_eq!(written.len(), 3);
    let of = |path: &Path| written.iter().find(|line| line["path"] == *path.to_string_lossy()).unwrap();
    assert_eq!(of(&layer)["report"]["model"]["verdict"], "layernorm");
    assert_eq!(of(&rms)["report"]["model"]["verdict"], "rmsnorm");
    assert!(of(&layer).get("error").is_none());
    let failed = of(Path::new("/no/such/model"));
    assert!(failed["error"].as_str().unwrap().contains("cannot be opened") && failed.get("report").is_none());

    // The second time, nothing is left to do, and nothing is written.
    let before = std::fs::read(&lines_at).unwrap();
    let (_, said) = scan(0, true);
    assert!(
        said.contains("3 of 3 checkpoints already have a line") && said.contains("0 checkpoints inspected"),
        "{said}"
    );
    assert_eq!(std::fs::read(&lines_at).unwrap(), before);

    // A run that ended in the middle of a line: that checkpoint is done again.
    std::fs::write(&lines_at, &before[..before.len() - 20]).unwrap();
    let (_, said) = scan(0, false);
    assert!(
        said.contains("2 of 3 checkpoints already have a line") && said.contains("1 checkpoint inspected"),
        "{said}"
    );
    assert_eq!(lines(&lines_at).len(), 3);
}

#[test]
fn a_folder_is_walked_for_folders_of_safetensors_and_for_gguf_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let norm = support::layer_norm("model.norm", &[1.0; 5]);
    let gguf = support::gguf::Gguf::of("llama").values("output_norm.weight", &[5], &[1.0; 5]).build();
    for (place, bytes) in [
        ("run/model.safetensors", &norm),
        ("run/checkpoint-10/model.safetensors", &norm),
        ("run/checkpoint-9/model.safetensors", &norm),
        ("run/notes.txt", &norm),
        (".hidden/model.safetensors", &norm),
        ("gguf/a.gguf", &gguf),
        ("gguf/b.gguf", &gguf),
    ] {
        let place = root.join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    let (text, _) = output(gammascope("scan").arg(root).args(["--jobs", "1", "--no-weights"]), 0);
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = found
        .iter()
        .map(|line| line["path"].as_str().unwrap().strip_prefix(&*root.to_string_lossy()).unwrap())
        .collect();
    assert_eq!(paths, ["/gguf/a.gguf", "/gguf/b.gguf", "/run", "/run/checkpoint-9", "/run/checkpoint-10"]);
    // Folders below a checkpoint are not part of it.
    assert!(found.iter().all(|line| line["report"]["norms"].as_array().unwrap().len() == 1), "{text}");
    let names: Vec<&Value> = found.iter().map(|line| &line["report"]["checkpoint"]["name"]).collect();
    assert_eq!(names, ["a.gguf", "b.gguf", "run", "checkpoint-9", "checkpoint-10"]);
}

#[test]
fn a_file_that_is_no_scan_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (list, notes) = (folder.path().join("list.txt"), folder.path().join("notes.txt"));
    std::fs::write(&list, sample("layernorm").to_string_lossy().as_bytes()).unwrap();
    for text in ["my notes", "my notes\nmore\n"] {
        std::fs::write(&notes, text).unwrap();
        let (_, said) = output(gammascope("scan").arg(&list).arg("-o").arg(&notes), 2);
        assert!(said.contains("of a scan"), "{said}");
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
    }
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let (_, said) = output(gammascope("scan").arg(&empty), 2);
    assert!(said.contains("has no checkpoint"), "{said}");
}

#[test]
fn a_scan_is_a_table_too_with_a_row_a_site() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let folder = tempfile::tempdir().unwrap();
    let [list, lines_at, table] =
        ["list.txt", "lines.jsonl", "sites.parquet"].map(|name| folder.path().join(name));
    std::fs::write(&list, format!("{}\n/no/such/model\n", sample("layernorm").display())).unwrap();
    let scan = |options: &[&std::ffi::OsStr], code| {
        output(
            gammascope("scan").arg(&list).args(["--no-weights", "--parquet"]).arg(&table).args(options),
            code,
        )
    };
    scan(&[], 1);
    let (_, said) = scan(&["-o".as_ref(), lines_at.as_os_str()], 0);
    assert!(said.contains("10 rows"), "{said}");
    let reader = SerializedFileReader::try_from(table.as_path()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 10);
    let column = |name: &str| {
        let columns: Vec<_> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
        columns.iter().position(|column| column == name).unwrap()
    };
    let of = |site: &str| {
        rows.iter().find(|row| row.get_string(column("site")).is_ok_and(|name| name == site)).unwrap()
    };
    let last = of("transformer.ln_f");
    assert_eq!(last.get_string(column("kernel_form")).unwrap(), "inverse_scale");
    assert_eq!(
        (last.get_long(column("width")).unwrap(), last.get_string(column("role")).unwrap().as_str()),
        (128, "final")
    );
    let line = lines(&lines_at).into_iter().find(|line| line.get("report").is_some()).unwrap();
    let norms = line["report"]["norms"].as_array().unwrap();
    let norm = norms.iter().find(|norm| norm["name"] == "transformer.ln_f").unwrap();
    assert_eq!(
        Some(last.get_double(column("participation")).unwrap()),
        norm["kernel"]["participation"].as_f64()
    );
    assert!(last.get_string(column("error")).is_err(), "no error is no value");
    let failed = rows.iter().find(|row| row.get_string(column("site")).is_err()).unwrap();
    assert!(failed.get_string(column("error")).unwrap().contains("cannot be opened"));
}

/// A folder with `count` small checkpoints.
fn checkpoints(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..count {
        let place = folder.path().join(format!("model-{number}"));
        std::fs::create_dir(&place).unwrap();
        let norm = support::layer_norm("model.norm", &[1.0, 1.5, 2.0 + number as f32]);
        std::fs::write(place.join("model.safetensors"), norm).unwrap();
    }
    folder
}

#[test]
fn two_scans_do_not_share_a_file() {
    let (folder, place) = (checkpoints(1), tempfile::tempdir().unwrap());
    let lines_at = place.path().join("lines.jsonl");
    let scan = |code| output(gammascope("scan").arg(folder.path()).arg("-o").arg(&lines_at), code);
    let other = std::fs::File::create(&lines_at).unwrap();
    other.lock().unwrap();
    let (_, said) = scan(2);
    assert!(said.contains("another scan writes") && said.contains("another file"), "{said}");
    assert_eq!(std::fs::metadata(&lines_at).unwrap().len(), 0);
    drop(other);
    scan(0);
    assert_eq!(lines(&lines_at).len(), 1);
}

#[test]
fn a_scan_that_is_killed_at_any_point_loses_repeats_and_tears_nothing() {
    use rand::RngExt;
    const CHECKPOINTS: usize = 60;
    let (folder, place) = (checkpoints(CHECKPOINTS), tempfile::tempdir().unwrap());
    let lines_at = place.path().join("lines.jsonl");
    let mut random = rand::rng();
    let mut kept = Vec::new();
    for kill in 0..20 {
        let after = random.random_range(0..80);
        let mut scan = std::process::Command::new(assert_cmd::cargo::cargo_bin("gammascope"));
        let scan = scan.arg("scan").arg(folder.path()).arg("-o").arg(&lines_at).args(["--jobs", "2"]);
        let mut scan = scan.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(after));
        scan.kill().unwrap();
        scan.wait().unwrap();
        let mut bytes = std::fs::read(&lines_at).unwrap_or_default();
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        assert!(bytes.starts_with(&kept), "kill {kill} after {after} ms: a line is lost");
        if kill % 4 == 3 {
            // Simulates a last line that was not fully written.
            bytes.truncate(whole.saturating_sub(random.random_range(1..30)));
            std::fs::write(&lines_at, &bytes).unwrap();
        }
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        kept = bytes[..whole].to_vec();
    }
    output(gammascope("scan").arg(folder.path()).arg("-o").arg(&lines_at), 0);
    assert!(std::fs::read(&lines_at).unwrap().starts_with(&kept));
    let written = lines(&lines_at);
    let paths: std::collections::BTreeSet<&str> =
        written.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!((written.len(), paths.len()), (CHECKPOINTS, CHECKPOINTS));
    assert!(written.iter().all(|line| line.get("report").is_some()));
}

/// Runs the program in a shell that kills it when it writes more than a kilobyte to a file.
#[cfg(unix)]
fn with_full_disk(arguments: &[&std::ffi::OsStr]) {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]);
    shell.arg(assert_cmd::cargo::cargo_bin("gammascope")).args(arguments);
    assert!(!shell.output().unwrap().status.success());
}

#[cfg(unix)]
#[test]
fn an_export_that_cannot_be_written_leaves_the_earlier_one() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kernels.json");
    let of = sample("layernorm");
    let export =
        ["export".as_ref(), of.as_os_str(), "-o".as_ref(), file.as_os_str(), "--no-weights".as_ref()];
    output(Command::cargo_bin("gammascope").unwrap().args(export), 0);
    let earlier = std::fs::read(&file).unwrap();
    assert!(earlier.len() > 1024);
    with_full_disk(&export);
    assert_eq!(std::fs::read(&file).unwrap(), earlier);
}

#[cfg(unix)]
#[test]
fn a_scan_that_cannot_write_goes_on_later() {
    let (folder, place) = (checkpoints(5), tempfile::tempdir().unwrap());
    let lines_at = place.path().join("lines.jsonl");
    let scan = ["scan".as_ref(), folder.path().as_os_str(), "-o".as_ref(), lines_at.as_os_str()];
    with_full_disk(&scan);
    let torn = std::fs::read(&lines_at).unwrap();
    assert!(torn.last().is_some_and(|&byte| byte != b'\n'), "it ends inside a line");
    output(Command::cargo_bin("gammascope").unwrap().args(scan), 0);
    assert_eq!(lines(&lines_at).len(), 5);
}
