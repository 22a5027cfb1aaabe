//! The operations in which models differ. An architecture chooses one, and a device computes it.

use serde::{Deserialize, Serialize};

/// What a norm subtracts before it divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centring {
    /// The mean over the channels: LayerNorm.
    Mean,
    /// Nothing: RMSNorm.
    None,
}

/// How the weight of a linear map lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// m × k, as in torch's `Linear`.
    OutputInput,
    /// k × m, as in GPT-2's `Conv1D`.
    InputOutput,
}

/// The function between linear maps. Formulas are those of transformers for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Φ(x), by erf.
    Gelu,
    /// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    GeluTanh,
    /// x σ(1.702 x).
    GeluQuick,
    /// x σ(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    ReluSquared,
    /// tanh x.
    Tanh,
    /// σ(x).
    Sigmoid,
}

impl Activation {
    /// Returns the activation that has this name in transformers.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_accurate" => Self::GeluTanh,
            "quick_gelu" => Self::GeluQuick,
            "silu" | "swish" => Self::Silu,
            "relu" => Self::Relu,
            "relu2" => Self::ReluSquared,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            _ => return None,
        })
    }
}

/// The function that turns a router's outputs into weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Softmax over all experts.
    Softmax,
    /// Sigmoid of each expert.
    Sigmoid,
}

/// Which channels form the pairs of a rotary position code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// i and i + r/2 of the r turned channels: GPT-NeoX and most others.
    Halves,
    /// 2i and 2i + 1: GPT-J.
    Interleaved,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Token ids.
    Tokens,
    /// Images or videos.
    Pixels,
    /// Features of sounds.
    Sounds,
}

/// Where the map comes between the embedding's own width and that of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionPlace {
    /// Before the positions and segments, which then have the width of the stream.
    First,
    /// After them, and before the norm.
    BeforeNorm,
    /// After the norm.
    Last,
}

/// How a table of positions is resized to another number of rows and columns: torch's `interpolate` without aligned corners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resizing {
    /// `bicubic`.
    Bicubic,
    /// `bicubic` with `antialias`.
    Antialiased,
}
