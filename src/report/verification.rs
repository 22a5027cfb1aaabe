//! What measured activations say about the whole model: its sites, its residual stream and its loss.

use super::claims::Claim;
use super::random_init::RandomInit;
use super::{Interval, NormKind, Preservation, SiteVerification};
use serde::{Deserialize, Serialize, Serializer};

/// What measured activations say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Verification {
    /// Tokens n, the fewest of any site.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// n/d, the least of any site.
    pub width_ratio: f64,
    /// Precision of the activations: "f32", "f16" (any 16-bit type) or "f64", the coarsest of any site.
    pub forward: String,
    /// Where the covariance was computed: "cpu", or the name of the GPU.
    pub device: String,
    /// File of the activations.
    pub input: String,
    /// Wall time.
    pub seconds: f64,
    /// Of them, those of the GPU's Gram kernel, by the GPU's own clock and all workers together; null on the CPU and where the
    /// GPU has no such clock.
    pub kernel_seconds: Option<f64>,
    /// One for each measured site.
    pub sites: Vec<SiteVerification>,
    /// The residual stream after each block, before the final norm; empty where no forward pass was run.
    #[serde(default)]
    pub residual: Vec<ResidualBlock>,
    /// Where its least singular value falls.
    #[serde(default)]
    pub falls: Vec<ResidualFall>,
    /// The kind of the norms by loss; null where the tokens were not run under both kinds, or predicted no better than a guess.
    #[serde(default)]
    pub loss: Option<KindByLoss>,
    /// The forward pass that was run here; null for activations of the model's own code. Only those are evidence of the kind: a
    /// pass assumes the kind, and shows what it assumes.
    #[serde(default)]
    pub pass: Option<PassSummary>,
    /// What moving the readers of some sites along a direction does to the model's function; empty where that was not tried.
    #[serde(default)]
    pub preservation: Vec<Preservation>,
    /// The same architecture at its initialisation, on the same token ids; null where it was not run beside the trained one.
    #[serde(default)]
    pub random_init: Option<RandomInit>,
    /// The paper's claims next to what was found; empty for activations of the model's own code.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

impl Verification {
    /// What was measured, in programs that can measure. The page's inspector cannot: there the answer is known at compile time, and
    /// the compiler leaves out everything that only a measured report needs.
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
    /// The family it was run as.
    pub family: String,
    /// The kind that the run used for the final norm, or for the first one if there is no final norm.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Sequences; those of the decoder, where there are two stacks.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each.
    #[cfg_attr(test, ts(type = "number"))]
    pub length: u64,
    /// Mean loss of the next token, in nats; null for uniform ids, and for a model without a head or that sees later tokens.
    pub loss: Option<f64>,
    /// Blocks after those that were run: 0 of a whole model.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "number"))]
    pub left_out: u64,
    /// Its encoder and its decoder, in the order in which they ran; empty for a model of one stack.
    #[serde(default)]
    pub stacks: Vec<StackSummary>,
}

/// One of two stacks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum StackName {
    /// The one that runs first, and whose last hidden states the cross-attention of a decoder reads.
    Encoder,
    /// The one that runs first and reads images; a projector puts what it gives between the tokens of a decoder.
    Tower,
    /// The one that runs last, and reads what the other gives.
    Decoder,
}

impl StackName {
    /// In a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Tower => "tower",
            Self::Decoder => "decoder",
        }
    }

    /// "block 2 of the decoder"; in a model of one stack "block 2".
    pub fn of_block(stack: Option<Self>, block: u32) -> String {
        match stack {
            Some(stack) => format!("block {block} of the {}", stack.text()),
            None => format!("block {block}"),
        }
    }
}

/// How much of one of two stacks is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StackSummary {
    /// Which one.
    pub stack: StackName,
    /// Blocks that are run.
    #[cfg_attr(test, ts(type = "number"))]
    pub blocks: u64,
    /// Sequences.
    #[cfg_attr(test, ts(type = "number"))]
    pub sequences: u64,
    /// Tokens of each.
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
    /// The least of it on all tokens and on both halves.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// A block after which the least singular value of the stream is less than before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ResidualFall {
    /// The block, from 0 in its stack.
    pub block: u32,
    /// Which of two stacks; null in a model of one.
    #[serde(default)]
    pub stack: Option<StackName>,
    /// σ_min after it over σ_min after the one before, on all tokens and on both halves.
    pub ratio: Interval,
    /// Whether it falls on either half of the tokens alone: a fall that is not is perhaps noise.
    pub on_both_halves: bool,
    /// Where in the block, and in which direction; null where the stream between the parts of the block was not measured.
    #[serde(default)]
    pub place: Option<FallPlace>,
}

/// Where in a block the least singular value falls, and the bottom direction u of the stream after it: the unit vector along which
/// the stream varies least.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FallPlace {
    /// The part of the block that makes it fall by more than a hundredth.
    pub part: FallPart,
    /// σ_min after the attention over σ_min before the block; in a decoder after both its attentions, that to its encoder too.
    pub attention: f64,
    /// σ_min after the block over σ_min after the attention. The product of both is the ratio of the fall.
    pub feed_forward: f64,
    /// λ₂/λ₁ of the stream after the block. Where it is near 1, u is one of several directions that are nearly alike.
    pub gap: f64,
    /// |⟨u, u′⟩| with the bottom direction u′ before the block: 1 where the same direction becomes smaller, 0 where another one
    /// takes its place.
    pub same_direction: f64,
    /// |⟨u, 1/√d⟩|, 0 … 1: the mean over channels, which a LayerNorm subtracts.
    pub mean: f64,
    /// |⟨u, v⟩| with v = γ⁻¹/‖γ⁻¹‖ of the norm that reads the stream next; null where a scale of it is zero, or none is known.
    pub inverse_scale: Option<f64>,
    /// The length of u in the channels that the next norm scales by at most 10⁻³ of its median scale, 0 … 1; null where no such
    /// norm is known.
    pub near_dead: Option<f64>,
}

/// A part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FallPart {
    /// The attention; of a decoder, both attentions together.
    Attention,
    /// The feed-forward part.
    FeedForward,
    /// Both, or only both together.
    Both,
}

/// The loss of the same tokens with the norms as LayerNorm and as RMSNorm (MATH §4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KindByLoss {
    /// Mean loss as LayerNorms, in nats.
    pub layernorm: f64,
    /// As RMSNorms.
    pub rmsnorm: f64,
    /// The former less the latter, paired by token.
    pub difference: f64,
    /// Its standard error: of tokens or of sequences, the greater.
    pub standard_error: f64,
    /// Tokens with a loss.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// The kind that costs less; unknown under five standard errors.
    pub kind: NormKind,
}
