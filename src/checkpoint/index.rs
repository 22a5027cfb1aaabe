//! `model.safetensors.index.json`: which shard holds which tensor.
#![deny(clippy::arithmetic_side_effects, reason = "the numbers are those of a file")]

use super::json;
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
    /// What the parser found.
    pub reason: String,
}

impl IndexError {
    /// The error for a file that is too long to read.
    pub(super) fn too_long(file: &str, length: u64) -> Self {
        Self { file: file.to_owned(), reason: format!("it has {length} bytes, more than any index") }
    }
}

/// Bytes of a header for its length, braces, metadata and padding.
const HEADER_FRAME: u64 = 512;
/// Bytes of an entry without its name, with the numbers of the largest files: dtype, shape and offsets.
const HEADER_ENTRY: u64 = 112;

/// A parsed index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Tensor name → shard file name, relative to the index.
    pub weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Parses `bytes`; `file` is named in the error.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, IndexError> {
        let error = |reason: String| IndexError { file: file.to_owned(), reason };
        if json::values(bytes) > json::MOST_VALUES {
            return Err(error(format!("it holds more than {} values", json::MOST_VALUES)));
        }
        serde_json::from_slice(bytes).map_err(|reason| error(reason.to_string()))
    }

    /// About how many bytes the header of each shard takes, in the order of [`Index::shards`]. The estimate is high rather than
    /// low.
    pub fn headers(&self) -> Vec<u64> {
        let shards = self.shards();
        let mut bytes = vec![HEADER_FRAME; shards.len()];
        for (name, shard) in &self.weight_map {
            if let Ok(at) = shards.binary_search(&shard.as_str()) {
                bytes[at] = bytes[at].saturating_add(HEADER_ENTRY).saturating_add(name.len() as u64);
            }
        }
        bytes
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
    fn the_header_of_a_shard_is_guessed_from_the_names_in_it() {
        let index = Index::parse(
            "i.json",
            br#"{"weight_map":{"model.norm.weight":"1","b":"2","lm_head.weight":"1"}}"#,
        )
        .unwrap();
        let header = br#"{"__metadata__":{"format":"pt"},"lm_head.weight":{"dtype":"BF16","shape":[128256,8192],"data_offsets":[4294967296,6396313600]},"model.norm.weight":{"dtype":"BF16","shape":[8192],"data_offsets":[6396313600,6396329984]}}"#;
        let [first, second] = index.headers()[..] else { panic!("two shards") };
        assert!(8 + header.len() as u64 <= first && first < 1024, "{first} for {}", header.len());
        assert!(second < first);
    }

    #[test]
    fn an_index_without_a_weight_map_says_so() {
        assert!(Index::parse("i.json", b"{}").unwrap_err().to_string().contains("weight_map"));
        assert!(Index::parse("i.json", b"<html>").is_err());
    }
}
