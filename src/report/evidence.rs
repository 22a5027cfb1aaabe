//! What a norm module does, and the evidence for it.

use serde::{Deserialize, Serialize};

/// What a norm module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    /// Subtracts the mean: has a kernel direction.
    LayerNorm,
    /// Does not subtract the mean: has none.
    RmsNorm,
    /// Batch, group, instance or adaptive norm: outside the theorem.
    Other,
    /// The evidence is too thin to say.
    Unknown,
}

/// What a norm module does. The last two are reported as the kind "other".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NormBehaviour {
    /// LayerNorm over the channels of one position.
    LayerNorm,
    /// RMSNorm over the channels of one position.
    RmsNorm,
    /// A norm that also spans positions, groups of channels or the batch.
    Spanning,
    /// No normalisation: a scale and shift, LayerScale, DyT.
    Plain,
}

/// One piece of evidence about the kind of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EvidenceReport {
    /// Which evidence: "prior", "configuration", "layout", "shift", "names", "structure", "values", "siblings", "writer energy", …
    pub source: String,
    /// The kind it speaks for; unknown when it abstains.
    pub says: NormKind,
    /// By how many nats it speaks for that kind rather than for the next likely one; for structure and names, which are counted given
    /// the shift, by how many nats it raises that kind's odds. 0 when it abstains.
    pub strength: f64,
    /// What was seen, as a sentence.
    pub detail: String,
    /// How probable each behaviour would be on this evidence alone; empty when it abstains, in links, and in reports of earlier versions.
    #[serde(default)]
    pub under: Vec<AlternativeReport>,
}

/// One thing a norm module may do, and how probable that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AlternativeReport {
    /// What the module does.
    pub behaviour: NormBehaviour,
    /// Probability, 0 to 1; all of one site add up to 1.
    pub probability: f64,
}
