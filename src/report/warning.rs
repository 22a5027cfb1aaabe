//! What the user should know before relying on a report, each kind under a code of its own.

use serde::{Deserialize, Serialize};

/// Something the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Warning {
    /// Stable name for programs.
    pub code: String,
    /// The sentence for people.
    pub message: String,
    /// File, tensor or site.
    pub r#where: String,
}
