//! `model.safetensors.index.json`: which shard holds which tensor.

use crate::order;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An index that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{file}` is no shard index: {reason}; leave it out to inspect the shards as they are, or download it again"
)]
pub struct IndexError {
    /// The index file.
    pub file: String,
    /// What the parser met.
    pub reason: String,
}

/// A parsed index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Tensor name → shard file name, relative to the index.
    pub weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Parses `bytes`; `file` is named in the error.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, IndexError> {
        serde_json::from_slice(bytes)
            .map_err(|error| IndexError { file: file.to_owned(), reason: error.to_string() })
    }

    /// The shard files it names, sorted.
    pub fn shards(&self) -> Vec<&str> {
        order::distinct(self.weight_map.values().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_each_shard_once() {
        let index = Index::parse(
            "i.json",
            br#"{"metadata":{"total_size":8},"weight_map":{"a":"1","b":"2","c":"1"}}"#,
        )
        .unwrap();
        assert_eq!(index.shards(), ["1", "2"]);
    }

    #[test]
    fn an_index_without_a_weight_map_says_so() {
        assert!(Index::parse("i.json", b"{}").unwrap_err().to_string().contains("weight_map"));
        assert!(Index::parse("i.json", b"<html>").is_err());
    }
}
