//! What a norm module does, and the evidence for it.

use serde::{Deserialize, Serialize};

/// What a norm module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    /// Subtracts the mean, so it has a kernel direction.
    LayerNorm,
    /// Does not subtract the mean, so it has no kernel direction.
    RmsNorm,
    /// Batch, group, instance or adaptive norm, which the theorem does not cover.
    Other,
    /// There is too little evidence to decide.
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
    /// The kind that it supports. `unknown` if it abstains.
    pub says: NormKind,
    /// How many nats it supports that kind by, compared with the second most likely kind. For structure and names, which are counted
    /// given the shift: how many nats it raises that kind's odds by. 0 if it abstains.
    pub strength: f64,
    /// What was seen, as a sentence.
    pub detail: String,
    /// Probability of each behaviour on this evidence alone. Empty if it abstains, in links, and in reports of earlier versions.
    #[serde(default)]
    pub under: Vec<AlternativeReport>,
}

/// A possible behaviour of a norm module, and its probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AlternativeReport {
    /// What the module does.
    pub behaviour: NormBehaviour,
    /// Probability, 0 to 1. The probabilities of one site add up to 1.
    pub probability: f64,
}
