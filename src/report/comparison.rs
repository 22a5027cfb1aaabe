//! What two checkpoints have in common and what changed between them.

use super::modulo_dead::ModuloDead;
use super::{CheckpointSummary, KernelForm, ModelVerdict, NormKind, NormRole, Warning};
use serde::{Deserialize, Serialize};

/// The schema name of every comparison.
pub const SCHEMA: &str = "gammascope.comparison/1";

/// Two checkpoints, site by site. Fields may be added under the same schema name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// The first checkpoint, from which changes are counted: the base model, or the earlier step.
    pub before: ComparedCheckpoint,
    /// The other checkpoint.
    pub after: ComparedCheckpoint,
    /// The changes, in one sentence.
    pub sentence: String,
    /// The number that turns every scale of the first into that of the second, except for rounding, when added to γ, or to the stored
    /// tensor if some γ is not known. Null if it is not the same for all common sites, or is 0.
    #[serde(default)]
    pub constant: Option<f64>,
    /// Sites of both, with the greatest changes first: first other kinds, then other kernels, then by the greater of angle (in radians)
    /// and relative change, then in network order.
    pub sites: Vec<SiteComparison>,
    /// Sites of the first without a counterpart, in network order.
    pub only_before: Vec<UnpairedSite>,
    /// Sites of the second without a counterpart, in network order.
    pub only_after: Vec<UnpairedSite>,
    /// How far the readers of both are apart without their dead parts. Null if that was not asked for.
    #[serde(default)]
    pub modulo_dead: Option<ModuloDead>,
    /// The warnings of both inspections. `where` says which one.
    pub warnings: Vec<Warning>,
}

/// One of the two checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ComparedCheckpoint {
    /// The files that were read.
    pub checkpoint: CheckpointSummary,
    /// Its family, from its configuration.
    pub family: Option<String>,
    /// The kind of all its sites together.
    pub verdict: ModelVerdict,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Number of norm sites.
    pub sites: u32,
}

/// How two sites were matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// They have the same name.
    Name,
    /// The ends of their names agree, including the block number, and no other names do: prefixes of wrappers.
    Suffix,
    /// They have the same role, block and width, and the same order among such sites: other names for the same place (GGUF).
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
    /// How they were matched.
    pub matched_by: MatchedBy,
    /// Its index among the sites of the first, in network order.
    pub order: u32,
    /// Its place in the first.
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
    /// Angle between the two kernel directions as lines, in radians, 0 … π/2. Null unless both are γ⁻¹ directions.
    pub angle: Option<f64>,
    /// ‖γ after − γ before‖ ÷ ‖γ before‖ of the effective scales, without unit. Null if one could not be read, or if the first is all
    /// zero.
    pub relative_change: Option<f64>,
    /// Channels whose scale is exactly zero in the second only.
    pub zeros_gained: Vec<u32>,
    /// Channels whose scale is exactly zero in the first only.
    pub zeros_lost: Vec<u32>,
    /// Channels with |γᵢ| ≤ 1e-3 median, zeros included, in the second only.
    pub near_dead_gained: Vec<u32>,
    /// The same channels, in the first only.
    pub near_dead_lost: Vec<u32>,
    /// Variance of the norm's output along the kernel direction ÷ its mean variance, measured in the first. Null if it was not measured.
    pub depth: Option<f64>,
    /// The same in the second.
    pub depth_after: Option<f64>,
    /// Variance of the normalised input along 1/√d ÷ its mean variance, which does not depend on the scale, measured in the first. Null
    /// if it was not measured.
    pub depth_scale_free: Option<f64>,
    /// The same in the second.
    pub depth_scale_free_after: Option<f64>,
}

impl SiteComparison {
    /// Whether the verdict on its kind differs.
    pub fn kind_changed(&self) -> bool {
        self.kind != self.kind_after
    }

    /// Whether its kernel has another form or other coordinates.
    pub fn kernel_changed(&self) -> bool {
        self.form != self.form_after || !self.zeros_gained.is_empty() || !self.zeros_lost.is_empty()
    }

    /// The greater of angle (in radians) and relative change. 0 if neither is known.
    pub fn change(&self) -> f64 {
        self.angle.unwrap_or_default().max(self.relative_change.unwrap_or_default())
    }

    /// Whether it was measured on activations in either checkpoint.
    pub fn measured(&self) -> bool {
        [self.depth, self.depth_after, self.depth_scale_free, self.depth_scale_free_after]
            .iter()
            .any(Option::is_some)
    }

    /// Whether anything is different.
    pub fn changed(&self) -> bool {
        self.kind_changed() || self.kernel_changed() || self.change() > 0.0
    }
}

/// A site that only one checkpoint has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UnpairedSite {
    /// Its name.
    pub name: String,
    /// Its place in the network.
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
