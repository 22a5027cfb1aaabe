//! The schema of what `gammascope fold` did: which norms were folded, which tensors changed, and how far they were rounded.

use super::NormKind;
use super::repair::OffsetRepair;
use serde::{Deserialize, Serialize};

/// The schema name of every such report.
pub const SCHEMA: &str = "gammascope.fold/1";

/// What was done to a checkpoint, or would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// What was asked for.
    pub operations: Vec<FoldOperation>,
    /// The norms of the model, in network order.
    pub norms: Vec<FoldedNorm>,
    /// The tensors that write the residual stream, if centring was asked for.
    pub writers: Vec<FoldedWriter>,
    /// Why no writer is centred, if so.
    pub not_centred: Option<String>,
    /// Whether the unembedding is stored beside the embedding.
    #[serde(default)]
    pub untied: FoldOutcome,
    /// Whether maps get biases that their family's code reads.
    #[serde(default)]
    pub added_biases: FoldOutcome,
    /// `model_type` of the result, if it is not that of the original.
    #[serde(default)]
    pub family: Option<String>,
    /// Files beside the weights that are not those of the original.
    #[serde(default)]
    pub files: Vec<String>,
    /// The tensors that change or go, in the order of the files, and then those that are new.
    pub tensors: Vec<FoldedTensor>,
    /// Bytes of all shards.
    pub bytes: u64,
    /// How wrong offsets of scales were repaired. Null if that was not asked for. Then the function changes, and no norm is listed.
    #[serde(default)]
    pub repair: Option<OffsetRepair>,
    /// Both checkpoints on the same tokens. Null if they were not run.
    pub proof: Option<FoldProof>,
}

/// What can be done to a checkpoint without changing its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldOperation {
    /// Scales go into readers.
    Scales,
    /// Shifts go into the biases of readers.
    Shifts,
    /// Writers lose their mean over the channels.
    Centre,
    /// Readers lose what they read along the dead directions of their norms.
    Canonical,
    /// The unembedding is stored beside the embedding.
    Untie,
    /// Maps get biases that their family's code reads.
    AddBiases,
    /// RMSNorms take the place of LayerNorms.
    RmsNorm,
    /// Scales that hold a 1 too many or too few are stored as the family's code expects. This changes the function.
    RepairOffset,
}

/// What became of a part of a norm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FoldOutcome {
    /// It was not asked for.
    #[default]
    NotAsked,
    /// There was nothing to do.
    Nothing,
    /// It was done.
    Done,
    /// It was left as it is.
    Left {
        /// Why.
        why: String,
    },
}

/// One norm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldedNorm {
    /// Name of its site.
    pub name: String,
    /// Its kind.
    pub kind: NormKind,
    /// Its scale.
    pub scale: FoldOutcome,
    /// Its shift.
    pub shift: FoldOutcome,
    /// The dead part of its readers.
    pub canonical: FoldOutcome,
    /// Channels whose scale is exactly zero, in ascending order.
    pub channels_off: Vec<u32>,
    /// The maps that read it.
    pub readers: Vec<FoldedReader>,
}

/// A map that reads a norm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedReader {
    /// Name of its weight.
    pub name: String,
    /// Its dead part.
    pub canonical: FoldOutcome,
}

/// A tensor that writes the residual stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedWriter {
    /// Its name.
    pub name: String,
    /// Whether it was centred.
    pub centred: FoldOutcome,
}

/// A tensor that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldedTensor {
    /// Its name.
    pub name: String,
    /// Its element type, which stays.
    pub dtype: String,
    /// Number of its values.
    pub values: u64,
    /// What happens to it. The function stays the same because this is done.
    pub identity: String,
    /// ‖rounded − exact‖/‖exact‖: how far the exact result was rounded to the element type. Null before it is written.
    pub rounding: Option<f64>,
}

/// Both checkpoints on the same tokens, and the floor: the original with the last bit of half of its weights flipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldProof {
    /// Number of tokens.
    pub tokens: u64,
    /// ‖difference‖/‖original‖ of the residual stream after each block, without its mean over the channels if writers were centred.
    pub blocks: Vec<FoldDifference>,
    /// The same of the last hidden states. Null with a head, because it may have taken over the scale of the last norm.
    pub hidden: Option<FoldDifference>,
    /// The same of the logits. Null without a head.
    pub logits: Option<FoldDifference>,
    /// Mean KL divergence of the next-token distributions, in nats. Null without a head.
    pub divergence: Option<FoldDifference>,
    /// Whether the logits, or without a head the last hidden states, differ by no more than ten times the floor.
    pub same: bool,
}

/// A difference and its floor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoldDifference {
    /// Of the result.
    pub found: f64,
    /// Of the original with moved weights.
    pub floor: f64,
}
