//! The kernel of one site.

use serde::{Deserialize, Serialize};

/// Which directions are an exact kernel of the centred covariance of y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum KernelForm {
    /// v = γ⁻¹/‖γ⁻¹‖: a LayerNorm without zero scales.
    InverseScale,
    /// The coordinates whose scale is exactly zero.
    Coordinates,
    /// No kernel: an RMSNorm without zero scales.
    None,
    /// The kind or the scale is not known.
    Unknown,
}

/// The kernel of one site and how concentrated it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelReport {
    /// Which directions it spans.
    pub form: KernelForm,
    /// Indices with γᵢ = 0 exactly.
    pub coordinates: Vec<u32>,
    /// 1/Σvᵢ⁴: how many coordinates share the direction (1 … d). Only for `inverse_scale`.
    pub participation: Option<f64>,
    /// max|vᵢ|. Only for `inverse_scale`.
    pub max_component: Option<f64>,
    /// Index of max|vᵢ|. Only for `inverse_scale`.
    pub max_index: Option<u32>,
    /// ‖γ⁻¹‖. Only for `inverse_scale`.
    pub inverse_norm: Option<f64>,
    /// HM(γ²)/AM(γ²): how much deeper the trained scale makes the kernel (λ_v over the mean variance) than γ = 1 does. It predicts the
    /// trained depth over the depth at the initialisation without a run (MATH §9). Only for `inverse_scale`. Null in reports of earlier
    /// versions.
    #[serde(default)]
    pub deepening: Option<f64>,
    /// min|γᵢ|.
    pub scale_min_abs: Option<f64>,
    /// Median |γᵢ|.
    pub scale_median_abs: Option<f64>,
    /// max|γᵢ|.
    pub scale_max_abs: Option<f64>,
    /// max|γ|/min|γ|. Null if a scale is zero.
    pub condition: Option<f64>,
    /// Indices with |γᵢ| ≤ 1e-3 median, including zeros.
    pub near_dead: Vec<u32>,
    /// Σvᵢ² over the near-dead coordinates: their share of the direction (0 … 1). Only for `inverse_scale`.
    pub near_dead_weight: Option<f64>,
    /// Directions predicted below τ·mean (τ = 1e-6) if x̂ were isotropic, including the exact kernel. Null if the kind is not known.
    pub predicted_below_tau: Option<u32>,
}
