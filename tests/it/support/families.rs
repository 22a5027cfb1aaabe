//! Tiny random checkpoints of families, and the results of another library on them.

use gammascope::checkpoint::{self, Checkpoint};
use gammascope::forward::{Pass, Seen};
use gammascope::source::ByteSource;
use gammascope::source::disk::DiskSource;
use pollster::block_on;
use std::collections::HashMap;
use std::path::Path;

/// The largest allowed difference of a value, divided by the root mean square of its matrix.
pub(crate) const TOLERANCE: f64 = 1e-5;

pub(crate) fn sources(folder: &Path) -> Vec<DiskSource> {
    ["model.safetensors", "config.json"]
        .map(|file| DiskSource::open(&folder.join(file), file).unwrap())
        .into()
}

pub(crate) fn open(folder: &Path) -> Checkpoint<DiskSource> {
    block_on(checkpoint::open(sources(folder), |_| {})).unwrap()
}

/// The results of the other library: values and shape by name.
pub(crate) fn expected(folder: &Path) -> HashMap<String, (Vec<f64>, Vec<u64>)> {
    let path = folder.join("expected.safetensors");
    let file =
        block_on(checkpoint::open(vec![DiskSource::open(&path, "expected.safetensors").unwrap()], |_| {}))
            .unwrap();
    let all: Vec<usize> = (0..file.tensors.len()).collect();
    let values = block_on(file.read(&all, |_, _| {}));
    let named = file.tensors.iter().zip(values);
    named.map(|(tensor, values)| (tensor.name.clone(), (values.unwrap(), tensor.shape.clone()))).collect()
}

/// The largest difference of a value, divided by the root mean square of the matrix. Infinite if the sizes differ.
pub(crate) fn furthest(found: &[f32], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let size = (expected.iter().map(|value| value * value).sum::<f64>() / expected.len() as f64).sqrt();
    let differences =
        found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    let furthest =
        differences.fold(0.0, |most: f64, next| if next > most || next.is_nan() { next } else { most });
    furthest / size
}

/// Compares two matrices. If they differ too much, the error says by how much.
pub(crate) fn compare(what: &str, found: &[f32], expected: &[f64]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} values for {}", found.len(), expected.len()));
    }
    let furthest = furthest(found, expected);
    if furthest < TOLERANCE { Ok(()) } else { Err(format!("{what}: off by {furthest:.1e}")) }
}

/// Runs a pass, and fails if the stream after a block or the last hidden states differ from the expected values by `tolerance` or more.
/// For a model with an encoder, the names for its decoder begin with `decoder.`.
pub(crate) fn streams_are_near<S: ByteSource>(
    pass: &Pass<'_, S>,
    expected: &HashMap<String, (Vec<f64>, Vec<u64>)>,
    tolerance: f64,
) {
    let mut off = Vec::new();
    let of_decoder = expected.contains_key("decoder.final");
    let before = expected.keys().filter(|name| name.starts_with("block.")).count();
    let mut visit = async |seen: Seen<'_>| {
        if let Seen::Block { index, stream, .. } = seen {
            let name = match index.checked_sub(before) {
                Some(index) => format!("decoder.block.{index}"),
                None => format!("block.{index}"),
            };
            off.push((furthest(stream, &expected[&name].0), name));
        }
    };
    let hidden = block_on(pass.run(&mut visit)).unwrap();
    let last = if of_decoder { "decoder.final" } else { "final" };
    off.push((furthest(&hidden, &expected[last].0), last.to_owned()));
    let blocks = expected.keys().filter(|name| name.contains("block.")).count();
    assert_eq!(off.len(), blocks + 1);
    assert!(off.iter().all(|(off, _)| *off < tolerance), "{off:?}");
}
