//! Compares the forward pass on real trained checkpoints with transformers on the same ids
//! (`scripts/fixtures/transformers_models.py`). The models are those of tests/it/real_models.rs.

use gammascope::checkpoint;
use gammascope::forward::{Input, Pass, Seen};
use gammascope::model::resolve;
use gammascope::source::disk::DiskSource;
use gammascope::text::ids::uniform;
use pollster::block_on;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The largest difference of a value, divided by the root mean square of all values.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    tokens: usize,
    length: usize,
    root_mean_square: f64,
    greatest: Vec<usize>,
    greatest_values: Vec<f64>,
    columns: Vec<usize>,
    rows: BTreeMap<usize, Vec<f64>>,
}

/// For every token, the largest value and its index; also some values of some tokens.
#[derive(Default)]
struct Found {
    greatest: Vec<(usize, f32)>,
    values: BTreeMap<(usize, usize), f32>,
}

impl Found {
    /// Adds the columns from `first` on of all tokens.
    fn take(&mut self, reference: &Reference, first: usize, width: usize, slice: &[f32]) {
        self.greatest.resize(reference.tokens, (0, f32::NEG_INFINITY));
        for (token, row) in slice.chunks_exact(width).enumerate() {
            for (column, &value) in (first..).zip(row) {
                if value > self.greatest[token].1 {
                    self.greatest[token] = (column, value);
                }
            }
            if reference.rows.contains_key(&token) {
                for &column in
                    reference.columns.iter().filter(|column| (first..first + width).contains(column))
                {
                    self.values.insert((token, column), row[column - first]);
                }
            }
        }
    }
}

fn computes_what_transformers_computes(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(".cache/models").join(name);
    let reference = root.join(format!("tests/models/expected/{name}.json"));
    let reference: Reference = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let sources = ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&folder.join(file), file).unwrap())
        .into();
    let checkpoint = block_on(checkpoint::open(sources, |_| {})).unwrap();
    let architecture = resolve(&checkpoint).unwrap();
    let ids = uniform(reference.tokens, architecture.vocabulary);
    let pass =
        Pass::new(&checkpoint, &architecture, Input::token_ids(&ids, reference.length).unwrap()).unwrap();
    let hidden = block_on(pass.run(&mut async |_: Seen<'_>| {})).unwrap();
    let mut found = Found::default();
    if architecture.head.is_some() {
        block_on(pass.logits(&hidden, |first, width, slice| found.take(&reference, first, width, slice)))
            .unwrap();
    } else {
        found.take(&reference, 0, architecture.width, &hidden);
    }

    let mut furthest = 0_f64;
    let mut off = |found: f32, expected: f64| {
        let difference = (f64::from(found) - expected).abs() / reference.root_mean_square;
        furthest = if difference > furthest || difference.is_nan() { difference } else { furthest };
    };
    for ((_, found), expected) in found.greatest.iter().zip(&reference.greatest_values) {
        off(*found, *expected);
    }
    for (token, row) in &reference.rows {
        for (column, expected) in reference.columns.iter().zip(row) {
            off(found.values[&(*token, *column)], *expected);
        }
    }
    let same = found.greatest.iter().zip(&reference.greatest).filter(|((at, _), other)| at == *other).count();
    assert!(furthest < TOLERANCE, "{name}: off by {furthest:.1e}");
    assert!(same as f64 >= 0.999 * reference.tokens as f64, "{name}: {same} of {}", reference.tokens);
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn minilm_has_the_last_hidden_states_of_transformers() {
    computes_what_transformers_computes("all-MiniLM-L6-v2");
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn smollm2_has_the_logits_of_transformers() {
    computes_what_transformers_computes("SmolLM2-135M");
}

#[test]
#[ignore = "needs the models of tests/models/fetch.py"]
fn gemma_3_has_the_logits_of_transformers() {
    computes_what_transformers_computes("gemma-3-270m");
}
