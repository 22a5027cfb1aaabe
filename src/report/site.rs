//! One norm site: what it is, where it sits, and everything that was found about it.

use super::{AlternativeReport, EvidenceReport, KernelReport, NormKind, ReaderReport};
use serde::{Deserialize, Serialize};

/// One norm site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormReport {
    /// Module path: the scale tensor's name without its last part.
    pub name: String,
    /// Name of the stored scale tensor; null where the norm stores nothing, γ = 1.
    pub scale: Option<String>,
    /// Name of the stored shift tensor (β).
    pub shift: Option<String>,
    /// Number of scales, d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Where it sits.
    pub role: NormRole,
    /// Index of its block, if it is in one.
    pub block: Option<u32>,
    /// The part of the model it belongs to, by the path of the stack of blocks: its own, or the one it begins or ends.
    pub part: Option<String>,
    /// What it does.
    pub kind: NormKind,
    /// Probability that `kind` is right given the evidence, 0 to 1; 0 when unknown.
    pub confidence: f64,
    /// How γ follows from the stored tensor.
    pub scale_convention: ScaleConvention,
    /// The evidence for the convention.
    pub convention_reason: String,
    /// What the module may do, and how probable each is; empty in reports of versions that did not have it.
    #[serde(default)]
    pub alternatives: Vec<AlternativeReport>,
    /// Everything that speaks for or against.
    pub evidence: Vec<EvidenceReport>,
    /// What would settle the kind where it is unknown or contradicted; null where nothing is open.
    pub settle: Option<String>,
    /// The kernel, as far as the scale decides it.
    pub kernel: KernelReport,
    /// Linear maps that read this site's output.
    pub readers: Vec<ReaderReport>,
    /// Why readers may be missing, or what was assumed about them.
    pub reader_note: Option<String>,
    /// Why the values of this site could not be used.
    pub problem: Option<String>,
}

/// Where a norm sits in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NormRole {
    /// Its output is the model's, or a stack's, output.
    Final,
    /// Inside a block of the residual stream.
    Block,
    /// Right after the embeddings.
    Embedding,
    /// On queries or keys, often per head.
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
    /// Nothing is stored: γ = 1.
    None,
    /// The values contradict what is known of the model's code, so γ is not known.
    Unknown,
}
