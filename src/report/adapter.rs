//! What an adapter wastes on the kernels of its base.

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
    /// Σ‖A K‖²_F ÷ Σ‖A‖²_F over the modules that read a site with a kernel, A being ΔW where a module's numbers are of that; null
    /// without such a module, and where some numbers are of A and others of ΔW.
    pub wasted: Option<f64>,
    /// What it is by chance: the mean of k/d, weighted as `wasted` is; null without one.
    pub null: Option<f64>,
    /// The modules that read a norm site, the most wasteful first.
    pub modules: Vec<AdapterModule>,
    /// Modules that were left out, each with the reason.
    pub skipped: Vec<SkippedModule>,
    /// Where the adapter's modules have other paths in the base.
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
    /// Name of the adapted module, as the adapter has it.
    pub module: String,
    /// Name of the base's weight tensor.
    pub weight: String,
    /// How it uses the norm's output.
    #[serde(rename = "use")]
    #[cfg_attr(test, ts(rename = "use"))]
    pub used_as: ReaderUse,
    /// How it is adapted.
    #[serde(default)]
    pub method: AdapterMethod,
    /// The norm site it reads.
    pub site: String,
    /// Whether the kernel is that of the adapter's own scale for this site, not of the base's.
    #[serde(default)]
    pub own_scale: bool,
    /// r, the rows of LoRA's A; for other methods the largest rank that ΔW can have.
    pub rank: u32,
    /// d, the columns of A or ΔW.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Form of the site's kernel; `none` (an RMSNorm without zero scales) wastes nothing.
    pub form: KernelForm,
    /// k, the dimension of the kernel.
    pub kernel_dimension: u32,
    /// ‖A‖²_F of LoRA's A, otherwise ‖ΔW‖²_F, before any factor such as α/r.
    pub energy: f64,
    /// ‖A K‖²_F ÷ ‖A‖²_F, or the same of ΔW, K an orthonormal basis of the kernel: 0 … 1.
    pub wasted: f64,
    /// What it is by chance: k/d.
    pub null: f64,
    /// Its standard deviation by chance: for independent Gaussian entries, of LoRA's A and of a full difference; otherwise for a ΔW with
    /// its own singular values and right singular vectors at random.
    pub null_deviation: f64,
}

/// How a module is adapted, and so what its numbers are of: LoRA's A, otherwise ΔW.
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

/// A path of the adapter that is another one in the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AdapterRenaming {
    /// What paths of the adapter begin with, up to the number of a block, or the whole path of a module outside blocks.
    pub from: String,
    /// What stands there in the base.
    pub to: String,
    /// Modules and norms of the adapter that were found so.
    pub found: u32,
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
