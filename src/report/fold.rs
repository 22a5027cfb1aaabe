//! The schema of what `gammascope fold` did: which norms were folded, which tensors changed, and how far they were rounded.

use super::NormKind;
use super::repair::OffsetRepair;
use super::words::plural;
use serde::{Deserialize, Serialize};

/// The schema name of every such report.
pub const SCHEMA: &str = "gammascope.fold/1";

/// What was done to a checkpoint, or would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// The result, in one sentence.
    #[serde(default)]
    pub sentence: String,
    /// What was asked for.
    pub operations: Vec<FoldOperation>,
    /// Fields of the configuration that are not known here. The user says that they change nothing.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// The norms of the model, in network order.
    pub norms: Vec<FoldedNorm>,
    /// The tensors that write the residual stream, if centring was asked for.
    pub writers: Vec<FoldedWriter>,
    /// Why no writer is centred, if so.
    pub not_centred: Option<String>,
    /// Why norms and writers were left as they are.
    #[serde(default)]
    pub left: Vec<FoldLeft>,
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
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// How wrong offsets of scales were repaired. Null if that was not asked for. Then the function changes, and no norm is listed.
    #[serde(default)]
    pub repair: Option<OffsetRepair>,
    /// Both checkpoints on the same tokens. Null if they were not run.
    pub proof: Option<FoldProof>,
}

impl FoldReport {
    /// Writes `sentence` and `left` from the rest.
    pub fn summarise(&mut self) {
        let changed = plural(self.tensors.len(), "tensor");
        let is_written = self.tensors.iter().all(|tensor| tensor.rounding.is_some());
        let rounding = self.largest_rounding().filter(|_| is_written);
        self.sentence = match (&self.proof, rounding) {
            (Some(proof), _) => proof.sentence(),
            (None, Some((rounding, _))) => format!(
                "{changed} of {} changed. Each is exact up to one rounding of its numbers, at most {rounding:.1e} of the tensor.",
                self.checkpoint
            ),
            (None, None) => format!("{changed} of {} would change.", self.checkpoint),
        };
        self.left = self.reasons();
    }

    /// The largest rounding of a tensor, and its name. `None` before anything is written.
    pub fn largest_rounding(&self) -> Option<(f64, &str)> {
        let written = self.tensors.iter().filter_map(|tensor| Some((tensor.rounding?, tensor.name.as_str())));
        written.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn reasons(&self) -> Vec<FoldLeft> {
        let norms = self.norms.iter().flat_map(|norm| {
            [&norm.scale, &norm.shift, &norm.canonical].map(|outcome| (outcome, &norm.name))
        });
        let writers = self.writers.iter().map(|writer| (&writer.centred, &writer.name));
        let mut left: Vec<FoldLeft> = Vec::new();
        for (outcome, name) in norms.chain(writers) {
            let FoldOutcome::Left { why } = outcome else { continue };
            let why = without_numbers(why);
            match left.iter_mut().find(|one| one.why == why) {
                Some(one) if one.names.last() == Some(name) => {}
                Some(one) => one.names.push(name.clone()),
                None => left.push(FoldLeft { why, names: vec![name.clone()] }),
            }
        }
        left
    }
}

/// A reason with a star for each number between dots, so that it is the same in every block.
fn without_numbers(why: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    why.split('.').map(|part| if is_number(part) { "*" } else { part }).collect::<Vec<_>>().join(".")
}

impl FoldProof {
    /// What decides, and its name: the logits, or without a head the last hidden states.
    pub fn deciding(&self) -> Option<(&'static str, FoldDifference)> {
        let logits = self.logits.map(|logits| ("logits", logits));
        logits.or(self.hidden.map(|hidden| ("last hidden states", hidden)))
    }

    fn sentence(&self) -> String {
        let (what, FoldDifference { found, floor }) =
            self.deciding().unwrap_or(("outputs", FoldDifference { found: f64::NAN, floor: f64::NAN }));
        let computes = if self.same { "the same as the original" } else { "something else" };
        format!(
            "The result computes {computes}: its {what} differ by {found:.1e}, and rounding alone moves them by {floor:.1e}."
        )
    }
}

/// What can be done to a checkpoint without changing its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
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

/// Why something was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldLeft {
    /// The reason, with a star for each number in a name.
    pub why: String,
    /// The norms and writers.
    pub names: Vec<String>,
}

/// A map that reads a norm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldedReader {
    /// Name of its weight.
    pub name: String,
    /// Its dead part.
    pub canonical: FoldOutcome,
}

/// A tensor that writes the residual stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldedWriter {
    /// Its name.
    pub name: String,
    /// Whether it was centred.
    pub centred: FoldOutcome,
}

/// A tensor that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldedTensor {
    /// Its name.
    pub name: String,
    /// Its element type, which stays.
    pub dtype: String,
    /// Number of its values.
    #[cfg_attr(test, ts(type = "number"))]
    pub values: u64,
    /// What happens to it. The function stays the same because this is done.
    pub identity: String,
    /// ‖rounded − exact‖/‖exact‖: how far the exact result was rounded to the element type. Null before it is written.
    pub rounding: Option<f64>,
    /// No input changes what the tensor computes by more than this, because of the rounding: a Euclidean norm over its outputs. Null before
    /// it is written, and for a writer, whose input no parameter bounds.
    #[serde(default)]
    pub bound: Option<f64>,
}

/// Both checkpoints on the same tokens, and the floor: the original with the last bit of half of its weights flipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldProof {
    /// Number of tokens.
    #[cfg_attr(test, ts(type = "number"))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldDifference {
    /// Of the result.
    pub found: f64,
    /// Of the original with moved weights.
    pub floor: f64,
}
