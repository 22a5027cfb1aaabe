//! What moving a reader along a direction does to the function of the model.

use super::NormKind;
use serde::{Deserialize, Serialize};

/// What W ← W + t a vᵀ does to the function of the model, for one reader W of a site and one direction v of unit length
/// (MATH §4). a is the same random direction for every v of a site, with ‖a vᵀ‖_F = ‖W‖_F.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Preservation {
    /// Site name; of a norm that is no site of the report, its place.
    pub site: String,
    /// Name of the weight tensor of the reader.
    pub reader: String,
    /// Whether the reader is the unembedding and shares the input embedding's matrix: only the unembedding was moved.
    pub tied: bool,
    /// The kind that the norm was run as.
    pub kind: NormKind,
    /// v.
    pub direction: PreservationDirection,
    /// Whether v is in the kernel of that norm: an RMSNorm has γ⁻¹ in none, and it is tried all the same.
    pub in_kernel: bool,
    /// vᵀβ: the constant that the bias takes back, where it is moved.
    pub constant: f64,
    /// What is measured.
    pub measure: PreservationMeasure,
    /// Over t, the least first.
    pub points: Vec<PreservationPoint>,
    /// Values up to this are rounding: what a random direction does here at t = 2⁻²³, the rounding of the weights themselves,
    /// times 100 (a divergence) or 10 (a relative change).
    pub floor: f64,
    /// k of value ∝ tᵏ, from the two least t whose values are above the floor: 2 of a divergence and 1 of a relative change,
    /// where the change is small and sends no token to other experts; null without two such t.
    pub exponent: Option<f64>,
    /// Whether all values are at the floor.
    pub verdict: PreservationVerdict,
}

/// What a moved reader does at one t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PreservationPoint {
    /// ‖t a vᵀ‖_F over ‖W‖_F.
    pub t: f64,
    /// The measure.
    pub value: f64,
}

/// Which direction a reader is moved along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationDirection {
    /// γ⁻¹/‖γ⁻¹‖, or the first coordinate with γᵢ = 0; the bias is moved by −t a (vᵀβ).
    Kernel,
    /// The same, and the bias stays: the constant t a (vᵀβ) is added. Not tried where there is no β.
    KernelBiasKept,
    /// A random direction; the bias is moved the same way.
    Random,
}

/// How a change of the function is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationMeasure {
    /// KL(p‖p_t) of token distributions, the mean over tokens, in nats.
    Divergence,
    /// ‖h_t − h‖_F/‖h‖_F of the last hidden states, where there is no vocabulary.
    RelativeChange,
}

/// What became of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PreservationVerdict {
    /// No change but rounding, at any t.
    Preserved,
    /// It changes.
    Changed,
}
