//! Compares claimed readers with readers that were measured on small real modules (docs/readers.md).
//! `scripts/fixtures/readers.py` writes the documents of `tests/readers`: `{ config, tensors: [[name, shape]], readers: [[norm,
//! map, class]] }`, gzipped JSON.

use crate::support;
use flate2::read::GzDecoder;
use gammascope::report::{DeadDirections, ReaderUse, Report};
use gammascope::source::disk::DiskSource;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// The share of true readers that must be claimed.
const CLAIMED: f64 = 0.8;

/// The measured effect of a constant that is added to the output of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    /// It changes the function.
    Bias,
    /// It does not change the function.
    Free,
    /// It does not change the function in the rows of the keys.
    Keys,
}

#[derive(Debug, Deserialize)]
struct Document {
    config: Option<Value>,
    tensors: Vec<(String, Vec<usize>)>,
    readers: Vec<(String, String, Class)>,
}

fn documents() -> Vec<(String, Document)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let document = serde_json::from_reader(GzDecoder::new(File::open(&path).unwrap())).unwrap();
            let name = path.file_name().unwrap().to_string_lossy();
            (name.trim_end_matches(".json.gz").to_owned(), document)
        })
        .collect()
}

/// The report on the module, with scales around 1 and everything else around 0.
fn report(document: &Document) -> Report {
    let mut random = SmallRng::seed_from_u64(1);
    let tensors: Vec<(&str, &[usize], Vec<f32>)> = document
        .tensors
        .iter()
        .map(|(name, shape)| {
            let scale = shape.len() == 1 && !name.ends_with("bias") && !name.ends_with("beta");
            let centre = if scale { 1.0 } else { 0.0 };
            let values = (0..shape.iter().product()).map(|_| centre + random.random_range(-0.3..0.3));
            (name.as_str(), shape.as_slice(), values.collect())
        })
        .collect();
    let mut files = vec![("model.safetensors", support::tensors(&tensors))];
    if let Some(config) = &document.config {
        files.push(("config.json", config.to_string().into_bytes()));
    }
    support::open(files).unwrap().report
}

/// Why a claim is wrong.
fn fault(truth: Option<Class>, used_as: ReaderUse, dead: DeadDirections, rows: u64) -> Option<&'static str> {
    // Logits are known up to a constant: one direction of an unembedding is dead outright.
    let invisible = match truth? {
        Class::Free => rows,
        Class::Keys => rows / 3,
        Class::Bias if used_as == ReaderUse::Unembedding => 1,
        Class::Bias => 0,
    };
    (dead.outright > invisible).then_some("its constant is seen")
}

#[test]
fn every_claimed_reader_was_measured_and_most_that_were_measured_are_claimed() {
    let (mut wrong, mut omitted) = (Vec::new(), Vec::new());
    let (mut right, mut total) = (0, 0);
    let mut claimed_in = BTreeMap::new();
    for (name, document) in documents() {
        let truth: BTreeMap<(&str, &str), Class> = document
            .readers
            .iter()
            .map(|(norm, map, class)| ((norm.as_str(), map.as_str()), *class))
            .collect();
        let report = report(&document);
        let claims =
            report.norms.iter().flat_map(|norm| norm.readers.iter().map(move |reader| (norm, reader)));
        let mut found = Vec::new();
        for (norm, reader) in claims {
            let dead = DeadDirections { tied: 0, ..reader.dead };
            if dead == DeadDirections::default() {
                continue;
            }
            let key = (norm.name.as_str(), reader.name.as_str());
            let class = truth.get(&key).copied();
            let no_reader = class.is_none().then_some("it is no reader");
            match no_reader.or_else(|| fault(class, reader.used_as, dead, reader.rows)) {
                Some(why) => wrong.push(format!("{name}: {} → {}: {why}", key.0, key.1)),
                None => found.push(key),
            }
        }
        right += found.len();
        total += truth.len();
        claimed_in.insert(name.clone(), (found.len(), truth.len()));
        let missing = truth.keys().filter(|key| !found.contains(key));
        omitted.extend(missing.map(|(norm, map)| format!("{name}: {norm} → {map}")));
    }
    println!("{right} of {total} readers claimed; {} not claimed:", omitted.len());
    omitted.iter().for_each(|line| println!("  {line}"));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(right as f64 >= CLAIMED * total as f64, "{right} of {total} claimed: {claimed_in:?}");
}

/// A GPT-like model of two blocks, with more tensors in each block.
fn gpt(norms: [&str; 2], more: &[(&str, &[usize])], outside: &[(&str, &[usize])]) -> Report {
    let mut tensors: Vec<(String, Vec<usize>)> =
        vec![("norm.weight".to_owned(), vec![32]), ("norm.bias".to_owned(), vec![32])];
    for block in 0..2 {
        let mut add =
            |name: &str, shape: &[usize]| tensors.push((format!("layers.{block}.{name}"), shape.to_vec()));
        for norm in norms {
            add(&format!("{norm}.weight"), &[32]);
            add(&format!("{norm}.bias"), &[32]);
        }
        for (map, rows, columns) in
            [("attn.qkv", 96, 32), ("attn.proj", 32, 32), ("mlp.fc1", 48, 32), ("mlp.fc2", 32, 48)]
        {
            add(&format!("{map}.weight"), &[rows, columns]);
            add(&format!("{map}.bias"), &[rows]);
        }
        more.iter().for_each(|(name, shape)| add(name, shape));
    }
    tensors.extend(outside.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())));
    report(&Document { config: None, tensors, readers: Vec::new() })
}

fn claimed(report: &Report) -> u32 {
    report.dead_parameters.readers
}

#[test]
fn an_unknown_tensor_may_come_between_a_norm_and_a_map() {
    let names = ["input_layernorm", "post_attention_layernorm"];
    assert_eq!(claimed(&gpt(names, &[], &[])), 4);
    for unknown in ["dwconv.weight", "attn.time_mix", "attn.pool.weight"] {
        let report = gpt(names, &[(unknown, &[32, 1, 3])], &[]);
        assert_eq!(claimed(&report), 0, "{unknown}");
        let note = report.norms[0].reader_note.as_deref().unwrap();
        assert!(note.starts_with("not counted: "), "{note}");
    }
}

#[test]
fn a_final_norm_does_not_decide_between_pre_norm_and_post_norm_blocks() {
    assert_eq!(claimed(&gpt(["norm1", "norm2"], &[], &[])), 0);
}

/// ALBERT stores one block for all its layers and ends with the norm of that block.
#[test]
fn layers_that_share_a_block_are_counted_and_have_a_final_norm() {
    let (_, albert) = documents().into_iter().find(|(name, _)| name == "albert").unwrap();
    let model = report(&albert).model;
    let last = "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm";
    assert_eq!((model.layers, model.width, model.final_norm.as_deref()), (Some(2), Some(32), Some(last)));
}

#[test]
fn a_head_behind_another_map_does_not_read_the_norm() {
    let names = ["input_layernorm", "post_attention_layernorm"];
    let head: (&str, &[usize]) = ("classifier.weight", &[3, 32]);
    assert_eq!(claimed(&gpt(names, &[], &[head])), 5);
    let report = gpt(names, &[], &[head, ("pooler.dense.weight", &[32, 32])]);
    let readers: Vec<&str> =
        report.norms.iter().flat_map(|norm| &norm.readers).map(|reader| reader.name.as_str()).collect();
    assert!(
        readers.contains(&"pooler.dense.weight") && !readers.contains(&"classifier.weight"),
        "{readers:?}"
    );
}

#[test]
fn a_position_table_of_another_part_does_not_matter_for_the_keys() {
    let names = ["input_layernorm", "post_attention_layernorm"];
    let alone = gpt(names, &[], &[]);
    let beside = gpt(names, &[], &[("vision_model.embeddings.position_embedding.weight", &[17, 16])]);
    assert!(claimed(&alone) > 0 && alone.dead_parameters.outright == 0);
    assert_eq!((claimed(&beside), beside.dead_parameters.outright), (claimed(&alone), 0));
}

#[test]
fn a_map_through_which_positions_go_too_is_no_reader() {
    let readers = |family: &str, with_config: bool| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forward").join(family);
        let names: &[&str] =
            if with_config { &["config.json", "model.safetensors"] } else { &["model.safetensors"] };
        let files = names.iter().map(|name| DiskSource::open(&folder.join(name), *name).unwrap()).collect();
        let report = pollster::block_on(gammascope::inspect::inspect(files, |_| {})).unwrap().report;
        let of = |site: &str| {
            let norm = report.norms.iter().find(|norm| norm.name.ends_with(site)).unwrap();
            let names = norm
                .readers
                .iter()
                .map(|reader| reader.name.rsplit('.').nth(1).unwrap_or_default().to_owned());
            (names.collect::<Vec<_>>(), norm.reader_note.clone().unwrap_or_default())
        };
        ["embeddings.LayerNorm", "layer.0.output.LayerNorm"].map(of)
    };
    for with_config in [true, false] {
        // Its queries and keys of positions are made by the maps of the tokens.
        for (names, note) in readers("deberta-v3", with_config) {
            assert!(!names.iter().any(|name| name == "query_proj" || name == "key_proj"), "{names:?}");
            // Without a configuration, keys and queries are not claimed in the first place.
            assert!(!with_config || note.contains("`rel_embeddings`"), "{note}");
        }
    }
    // Here, positions have maps of their own.
    let [(names, _), _] = readers("deberta-v2", true);
    assert!(names.iter().any(|name| name == "query_proj"), "{names:?}");
}
