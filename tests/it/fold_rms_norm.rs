//! Folding that changes which tensors there are: RMSNorms in the place of LayerNorms, untied unembeddings and added biases.

use crate::fold::{
    ALL, NONE, apart_by_config, config, failure, file, fixture, fold, in_f32, names_in, outcome, set, shards,
    sources, values, why, written,
};
use gammascope::checkpoint;
use gammascope::fold::{Operations, plan};
use gammascope::inspect;
use gammascope::model::architecture::{Architecture, Mixer};
use gammascope::model::operation::Centring;
use gammascope::model::resolve;
use gammascope::report::NormKind;
use gammascope::report::fold::{FoldOutcome, FoldReport};
use pollster::block_on;
use std::path::{Path, PathBuf};

const UNTIE: Operations = Operations { untie: true, ..NONE };
const RMS: Operations = Operations { rms_norm: true, untie: true, ..NONE };
const BIASES: Operations = Operations { shifts: true, add_biases: true, ..NONE };

/// The families of text models in tests/forward.
fn families() -> Vec<PathBuf> {
    let mut families: Vec<PathBuf> =
        std::fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    families.sort();
    families
}

/// The weights of a model in f32. Random scales of Nemotron do not show that they are γ − 1.
fn weights_of(folder: &Path) -> Vec<u8> {
    let mut tensors = in_f32(folder);
    if name_of(folder) == "nemotron" {
        let scales: Vec<String> =
            tensors.keys().filter(|name| name.ends_with("norm.weight")).cloned().collect();
        for name in scales {
            let less: Vec<f32> = values(&tensors, &name).into_iter().map(|value| value - 1.0).collect();
            set(&mut tensors, &name, &less);
        }
    }
    file(&tensors)
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

/// The configuration of a result.
fn config_of(files: &[(String, Vec<u8>)], original: &[u8]) -> Vec<u8> {
    files.iter().find(|(name, _)| name == "config.json").map_or(original.to_vec(), |(_, bytes)| bytes.clone())
}

fn architecture(file: &[u8], config: &[u8]) -> Architecture {
    resolve(&block_on(checkpoint::open(sources(file.to_vec(), config), |_| {})).unwrap()).unwrap()
}

#[test]
fn pre_norm_models_compute_the_same_with_rms_norms() {
    let (mut converted, mut refused) = (Vec::new(), Vec::new());
    for folder in families() {
        let (weights, config) = (weights_of(&folder), config(&folder));
        for operations in [RMS, Operations { rms_norm: true, untie: true, ..ALL }] {
            match written(&weights, &config, operations) {
                Err(error) => refused.push((name_of(&folder), error.to_string())),
                Ok((plan, result)) => {
                    let new = config_of(&plan.files, &config);
                    let norm = architecture(&result, &new).final_norm.unwrap();
                    assert_eq!((norm.centring, norm.shift), (Centring::None, None), "{folder:?}");
                    let apart = apart_by_config((&weights, &config), (&result, &new));
                    println!("{}: {apart:.1e}", name_of(&folder));
                    assert!(apart > 0.0 && apart < 1e-5, "{folder:?}: {apart:.1e}");
                    converted.push(name_of(&folder));
                }
            }
        }
    }
    converted.dedup();
    let expected = [
        "cohere",
        "cohere2",
        "falcon",
        "falcon-11b",
        "falcon-new",
        "falcon-rw",
        "gpt2",
        "gpt_neox",
        "gpt_neox-sequential",
        "gptj",
        "mpt",
        "nemotron",
        "opt",
        "phi",
        "stablelm",
        "starcoder2",
    ];
    assert_eq!(converted, expected);
    let reason = |family: &str| &refused.iter().find(|(name, _)| name == family).unwrap().1;
    for (family, part) in [
        ("llama", "its norms are RMSNorms already"),
        ("bert", "begins with the output of `bert.embeddings.LayerNorm`"),
        ("bloom", "begins with the output of `transformer.word_embeddings_layernorm`"),
        ("opt-350m", "without a norm of its own"),
        ("phi-norms", "normalises queries or keys"),
        ("cohere-norms", "normalises queries or keys"),
        ("stablelm-12b", "normalises queries or keys"),
        ("olmo", "clip_qkv"),
    ] {
        assert!(reason(family).contains(part), "{family}: {}", reason(family));
    }
}

#[test]
fn the_result_is_inspected_as_a_model_with_rms_norms() {
    for family in ["gpt2", "gpt_neox", "opt", "phi", "starcoder2"] {
        let folder = fixture(family);
        let (weights, config) = (weights_of(&folder), config(&folder));
        let (plan, result) = written(&weights, &config, RMS).unwrap();
        let files = sources(result, &config_of(&plan.files, &config));
        let report = block_on(inspect::inspect(files, |_| {})).unwrap().report;
        assert!(report.norms.len() >= 3);
        for norm in &report.norms {
            assert_eq!(norm.kind, NormKind::RmsNorm, "{family} {}", norm.name);
        }
    }
}

/// OLMo's LayerNorms store nothing, and Llama's RMSNorms a scale.
#[test]
fn an_olmo_model_becomes_a_llama_model() {
    let folder = fixture("olmo");
    let mut fields: serde_json::Value = serde_json::from_slice(&config(&folder)).unwrap();
    fields["clip_qkv"] = serde_json::Value::Null;
    let (weights, config) = (file(&in_f32(&folder)), fields.to_string().into_bytes());
    let (plan, result) = written(&weights, &config, RMS).unwrap();
    assert_eq!(plan.report.files, ["config.json"]);
    let new = config_of(&plan.files, &config);
    assert_eq!(architecture(&result, &new).family, "llama");
    assert!(apart_by_config((&weights, &config), (&result, &new)) < 1e-5);
}

#[test]
fn an_untied_unembedding_is_a_copy_until_it_changes() {
    let mut untied = Vec::new();
    for folder in families() {
        let (weights, config) = (weights_of(&folder), config(&folder));
        let (plan, result) = written(&weights, &config, UNTIE).unwrap();
        if plan.is_empty() {
            assert_eq!(result, weights);
            continue;
        }
        untied.push(name_of(&folder));
        assert_eq!((plan.report.untied, plan.report.tensors.len()), (FoldOutcome::Done, 1));
        let new = config_of(&plan.files, &config);
        assert_eq!(apart_by_config((&weights, &config), (&result, &new)), 0.0, "{folder:?}");
        let (plan, result) = written(&weights, &config, Operations { untie: true, ..ALL }).unwrap();
        let new = config_of(&plan.files, &config);
        let apart = apart_by_config((&weights, &config), (&result, &new));
        assert!(apart < 1e-5, "{folder:?}: {apart:.1e}");
        let last = plan.report.norms.last().unwrap();
        assert!(!matches!(&last.scale, FoldOutcome::Left { why } if why.contains("(tied)")), "{last:?}");
    }
    for family in ["gpt2", "gemma", "opt", "falcon", "mpt", "cohere", "bloom", "starcoder2"] {
        assert!(untied.iter().any(|name| name == family), "{family}: {untied:?}");
    }
    let (plan, _) = written(
        &file(&in_f32(&fixture("bert"))),
        &config(&fixture("bert")),
        Operations { untie: true, ..NONE },
    )
    .unwrap();
    assert!(why(&plan.report.untied).contains("ties more than the matrix"));
}

#[test]
fn a_copy_of_the_unembedding_that_nobody_reads_is_replaced() {
    let folder = fixture("gpt2");
    let mut tensors = in_f32(&folder);
    let (dtype, shape, bytes) = tensors["transformer.wte.weight"].clone();
    tensors.insert("lm_head.weight".to_owned(), (dtype, shape, vec![0; bytes.len()]));
    let (plan, result) = written(&file(&tensors), &config(&folder), UNTIE).unwrap();
    assert_eq!(plan.growth(), 0);
    let result = safetensors::SafeTensors::deserialize(&result).unwrap();
    assert_eq!(result.tensor("lm_head.weight").unwrap().data(), bytes);
}

#[test]
fn biases_are_added_where_a_field_makes_the_code_read_them() {
    for (family, field, folded, left) in [
        ("falcon", "bias", "h.0.input_layernorm", Some("`lm_head`")),
        ("nemotron", "attention_bias", "layers.0.input_layernorm", Some("`lm_head`")),
        ("stablelm", "use_qkv_bias", "layers.0.input_layernorm", Some("`lm_head`")),
        ("gptj", "", "", Some("`lm_head`")),
    ] {
        let folder = fixture(family);
        let (weights, config) = (weights_of(&folder), config(&folder));
        let (plan, result) = written(&weights, &config, BIASES).unwrap();
        let new = config_of(&plan.files, &config);
        let apart = apart_by_config((&weights, &config), (&result, &new));
        assert!(apart < 1e-5, "{family}: {apart:.1e}");
        if let Some(left) = left {
            let reason = why(&plan.report.added_biases);
            assert!(reason.contains(left) || reason.contains("reads no bias"), "{family}: {reason}");
        }
        if !field.is_empty() {
            let fields: serde_json::Value = serde_json::from_slice(&new).unwrap();
            assert_eq!(fields[field], true, "{family}");
            assert_eq!(*outcome(&plan.report, folded, |norm| &norm.shift), FoldOutcome::Done, "{family}");
        }
    }
}

#[test]
fn a_reader_of_two_norms_is_refused() {
    let folder = fixture("gpt_neox");
    let opened = block_on(inspect::open(sources(file(&in_f32(&folder)), &config(&folder)), |_| {})).unwrap();
    let mut architecture = resolve(opened.checkpoint()).unwrap();
    let first = architecture.blocks[0].attention.clone();
    assert!(matches!(first, Mixer::Softmax(_)));
    architecture.blocks[1].attention = first;
    let scales = Operations { scales: true, ..NONE };
    let plan = plan(&opened, &architecture, scales).unwrap();
    for layer in [0, 1] {
        let norm = format!("layers.{layer}.input_layernorm");
        let left = outcome(&plan.report, &norm, |norm| &norm.scale);
        assert!(why(left).contains("is used at two places, which read different vectors"), "{left:?}");
    }
}

// The command line.

#[test]
fn a_folder_holds_the_code_that_transformers_needs() {
    let work = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("gpt2").join("model.safetensors"), work.path().join("out"));
    let error = failure(fold().arg(&model).args(["--to", "rmsnorm", "-o"]).arg(&out), 2);
    assert!(error.contains("(tied); --untie stores the unembedding apart"), "{error}");
    failure(fold().arg(&model).args(["--scales", "--add-biases", "--dry-run"]), 1);
    assert!(names_in(work.path()).is_empty());
    let run =
        fold().arg(&model).args(["--to", "rmsnorm", "--untie", "--prove", "-o"]).arg(&out).assert().success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("`modeling_rmsnorm.py` and `trust_remote_code=True`"), "{text}");
    assert!(text.contains("The unembedding becomes a tensor of its own."), "{text}");
    let report: FoldReport = serde_json::from_slice(&std::fs::read(out.join("fold.json")).unwrap()).unwrap();
    assert_eq!(report.family.as_deref(), Some("gammascope_rmsnorm_gpt2"));
    assert!(report.proof.unwrap().same);
    let code = std::fs::read_to_string(out.join("modeling_rmsnorm.py")).unwrap();
    assert!(code.contains("class RmsNormGPT2LMHeadModel(GPT2LMHeadModel):"), "{code}");
    assert!(code.contains("HEAD_BIAS = True\nBIASES = ()") && code.contains("eps=1e-5"), "{code}");
}

#[test]
fn the_index_lists_new_tensors_and_no_removed_ones() {
    let work = tempfile::tempdir().unwrap();
    let (model, out) = (work.path().join("model"), work.path().join("out"));
    std::fs::create_dir(&model).unwrap();
    shards(&model);
    fold().arg(&model).args(["--to", "rmsnorm", "-o"]).arg(&out).assert().success();
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("model.safetensors.index.json")).unwrap()).unwrap();
    let mut listed: Vec<(String, String)> = index["weight_map"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, file)| (name.clone(), file.as_str().unwrap().to_owned()))
        .collect();
    let mut stored: Vec<(String, String)> = Vec::new();
    for shard in names_in(&out).into_iter().filter(|name| name.ends_with(".safetensors")) {
        let bytes = std::fs::read(out.join(&shard)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        stored.extend(file.names().into_iter().map(|name| (name.to_string(), shard.clone())));
    }
    listed.sort();
    stored.sort();
    assert_eq!(listed, stored);
    assert!(stored.iter().any(|(name, _)| name == "embed_out.bias"));
    assert!(!stored.iter().any(|(name, _)| name.ends_with("layernorm.bias")));
}
