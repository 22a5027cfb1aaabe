//! What an adapter wastes on the kernels of its base.

use super::{KernelForm, ReaderUse, Warning};
use serde::{Deserialize, Serialize};

/// The schema name of every adapter report.
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
    /// Description of the base, in one sentence.
    pub base_sentence: String,
    /// Name of the adapter.
    pub adapter: String,
    /// The result, in one sentence.
    pub sentence: String,
    /// Σ‖A K‖²_F ÷ Σ‖A‖²_F over the modules that read a site with a kernel. A is ΔW if a module's numbers are of that. Null without such
    /// a module, or if some numbers are of A and others of ΔW.
    pub wasted: Option<f64>,
    /// Average of `wasted` by chance: the mean of k/d, weighted like `wasted`. Null if `wasted` is null.
    pub null: Option<f64>,
    /// The modules that read a norm site, the most wasteful first.
    pub modules: Vec<AdapterModule>,
    /// Modules that were left out, each with the reason.
    pub skipped: Vec<SkippedModule>,
    /// Modules and norms of the adapter that have another path in the base.
    #[serde(default)]
    pub renamings: Vec<AdapterRenaming>,
    /// Norm sites for which the adapter has its own scale.
    #[serde(default)]
    pub own_scales: Vec<String>,
    /// What the user should know before relying on the rest.
    pub warnings: Vec<Warning>,
}

/// One adapted module that reads a norm site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AdapterModule {
    /// Name of the module in the adapter.
    pub module: String,
    /// Name of the base's weight tensor.
    pub weight: String,
    /// How the module uses the norm's output.
    #[serde(rename = "use")]
    #[cfg_attr(test, ts(rename = "use"))]
    pub used_as: ReaderUse,
    /// How the module is adapted.
    #[serde(default)]
    pub method: AdapterMethod,
    /// The norm site it reads.
    pub site: String,
    /// Whether the kernel belongs to the adapter's own scale for this site, not to the base's.
    #[serde(default)]
    pub own_scale: bool,
    /// r, the rows of LoRA's A. For other methods, the largest possible rank of ΔW.
    pub rank: u32,
    /// d, the columns of A or ΔW.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Form of the site's kernel. If it is `none` (an RMSNorm without zero scales), nothing is wasted.
    pub form: KernelForm,
    /// k, the dimension of the kernel.
    pub kernel_dimension: u32,
    /// ‖A‖²_F of LoRA's A, otherwise ‖ΔW‖²_F, before factors such as α/r.
    pub energy: f64,
    /// ‖A K‖²_F ÷ ‖A‖²_F, or the same of ΔW, 0 … 1. K is an orthonormal basis of the kernel.
    pub wasted: f64,
    /// Average of `wasted` by chance: k/d.
    pub null: f64,
    /// Standard deviation of `wasted` by chance. LoRA's A and a full difference are compared with independent Gaussian entries. Other ΔW
    /// are compared with matrices that have the same singular values and random right singular vectors.
    pub null_deviation: f64,
}

/// How a module is adapted. Numbers are of A for LoRA, otherwise of ΔW.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AdapterMethod {
    /// LoRA: ΔW = B A, and the numbers are of A.
    #[default]
    Lora,
    /// AdaLoRA: ΔW = B diag(e) A.
    AdaLora,
    /// LoHa: ΔW = (A₁ B₁) ⊙ (A₂ B₂).
    Loha,
    /// LoKr: ΔW = W₁ ⊗ W₂.
    Lokr,
    /// VeRA: ΔW = diag(b) B diag(d) A.
    Vera,
    /// ΔW itself.
    Difference,
}

/// A path of the adapter that is different in the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AdapterRenaming {
    /// Beginning of paths in the adapter, up to the number of a block, or the whole path of a module outside blocks.
    pub from: String,
    /// The same part of the path in the base.
    pub to: String,
    /// How many modules and norms of the adapter were found this way.
    pub found: u32,
}

/// One adapted module that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SkippedModule {
    /// Its name in the adapter.
    pub module: String,
    /// Why it was left out.
    pub why: String,
}
