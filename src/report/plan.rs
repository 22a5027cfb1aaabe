//! What is about to be measured or run, and what that takes.

use super::{NormKind, StackSummary, Warning};
use serde::{Deserialize, Serialize};

/// What is about to be measured, and what that takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeasurementPlan {
    /// Names of the sites, in the order of the network.
    pub sites: Vec<String>,
    /// Tokens n, the fewest and the most of any site.
    #[cfg_attr(test, ts(type = "[number, number]"))]
    pub tokens: [u64; 2],
    /// Bytes of activations to be read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications, of the exact sums and of the eigenvalues.
    pub operations: f64,
    /// Bytes of memory that the largest site takes.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// About how long it takes, one site after the other, judged by a trial on this machine.
    pub seconds: f64,
    /// Operations a second of the exact sums and of the eigenvalues, in that trial.
    pub speeds: [f64; 2],
    /// Where the exact sums are computed: "cpu", or the name of the GPU.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// What to know before it begins.
    pub warnings: Vec<Warning>,
}

/// How a model is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunOptions {
    /// Tokens, rounded up to whole sequences; without, four for each channel of the stream.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub tokens: Option<u64>,
    /// Tokens of a sequence; without, 128, or as many as a decoder behind an encoder has positions for.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub sequence: Option<u64>,
    /// Blocks, from the first on; without, all of them.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number | null"))]
    pub blocks: Option<u64>,
    /// Which norms are measured.
    pub sites: RunSites,
    /// What is run.
    pub input: RunInput,
    /// Whether readers are moved along their kernels and other directions, to see what the function does.
    pub preservation: bool,
}

/// Which norms of a run are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunSites {
    /// The final norm.
    Final,
    /// All of them.
    All,
}

/// What a model is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunInput {
    /// The sample text if there is a tokenizer for it, otherwise uniform ids; noise for a model that reads images.
    Usual,
    /// Uniform ids.
    Uniform,
    /// A text of the user's.
    Text,
    /// Token ids of the user's.
    Ids,
    /// Images of the user's, prepared as the checkpoint asks for it.
    Images,
    /// Prepared pixels of the user's: a safetensors file with the tensor `pixel_values`.
    Pixels,
    /// Sounds of the user's, prepared as the checkpoint asks for it.
    Sounds,
}

/// A model that is about to be run, and what that takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunPlan {
    /// The family it is run as.
    pub family: String,
    /// The kind that the run assumes of its norms.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Sequences; those of the decoder, where there are two stacks.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
    /// Blocks that are run, of all stacks.
    #[cfg_attr(test, ts(type = "number"))]
    pub blocks: u64,
    /// Blocks after those.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub left_out: u64,
    /// Its encoder and its decoder, in the order in which they run; empty for a model of one stack.
    #[serde(default)]
    pub stacks: Vec<StackSummary>,
    /// Norms that are measured.
    #[cfg_attr(test, ts(type = "number"))]
    pub sites: u64,
    /// What the tokens are.
    pub input: String,
    /// Whether the kind is judged by loss, which takes a second pass.
    pub losses: bool,
    /// Passes with a reader moved.
    #[cfg_attr(test, ts(type = "number"))]
    pub moves: u64,
    /// Tokens that it is judged by at most; fewer where fewer decide it.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub loss_tokens: u64,
    /// Bytes of weights to be read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications of the pass and of what is measured.
    pub operations: f64,
    /// Bytes of memory that the pass takes: activations, the weights of the largest part of a block, and what is read ahead.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// Bytes of memory that measuring a norm takes.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory_of_site: u64,
    /// About how long the pass takes, judged by a trial on this machine.
    pub pass_seconds: f64,
    /// About how long it takes to measure, one thing after the other.
    pub measuring_seconds: f64,
    /// Where the pass runs: "cpu", or the name of the GPU.
    pub device: String,
    /// Where the exact sums are computed.
    pub gram_device: String,
    /// What to know before it begins.
    pub warnings: Vec<Warning>,
}
