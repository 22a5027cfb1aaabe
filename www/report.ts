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
export const WEIGHTS_ENDINGS: readonly string[] = ['.safetensors', '.gguf', '.bin', '.pt', '.pth', '.ckpt'];

/** First words of the names of files with such an end that hold no weights. */
export const BESIDE_WEIGHTS: readonly string[] = ['training_args', 'optimizer', 'optim_states', 'scheduler', 'scaler', 'rng_state', 'random_states', 'zero_pp_rank', 'bf16_zero_pp_rank'];

export type Gathered = { 
/**
 * Its folder, or its first file where it shares the folder with others.
 */
name: string, 
/**
 * Places of its files among those given.
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
 * What stands out, the most important first; made from the rest of the report by [`Report::find`], and empty in links.
 */
findings: Array<Finding>, 
/**
 * Every norm site, in the order of the network.
 */
norms: Array<NormReport>, 
/**
 * The dead parameter directions of all readers together.
 */
dead_parameters: DeadParameters, 
/**
 * The sampled writers of the residual streams; empty when none was sampled.
 */
writers: Array<WriterReport>, 
/**
 * Measured activations; null until something was measured.
 */
verification: Verification | null, 
/**
 * What the user should know before relying on the rest.
 */
warnings: Array<Warning>, 
/**
 * That it came in a link, which holds less than a checkpoint does; null for a checkpoint that is open.
 */
shared: SharedSummary | null, };

export type CheckpointSummary = { 
/**
 * Folder or file name, without directories above it.
 */
name: string, 
/**
 * "safetensors", "gguf" or "pytorch".
 */
format: string, 
/**
 * Shards that were opened.
 */
shards: number, 
/**
 * Shards that the index or the file names promise and that were not given.
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
 * Of `bytes_read`, headers, index and config.
 */
header_bytes: number, 
/**
 * Bytes of the scale and shift tensors of all sites.
 */
norm_bytes: number, 
/**
 * Bytes of weights sampled for the writers' energy after the first verdict, not part of `bytes_read`; 0 when that
 * was refused or has not been done.
 */
weight_bytes_read: number, 
/**
 * What was transferred; null for files of this machine. Added with remote checkpoints.
 */
remote: RemoteSummary | null, };

export type RemoteSummary = { 
/**
 * The address that was opened, without its query: that may be a signature.
 */
address: string, 
/**
 * Requests made, failed ones included, redirects not.
 */
requests: number, 
/**
 * Bytes of the bodies that came: more than `bytes_read`, as a request costs more than some bytes beside.
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
 * The least confidence among the sites that decide the verdict, 0 to 1.
 */
confidence: number, 
/**
 * The one sentence.
 */
sentence: string, 
/**
 * Why: one line for each kind of evidence that decided it.
 */
reasons: Array<string>, 
/**
 * The parts of the model, when it has several stacks of blocks: an encoder and a decoder, a vision tower and a
 * language model. Empty when it has one.
 */
parts: Array<PartSummary>, 
/**
 * Name of the final norm's site.
 */
final_norm: string | null, 
/**
 * Number of layers: the blocks, or more where layers share one block (ALBERT).
 */
layers: number | null, 
/**
 * Width of the residual stream.
 */
width: number | null, };

export type ModelVerdict = "layernorm" | "rmsnorm" | "mixed" | "other" | "unknown";

export type PartSummary = { 
/**
 * Path of its stack of blocks; empty for the sites that belong to none.
 */
name: string, 
/**
 * Kind of its sites together.
 */
verdict: ModelVerdict, 
/**
 * The least confidence among the sites that decide the verdict, 0 to 1.
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
 * It in one sentence.
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
 * The site to look at first; null where it is about the whole model.
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
 * Name of the stored scale tensor; null where the norm stores nothing, γ = 1.
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
 * Where it sits.
 */
role: NormRole, 
/**
 * Index of its block, if it is in one.
 */
block: number | null, 
/**
 * The part of the model it belongs to, by the path of the stack of blocks: its own, or the one it begins or ends.
 */
part: string | null, 
/**
 * What it does.
 */
kind: NormKind, 
/**
 * Probability that `kind` is right given the evidence, 0 to 1; 0 when unknown.
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
 * What the module may do, and how probable each is; empty in reports of versions that did not have it.
 */
alternatives: Array<AlternativeReport>, 
/**
 * Everything that speaks for or against.
 */
evidence: Array<EvidenceReport>, 
/**
 * What would settle the kind where it is unknown or contradicted; null where nothing is open.
 */
settle: string | null, 
/**
 * The kernel, as far as the scale decides it.
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
 * The kind it speaks for; unknown when it abstains.
 */
says: NormKind, 
/**
 * By how many nats it speaks for that kind rather than for the next likely one; for structure and names, which are counted given
 * the shift, by how many nats it raises that kind's odds. 0 when it abstains.
 */
strength: number, 
/**
 * What was seen, as a sentence.
 */
detail: string, 
/**
 * How probable each behaviour would be on this evidence alone; empty when it abstains, in links, and in reports of earlier versions.
 */
under: Array<AlternativeReport>, };

export type AlternativeReport = { 
/**
 * What the module does.
 */
behaviour: NormBehaviour, 
/**
 * Probability, 0 to 1; all of one site add up to 1.
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
 * Index of its block; its order among the writers where names say nothing.
 */
block: number, 
/**
 * Which part of the network it ends.
 */
part: WriterPart, 
/**
 * Width d of the stream.
 */
rows: number, 
/**
 * Columns sampled.
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
 * Variance of the rows' squared norms against a random draw's: 1 untrained, above it trained.
 */
row_dispersion: number, };

export type SharedSummary = { 
/**
 * When the link was made: RFC 3339.
 */
made: string, 
/**
 * Whether names were left in. Otherwise sites, readers and writers are numbered.
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
 * The least of it on all tokens and on both halves.
 */
low: number, 
/**
 * The greatest.
 */
high: number, };

export type ResidualFall = { 
/**
 * The block, from 0 in its stack.
 */
block: number, 
/**
 * Which of two stacks; null in a model of one.
 */
stack: StackName | null, 
/**
 * σ_min after it over σ_min after the one before, on all tokens and on both halves.
 */
ratio: Interval, 
/**
 * Whether it falls on either half of the tokens alone: a fall that is not is perhaps noise.
 */
on_both_halves: boolean, 
/**
 * Where in the block, and in which direction; null where the stream between the parts of the block was not measured.
 */
place: FallPlace | null, };

export type StackName = "encoder" | "tower" | "decoder";

export type StackSummary = { 
/**
 * Which one.
 */
stack: StackName, 
/**
 * Blocks that are run.
 */
blocks: number, 
/**
 * Sequences.
 */
sequences: number, 
/**
 * Tokens of each.
 */
length: number, };

export type FallPlace = { 
/**
 * The part of the block that makes it fall by more than a hundredth.
 */
part: FallPart, 
/**
 * σ_min after the attention over σ_min before the block; in a decoder after both its attentions, that to its encoder too.
 */
attention: number, 
/**
 * σ_min after the block over σ_min after the attention. The product of both is the ratio of the fall.
 */
feed_forward: number, 
/**
 * λ₂/λ₁ of the stream after the block. Where it is near 1, u is one of several directions that are nearly alike.
 */
gap: number, 
/**
 * |⟨u, u′⟩| with the bottom direction u′ before the block: 1 where the same direction becomes smaller, 0 where another one
 * takes its place.
 */
same_direction: number, 
/**
 * |⟨u, 1/√d⟩|, 0 … 1: the mean over channels, which a LayerNorm subtracts.
 */
mean: number, 
/**
 * |⟨u, v⟩| with v = γ⁻¹/‖γ⁻¹‖ of the norm that reads the stream next; null where a scale of it is zero, or none is known.
 */
inverse_scale: number | null, 
/**
 * The length of u in the channels that the next norm scales by at most 10⁻³ of its median scale, 0 … 1; null where no such
 * norm is known.
 */
near_dead: number | null, };

export type FallPart = "attention" | "feed_forward" | "both";

export type KindByLoss = { 
/**
 * Mean loss as LayerNorms, in nats.
 */
layernorm: number, 
/**
 * As RMSNorms.
 */
rmsnorm: number, 
/**
 * The former less the latter, paired by token.
 */
difference: number, 
/**
 * Its standard error: of tokens or of sequences, the greater.
 */
standard_error: number, 
/**
 * Tokens with a loss.
 */
tokens: number, 
/**
 * The kind that costs less; unknown under five standard errors.
 */
kind: NormKind, };

export type PassSummary = { 
/**
 * The family it was run as.
 */
family: string, 
/**
 * The kind that the run used for the final norm, or for the first one if there is no final norm.
 */
told: NormKind, 
/**
 * Sequences; those of the decoder, where there are two stacks.
 */
sequences: number, 
/**
 * Tokens of each.
 */
length: number, 
/**
 * Mean loss of the next token, in nats; null for uniform ids, and for a model without a head or that sees later tokens.
 */
loss: number | null, 
/**
 * Blocks after those that were run: 0 of a whole model.
 */
left_out: number, 
/**
 * Its encoder and its decoder, in the order in which they ran; empty for a model of one stack.
 */
stacks: Array<StackSummary>, };

export type Preservation = { 
/**
 * Site name; of a norm that is no site of the report, its place.
 */
site: string, 
/**
 * Name of the weight tensor of the reader.
 */
reader: string, 
/**
 * Whether the reader is the unembedding and shares the input embedding's matrix: only the unembedding was moved.
 */
tied: boolean, 
/**
 * The kind that the norm was run as.
 */
kind: NormKind, 
/**
 * v.
 */
direction: PreservationDirection, 
/**
 * Whether v is in the kernel of that norm: an RMSNorm has γ⁻¹ in none, and it is tried all the same.
 */
in_kernel: boolean, 
/**
 * vᵀβ: the constant that the bias takes back, where it is moved.
 */
constant: number, 
/**
 * What is measured.
 */
measure: PreservationMeasure, 
/**
 * Over t, the least first.
 */
points: Array<PreservationPoint>, 
/**
 * Values up to this are rounding: what a random direction does here at t = 2⁻²³, the rounding of the weights themselves,
 * times 100 (a divergence) or 10 (a relative change).
 */
floor: number, 
/**
 * k of value ∝ tᵏ, from the two least t whose values are above the floor: 2 of a divergence and 1 of a relative change,
 * where the change is small and sends no token to other experts; null without two such t.
 */
exponent: number | null, 
/**
 * Whether all values are at the floor.
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
 * Indices with γᵢ = 0.
 */
coordinates: Array<number>, 
/**
 * 1/Σvᵢ⁴: how many coordinates share the direction (1 … d); only for `inverse_scale`.
 */
participation: number | null, 
/**
 * max|vᵢ|; only for `inverse_scale`.
 */
max_component: number | null, 
/**
 * Index of max|vᵢ|; only for `inverse_scale`.
 */
max_index: number | null, 
/**
 * ‖γ⁻¹‖; only for `inverse_scale`.
 */
inverse_norm: number | null, 
/**
 * HM(γ²)/AM(γ²): by how much the trained scale makes the kernel deeper (λ_v against the mean variance) than γ = 1 does, so a
 * prediction of depth trained over depth at the initialisation that needs no run (MATH §9); only for `inverse_scale`, and null
 * in reports of earlier versions.
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
 * max|γ|/min|γ|; null when a scale is zero.
 */
condition: number | null, 
/**
 * Indices with |γᵢ| ≤ 1e-3 median, zeros included.
 */
near_dead: Array<number>, 
/**
 * Σvᵢ² over the near-dead coordinates: how much of the direction they carry (0 … 1); only for `inverse_scale`.
 */
near_dead_weight: number | null, 
/**
 * Directions predicted below τ·mean (τ = 1e-6) if x̂ were isotropic, exact kernel included; null when the kind is not known.
 */
predicted_below_tau: number | null, };

export type KernelForm = "inverse_scale" | "coordinates" | "none" | "unknown";

export type ReaderReport = { 
/**
 * Name of the weight tensor.
 */
name: string, 
/**
 * What it is for.
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
 * What was assumed in counting them.
 */
assumed: string | null, };

export type ReaderUse = "query" | "key" | "value" | "fused_attention" | "feed_forward" | "expert" | "router" | "unembedding" | "tied_unembedding" | "projection";

export type DeadDirections = { 
/**
 * The function does not change at all.
 */
outright: number, 
/**
 * The function does not change once b ← b − a vᵀβ.
 */
with_bias_shift: number, 
/**
 * The change adds a constant that nothing takes back.
 */
constant_shift: number, 
/**
 * Dead for this reader, but its matrix is also the input embedding, where the change is seen.
 */
tied: number, };

export type DeadParameters = { 
/**
 * The function does not change at all.
 */
outright: number, 
/**
 * The function does not change once the reader's bias is moved.
 */
with_bias_shift: number, 
/**
 * Only a constant is added to the reader's output.
 */
constant_shift: number, 
/**
 * Unread by a tied unembedding, but seen at the input embedding.
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
 * What the counts rest on.
 */
assumptions: Array<string>, };

export type Verification = { 
/**
 * Tokens n, the fewest of any site.
 */
tokens: number, 
/**
 * n/d, the least of any site.
 */
width_ratio: number, 
/**
 * Precision of the activations: "f32", "f16" (any 16-bit type) or "f64", the coarsest of any site.
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
 * Wall time.
 */
seconds: number, 
/**
 * Of them, those of the GPU's Gram kernel, by the GPU's own clock and all workers together; null on the CPU and where the
 * GPU has no such clock.
 */
kernel_seconds: number | null, 
/**
 * One for each measured site.
 */
sites: Array<SiteVerification>, 
/**
 * The residual stream after each block, before the final norm; empty where no forward pass was run.
 */
residual: Array<ResidualBlock>, 
/**
 * Where its least singular value falls.
 */
falls: Array<ResidualFall>, 
/**
 * The kind of the norms by loss; null where the tokens were not run under both kinds, or predicted no better than a guess.
 */
loss: KindByLoss | null, 
/**
 * The forward pass that was run here; null for activations of the model's own code. Only those are evidence of the kind: a
 * pass assumes the kind, and shows what it assumes.
 */
pass: PassSummary | null, 
/**
 * What moving the readers of some sites along a direction does to the model's function; empty where that was not tried.
 */
preservation: Array<Preservation>, 
/**
 * The same architecture at its initialisation, on the same token ids; null where it was not run beside the trained one.
 */
random_init: RandomInit | null, 
/**
 * The paper's claims next to what was found; empty for activations of the model's own code.
 */
claims: Array<Claim>, };

export type MeasurementPlan = { 
/**
 * Names of the sites, in the order of the network.
 */
sites: Array<string>, 
/**
 * Tokens n, the fewest and the most of any site.
 */
tokens: [number, number], 
/**
 * Bytes of activations to be read.
 */
bytes: number, 
/**
 * Additions and multiplications, of the exact sums and of the eigenvalues.
 */
operations: number, 
/**
 * Bytes of memory that the largest site takes.
 */
memory: number, 
/**
 * About how long it takes, one site after the other, judged by a trial on this machine.
 */
seconds: number, 
/**
 * Operations a second of the exact sums and of the eigenvalues, in that trial.
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
 * What to know before it begins.
 */
warnings: Array<Warning>, };

export type RunInput = "usual" | "uniform" | "text" | "ids" | "images" | "pixels" | "sounds";

export type RunOptions = { 
/**
 * Tokens, rounded up to whole sequences; without, four for each channel of the stream.
 */
tokens: number | null, 
/**
 * Tokens of a sequence; without, 128, or as many as a decoder behind an encoder has positions for.
 */
sequence: number | null, 
/**
 * Blocks, from the first on; without, all of them.
 */
blocks: number | null, 
/**
 * Which norms are measured.
 */
sites: RunSites, 
/**
 * What is run.
 */
input: RunInput, 
/**
 * Whether readers are moved along their kernels and other directions, to see what the function does.
 */
preservation: boolean, };

export type RunPlan = { 
/**
 * The family it is run as.
 */
family: string, 
/**
 * The kind that the run assumes of its norms.
 */
told: NormKind, 
/**
 * Sequences; those of the decoder, where there are two stacks.
 */
sequences: number, 
/**
 * Tokens of each.
 */
length: number, 
/**
 * Blocks that are run, of all stacks.
 */
blocks: number, 
/**
 * Blocks after those.
 */
left_out: number, 
/**
 * Its encoder and its decoder, in the order in which they run; empty for a model of one stack.
 */
stacks: Array<StackSummary>, 
/**
 * Norms that are measured.
 */
sites: number, 
/**
 * What the tokens are.
 */
input: string, 
/**
 * Whether the kind is judged by loss, which takes a second pass.
 */
losses: boolean, 
/**
 * Passes with a reader moved.
 */
moves: number, 
/**
 * Tokens that it is judged by at most; fewer where fewer decide it.
 */
loss_tokens: number, 
/**
 * Bytes of weights to be read.
 */
bytes: number, 
/**
 * Additions and multiplications of the pass and of what is measured.
 */
operations: number, 
/**
 * Bytes of memory that the pass takes: activations, the weights of the largest part of a block, and what is read ahead.
 */
memory: number, 
/**
 * Bytes of memory that measuring a norm takes.
 */
memory_of_site: number, 
/**
 * About how long the pass takes, judged by a trial on this machine.
 */
pass_seconds: number, 
/**
 * About how long it takes to measure, one thing after the other.
 */
measuring_seconds: number, 
/**
 * Where the pass runs: "cpu", or the name of the GPU.
 */
device: string, 
/**
 * Where the exact sums are computed.
 */
gram_device: string, 
/**
 * What to know before it begins.
 */
warnings: Array<Warning>, };

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
 * Whether the configuration names it. Otherwise it is the usual 1e-5.
 */
epsilon_configured: boolean, 
/**
 * With the mean subtracted.
 */
layernorm: SiteVerification, 
/**
 * Without.
 */
rmsnorm: SiteVerification, 
/**
 * What went wrong on the way: a GPU that is not there, or was lost.
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
 * Tokens with massive activations, summed one by one.
 */
heavy_tokens: number, 
/**
 * CRC-32, in hexadecimal, of the grid and of the exact sums behind the covariance: the same on every device.
 */
gram_crc32: string, 
/**
 * tr C/d.
 */
mean_variance: number, 
/**
 * λ_v, `depth` × `mean_variance`, in units of y²; null in reports from before it was there.
 */
lambda_v: number | null, 
/**
 * Measured directions with an eigenvalue below τ × the mean variance (τ = 1e-6), beside `predicted_below_tau` of the site's
 * kernel; null where the activations were stored in a type whose rounding is above τ, and in reports from before it was there.
 */
below_tau: number | null, 
/**
 * λ_v over the mean variance, along the predicted direction; the greatest along any coordinate whose scale is zero,
 * where those are the kernel.
 */
depth: number, 
/**
 * It on both halves of the tokens.
 */
depth_interval: Interval, 
/**
 * |⟨u₁, v⟩| of the bottom eigenvector and the predicted direction; the cosine of the greatest principal angle between
 * the zero coordinates and the measured bottom subspace, where those are the kernel; null where several directions
 * lie below rounding.
 */
cos: number | null, 
/**
 * It on both halves; null where one of them has too few tokens, or none of the number.
 */
cos_interval: Interval | null, 
/**
 * λ₂/λ₁; null where rounding does not let λ₁ be seen.
 */
gap: number | null, 
/**
 * It on both halves, as above.
 */
gap_interval: Interval | null, 
/**
 * Davis–Kahan bound of sin ∠(u₁, v); null where the spectrum has no room for one.
 */
sin_bound: number | null, 
/**
 * Variance of x̂ along 1/√d over its mean variance; null where x̂ cannot be had.
 */
depth_scale_free: number | null, 
/**
 * It on both halves of the tokens.
 */
depth_scale_free_interval: Interval | null, 
/**
 * |cos| of the bottom eigenvector of x̂'s covariance and 1/√d.
 */
cos_scale_free: number | null, 
/**
 * It on both halves.
 */
cos_scale_free_interval: Interval | null, 
/**
 * 1 − 1/((vᵀC⁻¹v)(vᵀCv)): 0 when v is an eigenvector; null where C⁻¹ is not to be had.
 */
schur: number | null, 
/**
 * It on both halves.
 */
schur_interval: Interval | null, 
/**
 * What it is for an exact noise direction: d/n.
 */
schur_null: number, 
/**
 * λ₁ ≤ … ≤ λ_d over the mean variance, all or, beyond a width of 400, a sample with the lowest 40.
 */
spectrum: Array<Eigenvalue>, 
/**
 * The predicted direction beside the measured one: the 64 largest components and a sample of the others; empty where the
 * kernel is coordinates, or the bottom direction is not resolved.
 */
direction: Array<Component>, 
/**
 * Cosines of the principal angles between the near-dead coordinates with v and the measured bottom subspace.
 */
principal_cosines: Array<number> | null, 
/**
 * They on both halves; null where one of them has too few tokens.
 */
principal_cosines_interval: Array<Interval> | null, 
/**
 * The greatest variance of a channel whose scale is exactly zero; null without one.
 */
zero_variance: number | null, 
/**
 * The raw direction matches γ⁻¹ although the scale-free test says that no mean was subtracted.
 */
raw_test_fooled: boolean, 
/**
 * The verdict, which rests on the scale-free test.
 */
verdict: MeasuredVerdict, 
/**
 * What to know about these numbers.
 */
notes: Array<string>, };

export type RandomInit = { 
/**
 * What the weights were drawn from.
 */
seed: number, 
/**
 * Wall time of its run, not part of `Verification::seconds`.
 */
seconds: number, 
/**
 * The sites that were measured in both, in the order of the network.
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
 * The same of the normalised input along 1/√d; null where that cannot be had.
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
 * Depth when trained over that at the initialisation: `lambda_v_ratio` over `mean_ratio`. Null where this divides by 0.
 */
depth_ratio: number | null, 
/**
 * λ_v when trained over that at the initialisation. That of an exact kernel is rounding.
 */
lambda_v_ratio: number | null, 
/**
 * Mean variance when trained over that at the initialisation.
 */
mean_ratio: number | null, };

export type Claim = { 
/**
 * What the paper says.
 */
paper: string, 
/**
 * What this model shows, with its numbers.
 */
found: string, 
/**
 * Whether that is the same.
 */
agrees: boolean, };

export type MeasuredVerdict = "mean_subtracting" | "not_mean_subtracting" | "inconclusive";

export type Interval = { 
/**
 * On all tokens.
 */
value: number, 
/**
 * The least.
 */
low: number, 
/**
 * The greatest.
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
 * u₁ᵢ, of the sign that fits v.
 */
measured: number, };

export type Eigenvalue = { 
/**
 * Its rank from 0, the least first.
 */
rank: number, 
/**
 * λ over the mean variance.
 */
value: number, };

export type Warning = { 
/**
 * Stable name for programs; a report of a later version may have others.
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

export type WarningCode = "file_ignored" | "config_unreadable" | "index_ignored" | "index_unreadable" | "index_foreign" | "shard_missing" | "shard_damaged" | "tensors_empty" | "copy_inside" | "adapter_inside" | "weights_packed" | "weights_uncounted" | "pickle_runs_code" | "state_chosen" | "tensor_repeated" | "tensors_miscounted" | "index_wrong_shard" | "index_absent_tensor" | "config_foreign" | "no_norms" | "scale_unusable" | "scale_off_by_one" | "dtype_unknown" | "names_opaque" | "adapter_config_unreadable" | "activations_unmatched" | "not_measured" | "no_gpu" | "gpu_failed" | "gpu_too_small" | "text_not_run" | "image_changed" | "sound_changed" | "few_tokens" | "blocks_left_out" | "residual_normalised" | "residual_not_measured" | "loss_of_a_guess" | "run_stopped";

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
 * The one that changes are counted from: the base model, the earlier step.
 */
before: ComparedCheckpoint, 
/**
 * The other checkpoint.
 */
after: ComparedCheckpoint, 
/**
 * What changed, in one sentence.
 */
sentence: string, 
/**
 * What is added to every scale of the first to have that of the second, except for rounding: to γ, or to the stored tensor
 * where some γ is not known; null unless it is one number for all sites that both have, and not 0.
 */
constant: number | null, 
/**
 * Sites that both have, what changed most first: another kind, then another kernel, then by the greater of angle (in
 * radians) and relative change, then in the order of the network.
 */
sites: Array<SiteComparison>, 
/**
 * Sites of the first without a counterpart, in the order of the network.
 */
only_before: Array<UnpairedSite>, 
/**
 * Sites of the second without one.
 */
only_after: Array<UnpairedSite>, 
/**
 * The warnings of both inspections, `where` saying which.
 */
warnings: Array<Warning>, };

export type ComparedCheckpoint = { 
/**
 * The files that were read.
 */
checkpoint: CheckpointSummary, 
/**
 * Its family, as its configuration says.
 */
family: string | null, 
/**
 * The kind of all its sites together.
 */
verdict: ModelVerdict, 
/**
 * It in one sentence.
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
 * Why they are taken for the same.
 */
matched_by: MatchedBy, 
/**
 * Its place among the sites of the first, in the order of the network, from 0.
 */
order: number, 
/**
 * Where it sits, in the first.
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
 * Angle between the two kernel directions as lines, in radians, 0 … π/2; null unless both are γ⁻¹ directions.
 */
angle: number | null, 
/**
 * ‖γ after − γ before‖ ÷ ‖γ before‖ of the effective scales, without unit; null where one of them could not be read or
 * the first is all zero.
 */
relative_change: number | null, 
/**
 * Channels whose scale is exactly zero in the second only.
 */
zeros_gained: Array<number>, 
/**
 * In the first only.
 */
zeros_lost: Array<number>, 
/**
 * Channels with |γᵢ| ≤ 1e-3 median, zeros included, in the second only.
 */
near_dead_gained: Array<number>, 
/**
 * In the first only.
 */
near_dead_lost: Array<number>, 
/**
 * Variance of the norm's output along the kernel direction ÷ its mean variance, measured in the first; null where it was
 * not measured.
 */
depth: number | null, 
/**
 * The same, measured in the second.
 */
depth_after: number | null, 
/**
 * Variance of the normalised input along 1/√d ÷ its mean variance, which no scale can fool, measured in the first; null
 * where it was not.
 */
depth_scale_free: number | null, 
/**
 * The same, measured in the second.
 */
depth_scale_free_after: number | null, };

export type UnpairedSite = { 
/**
 * Its name.
 */
name: string, 
/**
 * Where it sits.
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
 * The sites that have a kernel, in the order of the network.
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
 * Probability that the kind is right, 0 to 1; 0 when unknown. Coordinates do not depend on the kind.
 */
confidence: number, 
/**
 * `inverse_scale` or `coordinates`.
 */
form: KernelForm, 
/**
 * v = γ⁻¹/‖γ⁻¹‖ (d values); null for coordinates.
 */
direction: Array<number> | null, 
/**
 * HM(γ²)/AM(γ²): how much deeper the trained scale makes the kernel than γ = 1; null for coordinates, and in exports of earlier
 * versions.
 */
deepening: number | null, 
/**
 * Channels whose scale is exactly zero, in ascending order; empty for a direction.
 */
coordinates: Array<number>, 
/**
 * uᵀβ for each u of the kernel (one, or one a coordinate): what uᵀy is for every token; null where the site has a shift that
 * could not be read.
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
 * What the base is, in one sentence.
 */
base_sentence: string, 
/**
 * Name of the adapter.
 */
adapter: string, 
/**
 * What was found, in one sentence.
 */
sentence: string, 
/**
 * Σ‖A K‖²_F ÷ Σ‖A‖²_F over the modules that read a site with a kernel, A being ΔW where a module's numbers are of that; null
 * without such a module, and where some numbers are of A and others of ΔW.
 */
wasted: number | null, 
/**
 * What it is by chance: the mean of k/d, weighted as `wasted` is; null without one.
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
 * Where the adapter's modules have other paths in the base.
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
 * Name of the adapted module, as the adapter has it.
 */
module: string, 
/**
 * Name of the base's weight tensor.
 */
weight: string, 
/**
 * How it uses the norm's output.
 */
use: ReaderUse, 
/**
 * How it is adapted.
 */
method: AdapterMethod, 
/**
 * The norm site it reads.
 */
site: string, 
/**
 * Whether the kernel is that of the adapter's own scale for this site, not of the base's.
 */
own_scale: boolean, 
/**
 * r, the rows of LoRA's A; for other methods the largest rank that ΔW can have.
 */
rank: number, 
/**
 * d, the columns of A or ΔW.
 */
width: number, 
/**
 * Form of the site's kernel; `none` (an RMSNorm without zero scales) wastes nothing.
 */
form: KernelForm, 
/**
 * k, the dimension of the kernel.
 */
kernel_dimension: number, 
/**
 * ‖A‖²_F of LoRA's A, otherwise ‖ΔW‖²_F, before any factor such as α/r.
 */
energy: number, 
/**
 * ‖A K‖²_F ÷ ‖A‖²_F, or the same of ΔW, K an orthonormal basis of the kernel: 0 … 1.
 */
wasted: number, 
/**
 * What it is by chance: k/d.
 */
null: number, 
/**
 * Its standard deviation by chance: for independent Gaussian entries, of LoRA's A and of a full difference; otherwise for a ΔW with
 * its own singular values and right singular vectors at random.
 */
null_deviation: number, };

export type AdapterMethod = "lora" | "ada_lora" | "loha" | "lokr" | "vera" | "difference";

export type AdapterRenaming = { 
/**
 * What paths of the adapter begin with, up to the number of a block, or the whole path of a module outside blocks.
 */
from: string, 
/**
 * What stands there in the base.
 */
to: string, 
/**
 * Modules and norms of the adapter that were found so.
 */
found: number, };

export type SkippedModule = { 
/**
 * Its name, as the adapter has it.
 */
module: string, 
/**
 * Why.
 */
why: string, };

export type ScanLine = { 
/**
 * The checkpoint, as the list has it or as it was found.
 */
path: string, 
/**
 * Its report.
 */
report: Report | null, 
/**
 * Why there is none.
 */
error: string | null, };

export type Contents = { 
/**
 * Name of each tensor, as it is in the file.
 */
names: Array<string>, 
/**
 * Every element type that occurs.
 */
dtypes: Array<string>, 
/**
 * For each tensor, its place in `dtypes`.
 */
dtype: Array<number>, 
/**
 * Every shape that occurs, outermost dimension first.
 */
shapes: Array<Array<number>>, 
/**
 * For each tensor, its place in `shapes`.
 */
shape: Array<number>, 
/**
 * For each tensor, the bytes that it takes in its file.
 */
bytes: Array<number>, 
/**
 * Path of each file.
 */
files: Array<string>, 
/**
 * For each tensor, its place in `files`.
 */
file: Array<number>, 
/**
 * For each tensor, its first byte in that file.
 */
offset: Array<number>, 
/**
 * The configurations, and what the files say of themselves.
 */
documents: Array<Document>, };

export type Document = { 
/**
 * The file that it is, or that it is in.
 */
path: string, 
/**
 * Whether it is the metadata inside a file of weights.
 */
metadata: boolean, 
/**
 * What it says. Long texts are cut, and of the lists in a GGUF file only the length is known.
 */
fields: Record<string, unknown>, };

export type Outcome = { 
/**
 * What was measured, if it was.
 */
site: SiteVerification | null, 
/**
 * Why not, or what went wrong on the way.
 */
warnings: Array<Warning>, 
/**
 * That of the coarsest activations read for it.
 */
unit_roundoff: number, 
/**
 * Seconds of the GPU's kernel, by its own clock.
 */
kernel_seconds: number | null, };

export type Outcomes = { 
/**
 * Of each site that was begun.
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
 * |⟨u, v⟩| with v of the scale that reads the stream next.
 */
inverse_scale: number | null, 
/**
 * The length of u in the channels that this scale almost switches off.
 */
near_dead: number | null, };

export type RunOutcome = { 
/**
 * The kind of the norms by loss.
 */
loss: KindByLoss | null, 
/**
 * What moving readers does to the function.
 */
preservation: Array<Preservation>, 
/**
 * Mean loss, in nats.
 */
mean_loss: number | null, 
/**
 * Blocks that were run, if not all of them.
 */
stopped: number | null, 
/**
 * What went wrong on the way.
 */
warnings: Array<Warning>, };

export type RunResult = { 
/**
 * Norms and streams, in any order; of two of the same the later one counts.
 */
measured: Array<Measured>, 
/**
 * Of the pass itself.
 */
outcome: RunOutcome, 
/**
 * What was run.
 */
pass: PassSummary, 
/**
 * On what.
 */
input: string, 
/**
 * Where the pass ran, and where the exact sums were computed.
 */
device: string, 
/**
 * Wall time.
 */
seconds: number, };

export type Progress = { 
/**
 * What is being read.
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
 * What it shows, and of which site.
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
 * Places a pointer can ask about; not more than [`MOST_MARKS`].
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
 * One for each cell of a row.
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
