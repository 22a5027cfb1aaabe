//! What a low-rank adapter wastes on the kernels of its base.

use super::{KernelForm, ReaderUse, Warning};
use serde::{Deserialize, Serialize};

/// The schema name every adapter report carries.
pub const SCHEMA: &str = "gammascope.adapter/1";

/// Wasted energy of an adapter, module by module. Fields may be added under the same schema name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AdapterReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the base checkpoint.
    pub base: String,
    /// What the base is, in one sentence.
    pub base_sentence: String,
    /// Name of the adapter.
    pub adapter: String,
    /// What was found, in one sentence.
    pub sentence: String,
    /// Σ‖A K‖²_F ÷ Σ‖A‖²_F over the modules that read a site with a kernel; null without one.
    pub wasted: Option<f64>,
    /// What it is by chance: the mean of k/d, weighted as `wasted` is; null without one.
    pub null: Option<f64>,
    /// The modules that read a norm site, the most wasteful first.
    pub modules: Vec<AdapterModule>,
    /// Modules that were left out, each with the reason.
    pub skipped: Vec<SkippedModule>,
    /// What the user should know before relying on the rest.
    pub warnings: Vec<Warning>,
}

/// One adapted module that reads a norm site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AdapterModule {
    /// Name of the adapted module, as the adapter has it.
    pub module: String,
    /// Name of the base's weight tensor.
    pub weight: String,
    /// How it uses the norm's output.
    #[serde(rename = "use")]
    #[cfg_attr(test, ts(rename = "use"))]
    pub used_as: ReaderUse,
    /// The norm site it reads.
    pub site: String,
    /// r, the rows of A.
    pub rank: u32,
    /// d, the columns of A.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Form of the site's kernel; `none` (an RMSNorm without zero scales) wastes nothing.
    pub form: KernelForm,
    /// k, the dimension of the kernel.
    pub kernel_dimension: u32,
    /// ‖A‖²_F.
    pub energy: f64,
    /// ‖A K‖²_F ÷ ‖A‖²_F, K an orthonormal basis of the kernel: 0 … 1.
    pub wasted: f64,
    /// What it is by chance: k/d.
    pub null: f64,
    /// Its standard deviation by chance, for an A of independent Gaussian entries.
    pub null_deviation: f64,
}

/// One adapted module that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SkippedModule {
    /// Its name, as the adapter has it.
    pub module: String,
    /// Why.
    pub why: String,
}
