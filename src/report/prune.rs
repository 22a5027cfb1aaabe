//! The schema of which widths of a model could be cut without changing its function, which `gammascope fold --prune` lists.

use serde::{Deserialize, Serialize};

/// The schema name of every such list.
pub const SCHEMA: &str = "gammascope.prune/1";

/// Which widths of a model could be cut. Nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// Parameters of the checkpoint.
    pub parameters: u64,
    /// The widths, in network order. The residual stream comes first.
    pub widths: Vec<PrunableWidth>,
    /// Parameters that all cuts together would save. A weight that two cuts remove counts once.
    pub saved: u64,
    /// Norms with channels that are off, whose readers or parts of them must keep these channels, each with the reason.
    pub left: Vec<UncutNorm>,
}

/// What makes channels of a width superfluous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneReason {
    /// Nothing writes these channels of the residual stream.
    UnwrittenStream,
    /// The scale of the norm is exactly zero there, so that its readers get a constant: a coordinate kernel.
    CoordinateKernel,
    /// Every reader of the norm has only zeros in these columns.
    ZeroColumns,
    /// These hidden units of a feed-forward part give zero for every input, or nothing reads them.
    HiddenUnits,
}

/// Channels of one width that could be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunableWidth {
    /// The norm site, the map to the hidden units, or the residual stream.
    pub place: String,
    /// Why they could be cut.
    pub reason: PruneReason,
    /// The width.
    pub width: u64,
    /// The channels, in ascending order.
    pub channels: Vec<u32>,
    /// Parameters that this cut alone would save.
    pub parameters: u64,
    /// The tensors that would lose rows, columns or values.
    pub tensors: Vec<String>,
}

/// A norm whose channels that are off must stay for some reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncutNorm {
    /// Its site.
    pub norm: String,
    /// Why.
    pub why: String,
}
