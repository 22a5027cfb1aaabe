//! Measurements of the whole model: its sites, its residual stream and its loss.

use super::claims::Claim;
use super::random_init::RandomInit;
use super::story::Story;
use super::{Interval, NormKind, Preservation, SiteVerification};
use serde::{Deserialize, Serialize, Serializer};

/// The results on measured activations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Verification {
    /// Tokens n: the fewest of any site.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// n/d: the lowest of any site.
    pub width_ratio: f64,
    /// Precision of the activations: "f32", "f16" (any 16-bit type) or "f64". The coarsest of any site.
    pub forward: String,
    /// Where the covariance was computed: "cpu", or the name of the GPU.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Seconds of the GPU's Gram kernel, a part of `seconds`, by the GPU's own clock and summed over all workers. Null on the CPU, and if
    /// the GPU has no such clock.
    pub kernel_seconds: Option<f64>,
    /// One for each measured site.
    pub sites: Vec<SiteVerification>,
    /// The residual stream after each block, before the final norm. Empty if no forward pass was run.
    #[serde(default)]
    pub residual: Vec<ResidualBlock>,
    /// The blocks at which its least singular value falls.
    #[serde(default)]
    pub falls: Vec<ResidualFall>,
    /// The kind of the norms by loss. Null if the tokens were not run under both kinds, or were predicted no better than by a guess.
    #[serde(default)]
    pub loss: Option<KindByLoss>,
    /// The forward pass that was run here. Null for activations of the model's own code. Only the latter are evidence of the kind,
    /// because a pass shows the kind that it assumes.
    #[serde(default)]
    pub pass: Option<PassSummary>,
    /// The effect of moving the readers of some sites along a direction on the model's function. Empty if this was not tried.
    #[serde(default)]
    pub preservation: Vec<Preservation>,
    /// The same architecture at its initialisation, on the same token ids. Null if it was not run.
    #[serde(default)]
    pub random_init: Option<RandomInit>,
    /// The paper's claims compared with the results. Empty for activations of the model's own code.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// The results in the order of the paper, one sentence for each step. All null for activations of the model's own code.
    #[serde(default)]
    pub story: Story,
}

impl Verification {
    /// Returns the measurements, in programs that can measure. In the page's inspector, which cannot, the result is known at compile
    /// time, so the compiler drops all code for measured reports.
    pub(crate) fn where_measured(measured: Option<&Self>) -> Option<&Self> {
        if cfg!(feature = "verify") { measured } else { None }
    }

    pub(super) fn serialize_where_measured<S: Serializer>(
        measured: &Option<Self>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Self::where_measured(measured.as_ref()).serialize(serializer)
    }
}

/// A forward pass that was run here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PassSummary {
    /// The family that the model was run as.
    pub family: String,
    /// The kind that the run used for the final norm, or for the first one if there is no final norm.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Number of sequences. Of two stacks, those of the decoder.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each sequence.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
    /// Mean loss of the next token, in nats. Null for uniform ids, and for a model that has no head or sees later tokens.
    pub loss: Option<f64>,
    /// Blocks that were left out. 0 for a whole model.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub left_out: u64,
    /// Its encoder and its decoder, in running order. Empty for a model of one stack.
    #[serde(default)]
    pub stacks: Vec<StackSummary>,
}

/// One of two stacks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum StackName {
    /// The stack that runs first. The decoder's cross-attention reads its last hidden states.
    Encoder,
    /// The stack that runs first and reads images. A projector puts its output between the tokens of the decoder.
    Tower,
    /// The stack that runs last, and reads the output of the other one.
    Decoder,
}

impl StackName {
    /// Its name in a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Tower => "tower",
            Self::Decoder => "decoder",
        }
    }

    /// Names a block in a sentence: "block 2 of the decoder", or "block 2" in a model of one stack.
    pub fn of_block(stack: Option<Self>, block: u32) -> String {
        match stack {
            Some(stack) => format!("block {block} of the {}", stack.text()),
            None => format!("block {block}"),
        }
    }
}

/// How much of one of two stacks runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StackSummary {
    /// The stack.
    pub stack: StackName,
    /// Blocks that run.
    #[cfg_attr(test, ts(type = "number"))]
    pub blocks: u64,
    /// Sequences.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each sequence.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
}

/// The residual stream after one block (MATH §4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ResidualBlock {
    /// Block from 0, in its stack.
    pub block: u32,
    /// Which of two stacks; null in a model of one.
    #[serde(default)]
    pub stack: Option<StackName>,
    /// √λ_min of the covariance of the stream.
    pub sigma_min: f64,
    /// The least value over all tokens and both halves.
    pub low: f64,
    /// The greatest value.
    pub high: f64,
}

/// A block after which the least singular value of the stream is lower than before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ResidualFall {
    /// The block, from 0 in its stack.
    pub block: u32,
    /// The stack, if there are two. Otherwise null.
    #[serde(default)]
    pub stack: Option<StackName>,
    /// σ_min after the block over σ_min after the previous one, on all tokens and on both halves.
    pub ratio: Interval,
    /// Whether it falls on each half of the tokens. Otherwise the fall may be noise.
    pub on_both_halves: bool,
    /// In which part of the block and in which direction. Null if the stream between the parts was not measured.
    #[serde(default)]
    pub place: Option<FallPlace>,
}

/// In which part of a block the least singular value falls, and the bottom direction u of the stream after the block: the unit vector
/// along which the stream varies least.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FallPlace {
    /// The part that makes it fall by more than a hundredth.
    pub part: FallPart,
    /// σ_min after the attention over σ_min before the block. In a decoder, after both attentions.
    pub attention: f64,
    /// σ_min after the block over σ_min after the attention. The product of `attention` and `feed_forward` is the ratio of the fall.
    pub feed_forward: f64,
    /// λ₂/λ₁ of the stream after the block. If it is near 1, u is one of several directions with similar variance.
    pub gap: f64,
    /// |⟨u, u′⟩| with the bottom direction u′ before the block. 1 if the same direction becomes smaller, 0 if another one replaces it.
    pub same_direction: f64,
    /// |⟨u, 1/√d⟩|, 0 … 1: the mean over channels, which a LayerNorm subtracts.
    pub mean: f64,
    /// |⟨u, v⟩| with v = γ⁻¹/‖γ⁻¹‖ of the norm that reads the stream next. Null if one of its scales is zero, or if no such norm is
    /// known.
    pub inverse_scale: Option<f64>,
    /// Length of u in the channels that the next norm scales by at most 10⁻³ of its median scale, 0 … 1. Null if no such norm is known.
    pub near_dead: Option<f64>,
    /// How strongly the maps of the attention write along u, compared with the average direction: d·‖Uᵀu‖² ÷ ‖U‖²_F. 0 if u lies in
    /// their null space. Null if it was not computed: it is for the deepest falls only.
    #[serde(default)]
    pub attention_energy: Option<f64>,
    /// The same for the feed-forward part.
    #[serde(default)]
    pub feed_forward_energy: Option<f64>,
}

/// A part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FallPart {
    /// The attention. In a decoder, both attentions together.
    Attention,
    /// The feed-forward part.
    FeedForward,
    /// Both, or neither alone but both together.
    Both,
}

/// The loss of the same tokens with the norms as LayerNorm and as RMSNorm (MATH §4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KindByLoss {
    /// Mean loss as LayerNorms, in nats.
    pub layernorm: f64,
    /// Mean loss as RMSNorms, in nats.
    pub rmsnorm: f64,
    /// `layernorm` − `rmsnorm`, paired by token.
    pub difference: f64,
    /// Standard error of the difference: the greater of that over tokens and that over sequences.
    pub standard_error: f64,
    /// Tokens with a loss.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// The kind with the lower loss. Unknown below five standard errors.
    pub kind: NormKind,
}
