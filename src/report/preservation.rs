//! The effect of moving a reader along a direction on the function of the model.

use super::NormKind;
use serde::{Deserialize, Serialize};

/// The effect of W ← W + t a vᵀ on the function of the model, for one reader W of a site and one direction v of unit length (MATH §4). a
/// is the same random direction for every v of a site, with ‖a vᵀ‖_F = ‖W‖_F.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Preservation {
    /// Site name, or the place of a norm that is not a site of the report.
    pub site: String,
    /// Name of the weight tensor of the reader.
    pub reader: String,
    /// Whether the reader is the unembedding and shares the input embedding's matrix. Only the unembedding was moved.
    pub tied: bool,
    /// The kind that the run used for the norm.
    pub kind: NormKind,
    /// v.
    pub direction: PreservationDirection,
    /// Whether v is in the kernel of that norm. An RMSNorm does not have γ⁻¹ in its kernel, but it is tried too.
    pub in_kernel: bool,
    /// vᵀβ: the constant that moving the bias takes back.
    pub constant: f64,
    /// The measure of the change.
    pub measure: PreservationMeasure,
    /// Values by t, smallest t first.
    pub points: Vec<PreservationPoint>,
    /// Values up to this are rounding. It is the effect of a random direction at t = 2⁻²³, the rounding of the weights themselves, times
    /// 100 (for a divergence) or 10 (for a relative change).
    pub floor: f64,
    /// k of value ∝ tᵏ, from the two smallest t whose values are above the floor. For small changes that send no token to other experts,
    /// it is 2 for a divergence and 1 for a relative change. Null without two such t.
    pub exponent: Option<f64>,
    /// Whether the function is preserved.
    pub verdict: PreservationVerdict,
}

/// The effect of a moved reader at one t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PreservationPoint {
    /// ‖t a vᵀ‖_F over ‖W‖_F.
    pub t: f64,
    /// The measure.
    pub value: f64,
}

/// The direction along which a reader is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationDirection {
    /// γ⁻¹/‖γ⁻¹‖, or the first coordinate with γᵢ = 0. The bias is moved by −t a (vᵀβ).
    Kernel,
    /// The same direction without moving the bias, so that the constant t a (vᵀβ) is added. Not tried if there is no β.
    KernelBiasKept,
    /// A random direction. The bias is moved in the same way.
    Random,
}

/// How a change of the function is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationMeasure {
    /// KL(p‖p_t) of token distributions, averaged over tokens, in nats.
    Divergence,
    /// ‖h_t − h‖_F/‖h‖_F of the last hidden states, if there is no vocabulary.
    RelativeChange,
}

/// Whether the function changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationVerdict {
    /// No change except rounding at any t.
    Preserved,
    /// It changes.
    Changed,
}
