// Generated from src/report, src/plot and src/inspect: run `UPDATE_TYPES=1 cargo test typescript`.

/** The least probability at which a kind is named. */
export const THRESHOLD = 9.5e-1;

/** A channel is near-dead up to this share of the median scale. */
export const NEAR_DEAD = 1e-3;

/** Variance below this share of the mean counts as none. */
export const TAU = 1e-6;

/** Below this scale-free depth the mean was subtracted. */
export const SUBTRACTED = 1e-8;

/** Above this scale-free depth it was not. */
export const NOT_SUBTRACTED = 1e-2;

/** Ends of the names of files with weights that are read. */
export const WEIGHTS_ENDINGS: readonly string[] = ['.safetensors', '.sft', '.gguf', '.bin', '.pt', '.pth', '.ckpt', '.distcp', '.onnx', '.npz', '.msgpack', '.h5', '.hdf5'];

/** First words of the names of files with such an end that hold no weights. */
export const BESIDE_WEIGHTS: readonly string[] = ['training_args', 'optimizer', 'optim_states', 'scheduler', 'scaler', 'rng_state', 'random_states', 'zero_pp_rank', 'bf16_zero_pp_rank'];

/** Ends of the names of files that are copied beside folded weights. */
export const COPIED_BESIDE: readonly string[] = ['json', 'jinja', 'md', 'model', 'py', 'tiktoken', 'txt', 'vocab', 'yaml', 'yml'];

export type Gathered = { 
/**
 * Its folder, or its first file if it shares the folder with others.
 */
name: string, 
/**
 * Indices of its files among those given.
 */
files: Array<number>, };

export type Report = { 
/**
 * Always [`SCHEMA`].
 */
schema: string, 
/**
 * Version of the program that wrote the report.
 */
tool_version: string, 
/**
 * The files that were read.
 */
checkpoint: CheckpointSummary, 
/**
 * The verdict on the model as a whole.
 */
model: ModelSummary, 
/**
 * What stands out, most important first. [`Report::find`] makes it from the rest of the report. Empty in links.
 */
findings: Array<Finding>, 
/**
 * Every norm site, in network order.
 */
norms: Array<NormReport>, 
/**
 * The dead parameter directions of all readers together.
 */
dead_parameters: DeadParameters, 
/**
 * The sampled writers of the residual streams. Empty if none was sampled.
 */
writers: Array<WriterReport>, 
/**
 * Measured activations. Null until something is measured.
 */
verification: Verification | null, 
/**
 * What the user should know before relying on the rest.
 */
warnings: Array<Warning>, 
/**
 * The origin of a report from a link, which holds less than a checkpoint. Null for an open checkpoint.
 */
shared: SharedSummary | null, };

export type CheckpointSummary = { 
/**
 * Folder or file name, without directories above it.
 */
name: string, 
/**
 * "safetensors", "gguf", "pytorch", "onnx", "npz", "flax" or "hdf5".
 */
format: string, 
/**
 * Shards that were opened.
 */
shards: number, 
/**
 * Shards that the index or the file names promise but that were not given.
 */
missing_shards: Array<string>, 
/**
 * Tensors in the catalogue.
 */
tensors: number, 
/**
 * Elements of all tensors.
 */
parameters: number, 
/**
 * Bytes of all opened shards.
 */
bytes: number, 
/**
 * Bytes actually read: headers, index, config and norm tensors.
 */
bytes_read: number, 
/**
 * Bytes of headers, index and config, a part of `bytes_read`.
 */
header_bytes: number, 
/**
 * Bytes of the scale and shift tensors of all sites.
 */
norm_bytes: number, 
/**
 * Bytes of weights sampled for the writers' energy after the first verdict, not part of `bytes_read`. 0 if no weights were sampled.
 */
weight_bytes_read: number, 
/**
 * What was transferred. Null for files on this machine. Added with remote checkpoints.
 */
remote: RemoteSummary | null, };

export type RemoteSummary = { 
/**
 * The address that was opened, without its query, which may contain a signature.
 */
address: string, 
/**
 * Number of requests, including failed ones, without redirects.
 */
requests: number, 
/**
 * Bytes of the received bodies. More than `bytes_read`, because an extra request costs more than some extra bytes.
 */
bytes: number, };

export type ModelSummary = { 
/**
 * `model_type` of the configuration.
 */
family: string | null, 
/**
 * Kind of all sites together.
 */
verdict: ModelVerdict, 
/**
 * The lowest confidence among the sites that decide the verdict, 0 to 1.
 */
confidence: number, 
/**
 * The verdict in one sentence.
 */
sentence: string, 
/**
 * The reasons: one line for each kind of evidence that decided the verdict.
 */
reasons: Array<string>, 
/**
 * The parts of the model, if it has several stacks of blocks: an encoder and a decoder, or a vision tower and a language model.
 * Empty if it has one.
 */
parts: Array<PartSummary>, 
/**
 * Name of the final norm's site.
 */
final_norm: string | null, 
/**
 * Number of layers: the number of blocks, or more if layers share one block (ALBERT).
 */
layers: number | null, 
/**
 * Width of the residual stream.
 */
width: number | null, };

export type ModelVerdict = "layernorm" | "rmsnorm" | "mixed" | "other" | "unknown";

export type PartSummary = { 
/**
 * Path of its stack of blocks. Empty for the sites outside all stacks.
 */
name: string, 
/**
 * Kind of its sites together.
 */
verdict: ModelVerdict, 
/**
 * The lowest confidence among the sites that decide the verdict, 0 to 1.
 */
confidence: number, 
/**
 * Number of its sites.
 */
sites: number, 
/**
 * Name of its final norm's site.
 */
final_norm: string | null, 
/**
 * The verdict in one sentence.
 */
sentence: string, };

export type Finding = { 
/**
 * Stable name for programs.
 */
code: FindingCode, 
/**
 * What was found, as one sentence with its number.
 */
text: string, 
/**
 * What to do about it, as one short sentence.
 */
advice: string, 
/**
 * The part of the report that shows it.
 */
section: FindingSection, 
/**
 * The site to look at first. Null if the finding is about the whole model.
 */
site: string | null, };

export type FindingCode = "measurement_contradicts" | "loss_contradicts" | "evidence_contradicts" | "function_changed" | "kind_unknown" | "warned" | "scale_undecided" | "channels_off" | "weights_without_effect" | "zero_channels" | "dead_direction" | "kinds_differ" | "no_dead_direction" | "readers_unknown" | "stream_falls" | "function_preserved" | "measured" | "loss_agrees" | "scales_spread";

export type FindingSection = "kernel" | "dead" | "sites" | "measured" | "run" | "warnings";

export type NormReport = { 
/**
 * Module path: the scale tensor's name without its last part.
 */
name: string, 
/**
 * Name of the stored scale tensor. Null if the norm stores nothing, so that γ = 1.
 */
scale: string | null, 
/**
 * Name of the stored shift tensor (β).
 */
shift: string | null, 
/**
 * Number of scales, d.
 */
width: number, 
/**
 * Its place in the network.
 */
role: NormRole, 
/**
 * Index of its block, if it is in one.
 */
block: number | null, 
/**
 * The part of the model that it belongs to, as the path of a stack of blocks: the stack that it is in, begins or ends.
 */
part: string | null, 
/**
 * Kind of norm.
 */
kind: NormKind, 
/**
 * Probability that `kind` is right given the evidence, 0 to 1. 0 if unknown.
 */
confidence: number, 
/**
 * How γ follows from the stored tensor.
 */
scale_convention: ScaleConvention, 
/**
 * The evidence for the convention.
 */
convention_reason: string, 
/**
 * The possible behaviours of the module, with their probabilities. Empty in reports of earlier versions.
 */
alternatives: Array<AlternativeReport>, 
/**
 * All evidence for and against.
 */
evidence: Array<EvidenceReport>, 
/**
 * What would settle the kind if it is unknown or contradicted. Null if nothing is open.
 */
settle: string | null, 
/**
 * The kernel, as far as the scale determines it.
 */
kernel: KernelReport, 
/**
 * Linear maps that read this site's output.
 */
readers: Array<ReaderReport>, 
/**
 * Why readers may be missing, or what was assumed about them.
 */
reader_note: string | null, 
/**
 * Why the values of this site could not be used.
 */
problem: string | null, };

export type NormKind = "layernorm" | "rmsnorm" | "other" | "unknown";

export type NormRole = "final" | "block" | "embedding" | "query_key" | "other";

export type ScaleConvention = "weight" | "one_plus_weight" | "none" | "unknown";

export type EvidenceReport = { 
/**
 * Which evidence: "prior", "configuration", "layout", "shift", "names", "structure", "values", "siblings", "writer energy", …
 */
source: string, 
/**
 * The kind that it supports. `unknown` if it abstains.
 */
says: NormKind, 
/**
 * How many nats it supports that kind by, compared with the second most likely kind. For structure and names, which are counted
 * given the shift: how many nats it raises that kind's odds by. 0 if it abstains.
 */
strength: number, 
/**
 * What was seen, as a sentence.
 */
detail: string, 
/**
 * Probability of each behaviour on this evidence alone. Empty if it abstains, in links, and in reports of earlier versions.
 */
under: Array<AlternativeReport>, };

export type AlternativeReport = { 
/**
 * What the module does.
 */
behaviour: NormBehaviour, 
/**
 * Probability, 0 to 1. The probabilities of one site add up to 1.
 */
probability: number, };

export type NormBehaviour = "layernorm" | "rmsnorm" | "spanning" | "plain";

export type WriterReport = { 
/**
 * Name of the weight tensor.
 */
name: string, 
/**
 * The stack of blocks whose stream it writes.
 */
stack: string, 
/**
 * Index of its block, or its order among the writers if names say nothing.
 */
block: number, 
/**
 * The part of the network that it ends.
 */
part: WriterPart, 
/**
 * Width d of the stream.
 */
rows: number, 
/**
 * Number of sampled columns.
 */
columns: number, 
/**
 * Σⱼ(Σᵢ Uᵢⱼ)² ÷ ‖U‖²_F over the sampled columns: about 1 without a preferred mean direction.
 */
energy: number, 
/**
 * Standard deviation of the energy for weights without a preferred mean direction, √(2/k).
 */
null_deviation: number, 
/**
 * Variance of the rows' squared norms ÷ its expected value for a random draw. 1 if untrained, greater if trained.
 */
row_dispersion: number, };

export type SharedSummary = { 
/**
 * When the link was made, as RFC 3339.
 */
made: string, 
/**
 * Whether names were kept. Otherwise sites, readers and writers are numbered.
 */
names: boolean, };

export type ResidualBlock = { 
/**
 * Block from 0, in its stack.
 */
block: number, 
/**
 * Which of two stacks; null in a model of one.
 */
stack: StackName | null, 
/**
 * √λ_min of the covariance of the stream.
 */
sigma_min: number, 
/**
 * The least value over all tokens and both halves.
 */
low: number, 
/**
 * The greatest value.
 */
high: number, };

export type ResidualFall = { 
/**
 * The block, from 0 in its stack.
 */
block: number, 
/**
 * The stack, if there are two. Otherwise null.
 */
stack: StackName | null, 
/**
 * σ_min after the block over σ_min after the previous one, on all tokens and on both halves.
 */
ratio: Interval, 
/**
 * Whether it falls on each half of the tokens. Otherwise the fall may be noise.
 */
on_both_halves: boolean, 
/**
 * In which part of the block and in which direction. Null if the stream between the parts was not measured.
 */
place: FallPlace | null, };

export type StackName = "encoder" | "tower" | "decoder";

export type StackSummary = { 
/**
 * The stack.
 */
stack: StackName, 
/**
 * Blocks that run.
 */
blocks: number, 
/**
 * Sequences.
 */
sequences: number, 
/**
 * Tokens of each sequence.
 */
length: number, };

export type FallPlace = { 
/**
 * The part that makes it fall by more than a hundredth.
 */
part: FallPart, 
/**
 * σ_min after the attention over σ_min before the block. In a decoder, after both attentions.
 */
attention: number, 
/**
 * σ_min after the block over σ_min after the attention. The product of `attention` and `feed_forward` is the ratio of the fall.
 */
feed_forward: number, 
/**
 * λ₂/λ₁ of the stream after the block. If it is near 1, u is one of several directions with similar variance.
 */
gap: number, 
/**
 * |⟨u, u′⟩| with the bottom direction u′ before the block. 1 if the same direction becomes smaller, 0 if another one replaces it.
 */
same_direction: number, 
/**
 * |⟨u, 1/√d⟩|, 0 … 1: the mean over channels, which a LayerNorm subtracts.
 */
mean: number, 
/**
 * |⟨u, v⟩| with v = γ⁻¹/‖γ⁻¹‖ of the norm that reads the stream next. Null if one of its scales is zero, or if no such norm is
 * known.
 */
inverse_scale: number | null, 
/**
 * Length of u in the channels that the next norm scales by at most 10⁻³ of its median scale, 0 … 1. Null if no such norm is known.
 */
near_dead: number | null, 
/**
 * How strongly the maps of the attention write along u, compared with the average direction: d·‖Uᵀu‖² ÷ ‖U‖²_F. 0 if u lies in
 * their null space. Null if it was not computed: it is for the deepest falls only.
 */
attention_energy: number | null, 
/**
 * The same for the feed-forward part.
 */
feed_forward_energy: number | null, };

export type FallPart = "attention" | "feed_forward" | "both";

export type KindByLoss = { 
/**
 * Mean loss as LayerNorms, in nats.
 */
layernorm: number, 
/**
 * Mean loss as RMSNorms, in nats.
 */
rmsnorm: number, 
/**
 * `layernorm` − `rmsnorm`, paired by token.
 */
difference: number, 
/**
 * Standard error of the difference: the greater of that over tokens and that over sequences.
 */
standard_error: number, 
/**
 * Tokens with a loss.
 */
tokens: number, 
/**
 * The kind with the lower loss. Unknown below five standard errors.
 */
kind: NormKind, };

export type PassSummary = { 
/**
 * The family that the model was run as.
 */
family: string, 
/**
 * The kind that the run used for the final norm, or for the first one if there is no final norm.
 */
told: NormKind, 
/**
 * Number of sequences. Of two stacks, those of the decoder.
 */
sequences: number, 
/**
 * Tokens of each sequence.
 */
length: number, 
/**
 * Mean loss of the next token, in nats. Null for uniform ids, and for a model that has no head or sees later tokens.
 */
loss: number | null, 
/**
 * Blocks that were left out. 0 for a whole model.
 */
left_out: number, 
/**
 * Its encoder and its decoder, in running order. Empty for a model of one stack.
 */
stacks: Array<StackSummary>, };

export type Preservation = { 
/**
 * Site name, or the place of a norm that is not a site of the report.
 */
site: string, 
/**
 * Name of the weight tensor of the reader.
 */
reader: string, 
/**
 * Whether the reader is the unembedding and shares the input embedding's matrix. Only the unembedding was moved.
 */
tied: boolean, 
/**
 * The kind that the run used for the norm.
 */
kind: NormKind, 
/**
 * v.
 */
direction: PreservationDirection, 
/**
 * Whether v is in the kernel of that norm. An RMSNorm does not have γ⁻¹ in its kernel, but it is tried too.
 */
in_kernel: boolean, 
/**
 * vᵀβ: the constant that moving the bias takes back.
 */
constant: number, 
/**
 * The measure of the change.
 */
measure: PreservationMeasure, 
/**
 * Values by t, smallest t first.
 */
points: Array<PreservationPoint>, 
/**
 * Values up to this are rounding. It is the effect of a random direction at t = 2⁻²³, the rounding of the weights themselves, times
 * 100 (for a divergence) or 10 (for a relative change).
 */
floor: number, 
/**
 * k of value ∝ tᵏ, from the two smallest t whose values are above the floor. For small changes that send no token to other experts,
 * it is 2 for a divergence and 1 for a relative change. Null without two such t.
 */
exponent: number | null, 
/**
 * Whether the function is preserved.
 */
verdict: PreservationVerdict, };

export type PreservationPoint = { 
/**
 * ‖t a vᵀ‖_F over ‖W‖_F.
 */
t: number, 
/**
 * The measure.
 */
value: number, };

export type PreservationDirection = "kernel" | "kernel_bias_kept" | "random";

export type PreservationMeasure = "divergence" | "relative_change";

export type PreservationVerdict = "preserved" | "changed";

export type WriterPart = "attention" | "feed_forward" | "embedding" | "unknown";

export type KernelReport = { 
/**
 * Which directions it spans.
 */
form: KernelForm, 
/**
 * Indices with γᵢ = 0 exactly.
 */
coordinates: Array<number>, 
/**
 * 1/Σvᵢ⁴: how many coordinates share the direction (1 … d). Only for `inverse_scale`.
 */
participation: number | null, 
/**
 * max|vᵢ|. Only for `inverse_scale`.
 */
max_component: number | null, 
/**
 * Index of max|vᵢ|. Only for `inverse_scale`.
 */
max_index: number | null, 
/**
 * ‖γ⁻¹‖. Only for `inverse_scale`.
 */
inverse_norm: number | null, 
/**
 * HM(γ²)/AM(γ²): how much deeper the trained scale makes the kernel (λ_v over the mean variance) than γ = 1 does. It predicts the
 * trained depth over the depth at the initialisation without a run (MATH §9). Only for `inverse_scale`. Null in reports of earlier
 * versions.
 */
deepening: number | null, 
/**
 * min|γᵢ|.
 */
scale_min_abs: number | null, 
/**
 * Median |γᵢ|.
 */
scale_median_abs: number | null, 
/**
 * max|γᵢ|.
 */
scale_max_abs: number | null, 
/**
 * max|γ|/min|γ|. Null if a scale is zero.
 */
condition: number | null, 
/**
 * Indices with |γᵢ| ≤ 1e-3 median, including zeros.
 */
near_dead: Array<number>, 
/**
 * Σvᵢ² over the near-dead coordinates: their share of the direction (0 … 1). Only for `inverse_scale`.
 */
near_dead_weight: number | null, 
/**
 * Directions predicted below τ·mean (τ = 1e-6) if x̂ were isotropic, including the exact kernel. Null if the kind is not known.
 */
predicted_below_tau: number | null, };

export type KernelForm = "inverse_scale" | "coordinates" | "none" | "unknown";

export type ReaderReport = { 
/**
 * Name of the weight tensor.
 */
name: string, 
/**
 * Its use in the model.
 */
use: ReaderUse, 
/**
 * Output rows, over all experts if the tensor packs several.
 */
rows: number, 
/**
 * Elements of the weight tensor.
 */
parameters: number, 
/**
 * Name of its bias.
 */
bias: string | null, 
/**
 * Its dead directions.
 */
dead: DeadDirections, 
/**
 * The assumption behind these counts, if any.
 */
assumed: string | null, };

export type ReaderUse = "query" | "key" | "value" | "fused_attention" | "feed_forward" | "expert" | "router" | "unembedding" | "tied_unembedding" | "projection";

export type DeadDirections = { 
/**
 * The function does not change at all.
 */
outright: number, 
/**
 * The function does not change if b ← b − a vᵀβ too.
 */
with_bias_shift: number, 
/**
 * The change adds a constant that nothing cancels.
 */
constant_shift: number, 
/**
 * Dead for this reader, but its matrix is also the input embedding, where the change is visible.
 */
tied: number, };

export type DeadParameters = { 
/**
 * The function does not change at all.
 */
outright: number, 
/**
 * The function does not change if the reader's bias is moved.
 */
with_bias_shift: number, 
/**
 * Only a constant is added to the reader's output.
 */
constant_shift: number, 
/**
 * Not read by a tied unembedding, but visible at the input embedding.
 */
tied: number, 
/**
 * (outright + with_bias_shift) ÷ parameters of the readers counted.
 */
share: number, 
/**
 * Number of readers counted.
 */
readers: number, 
/**
 * The assumptions behind the counts.
 */
assumptions: Array<string>, };

export type Verification = { 
/**
 * Tokens n: the fewest of any site.
 */
tokens: number, 
/**
 * n/d: the lowest of any site.
 */
width_ratio: number, 
/**
 * Precision of the activations: "f32", "f16" (any 16-bit type) or "f64". The coarsest of any site.
 */
forward: string, 
/**
 * Where the covariance was computed: "cpu", or the name of the GPU.
 */
device: string, 
/**
 * File of the activations.
 */
input: string, 
/**
 * Wall time in seconds.
 */
seconds: number, 
/**
 * Seconds of the GPU's Gram kernel, a part of `seconds`, by the GPU's own clock and summed over all workers. Null on the CPU, and if
 * the GPU has no such clock.
 */
kernel_seconds: number | null, 
/**
 * One for each measured site.
 */
sites: Array<SiteVerification>, 
/**
 * The residual stream after each block, before the final norm. Empty if no forward pass was run.
 */
residual: Array<ResidualBlock>, 
/**
 * The blocks at which its least singular value falls.
 */
falls: Array<ResidualFall>, 
/**
 * The kind of the norms by loss. Null if the tokens were not run under both kinds, or were predicted no better than by a guess.
 */
loss: KindByLoss | null, 
/**
 * The forward pass that was run here. Null for activations of the model's own code. Only the latter are evidence of the kind,
 * because a pass shows the kind that it assumes.
 */
pass: PassSummary | null, 
/**
 * The effect of moving the readers of some sites along a direction on the model's function. Empty if this was not tried.
 */
preservation: Array<Preservation>, 
/**
 * The same architecture at its initialisation, on the same token ids. Null if it was not run.
 */
random_init: RandomInit | null, 
/**
 * The paper's claims compared with the results. Empty for activations of the model's own code.
 */
claims: Array<Claim>, 
/**
 * The results in the order of the paper, one sentence for each step. All null for activations of the model's own code.
 */
story: Story, };

export type MeasurementPlan = { 
/**
 * Names of the sites, in network order.
 */
sites: Array<string>, 
/**
 * Tokens n: the fewest and the most of any site.
 */
tokens: [number, number], 
/**
 * Bytes of activations to be read.
 */
bytes: number, 
/**
 * Additions and multiplications for the exact sums and the eigenvalues.
 */
operations: number, 
/**
 * Bytes of memory that the largest site takes.
 */
memory: number, 
/**
 * Estimated time in seconds, one site after the other, from a trial on this machine.
 */
seconds: number, 
/**
 * Operations per second in that trial: of the exact sums, and of the eigenvalues.
 */
speeds: [number, number], 
/**
 * Where the exact sums are computed: "cpu", or the name of the GPU.
 */
device: string, 
/**
 * File of the activations.
 */
input: string, 
/**
 * What to know before the measurement begins.
 */
warnings: Array<Warning>, };

export type RunInput = "usual" | "uniform" | "text" | "ids" | "images" | "pixels" | "sounds";

export type RunOptions = { 
/**
 * Tokens, rounded up to whole sequences. The default is four for each channel of the stream.
 */
tokens: number | null, 
/**
 * Tokens of a sequence. The default is 128, or for a decoder behind an encoder as many as it has positions for.
 */
sequence: number | null, 
/**
 * How many blocks to run. The default is all of them.
 */
blocks: number | null, 
/**
 * Which norms are measured.
 */
sites: RunSites, 
/**
 * What the model is run on.
 */
input: RunInput, 
/**
 * Whether to move readers along kernels and other directions, and measure how the function changes.
 */
preservation: boolean, 
/**
 * Fields of the configuration that change nothing, although Gammascope does not know them.
 */
assume: Array<string>, 
/**
 * Bytes of memory that the run may take. A run that does not fit runs in parts. The default is no limit.
 */
memory: number | null, };

export type RunPlan = { 
/**
 * The family that the model is run as.
 */
family: string, 
/**
 * The kind of norm that the run assumes.
 */
told: NormKind, 
/**
 * Number of sequences. Of two stacks, those of the decoder.
 */
sequences: number, 
/**
 * Tokens of each sequence.
 */
length: number, 
/**
 * Blocks to run, of all stacks.
 */
blocks: number, 
/**
 * Blocks that are left out.
 */
left_out: number, 
/**
 * Its encoder and its decoder, in running order. Empty for a model of one stack.
 */
stacks: Array<StackSummary>, 
/**
 * Norms to measure.
 */
sites: number, 
/**
 * What the tokens are.
 */
input: string, 
/**
 * Whether the run judges the kind by loss, which takes a second pass.
 */
losses: boolean, 
/**
 * Number of passes with a moved reader.
 */
moves: number, 
/**
 * The most tokens for the loss. Fewer if fewer decide the kind.
 */
loss_tokens: number, 
/**
 * Bytes of weights to read.
 */
bytes: number, 
/**
 * Additions and multiplications of the pass and of the measurements.
 */
operations: number, 
/**
 * Bytes of memory for the pass: activations, the weights on the device, weights read ahead, and outputs on their way to be measured.
 */
memory: number, 
/**
 * Bytes of memory for measuring a norm.
 */
memory_of_site: number, 
/**
 * In how many parts the sequences run, because all at once do not fit into memory. 1 if they do.
 */
parts: number, 
/**
 * Bytes outside memory for a run in parts. 0 if it is whole.
 */
scratch: number, 
/**
 * Estimated time of the pass in seconds if the loss decides the kind at its first look, from a trial on this machine. Without a loss
 * it is `pass_seconds`.
 */
least_pass_seconds: number, 
/**
 * Estimated time of the pass in seconds, from a trial on this machine.
 */
pass_seconds: number, 
/**
 * Estimated time of the measurements in seconds, one after the other.
 */
measuring_seconds: number, 
/**
 * Estimated time of the whole run in seconds with the norms of `measured_at_once` at once: if the loss decides the kind at its first
 * look, and at its last.
 */
seconds: [number, number], 
/**
 * Whether the pass and the measurements share the cores, or the GPU, so that their times add up.
 */
shared: boolean, 
/**
 * Norms that can be measured at once in memory.
 */
measured_at_once: number, 
/**
 * Where the pass runs: "cpu", or the name of the GPU.
 */
device: string, 
/**
 * Where the exact sums are computed.
 */
gram_device: string, 
/**
 * The same run on other machines.
 */
machines: Array<MachinePlan>, 
/**
 * What to know before it begins.
 */
warnings: Array<Warning>, };

export type MachinePlan = { 
/**
 * The machine.
 */
name: string, 
/**
 * Most bytes of memory at once.
 */
memory: number, 
/**
 * Whether that fits.
 */
fits: boolean, 
/**
 * In how many parts the sequences run.
 */
parts: number, 
/**
 * Bytes outside memory for a run in parts.
 */
scratch: number, 
/**
 * Estimated seconds: the least if the loss decides at its first look, and the most.
 */
seconds: [number, number], };

export type RunSites = "final" | "all";

export type NormAlone = { 
/**
 * Site name.
 */
name: string, 
/**
 * ε.
 */
epsilon: number, 
/**
 * Whether the configuration names ε. Otherwise it is the usual 1e-5.
 */
epsilon_configured: boolean, 
/**
 * With the mean subtracted.
 */
layernorm: SiteVerification, 
/**
 * Without subtracting the mean.
 */
rmsnorm: SiteVerification, 
/**
 * What went wrong: a GPU that is missing or was lost.
 */
warnings: Array<Warning>, };

export type SiteVerification = { 
/**
 * Site name.
 */
name: string, 
/**
 * n.
 */
tokens: number, 
/**
 * d.
 */
width: number, 
/**
 * Tokens with massive activations, which are summed one by one.
 */
heavy_tokens: number, 
/**
 * CRC-32, in hexadecimal, of the grid and the exact sums of the covariance. It is the same on every device.
 */
gram_crc32: string, 
/**
 * tr C/d.
 */
mean_variance: number, 
/**
 * λ_v, `depth` × `mean_variance`, in units of y². Null in reports of earlier versions.
 */
lambda_v: number | null, 
/**
 * Measured directions with an eigenvalue below τ × the mean variance (τ = 1e-6), to be compared with `predicted_below_tau` of the
 * site's kernel. Null if the type of the stored activations has a rounding above τ, and in reports of earlier versions.
 */
below_tau: number | null, 
/**
 * λ_v over the mean variance, along the predicted direction. If the kernel is coordinates with zero scales, the greatest variance
 * along any of them.
 */
depth: number, 
/**
 * `depth` with its range over both halves of the tokens.
 */
depth_interval: Interval, 
/**
 * |⟨u₁, v⟩| of the bottom eigenvector and the predicted direction. If the kernel is coordinates with zero scales, the cosine of the
 * greatest principal angle between them and the measured bottom subspace. Null if several directions lie below rounding.
 */
cos: number | null, 
/**
 * `cos` with its range over both halves. Null if a half has too few tokens or no such number.
 */
cos_interval: Interval | null, 
/**
 * λ₂/λ₁. Null if rounding hides λ₁.
 */
gap: number | null, 
/**
 * `gap` with its range over both halves. Null like `cos_interval`.
 */
gap_interval: Interval | null, 
/**
 * Davis–Kahan bound of sin ∠(u₁, v). Null if the spectral gap is too small for one.
 */
sin_bound: number | null, 
/**
 * Variance of x̂ along 1/√d over its mean variance. Null if x̂ is not known.
 */
depth_scale_free: number | null, 
/**
 * `depth_scale_free` with its range over both halves of the tokens.
 */
depth_scale_free_interval: Interval | null, 
/**
 * |cos| of the bottom eigenvector of x̂'s covariance and 1/√d.
 */
cos_scale_free: number | null, 
/**
 * `cos_scale_free` with its range over both halves.
 */
cos_scale_free_interval: Interval | null, 
/**
 * 1 − 1/((vᵀC⁻¹v)(vᵀCv)), which is 0 if v is an eigenvector. Null if C⁻¹ cannot be computed.
 */
schur: number | null, 
/**
 * `schur` with its range over both halves.
 */
schur_interval: Interval | null, 
/**
 * `schur` of an exact noise direction: d/n.
 */
schur_null: number, 
/**
 * λ₁ ≤ … ≤ λ_d over the mean variance: all of them, or for a width above 400 a sample with the lowest 40.
 */
spectrum: Array<Eigenvalue>, 
/**
 * The predicted direction beside the measured one: the 64 largest components and a sample of the others. Empty if the kernel is
 * coordinates, or if the bottom direction is not resolved.
 */
direction: Array<Component>, 
/**
 * Cosines of the principal angles between the measured bottom subspace and the span of v and the near-dead coordinates.
 */
principal_cosines: Array<number> | null, 
/**
 * `principal_cosines` with their ranges over both halves. Null if a half has too few tokens.
 */
principal_cosines_interval: Array<Interval> | null, 
/**
 * The greatest variance of a channel whose scale is exactly zero. Null if there is none.
 */
zero_variance: number | null, 
/**
 * Whether the raw direction matches γ⁻¹ although the scale-free test says that no mean was subtracted.
 */
raw_test_fooled: boolean, 
/**
 * The verdict, from the scale-free test.
 */
verdict: MeasuredVerdict, 
/**
 * Notes about these numbers.
 */
notes: Array<string>, };

export type RandomInit = { 
/**
 * Seed of the weights.
 */
seed: number, 
/**
 * Wall time of its run in seconds, not part of `Verification::seconds`.
 */
seconds: number, 
/**
 * The sites that were measured in both, in network order.
 */
sites: Array<RandomInitSite>, };

export type RandomInitSite = { 
/**
 * Site name.
 */
name: string, 
/**
 * λ_v over the mean variance.
 */
depth: number, 
/**
 * The same of the normalised input along 1/√d. Null if that is not known.
 */
depth_scale_free: number | null, 
/**
 * |cos| of the bottom eigenvector of the normalised input's covariance and 1/√d.
 */
cos_scale_free: number | null, 
/**
 * λ_v, in units of y².
 */
lambda_v: number, 
/**
 * tr C/d, in units of y².
 */
mean_variance: number, 
/**
 * Directions with an eigenvalue below τ × the mean variance (τ = 1e-6).
 */
below_tau: number | null, 
/**
 * Trained depth over depth at the initialisation: `lambda_v_ratio` over `mean_ratio`. Null if this divides by 0.
 */
depth_ratio: number | null, 
/**
 * Trained λ_v over λ_v at the initialisation. For an exact kernel, λ_v is rounding.
 */
lambda_v_ratio: number | null, 
/**
 * Trained mean variance over the one at the initialisation.
 */
mean_ratio: number | null, };

export type Claim = { 
/**
 * The paper's claim.
 */
paper: string, 
/**
 * What this model shows, with its numbers.
 */
found: string, 
/**
 * Whether the model agrees with the paper.
 */
agrees: boolean, 
/**
 * Why it differs, as far as the run shows it. Null if it agrees, and in reports of earlier versions.
 */
why: string | null, };

export type Story = { 
/**
 * At random initialisation: whether each LayerNorm has the predicted direction, and each RMSNorm none.
 */
initial: string | null, 
/**
 * After training: how deep the kernels are, beside what the scales alone predict.
 */
deepening: string | null, 
/**
 * Where the least singular value of the residual stream falls.
 */
stream: string | null, 
/**
 * Whether the function stays the same when readers are moved along kernels.
 */
preservation: string | null, };

export type MeasuredVerdict = "mean_subtracting" | "not_mean_subtracting" | "inconclusive";

export type Interval = { 
/**
 * Value on all tokens.
 */
value: number, 
/**
 * The least of the three values.
 */
low: number, 
/**
 * The greatest of the three values.
 */
high: number, };

export type Component = { 
/**
 * Channel.
 */
channel: number, 
/**
 * vᵢ.
 */
predicted: number, 
/**
 * u₁ᵢ, with the sign that fits v.
 */
measured: number, };

export type Eigenvalue = { 
/**
 * Its rank from 0, smallest first.
 */
rank: number, 
/**
 * λ over the mean variance.
 */
value: number, };

export type Warning = { 
/**
 * Stable name for programs. Reports of later versions may have other codes.
 */
code: WarningCode, 
/**
 * The sentence for people.
 */
message: string, 
/**
 * File, tensor or site.
 */
where: string, };

export type WarningCode = "file_ignored" | "config_unreadable" | "config_inside" | "index_ignored" | "index_unreadable" | "index_foreign" | "shard_missing" | "shard_damaged" | "tensors_empty" | "copy_inside" | "adapter_inside" | "weights_packed" | "weights_uncounted" | "pickle_runs_code" | "state_chosen" | "graph_differs" | "tensor_repeated" | "tensors_miscounted" | "index_wrong_shard" | "index_absent_tensor" | "config_foreign" | "no_norms" | "scale_unusable" | "scale_off_by_one" | "dtype_unknown" | "names_opaque" | "adapter_config_unreadable" | "activations_unmatched" | "not_measured" | "no_gpu" | "gpu_failed" | "gpu_too_small" | "memory_too_small" | "text_not_run" | "image_changed" | "sound_changed" | "few_tokens" | "fields_left_out" | "blocks_left_out" | "residual_normalised" | "residual_not_measured" | "loss_of_a_guess" | "run_stopped";

export type Comparison = { 
/**
 * Always [`SCHEMA`].
 */
schema: string, 
/**
 * Version of the program that wrote it.
 */
tool_version: string, 
/**
 * The first checkpoint, from which changes are counted: the base model, or the earlier step.
 */
before: ComparedCheckpoint, 
/**
 * The other checkpoint.
 */
after: ComparedCheckpoint, 
/**
 * The changes, in one sentence.
 */
sentence: string, 
/**
 * The number that turns every scale of the first into that of the second, except for rounding, when added to γ, or to the stored
 * tensor if some γ is not known. Null if it is not the same for all common sites, or is 0.
 */
constant: number | null, 
/**
 * Sites of both, with the greatest changes first: first other kinds, then other kernels, then by the greater of angle (in radians)
 * and relative change, then in network order.
 */
sites: Array<SiteComparison>, 
/**
 * Sites of the first without a counterpart, in network order.
 */
only_before: Array<UnpairedSite>, 
/**
 * Sites of the second without a counterpart, in network order.
 */
only_after: Array<UnpairedSite>, 
/**
 * How far the readers of both are apart without their dead parts. Null if that was not asked for.
 */
modulo_dead: ModuloDead | null, 
/**
 * The warnings of both inspections. `where` says which one.
 */
warnings: Array<Warning>, };

export type ComparedCheckpoint = { 
/**
 * The files that were read.
 */
checkpoint: CheckpointSummary, 
/**
 * Its family, from its configuration.
 */
family: string | null, 
/**
 * The kind of all its sites together.
 */
verdict: ModelVerdict, 
/**
 * The verdict in one sentence.
 */
sentence: string, 
/**
 * Number of norm sites.
 */
sites: number, };

export type MatchedBy = "name" | "suffix" | "place";

export type SiteComparison = { 
/**
 * Name in the first.
 */
name: string, 
/**
 * Name in the second.
 */
name_after: string, 
/**
 * How they were matched.
 */
matched_by: MatchedBy, 
/**
 * Its index among the sites of the first, in network order.
 */
order: number, 
/**
 * Its place in the first.
 */
role: NormRole, 
/**
 * Index of its block.
 */
block: number | null, 
/**
 * d.
 */
width: number, 
/**
 * Kind in the first.
 */
kind: NormKind, 
/**
 * Kind in the second.
 */
kind_after: NormKind, 
/**
 * Form of the kernel in the first.
 */
form: KernelForm, 
/**
 * Form in the second.
 */
form_after: KernelForm, 
/**
 * Angle between the two kernel directions as lines, in radians, 0 … π/2. Null unless both are γ⁻¹ directions.
 */
angle: number | null, 
/**
 * ‖γ after − γ before‖ ÷ ‖γ before‖ of the effective scales, without unit. Null if one could not be read, or if the first is all
 * zero.
 */
relative_change: number | null, 
/**
 * Channels whose scale is exactly zero in the second only.
 */
zeros_gained: Array<number>, 
/**
 * Channels whose scale is exactly zero in the first only.
 */
zeros_lost: Array<number>, 
/**
 * Channels with |γᵢ| ≤ 1e-3 median, zeros included, in the second only.
 */
near_dead_gained: Array<number>, 
/**
 * The same channels, in the first only.
 */
near_dead_lost: Array<number>, 
/**
 * Variance of the norm's output along the kernel direction ÷ its mean variance, measured in the first. Null if it was not measured.
 */
depth: number | null, 
/**
 * The same in the second.
 */
depth_after: number | null, 
/**
 * Variance of the normalised input along 1/√d ÷ its mean variance, which does not depend on the scale, measured in the first. Null
 * if it was not measured.
 */
depth_scale_free: number | null, 
/**
 * The same in the second.
 */
depth_scale_free_after: number | null, };

export type UnpairedSite = { 
/**
 * Its name.
 */
name: string, 
/**
 * Its place in the network.
 */
role: NormRole, 
/**
 * Index of its block.
 */
block: number | null, 
/**
 * d.
 */
width: number, 
/**
 * Its kind.
 */
kind: NormKind, 
/**
 * Why it has no counterpart.
 */
why: string, };

export type ModuloDead = { 
/**
 * The weights of all readers together. A matrix that reads two norms counts once.
 */
weights: ModuloDeadDifference, 
/**
 * The biases of all readers together. Null if no reader has one.
 */
biases: ModuloDeadDifference | null, 
/**
 * ‖after − before‖/‖before‖ of all other tensors together, as stored: what writes the stream, embeddings, and scales and shifts. Null
 * if there are none, or all of them are zero in the first.
 */
others: number | null, 
/**
 * Each pair of readers, in network order.
 */
readers: Array<ReaderDifference>, 
/**
 * Readers, and tensors that are no readers, that only one of the two has or that have another shape there.
 */
unpaired: Array<string>, };

export type ModuloDeadDifference = { 
/**
 * ‖after − before‖/‖before‖ of what is stored.
 */
stored: number | null, 
/**
 * The same in canonical form: both without what they read along the dead directions of their norms.
 */
modulo_dead: number | null, 
/**
 * ‖rounded − exact‖/‖exact‖ of the first in canonical form: how far its element type would round it. A difference of this size is
 * rounding.
 */
rounding: number | null, };

export type ReaderDifference = { 
/**
 * The norm site that it reads, in the first.
 */
norm: string, 
/**
 * Name of its weight in the first.
 */
name: string, 
/**
 * Name of its weight in the second.
 */
name_after: string, 
/**
 * Its weight.
 */
weight: ModuloDeadDifference, 
/**
 * Its bias. A missing bias is zero if the other checkpoint has one. Null if neither has one.
 */
bias: ModuloDeadDifference | null, 
/**
 * Why its canonical form is what is stored, in one of the two, although its norm has dead directions. Null if that is not so.
 */
left: string | null, };

export type KernelExport = { 
/**
 * Always [`SCHEMA`].
 */
schema: string, 
/**
 * Version of the program that wrote it.
 */
tool_version: string, 
/**
 * Name of the checkpoint.
 */
checkpoint: string, 
/**
 * Always [`CONVENTION`].
 */
convention: string, 
/**
 * The sites that have a kernel, in network order.
 */
sites: Array<ExportedKernel>, };

export type ExportedKernel = { 
/**
 * Name of the site.
 */
name: string, 
/**
 * d.
 */
width: number, 
/**
 * Its kind.
 */
kind: NormKind, 
/**
 * Probability that the kind is right, 0 to 1. 0 if unknown. Coordinates do not depend on the kind.
 */
confidence: number, 
/**
 * `inverse_scale` or `coordinates`.
 */
form: KernelForm, 
/**
 * v = γ⁻¹/‖γ⁻¹‖ (d values). Null for coordinates.
 */
direction: Array<number> | null, 
/**
 * HM(γ²)/AM(γ²): how much deeper the trained scale makes the kernel than γ = 1. Null for coordinates, and in exports of earlier
 * versions.
 */
deepening: number | null, 
/**
 * Channels whose scale is exactly zero, in ascending order. Empty for a direction.
 */
coordinates: Array<number>, 
/**
 * uᵀβ for each u of the kernel (one, or one for each coordinate), which is uᵀy for every token. Null if the shift could not be read.
 */
constant: Array<number> | null, };

export type AdapterReport = { 
/**
 * Always [`SCHEMA`].
 */
schema: string, 
/**
 * Version of the program that wrote it.
 */
tool_version: string, 
/**
 * Name of the base checkpoint.
 */
base: string, 
/**
 * Description of the base, in one sentence.
 */
base_sentence: string, 
/**
 * Name of the adapter.
 */
adapter: string, 
/**
 * The result, in one sentence.
 */
sentence: string, 
/**
 * Σ‖A K‖²_F ÷ Σ‖A‖²_F over the modules that read a site with a kernel. A is ΔW if a module's numbers are of that. Null without such
 * a module, or if some numbers are of A and others of ΔW.
 */
wasted: number | null, 
/**
 * Average of `wasted` by chance: the mean of k/d, weighted like `wasted`. Null if `wasted` is null.
 */
null: number | null, 
/**
 * The modules that read a norm site, the most wasteful first.
 */
modules: Array<AdapterModule>, 
/**
 * Modules that were left out, each with the reason.
 */
skipped: Array<SkippedModule>, 
/**
 * Modules and norms of the adapter that have another path in the base.
 */
renamings: Array<AdapterRenaming>, 
/**
 * Norm sites for which the adapter has its own scale.
 */
own_scales: Array<string>, 
/**
 * What the user should know before relying on the rest.
 */
warnings: Array<Warning>, };

export type AdapterModule = { 
/**
 * Name of the module in the adapter.
 */
module: string, 
/**
 * Name of the base's weight tensor.
 */
weight: string, 
/**
 * How the module uses the norm's output.
 */
use: ReaderUse, 
/**
 * How the module is adapted.
 */
method: AdapterMethod, 
/**
 * The norm site it reads.
 */
site: string, 
/**
 * Whether the kernel belongs to the adapter's own scale for this site, not to the base's.
 */
own_scale: boolean, 
/**
 * r, the rows of LoRA's A. For other methods, the largest possible rank of ΔW.
 */
rank: number, 
/**
 * d, the columns of A or ΔW.
 */
width: number, 
/**
 * Form of the site's kernel. If it is `none` (an RMSNorm without zero scales), nothing is wasted.
 */
form: KernelForm, 
/**
 * k, the dimension of the kernel.
 */
kernel_dimension: number, 
/**
 * ‖A‖²_F of LoRA's A, otherwise ‖ΔW‖²_F, before factors such as α/r.
 */
energy: number, 
/**
 * ‖A K‖²_F ÷ ‖A‖²_F, or the same of ΔW, 0 … 1. K is an orthonormal basis of the kernel.
 */
wasted: number, 
/**
 * Average of `wasted` by chance: k/d.
 */
null: number, 
/**
 * Standard deviation of `wasted` by chance. LoRA's A and a full difference are compared with independent Gaussian entries. Other ΔW
 * are compared with matrices that have the same singular values and random right singular vectors.
 */
null_deviation: number, };

export type AdapterMethod = "lora" | "ada_lora" | "loha" | "lokr" | "vera" | "difference";

export type AdapterRenaming = { 
/**
 * Beginning of paths in the adapter, up to the number of a block, or the whole path of a module outside blocks.
 */
from: string, 
/**
 * The same part of the path in the base.
 */
to: string, 
/**
 * How many modules and norms of the adapter were found this way.
 */
found: number, };

export type SkippedModule = { 
/**
 * Its name in the adapter.
 */
module: string, 
/**
 * Why it was left out.
 */
why: string, };

export type FoldReport = { 
/**
 * Always [`SCHEMA`].
 */
schema: string, 
/**
 * Version of the program that wrote it.
 */
tool_version: string, 
/**
 * Name of the checkpoint.
 */
checkpoint: string, 
/**
 * The result, in one sentence.
 */
sentence: string, 
/**
 * What was asked for.
 */
operations: Array<FoldOperation>, 
/**
 * Fields of the configuration that are not known here. The user says that they change nothing.
 */
assumed: Array<string>, 
/**
 * The norms of the model, in network order.
 */
norms: Array<FoldedNorm>, 
/**
 * The tensors that write the residual stream, if centring was asked for.
 */
writers: Array<FoldedWriter>, 
/**
 * Why no writer is centred, if so.
 */
not_centred: string | null, 
/**
 * Why norms and writers were left as they are.
 */
left: Array<FoldLeft>, 
/**
 * Whether the unembedding is stored beside the embedding.
 */
untied: FoldOutcome, 
/**
 * Whether maps get biases that their family's code reads.
 */
added_biases: FoldOutcome, 
/**
 * `model_type` of the result, if it is not that of the original.
 */
family: string | null, 
/**
 * Files beside the weights that are not those of the original.
 */
files: Array<string>, 
/**
 * The tensors that change or go, in the order of the files, and then those that are new.
 */
tensors: Array<FoldedTensor>, 
/**
 * Bytes of all shards.
 */
bytes: number, 
/**
 * How wrong offsets of scales were repaired. Null if that was not asked for. Then the function changes, and no norm is listed.
 */
repair: OffsetRepair | null, 
/**
 * Both checkpoints on the same tokens. Null if they were not run.
 */
proof: FoldProof | null, };

export type FoldOperation = "scales" | "shifts" | "centre" | "canonical" | "untie" | "add_biases" | "rms_norm" | "repair_offset";

export type FoldOutcome = { "state": "not_asked" } | { "state": "nothing" } | { "state": "done" } | { "state": "left", 
/**
 * Why.
 */
why: string, };

export type FoldedNorm = { 
/**
 * Name of its site.
 */
name: string, 
/**
 * Its kind.
 */
kind: NormKind, 
/**
 * Its scale.
 */
scale: FoldOutcome, 
/**
 * Its shift.
 */
shift: FoldOutcome, 
/**
 * The dead part of its readers.
 */
canonical: FoldOutcome, 
/**
 * Channels whose scale is exactly zero, in ascending order.
 */
channels_off: Array<number>, 
/**
 * The maps that read it.
 */
readers: Array<FoldedReader>, };

export type FoldedReader = { 
/**
 * Name of its weight.
 */
name: string, 
/**
 * Its dead part.
 */
canonical: FoldOutcome, };

export type FoldedWriter = { 
/**
 * Its name.
 */
name: string, 
/**
 * Whether it was centred.
 */
centred: FoldOutcome, };

export type FoldLeft = { 
/**
 * The reason, with a star for each number in a name.
 */
why: string, 
/**
 * The norms and writers.
 */
names: Array<string>, };

export type FoldedTensor = { 
/**
 * Its name.
 */
name: string, 
/**
 * Its element type, which stays.
 */
dtype: string, 
/**
 * Number of its values.
 */
values: number, 
/**
 * What happens to it. The function stays the same because this is done.
 */
identity: string, 
/**
 * ‖rounded − exact‖/‖exact‖: how far the exact result was rounded to the element type. Null before it is written.
 */
rounding: number | null, 
/**
 * No input changes what the tensor computes by more than this, because of the rounding: a Euclidean norm over its outputs. Null before
 * it is written, and for a writer, whose input no parameter bounds.
 */
bound: number | null, };

export type FoldProof = { 
/**
 * Number of tokens.
 */
tokens: number, 
/**
 * ‖difference‖/‖original‖ of the residual stream after each block, without its mean over the channels if writers were centred.
 */
blocks: Array<FoldDifference>, 
/**
 * The same of the last hidden states. Null with a head, because it may have taken over the scale of the last norm.
 */
hidden: FoldDifference | null, 
/**
 * The same of the logits. Null without a head.
 */
logits: FoldDifference | null, 
/**
 * Mean KL divergence of the next-token distributions, in nats. Null without a head.
 */
divergence: FoldDifference | null, 
/**
 * Whether the logits, or without a head the last hidden states, differ by no more than ten times the floor.
 */
same: boolean, };

export type FoldDifference = { 
/**
 * Of the result.
 */
found: number, 
/**
 * Of the original with moved weights.
 */
floor: number, };

export type OffsetRepair = { 
/**
 * What was run.
 */
text: string, 
/**
 * Number of its tokens.
 */
tokens: number, 
/**
 * The versions that were run, as stored first.
 */
versions: Array<OffsetVersion>, 
/**
 * The scales that are repaired, in network order.
 */
norms: Array<RepairedNorm>, };

export type OffsetVersion = { 
/**
 * How it differs from what is stored.
 */
what: string, 
/**
 * Mean loss of the next tokens, in nats. Null if the run overflowed.
 */
loss: number | null, 
/**
 * Whether it is what the result stores.
 */
chosen: boolean, };

export type RepairedNorm = { 
/**
 * Its norm site.
 */
name: string, 
/**
 * Name of the tensor.
 */
tensor: string, 
/**
 * What is added to every value of it.
 */
added: number, };

export type ScanLine = { 
/**
 * Path of the checkpoint in the list or folder.
 */
path: string, 
/**
 * Its report, if it could be inspected.
 */
report: Report | null, 
/**
 * The error, if it could not.
 */
error: string | null, };

export type Contents = { 
/**
 * Name of each tensor in the file.
 */
names: Array<string>, 
/**
 * Every element type that occurs.
 */
dtypes: Array<string>, 
/**
 * For each tensor, its index in `dtypes`.
 */
dtype: Array<number>, 
/**
 * Every shape that occurs, outermost dimension first.
 */
shapes: Array<Array<number>>, 
/**
 * For each tensor, its index in `shapes`.
 */
shape: Array<number>, 
/**
 * For each tensor, its bytes in the file.
 */
bytes: Array<number>, 
/**
 * Path of each file.
 */
files: Array<string>, 
/**
 * For each tensor, its index in `files`.
 */
file: Array<number>, 
/**
 * For each tensor, its first byte in that file.
 */
offset: Array<number>, 
/**
 * The configurations, and the metadata of the files.
 */
documents: Array<Document>, };

export type Document = { 
/**
 * The file of the document.
 */
path: string, 
/**
 * Whether it is the metadata inside a file of weights.
 */
metadata: boolean, 
/**
 * Its fields. Long texts are cut. Of lists in a GGUF file only the length is known.
 */
fields: Record<string, unknown>, };

export type Outcome = { 
/**
 * The measurement, if there is one.
 */
site: SiteVerification | null, 
/**
 * Why there is none, or what went wrong.
 */
warnings: Array<Warning>, 
/**
 * Unit roundoff of the coarsest activations for this site.
 */
unit_roundoff: number, 
/**
 * Seconds of the GPU's kernel, by its own clock.
 */
kernel_seconds: number | null, };

export type Outcomes = { 
/**
 * The outcome of each site that was begun.
 */
outcomes: Array<Outcome>, 
/**
 * Warnings of the plan.
 */
warnings: Array<Warning>, 
/**
 * Where the exact sums were computed.
 */
device: string, 
/**
 * File of the activations.
 */
input: string, 
/**
 * Wall time.
 */
seconds: number, };

export type Wanted = "fastest" | "gpu" | "cpu";

export type Measured = { "site": [number, Outcome] } | { "block": [number, { Ok : Stream } | { Err : string }] };

export type Stream = { after: Least, 
/**
 * σ_min between the parts of the block.
 */
after_attention: number | null, bottom: BottomDirection | null, };

export type Least = { all: number, halves: [number, number] | null, };

export type BottomDirection = { 
/**
 * d values, of unit length.
 */
components: Array<number>, 
/**
 * λ₂/λ₁.
 */
gap: number, 
/**
 * |⟨u, v⟩|, where v belongs to the scale that reads the stream next.
 */
inverse_scale: number | null, 
/**
 * Length of u in the near-dead channels of that scale.
 */
near_dead: number | null, 
/**
 * Energy of the attention and of the feed-forward part of the block along u, once it is known.
 */
written: [number | null, number | null], };

export type RunOutcome = { 
/**
 * The kind of the norms by loss.
 */
loss: KindByLoss | null, 
/**
 * The effect of moving readers on the function.
 */
preservation: Array<Preservation>, 
/**
 * Mean loss, in nats.
 */
mean_loss: number | null, 
/**
 * Number of finished blocks, if the run was stopped.
 */
stopped: number | null, 
/**
 * What went wrong.
 */
warnings: Array<Warning>, };

export type RunResult = { 
/**
 * Measured norms and streams, in any order. Of duplicates, the later one counts.
 */
measured: Array<Measured>, 
/**
 * Results of the pass itself.
 */
outcome: RunOutcome, 
/**
 * Description of the pass.
 */
pass: PassSummary, 
/**
 * Description of the input.
 */
input: string, 
/**
 * Devices of the pass and of the exact sums.
 */
device: string, 
/**
 * Wall time in seconds.
 */
seconds: number, 
/**
 * What the model, or its encoder, reads. It tells two towers apart.
 */
reads: Reads, };

export type Reads = "tokens" | "pixels" | "sounds";

export type Progress = { 
/**
 * The current stage.
 */
stage: Stage, 
/**
 * Shards, tensors or writers done.
 */
done: number, 
/**
 * Shards, tensors or writers in all.
 */
total: number, 
/**
 * Bytes read so far.
 */
bytes_read: number, };

export type Stage = "headers" | "scales" | "weights" | "sites" | "blocks";

export type Figure = { 
/**
 * Which figure it is.
 */
kind: FigureKind, 
/**
 * What the figure shows, and of which site.
 */
title: string, 
/**
 * What the statistic means and what these data say, in a sentence or two.
 */
caption: string, 
/**
 * Width of the SVG in CSS pixels.
 */
width: number, 
/**
 * Height of the SVG in CSS pixels.
 */
height: number, 
/**
 * A complete SVG document, colours as CSS variables with fallbacks.
 */
svg: string, 
/**
 * Places with a tooltip, at most [`MOST_MARKS`].
 */
marks: Array<Mark>, 
/**
 * The data.
 */
table: Table, };

export type FigureKind = "kernel_direction" | "scale_distribution" | "site_map" | "soft_spectrum" | "evidence" | "writer_energy" | "measured" | "measured_direction" | "principal_angles" | "kernel_angles" | "scale_changes" | "adapter_waste" | "residual" | "preservation" | "random_init" | "tensor_values";

export type Mark = { 
/**
 * CSS pixels from the left edge of the SVG.
 */
x: number, 
/**
 * CSS pixels from its top edge.
 */
y: number, 
/**
 * Index into the table's rows.
 */
row: number, };

export type Table = { 
/**
 * Columns, one for each cell of a row.
 */
columns: Array<Column>, 
/**
 * The data.
 */
rows: Array<Array<Cell>>, };

export type Column = { 
/**
 * Its heading.
 */
name: string, 
/**
 * Unit of its numbers, if they have one.
 */
unit: string | null, };

export type Cell = number | string | null;
