//! The report: everything Gammascope says about a checkpoint, as one serialisable value.
//!
//! The page, the command line and `window.gammascope` all show this and nothing else. Fields may be added under
//! the same schema name; none is removed or changes its meaning. `www/report.ts` is generated from this file
//! (`src/typescript.rs` fails when the two drift apart).

use serde::{Deserialize, Serialize};

pub mod adapter;
pub mod claims;
pub mod comparison;
pub mod kernels;
pub mod measured;
pub mod random_init;
pub mod scan;
pub mod sentence;

/// The schema name every report carries.
pub const SCHEMA: &str = "gammascope.report/1";

/// What one inspection found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote the report.
    pub tool_version: String,
    /// The files that were read.
    pub checkpoint: CheckpointSummary,
    /// The verdict on the model as a whole.
    pub model: ModelSummary,
    /// Every norm site, in the order of the network.
    pub norms: Vec<NormReport>,
    /// The dead parameter directions of all readers together.
    pub dead_parameters: DeadParameters,
    /// The sampled writers of the residual streams; empty when none was sampled.
    pub writers: Vec<WriterReport>,
    /// Measured activations; null until something was measured.
    pub verification: Option<Verification>,
    /// What the user should know before relying on the rest.
    pub warnings: Vec<Warning>,
    /// That it came in a link, which holds less than a checkpoint does; null for a checkpoint that is open.
    #[serde(default)]
    pub shared: Option<SharedSummary>,
}

/// Where a report that came in a link is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SharedSummary {
    /// When the link was made: RFC 3339.
    pub made: String,
    /// Whether names were left in; else sites, readers and writers are numbered.
    pub names: bool,
}

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
    /// pass is told it, and shows what it was told.
    #[serde(default)]
    pub pass: Option<PassSummary>,
    /// What moving the readers of some sites along a direction does to the model's function; empty where that was not tried.
    #[serde(default)]
    pub preservation: Vec<Preservation>,
    /// The same architecture at its initialisation, on the same token ids; null where it was not run beside the trained one.
    #[serde(default)]
    pub random_init: Option<random_init::RandomInit>,
    /// What the paper claims, beside what was found; empty for activations of the model's own code.
    #[serde(default)]
    pub claims: Vec<claims::Claim>,
}

/// A forward pass that was run here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PassSummary {
    /// The family it was run as.
    pub family: String,
    /// The kind that the final norm was told to be, or the first where there is none.
    #[serde(rename = "told")]
    pub assumed_kind: NormKind,
    /// Sequences.
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
}

/// The residual stream after one block (MATH §4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ResidualBlock {
    /// Block from 0.
    pub block: u32,
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
    /// The block.
    pub block: u32,
    /// σ_min after it over σ_min after the one before, on all tokens and on both halves.
    pub ratio: Interval,
    /// Whether it falls on either half of the tokens alone: a fall that is not is perhaps noise.
    pub on_both_halves: bool,
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
    /// A random direction; the bias is moved likewise.
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

/// One norm on random inputs, as both kinds. No evidence about the model: each kind shows what it was told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormAlone {
    /// Site name.
    pub name: String,
    /// ε.
    pub epsilon: f64,
    /// Whether the configuration names it; else it is the usual 1e-5.
    pub epsilon_configured: bool,
    /// With the mean subtracted.
    pub layernorm: SiteVerification,
    /// Without.
    pub rmsnorm: SiteVerification,
    /// What went wrong on the way: a GPU that is not there, or was lost.
    pub warnings: Vec<Warning>,
}

/// One component of a predicted direction and of the measured bottom eigenvector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Component {
    /// Channel.
    pub channel: u32,
    /// vᵢ.
    pub predicted: f32,
    /// u₁ᵢ, of the sign that fits v.
    pub measured: f32,
}

/// A number and what it is on each half of the tokens: the least and the greatest of the three.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Interval {
    /// On all tokens.
    pub value: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

/// One eigenvalue of a measured covariance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Eigenvalue {
    /// Its rank from 0, the least first.
    pub rank: u32,
    /// λ over the mean variance.
    pub value: f64,
}

impl Eigenvalue {
    /// Below this × the largest, eigenvalues are f64's own rounding (MATH §4).
    pub const RESOLVED: f64 = 1e-13;
}

/// What activations say about a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum MeasuredVerdict {
    /// The normalised input has no variance along 1/√d: the mean was subtracted.
    MeanSubtracting,
    /// It has.
    NotMeanSubtracting,
    /// Neither is certain; a note says why.
    Inconclusive,
}

impl MeasuredVerdict {
    /// A depth^ below this is a subtracted mean, for activations of an f32 forward pass (MATH §4), ...
    pub const SUBTRACTED: f64 = 1e-8;
    /// ... and above this it is not.
    pub const NOT_SUBTRACTED: f64 = 1e-2;

    /// What the norm does, as a verb.
    pub fn words(self) -> &'static str {
        match self {
            Self::MeanSubtracting => "subtracts the mean",
            Self::NotMeanSubtracting => "does not",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// One norm, measured (MATH §4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SiteVerification {
    /// Site name.
    pub name: String,
    /// n.
    #[cfg_attr(test, ts(type = "number"))]
    pub tokens: u64,
    /// d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Tokens with massive activations, summed one by one.
    #[cfg_attr(test, ts(type = "number"))]
    pub heavy_tokens: u64,
    /// CRC-32, in hexadecimal, of the grid and of the exact sums behind the covariance: the same on every device.
    pub gram_crc32: String,
    /// tr C/d.
    pub mean_variance: f64,
    /// λ_v, `depth` × `mean_variance`, in units of y²; null in reports from before it was there.
    #[serde(default)]
    pub lambda_v: Option<f64>,
    /// Measured directions with an eigenvalue below τ × the mean variance (τ = 1e-6), beside `predicted_below_tau` of the site's
    /// kernel; null where the activations were stored in a type whose rounding is above τ, and in reports from before it was there.
    #[serde(default)]
    pub below_tau: Option<u32>,
    /// λ_v over the mean variance, along the predicted direction; the greatest along any coordinate whose scale is zero,
    /// where those are the kernel.
    pub depth: f64,
    /// It on both halves of the tokens.
    pub depth_interval: Interval,
    /// |⟨u₁, v⟩| of the bottom eigenvector and the predicted direction; the cosine of the greatest principal angle between
    /// the zero coordinates and the measured bottom subspace, where those are the kernel; null where several directions
    /// lie below rounding.
    pub cos: Option<f64>,
    /// It on both halves; null where one of them has too few tokens, or none of the number.
    pub cos_interval: Option<Interval>,
    /// λ₂/λ₁; null where rounding does not let λ₁ be seen.
    pub gap: Option<f64>,
    /// It on both halves, as above.
    pub gap_interval: Option<Interval>,
    /// Davis–Kahan bound of sin ∠(u₁, v); null where the spectrum has no room for one.
    pub sin_bound: Option<f64>,
    /// Variance of x̂ along 1/√d over its mean variance; null where x̂ cannot be had.
    pub depth_scale_free: Option<f64>,
    /// It on both halves of the tokens.
    pub depth_scale_free_interval: Option<Interval>,
    /// |cos| of the bottom eigenvector of x̂'s covariance and 1/√d.
    pub cos_scale_free: Option<f64>,
    /// It on both halves.
    pub cos_scale_free_interval: Option<Interval>,
    /// 1 − 1/((vᵀC⁻¹v)(vᵀCv)): 0 when v is an eigenvector; null where C⁻¹ is not to be had.
    pub schur: Option<f64>,
    /// It on both halves.
    pub schur_interval: Option<Interval>,
    /// What it is for an exact noise direction: d/n.
    pub schur_null: f64,
    /// λ₁ ≤ … ≤ λ_d over the mean variance, all or, beyond a width of 400, a sample with the lowest 40.
    pub spectrum: Vec<Eigenvalue>,
    /// The predicted direction beside the measured one: the 64 largest components and a sample of the others; empty where the
    /// kernel is coordinates, or the bottom direction is not resolved.
    pub direction: Vec<Component>,
    /// Cosines of the principal angles between the near-dead coordinates with v and the measured bottom subspace.
    pub principal_cosines: Option<Vec<f64>>,
    /// They on both halves; null where one of them has too few tokens.
    pub principal_cosines_interval: Option<Vec<Interval>>,
    /// The greatest variance of a channel whose scale is exactly zero; null without one.
    pub zero_variance: Option<f64>,
    /// The raw direction matches γ⁻¹ although the scale-free test says that no mean was subtracted.
    pub raw_test_fooled: bool,
    /// The verdict, which rests on the scale-free test.
    pub verdict: MeasuredVerdict,
    /// What to know about these numbers.
    pub notes: Vec<String>,
}

/// The files that were read, and how much of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CheckpointSummary {
    /// Folder or file name, without directories above it.
    pub name: String,
    /// "safetensors" or "gguf".
    pub format: String,
    /// Shards that were opened.
    pub shards: u32,
    /// Shards that the index or the file names promise and that were not given.
    pub missing_shards: Vec<String>,
    /// Tensors in the catalogue.
    pub tensors: u32,
    /// Elements of all tensors.
    #[cfg_attr(test, ts(type = "number"))]
    pub parameters: u64,
    /// Bytes of all opened shards.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
    /// Bytes actually read: headers, index, config and norm tensors.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes_read: u64,
    /// Of `bytes_read`, headers, index and config.
    #[cfg_attr(test, ts(type = "number"))]
    pub header_bytes: u64,
    /// Bytes of the scale and shift tensors of all sites.
    #[cfg_attr(test, ts(type = "number"))]
    pub norm_bytes: u64,
    /// Bytes of weights sampled for the writers' energy after the first verdict, not part of `bytes_read`; 0 when that
    /// was refused or has not been done.
    #[cfg_attr(test, ts(type = "number"))]
    pub weight_bytes_read: u64,
    /// What was transferred; null for files of this machine. Added with remote checkpoints.
    #[serde(default)]
    pub remote: Option<RemoteSummary>,
}

/// What reading a checkpoint behind an address has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RemoteSummary {
    /// The address that was opened, without its query: that may be a signature.
    pub address: String,
    /// Requests made, failed ones included, redirects not.
    pub requests: u32,
    /// Bytes of the bodies that came: more than `bytes_read`, as a request costs more than some bytes beside.
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: u64,
}

/// What a norm module does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    /// Subtracts the mean: has a kernel direction.
    LayerNorm,
    /// Does not subtract the mean: has none.
    RmsNorm,
    /// Batch, group, instance or adaptive norm: outside the theorem.
    Other,
    /// The evidence is too thin to say.
    Unknown,
}

/// The verdict on a whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ModelVerdict {
    /// Every known site is a LayerNorm.
    LayerNorm,
    /// Every known site is an RMSNorm.
    RmsNorm,
    /// Both kinds occur.
    Mixed,
    /// Only batch, group or adaptive norms.
    Other,
    /// No site could be decided, or there is none.
    Unknown,
}

/// The verdict on the model, in one sentence and in fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelSummary {
    /// `model_type` of the configuration.
    pub family: Option<String>,
    /// Kind of all sites together.
    pub verdict: ModelVerdict,
    /// The least confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// The one sentence.
    pub sentence: String,
    /// Why: one line for each kind of evidence that decided it.
    pub reasons: Vec<String>,
    /// The parts of the model, when it has several stacks of blocks: an encoder and a decoder, a vision tower and a
    /// language model. Empty when it has one.
    pub parts: Vec<PartSummary>,
    /// Name of the final norm's site.
    pub final_norm: Option<String>,
    /// Number of layers: the blocks, or more where layers share one block (ALBERT).
    pub layers: Option<u32>,
    /// Width of the residual stream.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub width: Option<u64>,
}

/// The verdict on one part of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PartSummary {
    /// Path of its stack of blocks; empty for the sites that belong to none.
    pub name: String,
    /// Kind of its sites together.
    pub verdict: ModelVerdict,
    /// The least confidence among the sites that decide the verdict, 0 to 1.
    pub confidence: f64,
    /// Number of its sites.
    pub sites: u32,
    /// Name of its final norm's site.
    pub final_norm: Option<String>,
    /// It in one sentence.
    pub sentence: String,
}

/// Where a norm sits in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NormRole {
    /// Its output is the model's, or a stack's, output.
    Final,
    /// Inside a block of the residual stream.
    Block,
    /// Right after the embeddings.
    Embedding,
    /// On queries or keys, often per head.
    QueryKey,
    /// Anywhere else.
    Other,
}

/// How the effective scale γ follows from the stored tensor w.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScaleConvention {
    /// γ = w.
    Weight,
    /// γ = 1 + w.
    OnePlusWeight,
    /// Nothing is stored: γ = 1.
    None,
}

/// One norm site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NormReport {
    /// Module path: the scale tensor's name without its last part.
    pub name: String,
    /// Name of the stored scale tensor; null where the norm stores nothing, γ = 1.
    pub scale: Option<String>,
    /// Name of the stored shift tensor (β).
    pub shift: Option<String>,
    /// Number of scales, d.
    #[cfg_attr(test, ts(type = "number"))]
    pub width: u64,
    /// Where it sits.
    pub role: NormRole,
    /// Index of its block, if it is in one.
    pub block: Option<u32>,
    /// The part of the model it belongs to, by the path of the stack of blocks: its own, or the one it begins or ends.
    pub part: Option<String>,
    /// What it does.
    pub kind: NormKind,
    /// Probability that `kind` is right given the evidence, 0 to 1; 0 when unknown.
    pub confidence: f64,
    /// How γ follows from the stored tensor.
    pub scale_convention: ScaleConvention,
    /// Why the convention is believed.
    pub convention_reason: String,
    /// What the module may do, and how probable each is; empty in reports of versions that did not have it.
    #[serde(default)]
    pub alternatives: Vec<AlternativeReport>,
    /// Everything that speaks for or against.
    pub evidence: Vec<EvidenceReport>,
    /// What would settle the kind where it is unknown or contradicted; null where nothing is open.
    pub settle: Option<String>,
    /// The kernel, as far as the scale decides it.
    pub kernel: KernelReport,
    /// Linear maps that read this site's output.
    pub readers: Vec<ReaderReport>,
    /// Why readers may be missing, or what was assumed about them.
    pub reader_note: Option<String>,
    /// Why the values of this site could not be used.
    pub problem: Option<String>,
}

/// One piece of evidence about the kind of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EvidenceReport {
    /// Which evidence: "prior", "configuration", "layout", "shift", "names", "structure", "values", "siblings", "writer energy", …
    pub source: String,
    /// The kind it speaks for; unknown when it abstains.
    pub says: NormKind,
    /// By how many nats it speaks for that kind rather than for the next likely one; for structure and names, which are counted given
    /// the shift, by how many nats it raises that kind's odds. 0 when it abstains.
    pub strength: f64,
    /// What was seen, as a sentence.
    pub detail: String,
    /// How probable each behaviour would be on this evidence alone; empty when it abstains, in links, and in reports of earlier versions.
    #[serde(default)]
    pub under: Vec<AlternativeReport>,
}

/// One thing a norm module may do, and how probable that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AlternativeReport {
    /// What the module does.
    pub behaviour: NormBehaviour,
    /// Probability, 0 to 1; all of one site add up to 1.
    pub probability: f64,
}

/// What a norm module does. The last two are reported as the kind "other".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NormBehaviour {
    /// LayerNorm over the channels of one position.
    LayerNorm,
    /// RMSNorm over the channels of one position.
    RmsNorm,
    /// A norm that also spans positions, groups of channels or the batch.
    Spanning,
    /// No normalisation: a scale and shift, LayerScale, DyT.
    Plain,
}

/// The energy of one writer of a residual stream along the stream's mean (MATH §3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct WriterReport {
    /// Name of the weight tensor.
    pub name: String,
    /// The stack of blocks whose stream it writes.
    pub stack: String,
    /// Index of its block; its order among the writers where names say nothing.
    pub block: u32,
    /// Which part of the network it ends.
    pub part: WriterPart,
    /// Width d of the stream.
    #[cfg_attr(test, ts(type = "number"))]
    pub rows: u64,
    /// Columns sampled.
    pub columns: u32,
    /// Σⱼ(Σᵢ Uᵢⱼ)² ÷ ‖U‖²_F over the sampled columns: about 1 without a preferred mean direction.
    pub energy: f64,
    /// Standard deviation of the energy for weights without a preferred mean direction, √(2/k).
    pub null_deviation: f64,
    /// Variance of the rows' squared norms against a random draw's: 1 untrained, above it trained.
    pub row_dispersion: f64,
}

/// Which part of the network a writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum WriterPart {
    /// Attention, or another mixer of tokens.
    Attention,
    /// The feed-forward part, or one of its experts.
    FeedForward,
    /// The token embedding, whose rows start the stream; no part of the evidence about trained models.
    Embedding,
    /// Not told by the name.
    Unknown,
}

/// Which directions are an exact kernel of the centred covariance of y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum KernelForm {
    /// v = γ⁻¹/‖γ⁻¹‖: a LayerNorm without zero scales.
    InverseScale,
    /// The coordinates whose scale is exactly zero.
    Coordinates,
    /// No kernel: an RMSNorm without zero scales.
    None,
    /// The kind or the scale is not known.
    Unknown,
}

/// The kernel of one site and how concentrated it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelReport {
    /// Which directions it spans.
    pub form: KernelForm,
    /// Indices with γᵢ = 0.
    pub coordinates: Vec<u32>,
    /// 1/Σvᵢ⁴: how many coordinates share the direction (1 … d); only for `inverse_scale`.
    pub participation: Option<f64>,
    /// max|vᵢ|; only for `inverse_scale`.
    pub max_component: Option<f64>,
    /// Index of max|vᵢ|; only for `inverse_scale`.
    pub max_index: Option<u32>,
    /// ‖γ⁻¹‖; only for `inverse_scale`.
    pub inverse_norm: Option<f64>,
    /// min|γᵢ|.
    pub scale_min_abs: Option<f64>,
    /// Median |γᵢ|.
    pub scale_median_abs: Option<f64>,
    /// max|γᵢ|.
    pub scale_max_abs: Option<f64>,
    /// max|γ|/min|γ|; null when a scale is zero.
    pub condition: Option<f64>,
    /// Indices with |γᵢ| ≤ 1e-3 median, zeros included.
    pub near_dead: Vec<u32>,
    /// Σvᵢ² over the near-dead coordinates: how much of the direction they carry (0 … 1); only for `inverse_scale`.
    pub near_dead_weight: Option<f64>,
    /// Directions predicted below τ·mean (τ = 1e-6) if x̂ were isotropic, exact kernel included; null when the kind is not known.
    pub predicted_below_tau: Option<u32>,
}

/// How a reader uses the norm's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReaderUse {
    /// Attention queries.
    Query,
    /// Attention keys.
    Key,
    /// Attention values.
    Value,
    /// Queries, keys and values (or two of them) in one matrix.
    FusedAttention,
    /// Feed-forward input, gate or up projection.
    FeedForward,
    /// Feed-forward input of an expert.
    Expert,
    /// Router over experts.
    Router,
    /// Unembedding with its own matrix.
    Unembedding,
    /// Unembedding that shares the input embedding's matrix: the same parameters also act at the input.
    TiedUnembedding,
    /// Any other head or projection.
    Projection,
}

/// One linear reader W (rows × d) of a site and its dead directions (a vᵀ for any a).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ReaderReport {
    /// Name of the weight tensor.
    pub name: String,
    /// What it is for.
    #[serde(rename = "use")]
    #[cfg_attr(test, ts(rename = "use"))]
    pub used_as: ReaderUse,
    /// Output rows, over all experts if the tensor packs several.
    #[cfg_attr(test, ts(type = "number"))]
    pub rows: u64,
    /// Elements of the weight tensor.
    #[cfg_attr(test, ts(type = "number"))]
    pub parameters: u64,
    /// Name of its bias.
    pub bias: Option<String>,
    /// Its dead directions.
    pub dead: DeadDirections,
    /// What was assumed in counting them.
    pub assumed: Option<String>,
}

/// Counts of parameter directions, in the three classes of MATH §3 and the one that is not free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadDirections {
    /// The function does not change at all.
    #[cfg_attr(test, ts(type = "number"))]
    pub outright: u64,
    /// The function does not change once b ← b − a vᵀβ.
    #[cfg_attr(test, ts(type = "number"))]
    pub with_bias_shift: u64,
    /// The change adds a constant that nothing takes back.
    #[cfg_attr(test, ts(type = "number"))]
    pub constant_shift: u64,
    /// Dead for this reader, but its matrix is also the input embedding, where the change is seen.
    #[cfg_attr(test, ts(type = "number"))]
    pub tied: u64,
}

/// Dead parameter directions of the whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeadParameters {
    /// The function does not change at all.
    #[cfg_attr(test, ts(type = "number"))]
    pub outright: u64,
    /// The function does not change once the reader's bias is moved.
    #[cfg_attr(test, ts(type = "number"))]
    pub with_bias_shift: u64,
    /// Only a constant is added to the reader's output.
    #[cfg_attr(test, ts(type = "number"))]
    pub constant_shift: u64,
    /// Unread by a tied unembedding, but seen at the input embedding.
    #[cfg_attr(test, ts(type = "number"))]
    pub tied: u64,
    /// (outright + with_bias_shift) ÷ parameters of the readers counted.
    pub share: f64,
    /// Number of readers counted.
    pub readers: u32,
    /// What the counts rest on.
    pub assumptions: Vec<String>,
}

/// Something the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Warning {
    /// Stable name for programs.
    pub code: String,
    /// The sentence for people.
    pub message: String,
    /// File, tensor or site.
    pub r#where: String,
}
