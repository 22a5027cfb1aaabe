//! Folding: the result computes what the original computes, in every family of text models, and what is not exact is refused by name.

use crate::support::families::{self, furthest};
use assert_cmd::Command;
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::fold::plan::PlanError;
use gammascope::fold::write::WriteError;
use gammascope::fold::{Operations, Plan, Sink, plan, plan_of, write_shard};
use gammascope::forward::{Input, Pass, Unwatched};
use gammascope::inspect;
use gammascope::model::resolve;
use gammascope::report::fold::{FoldOutcome, FoldReport};
use gammascope::source::ByteSource;
use gammascope::source::memory::MemorySource;
use gammascope::text::ids::uniform;
use pollster::block_on;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Tensors by name: dtype, shape and bytes.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub(crate) const NONE: Operations = Operations {
    scales: false,
    shifts: false,
    centre: false,
    canonical: false,
    untie: false,
    add_biases: false,
    rms_norm: false,
};
const SCALES: Operations = Operations { scales: true, ..NONE };
const SHIFTS: Operations = Operations { shifts: true, ..NONE };
const BOTH: Operations = Operations { scales: true, shifts: true, ..NONE };
const CENTRE: Operations = Operations { centre: true, ..NONE };
pub(crate) const CANONICAL: Operations = Operations { canonical: true, ..NONE };
pub(crate) const ALL: Operations =
    Operations { scales: true, shifts: true, centre: true, canonical: true, ..NONE };

pub(crate) fn fixture(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family)
}

pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// The tensors of a model, all in f32.
pub(crate) fn in_f32(folder: &Path) -> Tensors {
    let checkpoint = families::open(folder);
    let all: Vec<usize> = (0..checkpoint.tensors.len()).collect();
    let values = block_on(checkpoint.read(&all, |_, _| {}));
    let named = checkpoint.tensors.iter().zip(values);
    named
        .map(|(tensor, values)| {
            let shape = tensor.shape.iter().map(|&side| side as usize).collect();
            let bytes = values.unwrap().into_iter().flat_map(|value| (value as f32).to_le_bytes()).collect();
            (checkpoint.stored_name(&tensor.name).to_owned(), (Dtype::F32, shape, bytes))
        })
        .collect()
}

pub(crate) fn file(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

pub(crate) fn values(tensors: &Tensors, name: &str) -> Vec<f32> {
    tensors[name].2.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

pub(crate) fn set(tensors: &mut Tensors, name: &str, values: &[f32]) {
    tensors.get_mut(name).unwrap().2 = values.iter().flat_map(|value| value.to_le_bytes()).collect();
}

pub(crate) fn sources(weights: Vec<u8>, config: &[u8]) -> Vec<MemorySource> {
    vec![MemorySource::new("model.safetensors", weights), MemorySource::new("config.json", config)]
}

pub(crate) fn config(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("config.json")).unwrap()
}

/// Folds a model in memory. Returns the report and the new file.
pub(crate) fn folded(weights: &[u8], config: &[u8], operations: Operations) -> (FoldReport, Vec<u8>) {
    let (plan, file) = written(weights, config, operations).unwrap();
    (plan.report, file)
}

/// Folds a model in memory. Returns the plan and the new file.
pub(crate) fn written(
    weights: &[u8],
    config: &[u8],
    operations: Operations,
) -> Result<(Plan, Vec<u8>), PlanError> {
    let opened = block_on(inspect::open(sources(weights.to_vec(), config), |_| {})).unwrap();
    let checkpoint = opened.checkpoint();
    let architecture = resolve(checkpoint).unwrap();
    let mut plan = plan(&opened, &architecture, operations)?;
    let mut file = Vec::new();
    let written = block_on(write_shard(checkpoint, &plan, 0, &mut file, |_| {})).unwrap();
    let places: Vec<usize> = written.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (0..plan.report.tensors.len()).collect::<Vec<_>>());
    assert!(written.iter().all(|(_, rounded)| rounded.relative < 1e-6), "{written:?}");
    plan.took(written);
    let mut unbounded = plan.report.tensors.iter().filter(|tensor| tensor.bound.is_none());
    assert!(
        unbounded.all(|tensor| tensor.identity.contains("U ← U − 1 mean(U)")),
        "{:?}",
        plan.report.tensors
    );
    assert_eq!(file.len() as i128 - weights.len() as i128 - plan.growth() - header_growth(weights, &file), 0);
    Ok((plan, file))
}

fn header_growth(before: &[u8], after: &[u8]) -> i128 {
    let length = |file: &[u8]| i128::from(u64::from_le_bytes(file[..8].try_into().unwrap()));
    length(after) - length(before)
}

/// The logits of a model, or its last hidden states without a head.
pub(crate) fn output<S: ByteSource>(checkpoint: &Checkpoint<S>) -> Vec<f32> {
    let architecture = resolve(checkpoint).unwrap();
    let ids = uniform(32, architecture.vocabulary);
    let pass = Pass::new(checkpoint, &architecture, Input::token_ids(&ids, 16).unwrap()).unwrap();
    let hidden = block_on(pass.run(&mut Unwatched)).unwrap();
    let Some(head) = &architecture.head else { return hidden };
    let vocabulary = head.unembedding.outputs;
    let mut logits = vec![0.0; ids.len() * vocabulary];
    block_on(pass.logits(&hidden, |first, width, slice| {
        for (token, row) in slice.chunks_exact(width).enumerate() {
            logits[token * vocabulary + first..][..width].copy_from_slice(row);
        }
    }))
    .unwrap();
    logits
}

/// How far the results of two files of one model are apart.
pub(crate) fn apart(before: &[u8], after: &[u8], config: &[u8]) -> f64 {
    apart_by_config((before, config), (after, config))
}

/// How far the results of two models, each a file and its configuration, are apart.
pub(crate) fn apart_by_config(before: (&[u8], &[u8]), after: (&[u8], &[u8])) -> f64 {
    let output = |(file, config): (&[u8], &[u8])| {
        output(&block_on(checkpoint::open(sources(file.to_vec(), config), |_| {})).unwrap())
    };
    let expected: Vec<f64> = output(before).into_iter().map(f64::from).collect();
    furthest(&output(after), &expected)
}

pub(crate) fn outcome<'a>(
    report: &'a FoldReport,
    norm: &str,
    of: fn(&'a gammascope::report::fold::FoldedNorm) -> &'a FoldOutcome,
) -> &'a FoldOutcome {
    of(report.norms.iter().find(|one| one.name.ends_with(norm)).unwrap())
}

pub(crate) fn why(outcome: &FoldOutcome) -> &str {
    match outcome {
        FoldOutcome::Left { why } => why,
        other => panic!("{other:?}"),
    }
}

fn done(report: &FoldReport, of: fn(&gammascope::report::fold::FoldedNorm) -> &FoldOutcome) -> usize {
    report.norms.iter().filter(|norm| *of(norm) == FoldOutcome::Done).count()
}

#[test]
fn every_family_computes_the_same_after_every_operation() {
    let names = [
        ("scales", SCALES),
        ("shifts", SHIFTS),
        ("both", BOTH),
        ("centre", CENTRE),
        ("canonical", CANONICAL),
        ("all", ALL),
    ];
    let mut families: Vec<PathBuf> =
        std::fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    families.extend([sample("layernorm"), sample("rmsnorm")]);
    families.sort();
    let (mut off, mut changed) = (Vec::new(), 0);
    for folder in &families {
        let (weights, config) = (file(&in_f32(folder)), config(folder));
        for (name, operations) in names {
            let (report, result) = folded(&weights, &config, operations);
            if report.tensors.is_empty() {
                assert_eq!(result, weights);
                continue;
            }
            changed += 1;
            let apart = apart(&weights, &result, &config);
            let family = folder.file_name().unwrap().to_string_lossy();
            println!("{family} {name}: {} tensors, {apart:.1e}", report.tensors.len());
            if apart.is_nan() || apart > 1e-5 {
                off.push(format!("{family} {name}: {apart:.1e}"));
            }
        }
    }
    assert!(changed > 100, "{changed}");
    assert!(off.is_empty(), "{}", off.join("\n"));
}

#[test]
fn a_pre_norm_model_loses_its_scales_and_shifts() {
    let folder = fixture("gpt_neox");
    let tensors = in_f32(&folder);
    let (report, result) = folded(&file(&tensors), &config(&folder), BOTH);
    assert_eq!((done(&report, |norm| &norm.scale), done(&report, |norm| &norm.shift)), (5, 4));
    // The unembedding has no bias, so the last shift becomes β/γ.
    assert!(
        why(outcome(&report, "final_layer_norm", |norm| &norm.shift))
            .contains("`embed_out.weight` has no bias")
    );
    let file = safetensors::SafeTensors::deserialize(&result).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        file.tensor(name)
            .unwrap()
            .data()
            .chunks(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect()
    };
    assert!(floats("gpt_neox.layers.0.input_layernorm.weight").iter().all(|value| *value == 1.0));
    assert!(floats("gpt_neox.layers.0.input_layernorm.bias").iter().all(|value| *value == 0.0));
    let [scale, shift] =
        ["weight", "bias"].map(|part| values(&tensors, &format!("gpt_neox.final_layer_norm.{part}")));
    let new = floats("gpt_neox.final_layer_norm.bias");
    for ((new, scale), shift) in new.iter().zip(&scale).zip(&shift) {
        assert_eq!(*new, (f64::from(*shift) / f64::from(*scale)) as f32);
    }
}

#[test]
fn a_norm_that_stores_the_scale_minus_one_stores_zero_afterwards() {
    let folder = fixture("gemma");
    let (report, result) = folded(&file(&in_f32(&folder)), &config(&folder), SCALES);
    let file = safetensors::SafeTensors::deserialize(&result).unwrap();
    let scale = file.tensor("model.layers.0.input_layernorm.weight").unwrap();
    assert!(scale.data().iter().all(|byte| *byte == 0));
    assert!(why(outcome(&report, "model.norm", |norm| &norm.scale)).contains("(tied)"));
}

#[test]
fn norms_whose_output_is_the_stream_keep_their_scales_and_their_readers_lose_the_dead_part() {
    let folder = fixture("bert");
    let (weights, config) = (file(&in_f32(&folder)), config(&folder));
    let (report, _) = folded(&weights, &config, ALL);
    for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
        assert!(why(outcome(&report, norm, |norm| &norm.scale)).contains("residual stream"));
    }
    assert_eq!(done(&report, |norm| &norm.scale), 0);
    assert!(done(&report, |norm| &norm.canonical) > 3, "{report:?}");
    assert!(report.not_centred.unwrap().contains("without a norm of its own"));
}

#[test]
fn the_mean_of_a_stream_that_an_rms_norm_reads_stays() {
    let folder = fixture("llama");
    let (report, result) = folded(&file(&in_f32(&folder)), &config(&folder), CENTRE);
    assert!(report.not_centred.unwrap().contains("is an RMSNorm, which does not subtract the mean"));
    assert_eq!(result, file(&in_f32(&folder)));
}

#[test]
fn norms_inside_a_part_and_on_its_output_are_left() {
    let (weights, config) = (file(&in_f32(&fixture("qwen3"))), config(&fixture("qwen3")));
    let (report, _) = folded(&weights, &config, SCALES);
    assert!(
        why(outcome(&report, "layers.0.self_attn.q_norm", |norm| &norm.scale)).contains("queries or keys")
    );
    assert_eq!(*outcome(&report, "layers.0.input_layernorm", |norm| &norm.scale), FoldOutcome::Done);
    let folder = fixture("gemma2");
    let (report, _) = folded(&file(&in_f32(&folder)), &self::config(&folder), SCALES);
    let left = outcome(&report, "layers.0.post_attention_layernorm", |norm| &norm.scale);
    assert!(why(left).contains("added to the residual stream"));
}

/// Layers share a block, so its maps read more than one norm.
#[test]
fn a_reader_of_two_norms_is_left() {
    let folder = fixture("albert");
    let (report, _) = folded(&file(&in_f32(&folder)), &config(&folder), CANONICAL);
    let readers = report.norms.iter().flat_map(|norm| &norm.readers);
    let left: Vec<&str> = readers
        .filter(|reader| reader.name.ends_with("groups.0.albert_layers.0.attention.query.weight"))
        .map(|reader| why(&reader.canonical))
        .collect();
    assert_eq!(left, ["the report has no such norm site"]);
}

#[test]
fn a_head_beside_the_unembedding_may_read_the_last_norm() {
    let folder = fixture("qwen3_5");
    let mut tensors = in_f32(&folder);
    tensors.insert("mtp.fc.weight".to_owned(), (Dtype::F32, vec![2, 2], vec![0; 16]));
    let (report, _) = folded(&file(&tensors), &config(&folder), SCALES);
    let why = why(outcome(&report, "model.norm", |norm| &norm.scale));
    assert!(why.contains("`mtp.fc.weight` may read it too") || why.contains("(tied)"), "{why}");
}

#[test]
fn a_type_that_is_not_rewritten_keeps_its_norm() {
    let folder = fixture("llama");
    let mut tensors = in_f32(&folder);
    let name = "model.layers.0.self_attn.q_proj.weight";
    let (dtype, _, bytes) = tensors.get_mut(name).unwrap();
    (*dtype, *bytes) = (Dtype::F8_E4M3, vec![0x38; bytes.len() / 4]);
    let (report, _) = folded(&file(&tensors), &config(&folder), SCALES);
    let left = outcome(&report, "layers.0.input_layernorm", |norm| &norm.scale);
    assert!(why(left).contains(&format!("`{name}` is stored as F8_E4M3")));
    assert_eq!(*outcome(&report, "layers.1.input_layernorm", |norm| &norm.scale), FoldOutcome::Done);
}

#[test]
fn a_channel_that_is_off_folds_if_its_shift_folds_too() {
    let folder = fixture("gpt_neox");
    let mut tensors = in_f32(&folder);
    let name = "gpt_neox.layers.0.input_layernorm.weight";
    let mut scale = values(&tensors, name);
    scale[3] = 0.0;
    set(&mut tensors, name, &scale);
    let (weights, config) = (file(&tensors), config(&folder));
    let (report, _) = folded(&weights, &config, SCALES);
    let left = outcome(&report, "layers.0.input_layernorm", |norm| &norm.scale);
    assert!(why(left).contains("channel 3 has a shift with a scale of zero"));
    for operations in [BOTH, CANONICAL, ALL] {
        let (report, result) = folded(&weights, &config, operations);
        let norm = report.norms.iter().find(|norm| norm.name.ends_with("layers.0.input_layernorm")).unwrap();
        assert_eq!(norm.channels_off, [3]);
        assert!(apart(&weights, &result, &config) < 1e-5);
        let file = safetensors::SafeTensors::deserialize(&result).unwrap();
        let reader = file.tensor("gpt_neox.layers.0.attention.query_key_value.weight").unwrap();
        let values: Vec<f32> =
            reader.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert!(values.chunks(reader.shape()[1]).all(|row| row[3] == 0.0));
    }
}

#[test]
fn a_model_with_two_stacks_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward_images/whisper");
    let opened = block_on(inspect::open(families::sources(&folder), |_| {})).unwrap();
    let architecture = resolve(opened.checkpoint()).unwrap();
    let error = plan(&opened, &architecture, BOTH).unwrap_err();
    assert!(error.to_string().contains("only models with one stack are folded"), "{error}");
}

#[test]
fn a_norm_whose_convention_is_not_certain_is_left() {
    // Somebody has already added the 1 to the scales.
    let folder = fixture("gemma");
    let mut tensors = in_f32(&folder);
    let names: Vec<String> = tensors.keys().filter(|name| name.contains("norm")).cloned().collect();
    for name in names {
        let ones = vec![1.0; values(&tensors, &name).len()];
        set(&mut tensors, &name, &ones);
    }
    let (report, _) = folded(&file(&tensors), &config(&folder), SCALES);
    let left = outcome(&report, "layers.0.input_layernorm", |norm| &norm.scale);
    assert!(why(left).contains("whether γ is w or 1 + w"), "{left:?}");
    assert!(report.tensors.is_empty());
}

/// ‖(stored − exact) x̂‖ is at most the bound, and the bound is not far above what an input reaches.
#[test]
fn no_input_changes_a_reader_by_more_than_its_bound() {
    let folder = fixture("llama");
    let mut tensors = in_f32(&folder);
    let norm = "model.layers.0.input_layernorm.weight";
    // Thirds, so that the products need more digits than their type has.
    let scale: Vec<f32> = values(&tensors, norm).into_iter().map(|scale| scale / 3.0).collect();
    set(&mut tensors, norm, &scale);
    let (report, result) = folded(&file(&tensors), &config(&folder), SCALES);
    let name = "model.layers.0.self_attn.q_proj.weight";
    let result = safetensors::SafeTensors::deserialize(&result).unwrap();
    let view = result.tensor(name).unwrap();
    let stored = view.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let d = scale.len();
    let error: Vec<f64> = stored
        .zip(values(&tensors, name))
        .enumerate()
        .map(|(at, (stored, before))| f64::from(stored) - f64::from(before) * f64::from(scale[at % d]))
        .collect();
    let bound = report.tensors.iter().find(|tensor| tensor.name == name).unwrap().bound.unwrap();
    let mut furthest: f64 = 0.0;
    for row in error.chunks(d) {
        // The worst input of a row: along it, with the length that a norm gives.
        let size = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        let x: Vec<f64> = row.iter().map(|value| value / size * (d as f64).sqrt()).collect();
        let change = error
            .chunks(d)
            .map(|row| row.iter().zip(&x).map(|(e, x)| e * x).sum::<f64>().powi(2))
            .sum::<f64>();
        furthest = furthest.max(change.sqrt());
    }
    assert!(furthest > 0.0 && furthest <= bound, "{furthest} {bound}");
    assert!(bound < 30.0 * furthest, "{furthest} {bound}");
    let scales = report.tensors.iter().filter(|tensor| tensor.identity == "γ ← 1");
    assert!(scales.clone().count() > 0 && scales.into_iter().all(|tensor| tensor.bound == Some(0.0)));
}

#[test]
fn a_writer_has_no_bound() {
    let folder = fixture("gpt_neox");
    let (report, _) = folded(&file(&in_f32(&folder)), &config(&folder), CENTRE);
    let matrices = report.tensors.iter().filter(|tensor| tensor.identity == "U ← U − 1 mean(U)");
    assert!(matrices.clone().count() > 2 && matrices.into_iter().all(|tensor| tensor.bound.is_none()));
    assert!(
        report.tensors.iter().any(|tensor| tensor.identity == "b ← b − mean(b)" && tensor.bound.is_some())
    );
}

/// A place that is full after some bytes, and that takes them later than it is asked.
struct Full {
    room: usize,
    taken: Vec<u8>,
}

impl Sink for Full {
    async fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.taken.len() + bytes.len() > self.room {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.taken.extend_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn any_sink_gets_the_bytes_of_the_file_until_it_fails() {
    let folder = fixture("gpt_neox");
    let (weights, config) = (file(&in_f32(&folder)), config(&folder));
    let (_, expected) = folded(&weights, &config, ALL);
    let opened = block_on(inspect::open(sources(weights, &config), |_| {})).unwrap();
    let plan = plan_of(&opened, ALL).unwrap();
    for room in [expected.len(), expected.len() - 1, 10] {
        let mut full = Full { room, taken: Vec::new() };
        let written = block_on(write_shard(opened.checkpoint(), &plan, 0, &mut full, |_| {}));
        assert!(expected.starts_with(&full.taken));
        match written {
            Ok(_) => assert_eq!(full.taken, expected),
            Err(WriteError::Written(error)) => assert_eq!(error.kind(), std::io::ErrorKind::StorageFull),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(full.taken.len() == expected.len(), room == expected.len());
    }
}

// The command line.

pub(crate) fn fold() -> Command {
    let mut command = Command::cargo_bin("gammascope").unwrap();
    command.arg("fold").env("COLUMNS", "1000");
    command
}

pub(crate) fn failure(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_comes_out_whole_with_its_proof() {
    let work = tempfile::tempdir().unwrap();
    for (name, model) in [("a", fixture("gpt2")), ("b", fixture("llama")), ("c", sample("layernorm"))] {
        let out = work.path().join(name);
        // Other files of the same kind lie beside the fixtures.
        let run = fold()
            .arg(model.join("model.safetensors"))
            .args(["--scales", "--shifts", "--canonical", "--prove", "--json", "-o"])
            .arg(&out)
            .assert()
            .success();
        let report: FoldReport = serde_json::from_slice(&run.get_output().stdout).unwrap();
        let proof = report.proof.as_ref().unwrap();
        assert!(proof.same && proof.logits.unwrap().found > 0.0, "{proof:?}");
        assert!(report.tensors.iter().all(|tensor| tensor.rounding.is_some()));
        let kept: FoldReport =
            serde_json::from_slice(&std::fs::read(out.join("fold.json")).unwrap()).unwrap();
        assert_eq!(kept, report);
        let mut expected = names_in(&model);
        expected.retain(|name| name != "expected.safetensors");
        expected.extend(["fold.html", "fold.json"].map(str::to_owned));
        expected.sort();
        // The verdict comes first.
        let page = std::fs::read_to_string(out.join("fold.html")).unwrap();
        let verdict = page.split("<h1 id=\"sentence\">").nth(1).unwrap().split("</h1>").next().unwrap();
        assert_eq!(verdict, report.sentence);
        assert!(verdict.starts_with("The result computes the same as the original: its logits differ by"));
        for part in ["W ← W diag γ", "Rounding", "Bound", "Times the floor", "stream after block 0"] {
            assert!(page.contains(part), "{part}");
        }
        if name == "c" {
            assert_eq!(names_in(&out), expected);
        }
        assert_eq!(std::fs::read(out.join("config.json")).unwrap(), config(&model));
    }
    assert_eq!(names_in(work.path()), ["a", "b", "c"]);
}

/// The GPT-NeoX fixture in two shards with an index.
pub(crate) fn shards(folder: &Path) {
    let tensors = in_f32(&fixture("gpt_neox"));
    let (first, second): (Tensors, Tensors) = tensors.into_iter().partition(|(name, _)| name.contains(".0."));
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut map = serde_json::Map::new();
    for (name, tensors) in names.into_iter().zip([&first, &second]) {
        std::fs::write(folder.join(name), file(tensors)).unwrap();
        map.extend(tensors.keys().map(|tensor| (tensor.clone(), name.into())));
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    std::fs::copy(fixture("gpt_neox").join("config.json"), folder.join("config.json")).unwrap();
}

#[test]
fn shards_keep_their_names_and_what_does_not_change_keeps_its_bytes() {
    let work = tempfile::tempdir().unwrap();
    let (model, out) = (work.path().join("model"), work.path().join("out"));
    std::fs::create_dir(&model).unwrap();
    shards(&model);
    let run = fold().arg(&model).args(["--scales", "--shifts", "-o"]).arg(&out).assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("changed tensors") && text.contains("has no bias that could take it"), "{text}");
    let mut expected = names_in(&model);
    expected.push("fold.json".to_owned());
    expected.sort();
    assert_eq!(names_in(&out), expected);
    let report: FoldReport = serde_json::from_slice(&std::fs::read(out.join("fold.json")).unwrap()).unwrap();
    for name in names_in(&model).iter().filter(|name| name.ends_with(".safetensors")) {
        let [before, after] = [&model, &out].map(|folder| std::fs::read(folder.join(name)).unwrap());
        let [before, after] =
            [&before, &after].map(|file| safetensors::SafeTensors::deserialize(file).unwrap());
        for (tensor, view) in before.tensors() {
            let changes = report.tensors.iter().any(|one| one.name == tensor);
            assert_eq!(after.tensor(&tensor).unwrap().data() != view.data(), changes, "{tensor}");
        }
    }
    let index = "model.safetensors.index.json";
    assert_eq!(std::fs::read(out.join(index)).unwrap(), std::fs::read(model.join(index)).unwrap());

    // A shard is missing.
    std::fs::remove_file(model.join("model-00002-of-00002.safetensors")).unwrap();
    let error = failure(fold().arg(&model).args(["--scales", "-o"]).arg(work.path().join("other")), 2);
    assert!(error.contains("model-00002-of-00002.safetensors` is missing"), "{error}");
    assert_eq!(names_in(work.path()), ["model", "out"]);
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_is_written() {
    let work = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("llama"), work.path().join("out"));
    let error = failure(fold().arg(&model).args(["--scales", "-o"]).arg(&model), 1);
    assert!(error.contains("the output is the checkpoint itself"), "{error}");
    std::fs::create_dir(&out).unwrap();
    let error = failure(fold().arg(&model).args(["--scales", "-o"]).arg(&out), 1);
    assert!(error.contains("exists; choose another folder"), "{error}");
    let error = failure(fold().arg(&model).args(["--scales", "-o"]).arg(work.path().join("no/out")), 1);
    assert!(error.contains("does not exist; make it first"), "{error}");
    let error = failure(fold().arg("org/model").args(["--scales", "--dry-run"]), 2);
    assert!(error.contains("is not a path on this machine"), "{error}");
    failure(fold().arg(&model).args(["-o", "x"]), 1);
    let error = failure(
        fold().arg(model.join("model.safetensors")).args(["--centre", "-o"]).arg(work.path().join("b")),
        2,
    );
    assert!(error.contains("nothing could be done"), "{error}");
    let error = failure(fold().arg(work.path()).args(["--scales", "--dry-run"]), 2);
    assert!(!error.is_empty());
    assert_eq!(names_in(work.path()), ["out"]);
}

#[test]
fn other_formats_are_named_with_their_conversion() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/model.bin");
    let error = failure(fold().arg(&path).args(["--scales", "--dry-run"]), 2);
    assert!(error.contains("is not safetensors") && error.contains("save_pretrained"), "{error}");
}

#[test]
fn a_result_that_its_type_does_not_hold_leaves_nothing() {
    let work = tempfile::tempdir().unwrap();
    let model = work.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let mut tensors = in_f32(&fixture("llama"));
    for (dtype, _, bytes) in tensors.values_mut() {
        *dtype = Dtype::F16;
        let halves = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        *bytes = halves.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect();
    }
    let big = |tensors: &mut Tensors, name: &str, value: f32| {
        let (_, _, bytes) = tensors.get_mut(name).unwrap();
        bytes[..2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
    };
    big(&mut tensors, "model.layers.0.input_layernorm.weight", 4.0);
    big(&mut tensors, "model.layers.0.self_attn.k_proj.weight", 6e4);
    std::fs::write(model.join("model.safetensors"), file(&tensors)).unwrap();
    std::fs::copy(fixture("llama").join("config.json"), model.join("config.json")).unwrap();
    let error = failure(fold().arg(&model).args(["--scales", "-o"]).arg(work.path().join("out")), 2);
    assert!(error.contains("k_proj.weight`: a value becomes 2.4e5, which F16 does not hold"), "{error}");
    assert_eq!(names_in(work.path()), ["model"]);
}

#[test]
fn a_dry_run_says_what_would_change() {
    let run = fold().arg(sample("layernorm")).args(["--scales", "--centre", "--dry-run"]).assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("tensors of") && text.contains("would change"), "{text}");
    assert!(text.contains("(tied)"), "{text}");
}

#[test]
fn a_field_that_is_not_known_is_refused_unless_the_user_assumes_that_it_changes_nothing() {
    let work = tempfile::tempdir().unwrap();
    let [model, out] = ["model", "out"].map(|name| work.path().join(name));
    std::fs::create_dir(&model).unwrap();
    std::fs::copy(fixture("llama").join("model.safetensors"), model.join("model.safetensors")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config(&fixture("llama"))).unwrap();
    config["attention_chunk_size"] = 8.into();
    std::fs::write(model.join("config.json"), config.to_string()).unwrap();
    let command = || {
        let mut command = fold();
        command.arg(&model).args(["--scales", "--prove", "-o"]).arg(&out);
        command
    };
    let error = failure(&mut command(), 2);
    assert!(
        error.contains("`attention_chunk_size` is 8") && error.contains("`--assume attention_chunk_size`"),
        "{error}"
    );
    let run = command().args(["--assume", "attention_chunk_size"]).assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("fields of the configuration change nothing: attention_chunk_size."), "{text}");
    let report: FoldReport = serde_json::from_slice(&std::fs::read(out.join("fold.json")).unwrap()).unwrap();
    assert_eq!(report.assumed, ["attention_chunk_size"]);
    assert!(std::fs::read_to_string(out.join("fold.html")).unwrap().contains("attention_chunk_size"));
}
