//! One norm, measured on activations or alone.

use super::Warning;
use serde::{Deserialize, Serialize};

/// One norm, measured (MATH §4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SiteVerification {
    /// Site name.
    pub name: String,
    /// n.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Tokens with massive activations, summed one by one.
    #[cfg_attr(test, ts(type = "number"))]
    pub heavy_tokens: u64,
    /// CRC-32, in hexadecimal, of the grid and of the exact sums behind the covariance: the same on every device.
    pub gram_crc32: String,
    /// tr C/d.
    pub mean_variance: f64,
    /// λ_v, `depth` × `mean_variance`, in units of y²; null in reports from before it was there.
    #[serde(default)]
    pub lambda_v: Option<f64>,
    /// Measured directions with an eigenvalue below τ × the mean variance (τ = 1e-6), beside `predicted_below_tau` of the site's
    /// kernel; null where the activations were stored in a type whose rounding is above τ, and in reports from before it was there.
    #[serde(default)]
    pub below_tau: Option<u32>,
    /// λ_v over the mean variance, along the predicted direction; the greatest along any coordinate whose scale is zero,
    /// where those are the kernel.
    pub depth: f64,
    /// It on both halves of the tokens.
    pub depth_interval: Interval,
    /// |⟨u₁, v⟩| of the bottom eigenvector and the predicted direction; the cosine of the greatest principal angle between
    /// the zero coordinates and the measured bottom subspace, where those are the kernel; null where several directions
    /// lie below rounding.
    pub cos: Option<f64>,
    /// It on both halves; null where one of them has too few tokens, or none of the number.
    pub cos_interval: Option<Interval>,
    /// λ₂/λ₁; null where rounding does not let λ₁ be seen.
    pub gap: Option<f64>,
    /// It on both halves, as above.
    pub gap_interval: Option<Interval>,
    /// Davis–Kahan bound of sin ∠(u₁, v); null where the spectrum has no room for one.
    pub sin_bound: Option<f64>,
    /// Variance of x̂ along 1/√d over its mean variance; null where x̂ cannot be had.
    pub depth_scale_free: Option<f64>,
    /// It on both halves of the tokens.
    pub depth_scale_free_interval: Option<Interval>,
    /// |cos| of the bottom eigenvector of x̂'s covariance and 1/√d.
    pub cos_scale_free: Option<f64>,
    /// It on both halves.
    pub cos_scale_free_interval: Option<Interval>,
    /// 1 − 1/((vᵀC⁻¹v)(vᵀCv)): 0 when v is an eigenvector; null where C⁻¹ is not to be had.
    pub schur: Option<f64>,
    /// It on both halves.
    pub schur_interval: Option<Interval>,
    /// What it is for an exact noise direction: d/n.
    pub schur_null: f64,
    /// λ₁ ≤ … ≤ λ_d over the mean variance, all or, beyond a width of 400, a sample with the lowest 40.
    pub spectrum: Vec<Eigenvalue>,
    /// The predicted direction beside the measured one: the 64 largest components and a sample of the others; empty where the
    /// kernel is coordinates, or the bottom direction is not resolved.
    pub direction: Vec<Component>,
    /// Cosines of the principal angles between the near-dead coordinates with v and the measured bottom subspace.
    pub principal_cosines: Option<Vec<f64>>,
    /// They on both halves; null where one of them has too few tokens.
    pub principal_cosines_interval: Option<Vec<Interval>>,
    /// The greatest variance of a channel whose scale is exactly zero; null without one.
    pub zero_variance: Option<f64>,
    /// The raw direction matches γ⁻¹ although the scale-free test says that no mean was subtracted.
    pub raw_test_fooled: bool,
    /// The verdict, which rests on the scale-free test.
    pub verdict: MeasuredVerdict,
    /// What to know about these numbers.
    pub notes: Vec<String>,
}

/// What activations say about a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MeasuredVerdict {
    /// The normalised input has no variance along 1/√d: the mean was subtracted.
    MeanSubtracting,
    /// It has.
    NotMeanSubtracting,
    /// Neither is certain; a note says why.
    Inconclusive,
}

impl MeasuredVerdict {
    /// A depth^ below this is a subtracted mean, for activations of an f32 forward pass (MATH §4), ...
    pub const SUBTRACTED: f64 = 1e-8;
    /// ... and above this it is not.
    pub const NOT_SUBTRACTED: f64 = 1e-2;

    /// What the norm does, as a verb.
    pub fn words(self) -> &'static str {
        match self {
            Self::MeanSubtracting => "subtracts the mean",
            Self::NotMeanSubtracting => "does not",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A number and what it is on each half of the tokens: the least and the greatest of the three.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Interval {
    /// On all tokens.
    pub value: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// One eigenvalue of a measured covariance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Eigenvalue {
    /// Its rank from 0, the least first.
    pub rank: u32,
    /// λ over the mean variance.
    pub value: f64,
}

impl Eigenvalue {
    /// Below this × the largest, eigenvalues are f64's own rounding (MATH §4).
    pub const RESOLVED: f64 = 1e-13;
}

/// One component of a predicted direction and of the measured bottom eigenvector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Component {
    /// Channel.
    pub channel: u32,
    /// vᵢ.
    pub predicted: f32,
    /// u₁ᵢ, of the sign that fits v.
    pub measured: f32,
}

/// One norm on random inputs, as both kinds. No evidence about the model: each kind shows what its own formula does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormAlone {
    /// Site name.
    pub name: String,
    /// ε.
    pub epsilon: f64,
    /// Whether the configuration names it. Otherwise it is the usual 1e-5.
    pub epsilon_configured: bool,
    /// With the mean subtracted.
    pub layernorm: SiteVerification,
    /// Without.
    pub rmsnorm: SiteVerification,
    /// What went wrong on the way: a GPU that is not there, or was lost.
    pub warnings: Vec<Warning>,
}
