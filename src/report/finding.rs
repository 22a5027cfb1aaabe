//! Findings: the results of a report to read first, each with what to do about it.

use serde::{Deserialize, Serialize};

/// One result that stands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Finding {
    /// Stable name for programs.
    pub code: FindingCode,
    /// What was found, as one sentence with its number.
    pub text: String,
    /// What to do about it, as one short sentence.
    pub advice: String,
    /// The part of the report that shows it.
    pub section: FindingSection,
    /// The site to look at first. Null if the finding is about the whole model.
    pub site: Option<String>,
}

/// The kinds of findings, in display order: first contradictions and unknowns, then dead directions, then the results of a run or a
/// measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// Measured activations and the checkpoint say different kinds.
    MeasurementContradicts,
    /// The loss of a run and the checkpoint say different kinds.
    LossContradicts,
    /// Evidence about some norms contradicts itself.
    EvidenceContradicts,
    /// A reader was moved along its norm's kernel, and the function changed.
    FunctionChanged,
    /// The kind of some norms is not known.
    KindUnknown,
    /// A warning changes what the report can be relied on for.
    Warned,
    /// It is not known whether the scale is w or 1 + w.
    ScaleUndecided,
    /// A few channels with tiny scales are effectively off.
    ChannelsOff,
    /// Some of the weights that read norms have no effect.
    WeightsWithoutEffect,
    /// Some scales are exactly zero.
    ZeroChannels,
    /// Norms ignore one direction each.
    DeadDirection,
    /// The model has both kinds of norm.
    KindsDiffer,
    /// No norm subtracts the mean.
    NoDeadDirection,
    /// Some norms have a kernel, but none of their readers was recognised.
    ReadersUnknown,
    /// The least singular value of the residual stream falls.
    StreamFalls,
    /// A reader was moved along its norm's kernel, and the function stayed the same.
    FunctionPreserved,
    /// Measured activations agree with the checkpoint.
    Measured,
    /// The loss of a run agrees with the checkpoint.
    LossAgrees,
    /// The scales of a norm differ by a large factor.
    ScalesSpread,
}

/// A part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FindingSection {
    /// The kernel of the final norm.
    Kernel,
    /// The dead directions, reader by reader.
    Dead,
    /// The norm sites.
    Sites,
    /// The measurements on activations.
    Measured,
    /// The results of a run.
    Run,
    /// The warnings.
    Warnings,
}
