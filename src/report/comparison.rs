//! What two checkpoints have in common and what changed between them.

use super::{CheckpointSummary, KernelForm, ModelVerdict, NormKind, NormRole, Warning};
use serde::{Deserialize, Serialize};

/// The schema name every comparison carries.
pub const SCHEMA: &str = "gammascope.comparison/1";

/// Two checkpoints, site by site. Fields may be added under the same schema name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// The one that changes are counted from: the base model, the earlier step.
    pub before: ComparedCheckpoint,
    /// The other checkpoint.
    pub after: ComparedCheckpoint,
    /// What changed, in one sentence.
    pub sentence: String,
    /// What is added to every scale of the first to have that of the second, except for rounding: to γ, or to the stored tensor
    /// where some γ is not known; null unless it is one number for all sites that both have, and not 0.
    #[serde(default)]
    pub constant: Option<f64>,
    /// Sites that both have, what changed most first: another kind, then another kernel, then by the greater of angle (in
    /// radians) and relative change, then in the order of the network.
    pub sites: Vec<SiteComparison>,
    /// Sites of the first without a counterpart, in the order of the network.
    pub only_before: Vec<UnpairedSite>,
    /// Sites of the second without one.
    pub only_after: Vec<UnpairedSite>,
    /// The warnings of both inspections, `where` saying which.
    pub warnings: Vec<Warning>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ComparedCheckpoint {
    /// The files that were read.
    pub checkpoint: CheckpointSummary,
    /// Its family, as its configuration says.
    pub family: Option<String>,
    /// The kind of all its sites together.
    pub verdict: ModelVerdict,
    /// It in one sentence.
    pub sentence: String,
    /// Number of norm sites.
    pub sites: u32,
}

/// How two sites were found to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// They have the same name.
    Name,
    /// Their names end alike, block number included, and no others do: prefixes of wrappers.
    Suffix,
    /// They have the same role, block, width and order among the sites of those: other names for the same place (GGUF).
    Place,
}

/// One site in both checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SiteComparison {
    /// Name in the first.
    pub name: String,
    /// Name in the second.
    pub name_after: String,
    /// Why they are taken for the same.
    pub matched_by: MatchedBy,
    /// Its place among the sites of the first, in the order of the network, from 0.
    pub order: u32,
    /// Where it sits, in the first.
    pub role: NormRole,
    /// Index of its block.
    pub block: Option<u32>,
    /// d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Kind in the first.
    pub kind: NormKind,
    /// Kind in the second.
    pub kind_after: NormKind,
    /// Form of the kernel in the first.
    pub form: KernelForm,
    /// Form in the second.
    pub form_after: KernelForm,
    /// Angle between the two kernel directions as lines, in radians, 0 … π/2; null unless both are γ⁻¹ directions.
    pub angle: Option<f64>,
    /// ‖γ after − γ before‖ ÷ ‖γ before‖ of the effective scales, without unit; null where one of them could not be read or
    /// the first is all zero.
    pub relative_change: Option<f64>,
    /// Channels whose scale is exactly zero in the second only.
    pub zeros_gained: Vec<u32>,
    /// In the first only.
    pub zeros_lost: Vec<u32>,
    /// Channels with |γᵢ| ≤ 1e-3 median, zeros included, in the second only.
    pub near_dead_gained: Vec<u32>,
    /// In the first only.
    pub near_dead_lost: Vec<u32>,
    /// Variance of the norm's output along the kernel direction ÷ its mean variance, measured in the first; null where it was
    /// not measured.
    pub depth: Option<f64>,
    /// The same, measured in the second.
    pub depth_after: Option<f64>,
    /// Variance of the normalised input along 1/√d ÷ its mean variance, which no scale can fool, measured in the first; null
    /// where it was not.
    pub depth_scale_free: Option<f64>,
    /// The same, measured in the second.
    pub depth_scale_free_after: Option<f64>,
}

impl SiteComparison {
    /// The verdict on its kind is another.
    pub fn kind_changed(&self) -> bool {
        self.kind != self.kind_after
    }

    /// Its kernel is of another form, or of other coordinates.
    pub fn kernel_changed(&self) -> bool {
        self.form != self.form_after || !self.zeros_gained.is_empty() || !self.zeros_lost.is_empty()
    }

    /// The greater of angle (in radians) and relative change; 0 where neither is known.
    pub fn change(&self) -> f64 {
        self.angle.unwrap_or_default().max(self.relative_change.unwrap_or_default())
    }

    /// Measured on activations, in either.
    pub fn measured(&self) -> bool {
        [self.depth, self.depth_after, self.depth_scale_free, self.depth_scale_free_after]
            .iter()
            .any(Option::is_some)
    }

    /// Anything at all is different.
    pub fn changed(&self) -> bool {
        self.kind_changed() || self.kernel_changed() || self.change() > 0.0
    }
}

/// A site that only one of the two has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UnpairedSite {
    /// Its name.
    pub name: String,
    /// Where it sits.
    pub role: NormRole,
    /// Index of its block.
    pub block: Option<u32>,
    /// d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Its kind.
    pub kind: NormKind,
    /// Why it has no counterpart.
    pub why: String,
}
