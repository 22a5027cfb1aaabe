//! Repairing a wrong 1 in the scales of a trained model: the loss finds what was stored before, or nothing is written.

use crate::fold::{Tensors, config, file, fixture, in_f32, sample, set, values};
use assert_cmd::Command;
use gammascope::fold::repair::RepairError;
use gammascope::fold::{repair, write_shard};
use gammascope::inspect;
use gammascope::model::resolve;
use gammascope::report::fold::{FoldOperation, FoldReport};
use gammascope::report::repair::OffsetRepair;
use gammascope::source::memory::MemorySource;
use gammascope::text::Choice;
use pollster::block_on;
use std::path::Path;

/// The trained sample with RMSNorms, with this added to each of its scales.
fn broken(added: impl Fn(&str) -> f32) -> Tensors {
    let mut tensors = in_f32(&sample("rmsnorm"));
    let names: Vec<String> = tensors.keys().filter(|name| name.contains("norm")).cloned().collect();
    for name in names {
        let all: Vec<f32> = values(&tensors, &name).into_iter().map(|value| value + added(&name)).collect();
        set(&mut tensors, &name, &all);
    }
    tensors
}

fn files(tensors: &Tensors, folder: &Path) -> Vec<MemorySource> {
    let mut files = crate::fold::sources(file(tensors), &config(folder));
    if let Ok(tokenizer) = std::fs::read(folder.join("tokenizer.json")) {
        files.push(MemorySource::new("tokenizer.json", tokenizer));
    }
    files
}

/// What is repaired, and the new file.
fn repaired(
    tensors: &Tensors,
    folder: &Path,
    choice: Option<&Choice>,
) -> Result<(OffsetRepair, Vec<u8>), Box<RepairError>> {
    let opened = block_on(inspect::open(files(tensors, folder), |_| {})).unwrap();
    let architecture = resolve(opened.checkpoint()).unwrap();
    let again = || Ok(files(tensors, folder));
    let plan = block_on(repair(&opened, &architecture, choice, again, |_, _| {}))?;
    let mut file = Vec::new();
    block_on(write_shard(opened.checkpoint(), &plan, 0, &mut file, |_| {})).unwrap();
    assert_eq!(plan.report.operations, [FoldOperation::RepairOffset]);
    Ok((plan.report.repair.unwrap(), file))
}

/// The largest difference of a value from the trained sample.
fn furthest(file: &[u8]) -> f32 {
    let right = in_f32(&sample("rmsnorm"));
    let open = safetensors::SafeTensors::deserialize(file).unwrap();
    let mut furthest = 0.0f32;
    for (name, view) in open.tensors() {
        let found = view.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        for (found, expected) in found.zip(values(&right, &name)) {
            furthest = furthest.max((found - expected).abs());
        }
    }
    furthest
}

#[test]
fn a_wrong_1_is_found_by_the_values_and_decided_by_the_loss() {
    for added in [1.0, 2.0] {
        let (repair, file) = repaired(&broken(|_| added), &sample("rmsnorm"), None).unwrap();
        assert!(furthest(&file) < 1e-6, "{added}: {repair:?}");
        assert_eq!(repair.norms.len(), 9);
        assert!(repair.norms.iter().all(|norm| f32::from(norm.added) == -added));
        let chosen = repair.versions.iter().find(|version| version.chosen).unwrap();
        let stored = &repair.versions[0];
        assert_eq!((stored.what.as_str(), stored.chosen), ("as stored", false));
        // Each costs more than the right one.
        assert!(stored.loss.is_none_or(|loss| loss > chosen.loss.unwrap() + 0.1), "{repair:?}");
        assert_eq!(repair.tokens, 512);
    }
}

#[test]
fn a_1_that_is_missing_at_one_norm_is_added_there_only() {
    let one = |name: &str| if name == "model.layers.0.input_layernorm.weight" { -1.0 } else { 0.0 };
    let (repair, file) = repaired(&broken(one), &sample("rmsnorm"), None).unwrap();
    assert!(furthest(&file) < 1e-6, "{repair:?}");
    assert_eq!((repair.norms.len(), repair.norms[0].added), (1, 1), "{repair:?}");
}

#[test]
fn a_loss_that_does_not_tell_versions_apart_changes_nothing() {
    // The 1 is missing everywhere, and the values show it at one norm only.
    let error = repaired(&broken(|_| -1.0), &sample("rmsnorm"), None).unwrap_err();
    assert!(matches!(*error, RepairError::Unclear(_)), "{error}");
    assert!(error.to_string().contains("as stored: 4.5"), "{error}");
}

#[test]
fn what_is_missing_is_said() {
    let folder = sample("rmsnorm");
    let error = |tensors: &Tensors, folder: &Path, choice: Option<&Choice>| {
        repaired(tensors, folder, choice).unwrap_err().to_string()
    };
    // Nothing is wrong.
    let said = error(&broken(|_| 0.0), &folder, None);
    assert!(said.contains("are stored as the code of its family expects"), "{said}");
    // Tokens that nobody can predict.
    let ids: Vec<String> = gammascope::text::ids::uniform(512, 256).iter().map(u32::to_string).collect();
    let noise = Choice::Ids { name: "noise.txt".to_owned(), bytes: ids.join(" ").into_bytes() };
    let said = error(&broken(|_| 1.0), &folder, Some(&noise));
    assert!(said.contains("better than a guess among 256 tokens") && said.contains("as stored"), "{said}");
    // No tokenizer.
    let gone = tempfile::tempdir().unwrap();
    std::fs::write(gone.path().join("config.json"), config(&folder)).unwrap();
    let said = error(&broken(|_| 1.0), gone.path(), None);
    assert!(said.contains("the loss needs a text") && said.contains("no tokenizer.json"), "{said}");
    // No next tokens.
    let bert = fixture("bert");
    let mut tensors = in_f32(&bert);
    let names: Vec<String> =
        tensors.keys().filter(|name| name.ends_with("LayerNorm.weight")).cloned().collect();
    for name in names {
        let all: Vec<f32> = values(&tensors, &name).into_iter().map(|value| value + 1.0).collect();
        set(&mut tensors, &name, &all);
    }
    let said = error(&tensors, &bert, None);
    assert!(said.contains("the tokens of this model see later ones"), "{said}");
}

#[test]
fn the_command_states_the_losses_and_writes_only_what_is_right() {
    let fold = || {
        let mut command = Command::cargo_bin("gammascope").unwrap();
        command.arg("fold").env("COLUMNS", "200");
        command
    };
    let work = tempfile::tempdir().unwrap();
    let model = work.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("model.safetensors"), file(&broken(|_| 1.0))).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(sample("rmsnorm").join(name), model.join(name)).unwrap();
    }
    let out = work.path().join("out");
    let run = fold().arg(&model).args(["--repair-offset", "-o"]).arg(&out).assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("as stored: ") && text.contains("w − 1 at 9 scales"), "{text}");
    assert!(furthest(&std::fs::read(out.join("model.safetensors")).unwrap()) < 1e-6);
    let report: FoldReport = serde_json::from_slice(&std::fs::read(out.join("fold.json")).unwrap()).unwrap();
    assert!(report.repair.is_some() && report.tensors.len() == 9 && report.norms.is_empty());

    // The repaired model has nothing to repair, and nothing is written.
    let other = work.path().join("other");
    let run = fold().arg(&out).args(["--repair-offset", "-o"]).arg(&other).assert().code(2);
    let error = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(error.contains("nothing is repaired") && !other.exists(), "{error}");
    // Random ids show nothing.
    let ids: Vec<String> = gammascope::text::ids::uniform(512, 256).iter().map(u32::to_string).collect();
    let list = work.path().join("ids.txt");
    std::fs::write(&list, ids.join(" ")).unwrap();
    let mut command = fold();
    command.arg(&model).args(["--repair-offset", "-o"]).arg(&other).arg("--ids").arg(&list);
    let run = command.assert().code(2);
    let error = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(error.contains("better than a guess") && !other.exists(), "{error}");
    fold().arg(&model).args(["--scales", "--dry-run", "--ids"]).arg(&list).assert().code(1);
    fold().arg(&model).args(["--repair-offset", "--scales", "-o", "x"]).assert().code(1);
}
