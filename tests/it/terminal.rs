//! The command line with its arguments and on a narrow screen. The modules are those of the program, with their tests.

#[path = "../../src/terminal/args.rs"]
#[allow(dead_code, reason = "only the parsing is tested here")]
mod args;
#[path = "../../src/terminal/examples.rs"]
mod examples;
#[path = "../../src/terminal/grid.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod grid;
#[path = "../../src/terminal/like.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod like;
#[path = "../../src/terminal/screen.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod screen;

use args::{Arguments, Command};
use assert_cmd::Command as Program;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::support;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn gammascope() -> Program {
    let mut program = Program::cargo_bin("gammascope").unwrap();
    program.env_remove("COLUMNS");
    program
}

fn stdout(program: &mut Program) -> String {
    String::from_utf8(program.assert().success().get_output().stdout.clone()).unwrap()
}

fn stderr(program: &mut Program, code: i32) -> String {
    String::from_utf8(program.assert().code(code).get_output().stderr.clone()).unwrap()
}

/// The width of the widest line, in columns.
fn widest(text: &str) -> usize {
    text.lines().map(textwrap::core::display_width).max().unwrap_or(0)
}

#[test]
fn every_command_has_examples_and_every_example_parses() {
    let program = Arguments::command();
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  gammascope ")).collect();
        assert!(!examples.is_empty(), "{} has no example", command.get_name());
        for example in examples {
            assert!(example.chars().count() <= 80, "{example}");
            let words = example.split_whitespace().take_while(|word| !matches!(*word, "#" | ">"));
            let parsed = args::parse(words.map(OsString::from).collect());
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn a_checkpoint_without_a_command_is_inspected() {
    let inspects = |words: &[&str]| {
        let words = std::iter::once("gammascope").chain(words.iter().copied());
        matches!(args::parse(words.map(OsString::from).collect()).unwrap().command, Command::Inspect(_))
    };
    let path = sample("rmsnorm").display().to_string();
    assert!(inspects(&[&path]) && inspects(&["--json", &path]) && inspects(&["--wide", &path, "--all"]));
    assert!(inspects(&["org/model@main"]) && inspects(&["https://example.org/model.safetensors"]));
    assert!(inspects(&["no/such/model.gguf"]), "its error names the file");
    assert!(!inspects(&["scan", &path]), "a command stays a command");
    let typo = Arguments::try_parse_from(["gammascope", "inspekt"]).unwrap_err();
    assert_eq!(
        args::parse(["gammascope", "inspekt"].map(OsString::from).to_vec()).unwrap_err().kind(),
        typo.kind()
    );
    assert!(stderr(gammascope().arg("inspekt"), 1).contains("inspect"), "clap suggests it");
    assert!(stdout(gammascope().arg(sample("rmsnorm"))).starts_with("RMSNorm"));
}

#[test]
fn output_fits_80_columns_and_wide_does_not_wrap() {
    for (name, command) in [("layernorm", "inspect"), ("rmsnorm", "inspect"), ("layernorm", "verify")] {
        let text = stdout(gammascope().arg(command).arg(sample(name)));
        assert!(widest(&text) <= 80, "{text}");
        assert!(
            text.contains("transformer.h.*.ln_1 ×4") || text.contains("model.layers.*.input_layernorm ×4"),
            "{text}"
        );
    }
    let narrow = stdout(gammascope().arg(sample("layernorm")).env("COLUMNS", "50"));
    assert!(widest(&narrow) <= 50 && narrow.contains("Not shown: "), "{narrow}");
    let wide = stdout(gammascope().arg(sample("layernorm")).args(["--wide", "--all"]));
    assert!(widest(&wide) > 100 && wide.contains("transformer.h.3.ln_2 "), "{wide}");
    let explained = stdout(gammascope().arg(sample("layernorm")).args(["--explain", "ln_f"]));
    assert!(widest(&explained) <= 80, "{explained}");
}

#[test]
fn a_folder_of_many_checkpoints_points_to_scan_before_it_opens_one() {
    let folder = tempfile::tempdir().unwrap();
    for step in ["checkpoint-1", "checkpoint-2", "checkpoint-10", "checkpoint-11"] {
        std::fs::create_dir(folder.path().join(step)).unwrap();
        // A file that cannot be read.
        std::fs::write(folder.path().join(step).join("model.safetensors"), b"damaged").unwrap();
    }
    let said = stderr(gammascope().arg(folder.path()), 2);
    let path = folder.path().display();
    assert!(said.contains("holds 4 checkpoints") && said.contains("checkpoint-10` and 1 more"), "{said}");
    assert!(said.contains(&format!("`gammascope scan {path}`")), "{said}");
    assert!(said.contains(&format!("`{path}/checkpoint-1`")), "{said}");
}

#[test]
fn errors_do_not_speak_of_dropping_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "nothing").unwrap();
    let said = stderr(gammascope().arg(folder.path()), 2);
    assert!(said.contains("give a .safetensors") && !said.contains("drop"), "{said}");
    let lora = folder.path().join("adapter_model.safetensors");
    let values = vec![0.5f32; 16];
    let tensors: [(&str, &[usize], Vec<f32>); 2] = [
        ("base_model.model.layers.0.self_attn.q_proj.lora_A.weight", &[2, 8], values.clone()),
        ("base_model.model.layers.0.self_attn.q_proj.lora_B.weight", &[8, 2], values),
    ];
    std::fs::write(&lora, support::tensors(&tensors)).unwrap();
    let said = stderr(gammascope().arg(&lora), 2);
    assert!(said.contains("`gammascope adapter BASE ADAPTER`") && !said.contains("drop"), "{said}");
}

#[test]
fn completions_and_manuals_have_the_options() {
    for (shell, piece) in [
        ("bash", "complete -F _gammascope"),
        ("zsh", "#compdef gammascope"),
        ("fish", "complete -c gammascope"),
    ] {
        let script = stdout(gammascope().args(["completions", shell]));
        assert!(script.contains(piece) && script.contains("preservation"), "{shell}");
    }
    let page = stdout(gammascope().arg("man"));
    assert!(page.contains(".TH gammascope 1") && page.contains("verify"), "{page}");
    let page = stdout(gammascope().args(["man", "verify"]));
    assert!(page.contains(".TH gammascope-verify 1") && page.contains("preservation"), "{page}");
    assert!(stderr(gammascope().args(["man", "nothing"]), 1).contains("`gammascope --help`"));
}

#[test]
#[cfg(target_os = "linux")]
fn progress_is_shown_on_a_terminal_only() {
    let program = assert_cmd::cargo::cargo_bin("gammascope");
    let line = format!("{} verify {} --tokens 4096", program.display(), sample("rmsnorm").display());
    // `script`, which is part of Debian, runs a command in a terminal.
    let mut script = Program::new("script");
    let shown = stdout(script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm"));
    assert!(shown.contains("running blocks") || shown.contains("measuring sites"), "{shown}");
    let silent =
        gammascope().arg("verify").arg(sample("rmsnorm")).args(["--tokens", "4096"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&silent.stderr), "");
}

/// Names that a file may contain: terminal commands, letters that change the direction of text, line ends, a formula, and a very long name.
fn hostile_names() -> Vec<String> {
    let ends =
        ["\u{1b}]0;owned\u{7}", "\u{9b}31m", "\u{202e}txt.exe", "a\nb\rc", "\0", "=1+2", "\u{2028}\u{feff}"];
    let long = "x".repeat(10_000);
    ends.iter().map(|end| format!("{end}h.0.ln_1")).chain([format!("{long}.ln_1")]).collect()
}

#[test]
fn hostile_names_are_plain_text_in_every_output() {
    let folder = tempfile::tempdir().unwrap();
    let names = hostile_names();
    let scales: Vec<(String, Vec<f32>)> =
        names.iter().map(|name| (format!("{name}.weight"), vec![1.0, 1.5, 0.5, 2.0])).collect();
    let tensors: Vec<(&str, &[usize], Vec<f32>)> =
        scales.iter().map(|(name, scale)| (name.as_str(), &[4][..], scale.clone())).collect();
    let file = folder.path().join("model.safetensors");
    std::fs::write(&file, support::tensors(&tensors)).unwrap();
    let is_plain =
        |text: &str| !text.contains(|c: char| c != '\n' && gammascope::report::words::is_unseen(c));

    let text = stdout(gammascope().arg("inspect").arg(&file).arg("--all"));
    assert!(is_plain(&text), "{text:?}");
    assert!(text.contains("\\u{202e}txt.exeh.0.ln_1") && text.contains("=1+2h.0.ln_1"), "{text}");
    assert!(text.len() < 20_000, "{} bytes", text.len());
    let asked = "y".repeat(10_000);
    let error = stderr(gammascope().arg("inspect").arg(&file).args(["--explain", &asked]), 1);
    assert!(error.contains("characters)") && error.contains("yyy") && error.len() < 5_000, "{error}");

    let json = stdout(gammascope().args(["inspect", "--json"]).arg(&file));
    assert!(is_plain(&json));
    let report: gammascope::report::Report = serde_json::from_str(&json).unwrap();
    let mut found: Vec<String> = report.norms.into_iter().map(|norm| norm.name).collect();
    let mut expected = names.clone();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "JSON has the names themselves");

    let page = folder.path().join("report.html");
    stdout(gammascope().arg("share").arg(&file).arg("--html").arg(&page));
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(is_plain(&page) && page.contains("\\u{202e}txt.exeh.0.ln_1"));
    let (_, rest) = page.split_once(r#"id="report">"#).unwrap();
    let report: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert!(report["norms"].as_array().unwrap().iter().any(|norm| norm["name"] == names[2].as_str()));

    let missing = folder.path().join("\u{1b}]0;owned\u{7}\u{202e}.safetensors");
    let error = stderr(gammascope().arg("inspect").arg(missing), 2);
    assert!(is_plain(&error) && error.contains("\\u{1b}]0;owned"), "{error:?}");
}
