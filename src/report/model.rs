//! The verdict on the model as a whole, and on its parts.

use serde::{Deserialize, Serialize};

/// The verdict on the model, in one sentence and in fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelSummary {
    /// `model_type` of the configuration.
    pub family: Option<String>,
    /// Kind of all sites together.
    pub verdict: ModelVerdict,
    /// The least confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// The one sentence.
    pub sentence: String,
    /// Why: one line for each kind of evidence that decided it.
    pub reasons: Vec<String>,
    /// The parts of the model, when it has several stacks of blocks: an encoder and a decoder, a vision tower and a
    /// language model. Empty when it has one.
    pub parts: Vec<PartSummary>,
    /// Name of the final norm's site.
    pub final_norm: Option<String>,
    /// Number of layers: the blocks, or more where layers share one block (ALBERT).
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
    /// No site could be decided, or there is none.
    Unknown,
}

/// The verdict on one part of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PartSummary {
    /// Path of its stack of blocks; empty for the sites that belong to none.
    pub name: String,
    /// Kind of its sites together.
    pub verdict: ModelVerdict,
    /// The least confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// Number of its sites.
    pub sites: u32,
    /// Name of its final norm's site.
    pub final_norm: Option<String>,
    /// It in one sentence.
    pub sentence: String,
}
