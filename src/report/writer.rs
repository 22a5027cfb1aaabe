//! The linear maps that write the residual stream.

use serde::{Deserialize, Serialize};

/// The energy of one writer of a residual stream along the stream's mean (MATH §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct WriterReport {
    /// Name of the weight tensor.
    pub name: String,
    /// The stack of blocks whose stream it writes.
    pub stack: String,
    /// Index of its block, or its order among the writers if names say nothing.
    pub block: u32,
    /// The part of the network that it ends.
    pub part: WriterPart,
    /// Width d of the stream.
    #[cfg_attr(test, ts(type = "number"))]
    pub rows: u64,
    /// Number of sampled columns.
    pub columns: u32,
    /// Σⱼ(Σᵢ Uᵢⱼ)² ÷ ‖U‖²_F over the sampled columns: about 1 without a preferred mean direction.
    pub energy: f64,
    /// Standard deviation of the energy for weights without a preferred mean direction, √(2/k).
    pub null_deviation: f64,
    /// Variance of the rows' squared norms ÷ its expected value for a random draw. 1 if untrained, greater if trained.
    pub row_dispersion: f64,
}

/// The part of the network that a writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum WriterPart {
    /// Attention, or another mixer of tokens.
    Attention,
    /// The feed-forward part, or one of its experts.
    FeedForward,
    /// The token embedding, whose rows start the stream. It is no evidence about trained models.
    Embedding,
    /// The name does not say.
    Unknown,
}
