//! Folding that changes which tensors there are: RMSNorms in the place of LayerNorms, untied unembeddings and added biases.

use crate::fold::{
    ALL, NONE, Tensors, apart_by_config, config, failure, file, fixture, fold, in_f32, names_in, outcome,
    shards, sources, why, written,
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
        let (weights, config) = (file(&in_f32(&folder)), config(&folder));
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
