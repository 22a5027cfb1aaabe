//! One line of a scan over many checkpoints.

use super::Report;
use serde::{Deserialize, Serialize};

/// The result for one checkpoint of a scan: either a report or an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ScanLine {
    /// Path of the checkpoint in the list or folder.
    pub path: String,
    /// Its report, if it could be inspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The error, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
