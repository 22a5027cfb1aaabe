//! The files that were read, and the bytes and requests that this took.

use serde::{Deserialize, Serialize};

/// The files that were read, and how much of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CheckpointSummary {
    /// Folder or file name, without directories above it.
    pub name: String,
    /// "safetensors", "gguf", "pytorch", "onnx", "npz", "flax" or "hdf5".
    pub format: String,
    /// Shards that were opened.
    pub shards: u32,
    /// Shards that the index or the file names promise but that were not given.
    pub missing_shards: Vec<String>,
    /// Tensors in the catalogue.
    pub tensors: u32,
    /// Elements of all tensors.
    #[cfg_attr(test, ts(type = "number"))]
    pub parameters: u64,
    /// Bytes of all opened shards.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Bytes actually read: headers, index, config and norm tensors.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes_read: u64,
    /// Bytes of headers, index and config, a part of `bytes_read`.
    #[cfg_attr(test, ts(type = "number"))]
    pub header_bytes: u64,
    /// Bytes of the scale and shift tensors of all sites.
    #[cfg_attr(test, ts(type = "number"))]
    pub norm_bytes: u64,
    /// Bytes of weights sampled for the writers' energy after the first verdict, not part of `bytes_read`. 0 if no weights were sampled.
    #[cfg_attr(test, ts(type = "number"))]
    pub weight_bytes_read: u64,
    /// What was transferred. Null for files on this machine. Added with remote checkpoints.
    #[serde(default)]
    pub remote: Option<RemoteSummary>,
}

/// The cost of reading a checkpoint from an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RemoteSummary {
    /// The address that was opened, without its query, which may contain a signature.
    pub address: String,
    /// Number of requests, including failed ones, without redirects.
    pub requests: u32,
    /// Bytes of the received bodies. More than `bytes_read`, because an extra request costs more than some extra bytes.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
}

/// The origin of a report from a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SharedSummary {
    /// When the link was made, as RFC 3339.
    pub made: String,
    /// Whether names were kept. Otherwise sites, readers and writers are numbered.
    pub names: bool,
}
