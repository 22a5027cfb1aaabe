//! The files that were read, and how many bytes and requests that took.

use serde::{Deserialize, Serialize};

/// The files that were read, and how much of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CheckpointSummary {
    /// Folder or file name, without directories above it.
    pub name: String,
    /// "safetensors", "gguf" or "pytorch".
    pub format: String,
    /// Shards that were opened.
    pub shards: u32,
    /// Shards that the index or the file names promise and that were not given.
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
    /// Of `bytes_read`, headers, index and config.
    #[cfg_attr(test, ts(type = "number"))]
    pub header_bytes: u64,
    /// Bytes of the scale and shift tensors of all sites.
    #[cfg_attr(test, ts(type = "number"))]
    pub norm_bytes: u64,
    /// Bytes of weights sampled for the writers' energy after the first verdict, not part of `bytes_read`; 0 when that
    /// was refused or has not been done.
    #[cfg_attr(test, ts(type = "number"))]
    pub weight_bytes_read: u64,
    /// What was transferred; null for files of this machine. Added with remote checkpoints.
    #[serde(default)]
    pub remote: Option<RemoteSummary>,
}

/// What reading a checkpoint behind an address has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RemoteSummary {
    /// The address that was opened, without its query: that may be a signature.
    pub address: String,
    /// Requests made, failed ones included, redirects not.
    pub requests: u32,
    /// Bytes of the bodies that came: more than `bytes_read`, as a request costs more than some bytes beside.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
}

/// Where a report that came in a link is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SharedSummary {
    /// When the link was made: RFC 3339.
    pub made: String,
    /// Whether names were left in. Otherwise sites, readers and writers are numbered.
    pub names: bool,
}
