//! What libraries saved to the files of a fixture: an `expected.json.gz` with the tensors of each file.

use super::tensors;
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A tensor as it was saved.
#[derive(Deserialize)]
pub(crate) struct Saved {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) values: Vec<f64>,
}

/// The tensors of each file in a folder of fixtures.
pub(crate) fn saved(folder: &Path) -> BTreeMap<String, BTreeMap<String, Saved>> {
    let packed = std::fs::read(folder.join("expected.json.gz")).unwrap();
    serde_json::from_reader(GzDecoder::new(packed.as_slice())).unwrap()
}

/// The same tensors as a safetensors file of F32.
pub(crate) fn as_safetensors<'a>(saved: impl IntoIterator<Item = (&'a String, &'a Saved)>) -> Vec<u8> {
    let owned: Vec<(&str, Vec<usize>, Vec<f32>)> = saved
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.shape.iter().map(|&size| size as usize).collect();
            (name.as_str(), shape, tensor.values.iter().map(|&value| value as f32).collect())
        })
        .collect();
    let borrowed: Vec<(&str, &[usize], Vec<f32>)> =
        owned.iter().map(|(name, shape, values)| (*name, shape.as_slice(), values.clone())).collect();
    tensors(&borrowed)
}
