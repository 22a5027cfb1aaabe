//! `gammascope check`, on the samples and on changed copies of them.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sample(name: &str) -> PathBuf {
    root().join("samples").join(name)
}

/// Runs the command. Returns the exit code, what it prints and its errors.
fn check(paths: &[&Path], options: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    let output = command.arg("check").args(paths).args(options).env("COLUMNS", "1000").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A copy of the LayerNorm sample in which a value of the first scale is `value`, in BF16.
fn changed(value: [u8; 2]) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::copy(sample("layernorm").join("config.json"), folder.path().join("config.json")).unwrap();
    let mut file = std::fs::read(sample("layernorm").join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let scale = &header["transformer.h.0.ln_1.weight"];
    assert_eq!(scale["dtype"], "BF16");
    let at = 8 + length + scale["data_offsets"][0].as_u64().unwrap() as usize;
    file[at..at + 2].copy_from_slice(&value);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    folder
}

#[test]
fn a_rule_that_holds_gives_0_and_a_broken_one_5_with_the_sites() {
    let layernorm = sample("layernorm");
    let (code, said, _) =
        check(&[&layernorm], &["--expect", "layernorm", "--max-dead-share", "0.5", "--no-warnings"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ok     expect layernorm: 9 of 9 norm sites are of this kind"), "{said}");
    assert!(said.contains("layernorm follows all 3 rules"), "{said}");
    let (code, said, _) = check(&[&layernorm], &["--expect", "rmsnorm", "--max-dead-share", "0.000001"]);
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("broken expect rmsnorm: 0 of 9 norm sites are of this kind: transformer.h.0.ln_1,"),
        "{said}"
    );
    assert!(said.contains("broken max-dead-share 0.000001: "), "{said}");
    assert!(said.contains("layernorm breaks 2 of 2 rules"), "{said}");
}

#[test]
fn a_channel_that_is_off_breaks_the_rules_of_channels_and_of_the_base() {
    let (layernorm, off) = (sample("layernorm"), changed([0, 0]));
    let base = layernorm.to_str().unwrap();
    let (code, said, _) = check(&[off.path()], &["--no-near-dead", "--same-norms-as", base]);
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("broken no-near-dead: 1 channel of 1 norm site is near dead: transformer.h.0.ln_1"),
        "{said}"
    );
    assert!(
        said.contains(
            "broken same-norms-as layernorm: of other kind or kernel: 1 norm site; not in the base: 0"
        ),
        "{said}"
    );
    // A scale that only has another size is that of a fine-tune.
    let tuned = changed([0x80, 0x3f]);
    let (code, said, _) = check(&[tuned.path()], &["--no-near-dead", "--same-norms-as", base]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_json_has_every_rule_and_every_site() {
    let (code, said, _) =
        check(&[&sample("rmsnorm")], &["--expect", "layernorm", "--no-near-dead", "--json"]);
    assert_eq!(code, 5);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["schema"], &report["passed"]), (&"gammascope.check/1".into(), &false.into()));
    let rules = report["rules"].as_array().unwrap();
    assert_eq!(rules[0]["rule"], serde_json::json!({ "name": "kind", "expected": "layernorm" }));
    assert_eq!(rules[0]["sites"].as_array().unwrap().len(), 9);
    assert_eq!((&rules[1]["rule"]["name"], &rules[1]["passed"]), (&"no_near_dead".into(), &true.into()));
}

#[test]
fn what_cannot_be_checked_is_said_in_a_sentence() {
    let layernorm = sample("layernorm");
    let says = |paths: &[&Path], options: &[&str], code: i32, expected: &str| {
        let (found, _, error) = check(paths, options);
        assert_eq!(found, code, "{error}");
        assert!(error.contains(expected), "{error}");
    };
    says(&[&layernorm], &[], 1, "there is no rule");
    says(&[&layernorm], &["--max-dead-share", "2"], 1, "a share is a number from 0 to 1");
    says(&[Path::new("nowhere.safetensors")], &["--no-near-dead"], 2, "nowhere.safetensors");
    says(&[&layernorm], &["--same-norms-as", "nowhere"], 2, "nowhere");
}

/// Copies a sample into a folder.
fn copy(name: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(sample(name).join(file), to.join(file)).unwrap();
    }
}

/// Runs a line of a script where the program is on the path.
#[cfg(unix)]
fn shell(line: &str, folder: &Path) -> i32 {
    let program = assert_cmd::cargo::cargo_bin("gammascope");
    let path =
        format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path).output().unwrap().status.code().unwrap()
}

#[cfg(unix)]
#[test]
fn the_example_of_a_workflow_and_the_hook_do_what_they_say() {
    let workflow = std::fs::read_to_string(root().join("examples/check/workflow.yml")).unwrap();
    let runs = workflow.lines().filter_map(|line| line.trim().strip_prefix("- run: "));
    let checks: Vec<&str> = runs.filter(|run| run.starts_with("gammascope ")).collect();
    assert_eq!(checks.len(), 2);
    let folder = TempDir::new().unwrap();
    copy("layernorm", &folder.path().join("model"));
    copy("layernorm", &folder.path().join("base"));
    for check in &checks {
        assert_eq!(shell(check, folder.path()), 0, "{check}");
    }
    let hooks = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    let entry = hooks.lines().find_map(|line| line.trim().strip_prefix("entry: ")).unwrap();
    assert_eq!(shell(&format!("{entry} model/ --expect layernorm"), folder.path()), 0);
    copy("rmsnorm", &folder.path().join("model"));
    assert_eq!(shell(checks[0], folder.path()), 5);
    assert_eq!(shell(&format!("{entry} model/ --expect layernorm"), folder.path()), 5);
}
