import { NEAR_DEAD, NOT_SUBTRACTED, SUBTRACTED, TAU } from './report';
import type { Term } from './terms';

/** The explanation of each term in one line, for the tooltips and the list at the end of the page. */
export const GLOSSARY: Readonly<Record<Term, string>> = {
  confidence:
    'Probability that the verdict is right, given the evidence, from 0 to 1. For the model it is the least of the sites that decide it.',
  evidence:
    'What favours LayerNorm or RMSNorm at this site: configuration, layout, shift, names, structure, values, writer energy. Each may abstain.',
  strength:
    'How many nats this evidence gives its kind over the next likely one. 1 nat multiplies the odds by 2.7. 0 means that it abstains.',
  site: "One normalisation in the network, named by its module path: the scale tensor's name without its last part.",
  order: 'Position in the order of the network.',
  role: 'Where the norm is: final, in a block, after the embeddings, on queries or keys.',
  kind: 'LayerNorm subtracts the mean of its input, so it has a kernel direction. RMSNorm does not, so it has none.',
  width: 'Number of channels the norm scales.',
  kernel:
    "Directions along which the norm's output never varies, whatever the input: γ⁻¹ for a LayerNorm, or the channels whose scale is exactly zero.",
  kernel_direction:
    'v = γ⁻¹/‖γ⁻¹‖. The output of a LayerNorm is constant along it for every input, so weights along it have no effect.',
  participation: '1/Σvᵢ⁴: how many channels share the kernel direction. d means all equally, 1 means a single channel.',
  max_component: 'The largest component of v. Near 1, the direction is just this one channel, which is off.',
  inverse_norm: 'Length of the inverse scale before it is normalised to v.',
  deepening:
    'HM(γ²)/AM(γ²): the depth of the kernel over its depth before training, when γ = 1, predicted from the scale alone. One or a few small scales make it tiny.',
  measured_deepening:
    'How much deeper the scale makes the kernel, as measured. Compare it with the deepening that the scale predicts.',
  scale: 'The effective factor of each channel: the stored weight w, or 1 + w in unit-offset families.',
  scale_min_abs: 'The smallest scale by size. Exactly zero switches its channel off.',
  scale_median_abs: 'The middle scale by size. Near-dead channels are compared with it.',
  scale_max_abs: 'The largest scale by size.',
  condition: 'max|γ|/min|γ|: how unequal the scales are. Infinite, shown as –, when a scale is zero.',
  near_dead: `Channels with |γᵢ| at most ${NEAR_DEAD} of the median, exact zeros included.`,
  near_dead_weight: 'Σvᵢ² over the near-dead channels: how much of the kernel direction they carry, 0 to 1.',
  predicted_below_tau:
    `Directions whose variance would fall below τ = ${TAU.toExponential()} of the mean if the normalised input were isotropic, the exact kernel included. A prediction from the scale alone.`,
  convention:
    'How the effective scale γ follows from the stored tensor w: γ = w, γ = 1 + w, or nothing stored. Unknown if the values contradict the model’s family.',
  shift: 'The bias a norm adds after scaling. RMSNorms almost never have one.',
  reader: "A linear map that takes this site's output as its input: queries, keys, values, feed-forward, unembedding.",
  dead:
    'Parameter directions a vᵀ of a reader W (rows × d): one for each row, as a is free. Moving along them leaves the function unchanged.',
  outright: 'W ← W + a vᵀ changes nothing. The norm adds no shift along v, or nothing downstream sees the constant.',
  with_bias_shift: "Nothing changes once the reader's bias absorbs the constant: b ← b − a vᵀβ.",
  constant_shift: 'The reader has no bias, so the change adds a constant to its output. Not dead.',
  tied: 'Dead for the unembedding, but the same matrix is the input embedding, where the change has an effect.',
  share: 'Dead outright or after moving the bias, divided by the parameters of the readers counted.',
  rows: 'Output rows of the reader, over all experts where a tensor packs several.',
  bytes_read:
    'Bytes read from the files before the verdict: headers, index, configuration and norm tensors. Sampled weights are counted separately.',
  weights_read:
    'Bytes of weights read after the first verdict, 64 MB at most, for the energy of the writers. They do not leave this machine.',
  writer:
    'A matrix whose output is added to the residual stream: the output projection of attention, the down projection of a feed-forward part.',
  energy:
    "How much of a writer lies along the stream's mean: 1 for weights without a preferred direction. Under LayerNorm no gradient reaches that direction, so it stays behind in training.",
  null_deviation:
    'How far from 1 the energy of weights without a preferred mean direction is by chance: one standard deviation, √(2/k) for k columns.',
  row_dispersion:
    "How unequal the rows of a writer are, compared with a random draw: 1 before training, more once training has made the channels differ.",
  measured:
    'Whether the norm subtracts the mean, from its outputs. Only the scale-free depth decides. It is evidence if your own code made them; a run here assumes the kind.',
  depth_scale_free:
    `Variance of the normalised input along 1/√d, over its mean variance: below ${SUBTRACTED} the mean was subtracted, above ${NOT_SUBTRACTED} it was not, whatever the scale.`,
  cos_scale_free: "Cosine between 1/√d and the direction in which the normalised input varies least.",
  depth:
    'Variance along the predicted direction over the mean variance. An f32 forward pass leaves about 1e-14 of an exact zero.',
  cos:
    'Cosine between the predicted direction and the one in which the output varies least. A scale that is nearly off brings it near 1 without any kernel.',
  sin_bound: 'Certificate: the sine of the angle between the two is at most this (Davis–Kahan).',
  gap: 'λ₂/λ₁: how far the least variance is below the next.',
  schur:
    '1 − 1/((vᵀC⁻¹v)(vᵀCv)): 0 when the predicted direction is an eigenvector, near 1 when it is none. Compare with the null.',
  schur_null: 'What the Schur ratio is for an exact noise direction: d/n.',
  halves:
    'The number on all tokens, on the first half and on the second: least and greatest. |cos|, gap and Schur also change because n/d is halved.',
  tokens: 'Tokens for each channel: at least 1 is needed, 4 or more is good.',
  change_rank:
    'Sites with a changed kind first, then those with a changed form of kernel, then by the larger of angle (in radians) and relative change.',
  angle: 'The angle between the kernel directions γ⁻¹ of the two checkpoints, as lines: 0° to 90°. Only if both have one.',
  relative_change: '‖γ after − γ before‖ ÷ ‖γ before‖, of the effective scales, whatever their type, convention or format.',
  near_dead_gained: 'Channels that are near-dead in the second checkpoint and were not in the first.',
  near_dead_lost: 'Channels that were near-dead in the first checkpoint and are not in the second.',
  waste_rank: 'The module that wastes the largest share of its A or ΔW comes first.',
  lora_rank: 'Rank of the adapter at this module: the rows of its A, or the largest rank that its ΔW can have.',
  adapter_method: 'How the module is adapted. The numbers are those of A for LoRA, and those of ΔW for other methods.',
  wasted: '‖A v‖²/‖A‖²_F, or the same of ΔW: the share along the kernel of the site it reads, 0 to 1. It only adds a constant.',
  wasted_by_chance: 'The share by chance: k kernel directions of d.',
  wasted_ratio: 'The wasted share over the share by chance: 1 is chance, below 1 the adapter avoids the kernel.',
  wasted_deviations:
    'How far the wasted share is from chance, in standard deviations: those of an A with independent Gaussian entries, or of a ΔW with its own singular values in random directions.',
  parameters: 'Elements of all tensors in the catalogue.',
  shards: 'Files the checkpoint is split into.',
};
