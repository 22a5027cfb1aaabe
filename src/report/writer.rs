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
    /// Index of its block; its order among the writers where names say nothing.
    pub block: u32,
    /// Which part of the network it ends.
    pub part: WriterPart,
    /// Width d of the stream.
    #[cfg_attr(test, ts(type = "number"))]
    pub rows: u64,
    /// Columns sampled.
    pub columns: u32,
    /// Σⱼ(Σᵢ Uᵢⱼ)² ÷ ‖U‖²_F over the sampled columns: about 1 without a preferred mean direction.
    pub energy: f64,
    /// Standard deviation of the energy for weights without a preferred mean direction, √(2/k).
    pub null_deviation: f64,
    /// Variance of the rows' squared norms against a random draw's: 1 untrained, above it trained.
    pub row_dispersion: f64,
}

/// Which part of the network a writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum WriterPart {
    /// Attention, or another mixer of tokens.
    Attention,
    /// The feed-forward part, or one of its experts.
    FeedForward,
    /// The token embedding, whose rows start the stream; no part of the evidence about trained models.
    Embedding,
    /// The name does not say.
    Unknown,
}
