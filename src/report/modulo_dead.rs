//! The schema of how far apart two checkpoints are where they are read: as stored, and without the dead parts of their readers.

use serde::{Deserialize, Serialize};

/// How far the readers of two checkpoints are apart, as stored and in canonical form. Nothing is written to find it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModuloDead {
    /// The weights of all readers together. A matrix that reads two norms counts once.
    pub weights: ModuloDeadDifference,
    /// The biases of all readers together. Null if no reader has one.
    pub biases: Option<ModuloDeadDifference>,
    /// ‖after − before‖/‖before‖ of all other tensors together, as stored: what writes the stream, embeddings, and scales and shifts. Null
    /// if there are none, or all of them are zero in the first.
    pub others: Option<f64>,
    /// Each pair of readers, in network order.
    pub readers: Vec<ReaderDifference>,
    /// Readers, and tensors that are no readers, that only one of the two has or that have another shape there.
    pub unpaired: Vec<String>,
}

/// How far two tensors are apart. Each number is without unit, and null if the first tensor is all zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModuloDeadDifference {
    /// ‖after − before‖/‖before‖ of what is stored.
    pub stored: Option<f64>,
    /// The same in canonical form: both without what they read along the dead directions of their norms.
    pub modulo_dead: Option<f64>,
    /// ‖rounded − exact‖/‖exact‖ of the first in canonical form: how far its element type would round it. A difference of this size is
    /// rounding.
    pub rounding: Option<f64>,
}

/// A reader in both checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ReaderDifference {
    /// The norm site that it reads, in the first.
    pub norm: String,
    /// Name of its weight in the first.
    pub name: String,
    /// Name of its weight in the second.
    pub name_after: String,
    /// Its weight.
    pub weight: ModuloDeadDifference,
    /// Its bias. A missing bias is zero if the other checkpoint has one. Null if neither has one.
    pub bias: Option<ModuloDeadDifference>,
    /// Why its canonical form is what is stored, in one of the two, although its norm has dead directions. Null if that is not so.
    pub left: Option<String>,
}
