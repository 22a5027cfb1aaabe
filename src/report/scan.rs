//! One line of a scan over many checkpoints.

use super::Report;
use serde::{Deserialize, Serialize};

/// What one checkpoint of a scan gave: a report or an error, never both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ScanLine {
    /// The checkpoint, as the list has it or as it was found.
    pub path: String,
    /// Its report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
