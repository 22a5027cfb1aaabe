//! The verdict on the model as a whole, and on its parts.

use serde::{Deserialize, Serialize};

/// The verdict on the model, as one sentence and as fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelSummary {
    /// `model_type` of the configuration.
    pub family: Option<String>,
    /// Kind of all sites together.
    pub verdict: ModelVerdict,
    /// The lowest confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// The verdict in one sentence.
    pub sentence: String,
    /// The reasons: one line for each kind of evidence that decided the verdict.
    pub reasons: Vec<String>,
    /// The parts of the model, if it has several stacks of blocks: an encoder and a decoder, or a vision tower and a language model.
    /// Empty if it has one.
    pub parts: Vec<PartSummary>,
    /// Name of the final norm's site.
    pub final_norm: Option<String>,
    /// Number of layers: the number of blocks, or more if layers share one block (ALBERT).
    pub layers: Option<u32>,
    /// Width of the residual stream.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub width: Option<u64>,
}

/// The verdict on a whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ModelVerdict {
    /// Every known site is a LayerNorm.
    LayerNorm,
    /// Every known site is an RMSNorm.
    RmsNorm,
    /// Both kinds occur.
    Mixed,
    /// Only batch, group or adaptive norms.
    Other,
    /// No site could be decided, or there are no sites.
    Unknown,
}

/// The verdict on one part of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PartSummary {
    /// Path of its stack of blocks. Empty for the sites outside all stacks.
    pub name: String,
    /// Kind of its sites together.
    pub verdict: ModelVerdict,
    /// The lowest confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// Number of its sites.
    pub sites: u32,
    /// Name of its final norm's site.
    pub final_norm: Option<String>,
    /// The verdict in one sentence.
    pub sentence: String,
}
