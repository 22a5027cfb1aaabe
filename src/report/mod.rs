//! The report: all results about a checkpoint, as one serialisable value.
//!
//! The page, the command line and `window.gammascope` all show this and nothing else. Fields may be added under the same schema name. No
//! field is removed or changes its meaning. `www/report.ts` is generated from this folder (`src/typescript.rs` fails if the two differ).

use serde::{Deserialize, Serialize};

mod checkpoint;
mod evidence;
mod finding;
mod measured_site;
mod model;
mod preservation;
mod reader;
mod site;
mod site_kernel;
mod standing_out;
mod verification;
mod warning;
mod writer;

pub mod adapter;
pub mod check;
pub mod claims;
pub mod comparison;
pub mod contents;
pub mod fold;
pub mod kernels;
pub mod measured;
pub mod modulo_dead;
pub mod plan;
pub mod prune;
pub mod random_init;
pub mod reasons;
pub mod repair;
pub mod scan;
pub mod sentence;
pub mod story;
pub mod words;

pub use checkpoint::{CheckpointSummary, RemoteSummary, SharedSummary};
pub use evidence::{AlternativeReport, EvidenceReport, NormBehaviour, NormKind};
pub use finding::{Finding, FindingCode, FindingSection};
pub use measured_site::{Component, Eigenvalue, Interval, MeasuredVerdict, NormAlone, SiteVerification};
pub use model::{ModelSummary, ModelVerdict, PartSummary};
pub use preservation::{
    Preservation, PreservationDirection, PreservationMeasure, PreservationPoint, PreservationVerdict,
};
pub use reader::{DeadDirections, DeadParameters, NOT_COUNTED, ReaderReport, ReaderUse};
pub use site::{NormReport, NormRole, ScaleConvention};
pub use site_kernel::{KernelForm, KernelReport};
pub use verification::{
    FallPart, FallPlace, KindByLoss, PassSummary, ResidualBlock, ResidualFall, StackName, StackSummary,
    Verification,
};
pub use warning::{Warning, WarningCode};
pub use writer::{WriterPart, WriterReport};

/// The schema name of every report.
pub const SCHEMA: &str = "gammascope.report/1";

/// The result of one inspection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote the report.
    pub tool_version: String,
    /// The files that were read.
    pub checkpoint: CheckpointSummary,
    /// The verdict on the model as a whole.
    pub model: ModelSummary,
    /// What stands out, most important first. [`Report::find`] makes it from the rest of the report. Empty in links.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Every norm site, in network order.
    pub norms: Vec<NormReport>,
    /// The dead parameter directions of all readers together.
    pub dead_parameters: DeadParameters,
    /// The sampled writers of the residual streams. Empty if none was sampled.
    pub writers: Vec<WriterReport>,
    /// Measured activations. Null until something is measured.
    #[serde(serialize_with = "Verification::serialize_where_measured")]
    pub verification: Option<Verification>,
    /// What the user should know before relying on the rest.
    pub warnings: Vec<Warning>,
    /// The origin of a report from a link, which holds less than a checkpoint. Null for an open checkpoint.
    #[serde(default)]
    pub shared: Option<SharedSummary>,
}

impl Report {
    /// The measured activations, if there are any.
    pub fn measured(&self) -> Option<&Verification> {
        Verification::where_measured(self.verification.as_ref())
    }
}
