//! The linear maps that read a site, and their dead directions.

use serde::{Deserialize, Serialize};

/// The beginning of a site's note if its readers are not known.
pub const NOT_COUNTED: &str = "not counted: ";

/// How a reader uses the norm's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReaderUse {
    /// Attention queries.
    Query,
    /// Attention keys.
    Key,
    /// Attention values.
    Value,
    /// Queries, keys and values (or two of them) in one matrix.
    FusedAttention,
    /// Feed-forward input, gate or up projection.
    FeedForward,
    /// Feed-forward input of an expert.
    Expert,
    /// Router over experts.
    Router,
    /// Unembedding with its own matrix.
    Unembedding,
    /// Unembedding that shares the input embedding's matrix: the same parameters also act at the input.
    TiedUnembedding,
    /// Any other head or projection.
    Projection,
}

/// One linear reader W (rows × d) of a site and its dead directions (a vᵀ for any a).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ReaderReport {
    /// Name of the weight tensor.
    pub name: String,
    /// Its use in the model.
    #[serde(rename = "use")]
    #[cfg_attr(test, ts(rename = "use"))]
    pub used_as: ReaderUse,
    /// Output rows, over all experts if the tensor packs several.
    #[cfg_attr(test, ts(type = "number"))]
    pub rows: u64,
    /// Elements of the weight tensor.
    #[cfg_attr(test, ts(type = "number"))]
    pub parameters: u64,
    /// Name of its bias.
    pub bias: Option<String>,
    /// Its dead directions.
    pub dead: DeadDirections,
    /// The assumption behind these counts, if any.
    pub assumed: Option<String>,
}

/// Counts of parameter directions: the three classes of MATH §3, and the tied ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadDirections {
    /// The function does not change at all.
    #[cfg_attr(test, ts(type = "number"))]
    pub outright: u64,
    /// The function does not change if b ← b − a vᵀβ too.
    #[cfg_attr(test, ts(type = "number"))]
    pub with_bias_shift: u64,
    /// The change adds a constant that nothing cancels.
    #[cfg_attr(test, ts(type = "number"))]
    pub constant_shift: u64,
    /// Dead for this reader, but its matrix is also the input embedding, where the change is visible.
    #[cfg_attr(test, ts(type = "number"))]
    pub tied: u64,
}

/// Dead parameter directions of the whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadParameters {
    /// The function does not change at all.
    #[cfg_attr(test, ts(type = "number"))]
    pub outright: u64,
    /// The function does not change if the reader's bias is moved.
    #[cfg_attr(test, ts(type = "number"))]
    pub with_bias_shift: u64,
    /// Only a constant is added to the reader's output.
    #[cfg_attr(test, ts(type = "number"))]
    pub constant_shift: u64,
    /// Not read by a tied unembedding, but visible at the input embedding.
    #[cfg_attr(test, ts(type = "number"))]
    pub tied: u64,
    /// (outright + with_bias_shift) ÷ parameters of the readers counted.
    pub share: f64,
    /// Number of readers counted.
    pub readers: u32,
    /// The assumptions behind the counts.
    pub assumptions: Vec<String>,
}
