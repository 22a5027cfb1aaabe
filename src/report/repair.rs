//! How `gammascope fold --repair-offset` decided which 1 is missing or too many in the scales of a checkpoint.

use serde::{Deserialize, Serialize};

/// The scales whose offset was repaired, and the loss that decided it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OffsetRepair {
    /// What was run.
    pub text: String,
    /// Number of its tokens.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// The versions that were run, as stored first.
    pub versions: Vec<OffsetVersion>,
    /// The scales that are repaired, in network order.
    pub norms: Vec<RepairedNorm>,
}

/// One version of the checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OffsetVersion {
    /// How it differs from what is stored.
    pub what: String,
    /// Mean loss of the next tokens, in nats. Null if the run overflowed.
    pub loss: Option<f64>,
    /// Whether it is what the result stores.
    pub chosen: bool,
}

/// A scale that is repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RepairedNorm {
    /// Its norm site.
    pub name: String,
    /// Name of the tensor.
    pub tensor: String,
    /// What is added to every value of it.
    pub added: i8,
}
