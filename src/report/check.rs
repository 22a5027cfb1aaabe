//! The schema of what `gammascope check` finds: the rules that a checkpoint was checked against, and which of them fail.

use super::NormKind;
use serde::{Deserialize, Serialize};

/// The schema name of every such report.
pub const SCHEMA: &str = "gammascope.check/1";

/// A checkpoint, checked against rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// Whether every rule holds.
    pub passed: bool,
    /// The rules, in the order of the options.
    pub rules: Vec<CheckedRule>,
}

/// A rule, and whether the checkpoint follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedRule {
    /// The rule.
    pub rule: Rule,
    /// Whether it holds.
    pub passed: bool,
    /// What was found, as a sentence.
    pub found: String,
    /// Names of the norm sites that break it, in network order.
    pub sites: Vec<String>,
}

/// What a checkpoint can be checked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Rule {
    /// Every norm site is of this kind.
    Kind {
        /// The kind.
        expected: NormKind,
    },
    /// At most this share of the weights that read norms has no effect.
    DeadShare {
        /// The share, 0 … 1.
        most: f64,
    },
    /// No channel of a scale is near dead (|γᵢ| ≤ 1e-3 median).
    NoNearDead,
    /// The report has no warning.
    NoWarnings,
    /// The norm sites are those of another checkpoint, each of the same kind, width and kernel.
    SameNorms {
        /// Its name.
        base: String,
    },
}
