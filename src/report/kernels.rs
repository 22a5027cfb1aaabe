//! Exported kernel directions: the JSON schema, and the metadata of a safetensors file.

use super::{KernelForm, NormKind};
use serde::{Deserialize, Serialize};

/// The schema name of every export.
pub const SCHEMA: &str = "gammascope.kernels/1";

/// The meaning of the numbers, in every export.
pub const CONVENTION: &str = "y is a norm's output, shift included; v has unit length and v·y is the same for every token: `constant`. A site's `kernel` is v (d values, the sign of 1/scale), or k unit vectors (k x d) of channels whose scale is exactly zero; `constant` is v·shift (one value a direction). A reader W (m x d), bias b, of y is the same function as W - (W v)v^T with bias b + (W v)constant.";

/// The kernels of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelExport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// Always [`CONVENTION`].
    pub convention: String,
    /// The sites that have a kernel, in network order.
    pub sites: Vec<ExportedKernel>,
}

/// The kernel of one site: one direction, or coordinates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ExportedKernel {
    /// Name of the site.
    pub name: String,
    /// d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Its kind.
    pub kind: NormKind,
    /// Probability that the kind is right, 0 to 1. 0 if unknown. Coordinates do not depend on the kind.
    pub confidence: f64,
    /// `inverse_scale` or `coordinates`.
    pub form: KernelForm,
    /// v = γ⁻¹/‖γ⁻¹‖ (d values). Null for coordinates.
    pub direction: Option<Vec<f64>>,
    /// HM(γ²)/AM(γ²): how much deeper the trained scale makes the kernel than γ = 1. Null for coordinates, and in exports of earlier
    /// versions.
    #[serde(default)]
    pub deepening: Option<f64>,
    /// Channels whose scale is exactly zero, in ascending order. Empty for a direction.
    pub coordinates: Vec<u32>,
    /// uᵀβ for each u of the kernel (one, or one for each coordinate), which is uᵀy for every token. Null if the shift could not be read.
    pub constant: Option<Vec<f64>>,
}
