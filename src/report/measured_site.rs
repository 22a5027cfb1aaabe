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
    /// Tokens with massive activations, which are summed one by one.
    #[cfg_attr(test, ts(type = "number"))]
    pub heavy_tokens: u64,
    /// CRC-32, in hexadecimal, of the grid and the exact sums of the covariance. It is the same on every device.
    pub gram_crc32: String,
    /// tr C/d.
    pub mean_variance: f64,
    /// λ_v, `depth` × `mean_variance`, in units of y². Null in reports of earlier versions.
    #[serde(default)]
    pub lambda_v: Option<f64>,
    /// Measured directions with an eigenvalue below τ × the mean variance (τ = 1e-6), to be compared with `predicted_below_tau` of the
    /// site's kernel. Null if the type of the stored activations has a rounding above τ, and in reports of earlier versions.
    #[serde(default)]
    pub below_tau: Option<u32>,
    /// λ_v over the mean variance, along the predicted direction. If the kernel is coordinates with zero scales, the greatest variance
    /// along any of them.
    pub depth: f64,
    /// `depth` with its range over both halves of the tokens.
    pub depth_interval: Interval,
    /// |⟨u₁, v⟩| of the bottom eigenvector and the predicted direction. If the kernel is coordinates with zero scales, the cosine of the
    /// greatest principal angle between them and the measured bottom subspace. Null if several directions lie below rounding.
    pub cos: Option<f64>,
    /// `cos` with its range over both halves. Null if a half has too few tokens or no such number.
    pub cos_interval: Option<Interval>,
    /// λ₂/λ₁. Null if rounding hides λ₁.
    pub gap: Option<f64>,
    /// `gap` with its range over both halves. Null like `cos_interval`.
    pub gap_interval: Option<Interval>,
    /// Davis–Kahan bound of sin ∠(u₁, v). Null if the spectral gap is too small for one.
    pub sin_bound: Option<f64>,
    /// Variance of x̂ along 1/√d over its mean variance. Null if x̂ is not known.
    pub depth_scale_free: Option<f64>,
    /// `depth_scale_free` with its range over both halves of the tokens.
    pub depth_scale_free_interval: Option<Interval>,
    /// |cos| of the bottom eigenvector of x̂'s covariance and 1/√d.
    pub cos_scale_free: Option<f64>,
    /// `cos_scale_free` with its range over both halves.
    pub cos_scale_free_interval: Option<Interval>,
    /// 1 − 1/((vᵀC⁻¹v)(vᵀCv)), which is 0 if v is an eigenvector. Null if C⁻¹ cannot be computed.
    pub schur: Option<f64>,
    /// `schur` with its range over both halves.
    pub schur_interval: Option<Interval>,
    /// `schur` of an exact noise direction: d/n.
    pub schur_null: f64,
    /// λ₁ ≤ … ≤ λ_d over the mean variance: all of them, or for a width above 400 a sample with the lowest 40.
    pub spectrum: Vec<Eigenvalue>,
    /// The predicted direction beside the measured one: the 64 largest components and a sample of the others. Empty if the kernel is
    /// coordinates, or if the bottom direction is not resolved.
    pub direction: Vec<Component>,
    /// Cosines of the principal angles between the measured bottom subspace and the span of v and the near-dead coordinates.
    pub principal_cosines: Option<Vec<f64>>,
    /// `principal_cosines` with their ranges over both halves. Null if a half has too few tokens.
    pub principal_cosines_interval: Option<Vec<Interval>>,
    /// The greatest variance of a channel whose scale is exactly zero. Null if there is none.
    pub zero_variance: Option<f64>,
    /// Whether the raw direction matches γ⁻¹ although the scale-free test says that no mean was subtracted.
    pub raw_test_fooled: bool,
    /// The verdict, from the scale-free test.
    pub verdict: MeasuredVerdict,
    /// Notes about these numbers.
    pub notes: Vec<String>,
}

/// What activations show about a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MeasuredVerdict {
    /// The normalised input has no variance along 1/√d: the mean was subtracted.
    MeanSubtracting,
    /// The normalised input has variance along 1/√d: the mean was not subtracted.
    NotMeanSubtracting,
    /// Neither is certain. A note says why.
    Inconclusive,
}

impl MeasuredVerdict {
    /// A depth^ below this means that the mean was subtracted, for activations of an f32 forward pass (MATH §4).
    pub const SUBTRACTED: f64 = 1e-8;
    /// A depth^ above this means that the mean was not subtracted.
    pub const NOT_SUBTRACTED: f64 = 1e-2;

    /// Describes what the norm does, as a verb.
    pub fn words(self) -> &'static str {
        match self {
            Self::MeanSubtracting => "subtracts the mean",
            Self::NotMeanSubtracting => "does not",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A number with its range over all tokens and each half of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Interval {
    /// Value on all tokens.
    pub value: f64,
    /// The least of the three values.
    pub low: f64,
    /// The greatest of the three values.
    pub high: f64,
}

/// One eigenvalue of a measured covariance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Eigenvalue {
    /// Its rank from 0, smallest first.
    pub rank: u32,
    /// λ over the mean variance.
    pub value: f64,
}

impl Eigenvalue {
    /// Eigenvalues below this × the largest are f64's own rounding (MATH §4).
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
    /// u₁ᵢ, with the sign that fits v.
    pub measured: f32,
}

/// One norm on random inputs, as both kinds. This is no evidence about the model: each kind shows what its own formula does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormAlone {
    /// Site name.
    pub name: String,
    /// ε.
    pub epsilon: f64,
    /// Whether the configuration names ε. Otherwise it is the usual 1e-5.
    pub epsilon_configured: bool,
    /// With the mean subtracted.
    pub layernorm: SiteVerification,
    /// Without subtracting the mean.
    pub rmsnorm: SiteVerification,
    /// What went wrong: a GPU that is missing or was lost.
    pub warnings: Vec<Warning>,
}
