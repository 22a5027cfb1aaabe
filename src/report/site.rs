//! One norm site: what it is, where it is, and all results about it.

use super::{AlternativeReport, EvidenceReport, KernelReport, NormKind, ReaderReport};
use serde::{Deserialize, Serialize};

/// One norm site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormReport {
    /// Module path: the scale tensor's name without its last part.
    pub name: String,
    /// Name of the stored scale tensor. Null if the norm stores nothing, so that γ = 1.
    pub scale: Option<String>,
    /// Name of the stored shift tensor (β).
    pub shift: Option<String>,
    /// Number of scales, d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Its place in the network.
    pub role: NormRole,
    /// Index of its block, if it is in one.
    pub block: Option<u32>,
    /// The part of the model that it belongs to, as the path of a stack of blocks: the stack that it is in, begins or ends.
    pub part: Option<String>,
    /// Kind of norm.
    pub kind: NormKind,
    /// Probability that `kind` is right given the evidence, 0 to 1. 0 if unknown.
    pub confidence: f64,
    /// How γ follows from the stored tensor.
    pub scale_convention: ScaleConvention,
    /// The evidence for the convention.
    pub convention_reason: String,
    /// The possible behaviours of the module, with their probabilities. Empty in reports of earlier versions.
    #[serde(default)]
    pub alternatives: Vec<AlternativeReport>,
    /// All evidence for and against.
    pub evidence: Vec<EvidenceReport>,
    /// What would settle the kind if it is unknown or contradicted. Null if nothing is open.
    pub settle: Option<String>,
    /// The kernel, as far as the scale determines it.
    pub kernel: KernelReport,
    /// Linear maps that read this site's output.
    pub readers: Vec<ReaderReport>,
    /// Why readers may be missing, or what was assumed about them.
    pub reader_note: Option<String>,
    /// Why the values of this site could not be used.
    pub problem: Option<String>,
}

/// The place of a norm in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NormRole {
    /// Its output is the output of the model or of a stack.
    Final,
    /// Inside a block of the residual stream.
    Block,
    /// Right after the embeddings.
    Embedding,
    /// On queries or keys, often separately for each head.
    QueryKey,
    /// Anywhere else.
    Other,
}

/// How the effective scale γ follows from the stored tensor w.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScaleConvention {
    /// γ = w.
    Weight,
    /// γ = 1 + w.
    OnePlusWeight,
    /// Nothing is stored, so γ = 1.
    None,
    /// The values contradict the model's known code, so γ is not known.
    Unknown,
}
