//! A planned measurement or run, and what it takes.

use super::{NormKind, StackSummary, Warning};
use serde::{Deserialize, Serialize};

/// A planned measurement, and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeasurementPlan {
    /// Names of the sites, in network order.
    pub sites: Vec<String>,
    /// Tokens n: the fewest and the most of any site.
    #[cfg_attr(test, ts(type = "[number, number]"))]
    pub tokens: [u64; 2],
    /// Bytes of activations to be read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications for the exact sums and the eigenvalues.
    pub operations: f64,
    /// Bytes of memory that the largest site takes.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// Estimated time in seconds, one site after the other, from a trial on this machine.
    pub seconds: f64,
    /// Operations per second in that trial: of the exact sums, and of the eigenvalues.
    pub speeds: [f64; 2],
    /// Where the exact sums are computed: "cpu", or the name of the GPU.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// What to know before the measurement begins.
    pub warnings: Vec<Warning>,
}

/// How to run a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunOptions {
    /// Tokens, rounded up to whole sequences. The default is four for each channel of the stream.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub tokens: Option<u64>,
    /// Tokens of a sequence. The default is 128, or for a decoder behind an encoder as many as it has positions for.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub sequence: Option<u64>,
    /// How many blocks to run. The default is all of them.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number | null"))]
    pub blocks: Option<u64>,
    /// Which norms are measured.
    pub sites: RunSites,
    /// What the model is run on.
    pub input: RunInput,
    /// Whether to move readers along kernels and other directions, and measure how the function changes.
    pub preservation: bool,
    /// Fields of the configuration that change nothing, although Gammascope does not know them.
    #[serde(default)]
    pub assume: Vec<String>,
    /// Bytes of memory that the run may take. A run that does not fit runs in parts. The default is no limit.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number | null"))]
    pub memory: Option<u64>,
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
    /// The sample text if a tokenizer can read it, otherwise uniform ids. Noise for a model that reads images.
    Usual,
    /// Uniform ids.
    Uniform,
    /// The user's text.
    Text,
    /// The user's token ids.
    Ids,
    /// The user's images, prepared as the checkpoint says.
    Images,
    /// The user's prepared pixels: a safetensors file with the tensor `pixel_values`.
    Pixels,
    /// The user's sounds, prepared as the checkpoint says.
    Sounds,
}

/// A planned run of a model, and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunPlan {
    /// The family that the model is run as.
    pub family: String,
    /// The kind of norm that the run assumes.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Number of sequences. Of two stacks, those of the decoder.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each sequence.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
    /// Blocks to run, of all stacks.
    #[cfg_attr(test, ts(type = "number"))]
    pub blocks: u64,
    /// Blocks that are left out.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub left_out: u64,
    /// Its encoder and its decoder, in running order. Empty for a model of one stack.
    #[serde(default)]
    pub stacks: Vec<StackSummary>,
    /// Norms to measure.
    #[cfg_attr(test, ts(type = "number"))]
    pub sites: u64,
    /// What the tokens are.
    pub input: String,
    /// Whether the run judges the kind by loss, which takes a second pass.
    pub losses: bool,
    /// Number of passes with a moved reader.
    #[cfg_attr(test, ts(type = "number"))]
    pub moves: u64,
    /// The most tokens for the loss. Fewer if fewer decide the kind.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub loss_tokens: u64,
    /// Bytes of weights to read.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Additions and multiplications of the pass and of the measurements.
    pub operations: f64,
    /// Bytes of memory for the pass: activations, the weights on the device, weights read ahead, and outputs on their way to be measured.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// Bytes of memory for measuring a norm.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory_of_site: u64,
    /// In how many parts the sequences run, because all at once do not fit into memory. 1 if they do.
    #[cfg_attr(test, ts(type = "number"))]
    pub parts: u64,
    /// Bytes outside memory for a run in parts. 0 if it is whole.
    #[cfg_attr(test, ts(type = "number"))]
    pub scratch: u64,
    /// Estimated time of the pass in seconds if the loss decides the kind at its first look, from a trial on this machine. Without a loss
    /// it is `pass_seconds`.
    pub least_pass_seconds: f64,
    /// Estimated time of the pass in seconds, from a trial on this machine.
    pub pass_seconds: f64,
    /// Estimated time of the measurements in seconds, one after the other.
    pub measuring_seconds: f64,
    /// Estimated time of the whole run in seconds with the norms of `measured_at_once` at once: if the loss decides the kind at its first
    /// look, and at its last.
    pub seconds: [f64; 2],
    /// Whether the pass and the measurements share the cores, or the GPU, so that their times add up.
    pub shared: bool,
    /// Norms that can be measured at once in memory.
    #[cfg_attr(test, ts(type = "number"))]
    pub measured_at_once: u64,
    /// Where the pass runs: "cpu", or the name of the GPU.
    pub device: String,
    /// Where the exact sums are computed.
    pub gram_device: String,
    /// The same run on other machines.
    pub machines: Vec<MachinePlan>,
    /// What to know before it begins.
    pub warnings: Vec<Warning>,
}

/// What a run takes on a named machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MachinePlan {
    /// The machine.
    pub name: String,
    /// Most bytes of memory at once.
    #[cfg_attr(test, ts(type = "number"))]
    pub memory: u64,
    /// Whether that fits.
    pub fits: bool,
    /// In how many parts the sequences run.
    #[cfg_attr(test, ts(type = "number"))]
    pub parts: u64,
    /// Bytes outside memory for a run in parts.
    #[cfg_attr(test, ts(type = "number"))]
    pub scratch: u64,
    /// Estimated seconds: the least if the loss decides at its first look, and the most.
    pub seconds: [f64; 2],
}
