//! Models at their initialisation: compares catalogues from configurations alone with those from transformers, and tests the values,
//! which are drawn while they are read.

use gammascope::checkpoint::config::Config;
use gammascope::checkpoint::{self, Checkpoint};
use gammascope::forward::{Input, Pass, Seen};
use gammascope::inspect::{Opened, inspect};
use gammascope::model::catalogue::Shape;
use gammascope::model::random::{RandomError, sources, twin};
use gammascope::model::{ModelError, catalogue, resolve};
use gammascope::report::{NormReport, Report, WarningCode};
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use gammascope::source::generated::GeneratedSource;
use gammascope::source::memory::MemorySource;
use pollster::block_on;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family)
}

fn families() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap();
    let mut families: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    families.sort();
    assert!(families.len() > 30, "{families:?}");
    families
}

fn files(family: &str, files: &[&str]) -> Vec<DiskSource> {
    files.iter().map(|file| DiskSource::open(&folder(family).join(file), *file).unwrap()).collect()
}

const BOTH: [&str; 2] = ["model.safetensors", "config.json"];

fn config(family: &str) -> Config {
    Config::parse("", "config.json", &std::fs::read(folder(family).join("config.json")).unwrap()).unwrap()
}

fn open<S: ByteSource>(sources: Vec<S>) -> Checkpoint<S> {
    block_on(checkpoint::open(sources, |_| {})).unwrap()
}

/// The model of the configuration of a family, at its initialisation.
fn initialised(family: &str, seed: u64) -> Checkpoint<GeneratedSource> {
    open(block_on(twin(files(family, &["config.json"]), seed)).unwrap())
}

fn sorted(mut shapes: Vec<Shape>) -> Vec<(String, Vec<u64>)> {
    shapes.sort_by(|a, b| a.name.cmp(&b.name));
    shapes.into_iter().map(|shape| (shape.name, shape.shape)).collect()
}

#[test]
fn a_configuration_alone_gives_the_catalogue_of_its_checkpoint() {
    // One configuration stands for both forms of experts, and gives the published one: all of a block together.
    let forms = |family: &String| !family.ends_with("-separate");
    for family in families().into_iter().filter(forms) {
        let stored = open(files(&family, &BOTH));
        // A run does not use poolers.
        let part = |shape: &Shape| !shape.name.starts_with("pooler.");
        let stored = stored.tensors.iter().map(Shape::from).filter(part).collect();
        assert_eq!(sorted(catalogue(&config(&family)).unwrap()), sorted(stored), "{family}");
    }
}

/// The configuration of a family with some changed fields.
fn changed(family: &str, changes: &[(&str, Value)]) -> Config {
    let mut fields = config(family).fields().clone();
    fields.extend(changes.iter().map(|(field, value)| ((*field).to_owned(), value.clone())));
    Config::parse("", "config.json", Value::Object(fields).to_string().as_bytes()).unwrap()
}

#[test]
fn vectors_and_heads_follow_the_fields_that_decide_them() {
    let has = |family: &str, changes: &[(&str, Value)], tensor: &str| {
        let config = changed(family, changes);
        let shapes = catalogue(&config).unwrap();
        let files = sources("changed", &config, &shapes, 1).unwrap();
        resolve(&open(files)).unwrap_or_else(|error| panic!("{family}, {changes:?}: {error}"));
        shapes.iter().any(|shape| shape.name.ends_with(tensor))
    };
    for (family, field, tensor) in [
        ("llama", "attention_bias", "self_attn.o_proj.bias"),
        ("llama", "mlp_bias", "mlp.down_proj.bias"),
        ("falcon", "bias", "dense_4h_to_h.bias"),
        ("opt", "enable_bias", "fc1.bias"),
        ("stablelm", "use_qkv_bias", "q_proj.bias"),
        ("starcoder2", "use_bias", "mlp.c_proj.bias"),
        ("modernbert", "norm_bias", "final_norm.bias"),
        ("modernbert", "classifier_bias", "head.dense.bias"),
        ("modernbert", "decoder_bias", "decoder.bias"),
    ] {
        for stated in [true, false] {
            assert_eq!(has(family, &[(field, json!(stated))], tensor), stated, "{family}: {field}");
        }
    }
    for (family, tensor) in [("llama", "lm_head.weight"), ("gpt2", "lm_head.weight")] {
        for tied in [true, false] {
            assert_eq!(has(family, &[("tie_word_embeddings", json!(tied))], tensor), !tied, "{family}");
        }
    }
    // Without a list, every fourth layer has full attention.
    let listless = [("layer_types", Value::Null), ("num_hidden_layers", json!(8))];
    for (tensor, expected) in
        [("layers.2.linear_attn.A_log", true), ("layers.3.self_attn.q_norm.weight", true)]
    {
        assert_eq!(has("qwen3_5", &listless, tensor), expected);
    }
    assert!(!has("qwen3_5", &listless, "layers.7.linear_attn.A_log"));
    let every_second = [listless[0].clone(), listless[1].clone(), ("full_attention_interval", json!(2))];
    assert!(has("qwen3_5", &every_second, "layers.1.self_attn.q_norm.weight"));
    assert!(has("electra", &[("embedding_size", json!(16))], "embeddings_project.weight"));
    assert!(has("gpt2", &[("n_inner", Value::Null)], "h.1.mlp.c_fc.weight"));
    // A base model has neither a head nor the prefix of one.
    let base = catalogue(&changed("opt", &[("architectures", json!(["OPTModel"]))])).unwrap();
    assert!(base.iter().all(|shape| shape.name.starts_with("decoder.")));
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    for (number, said) in [(u64::MAX, "below 2147483648"), (2_000_000_000, "at most")] {
        for field in ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_local_experts"] {
            let error = catalogue(&changed("mixtral", &[(field, json!(number))])).unwrap_err().to_string();
            assert!(error.contains(field) && error.contains(said), "{error}");
        }
    }
    let error = catalogue(&changed("gpt2", &[("vocab_size", json!(u64::MAX))])).unwrap_err().to_string();
    assert!(error.contains("`vocab_size` is 18446744073709551615"), "{error}");
}

fn kinds(report: &Report) -> Vec<(String, u64, String)> {
    let site = |norm: &NormReport| (norm.name.clone(), norm.width, format!("{:?}", norm.kind));
    report.norms.iter().map(site).collect()
}

#[test]
fn every_family_at_its_initialisation_has_the_sites_of_the_checkpoint_and_runs() {
    for family in families() {
        let real = block_on(inspect(files(&family, &BOTH), |_| {})).unwrap().report;
        let random = block_on(twin(files(&family, &["config.json"]), 1)).unwrap();
        let opened: Opened<_> = block_on(gammascope::inspect::open(random, |_| {})).unwrap();
        let report = &opened.inspection.report;
        assert_eq!(kinds(report), kinds(&real), "{family}");
        // The fixture of `nemotron` has weights around 1, like γ = 1 + w after a conversion.
        let others = |code: &WarningCode| family != "nemotron" || *code != WarningCode::ScaleOffByOne;
        let codes = |report: &Report| -> Vec<WarningCode> {
            report.warnings.iter().map(|it| it.code.clone()).filter(others).collect()
        };
        assert_eq!(codes(report), codes(&real), "{family}");
        assert!(report.checkpoint.name.ends_with("-random-1"), "{}", report.checkpoint.name);
        for (norm, scale) in report.norms.iter().zip(&opened.inspection.scales) {
            if norm.problem.is_some() {
                continue;
            }
            let scale = scale.as_ref().unwrap_or_else(|| panic!("{family}: {}", norm.name));
            assert!(scale.values().iter().all(|&gamma| gamma == 1.0), "{family}: {}", norm.name);
        }
        let architecture = resolve(opened.checkpoint()).unwrap();
        let ids = [5, 6, 7, 8, 9, 10];
        let tokens = Input::token_ids(&ids, 3).unwrap();
        let pass = Pass::new(opened.checkpoint(), &architecture, tokens).unwrap();
        let mut blocks = 0;
        let mut visit = async |seen: Seen<'_>| {
            if let Seen::Block { stream, .. } = seen {
                assert!(stream.iter().all(|value| value.is_finite()), "{family}");
                assert!(stream.iter().any(|value| *value != 0.0), "{family}");
                blocks += 1;
            }
        };
        let hidden = block_on(pass.run(&mut visit)).unwrap();
        assert!(hidden.iter().all(|value| value.is_finite()), "{family}");
        assert_eq!(blocks, architecture.blocks.len());
    }
}

#[test]
fn matrices_are_normal_with_the_deviation_of_the_configuration() {
    for (family, tensor, deviation) in [
        ("gpt2", "transformer.wte.weight", 0.02),
        ("opt", "model.decoder.layers.1.fc1.weight", 0.02),
        ("nemotron", "model.layers.0.self_attn.q_proj.weight", 0.0134),
        ("t5", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 0.02),
    ] {
        let checkpoint = initialised(family, 3);
        let index = checkpoint.tensors.iter().position(|found| found.name == tensor).unwrap();
        let values = block_on(checkpoint.read(&[index], |_, _| {})).remove(0).unwrap();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let found = (values.iter().map(|value| value * value).sum::<f64>() / count).sqrt();
        assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{family}: {mean}");
        assert!((found / deviation - 1.0).abs() < 5.0 / (2.0 * count).sqrt(), "{family}: {found}");
    }
    // Of linear attention, rates and biases are those of Qwen3.5's code, and the scale of its norm is 1, not 0.
    let linear = initialised("qwen3_5", 3);
    let of = |end: &str| {
        let index = linear.tensors.iter().position(|found| found.name.ends_with(end)).unwrap();
        block_on(linear.read(&[index], |_, _| {})).remove(0).unwrap()
    };
    assert_eq!(of("layers.0.linear_attn.dt_bias"), [1.0; 4]);
    assert_eq!(of("layers.0.linear_attn.norm.weight"), [1.0; 6]);
    assert_eq!(of("layers.0.input_layernorm.weight"), [0.0; 32]);
    assert!(of("layers.0.linear_attn.A_log").iter().all(|log| (0.01..16.0).contains(&log.exp())));
    // Scales with a row for each head are scales.
    let heads = initialised("cohere-norms", 3);
    let index = heads.tensors.iter().position(|found| found.name.ends_with("q_norm.weight")).unwrap();
    assert_eq!(block_on(heads.read(&[index], |_, _| {})).remove(0).unwrap(), [1.0; 32]);
    let gpt2 = initialised("gpt2", 3);
    for (index, tensor) in gpt2.tensors.iter().enumerate().filter(|(_, tensor)| tensor.shape.len() == 1) {
        let expected = if tensor.name.ends_with("bias") { 0.0 } else { 1.0 };
        let values = block_on(gpt2.read(&[index], |_, _| {})).remove(0).unwrap();
        assert!(values.iter().all(|&value| value == expected), "{}", tensor.name);
    }
}

#[test]
fn weights_beside_the_configuration_give_their_catalogue_and_none_of_their_values() {
    for family in ["bert-bare", "gpt2", "mixtral"] {
        let stored = open(files(family, &BOTH));
        let random = open(block_on(twin(files(family, &BOTH), 5)).unwrap());
        let names = |tensors: &[checkpoint::Tensor]| sorted(tensors.iter().map(Shape::from).collect());
        assert_eq!(names(&random.tensors), names(&stored.tensors), "{family}");
        // The values are those of the configuration alone.
        let alone = initialised(family, 5);
        let first = |checkpoint: &Checkpoint<GeneratedSource>, name: &str| {
            let index = checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
            block_on(checkpoint.read(&[index], |_, _| {})).remove(0).unwrap()
        };
        for tensor in &alone.tensors {
            assert_eq!(first(&alone, &tensor.name), first(&random, &tensor.name), "{}", tensor.name);
        }
    }
}

#[test]
fn another_seed_and_another_tensor_have_other_values() {
    let embedding = |seed: u64| {
        let checkpoint = initialised("gpt2", seed);
        let of = |name: &str| checkpoint.tensors.iter().position(|tensor| tensor.name == name).unwrap();
        let wanted = [of("transformer.h.0.attn.c_proj.weight"), of("transformer.h.1.attn.c_proj.weight")];
        block_on(checkpoint.read(&wanted, |_, _| {})).into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let (first, again, second) = (embedding(1), embedding(1), embedding(2));
    assert_eq!(first, again);
    assert!(first[0].iter().zip(&second[0]).all(|(a, b)| a != b));
    assert!(first[0].iter().zip(&first[1]).all(|(a, b)| a != b));
}

#[test]
fn configurations_of_unknown_families_are_refused() {
    let refused = |path: &str, text: &str| {
        let source = MemorySource::new(path, text.as_bytes().to_vec());
        block_on(twin(vec![source], 1)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused("config.json", "[1]"), RandomError::Config { .. }));
    assert!(matches!(refused("a.bin", "{}"), RandomError::Model(ModelError::NoConfig)));
    let unknown = refused("gpt3.json", r#"{"model_type": "gpt3"}"#).to_string();
    assert!(unknown.contains("`gpt3` is not among those that can be run"), "{unknown}");
    let missing = refused("config.json", r#"{"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2}"#);
    assert!(missing.to_string().contains("`vocab_size` is not there"), "{missing}");
}

/// The parameters of the published checkpoints that a run reads. Tied tensors count once. Poolers, heads of other tasks and the decoder
/// of T5 do not count.
fn published() -> Vec<(String, u64)> {
    let table = std::fs::read_to_string(paper().join("parameters.tsv")).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, parameters, apart, _] = fields[..] else { panic!("{line}") };
        let number = |field: &str| field.parse::<u64>().unwrap();
        (name.to_owned(), number(parameters) - number(apart))
    };
    table.lines().skip(1).map(row).collect()
}

fn paper() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/paper")
}

#[test]
fn published_sizes_have_their_number_of_parameters_and_open_as_a_model() {
    let paper = paper();
    let mut folders: Vec<String> = std::fs::read_dir(&paper)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let published = published();
    assert_eq!(folders, published.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (name, published) in published {
        let config = DiskSource::open(&paper.join(&name).join("config.json"), format!("{name}/config.json"));
        let random = match block_on(twin(vec![config.unwrap()], 1)) {
            Ok(files) => open(files),
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        if let Err(error) = resolve(&random) {
            wrong.push(format!("{name}: {error}"));
        }
        if random.parameters() != published {
            wrong.push(format!("{name}: {} parameters, not {published}", random.parameters()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
