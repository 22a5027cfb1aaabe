// The trained models of the paper's later claims: what is stored of a run, and their part of docs/paper.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CACHE = ".cache/models";
const RECORDS = "docs/trained";

const files = (folder, names, end) => names.map((name) => join(folder, `${name}.${end}`));
const shapes = (sample) => files(sample, ["checks", "circle", "cross", "frame", "ring", "square", "stripes", "triangle"], "png");

/** The models: the folder of each, what it is, and the options for its input. Without options a text model reads the sample text. */
export const TRAINED = [
  { name: "sample-layernorm", what: "a GPT-2 of the samples", folder: "samples/layernorm" },
  { name: "sample-rmsnorm", what: "a Llama of the samples", folder: "samples/rmsnorm" },
  { name: "sample-vit-layernorm", what: "a ViT of the samples", folder: "samples/vit-layernorm", input: ["--images", ...shapes("samples/vit-layernorm")] },
  { name: "sample-vit-rmsnorm", what: "a ViT with RMSNorm of the samples", folder: "samples/vit-rmsnorm", input: ["--images", ...shapes("samples/vit-rmsnorm")] },
  { name: "all-MiniLM-L6-v2", what: "BERT, post-norm", folder: join(CACHE, "all-MiniLM-L6-v2") },
  { name: "SmolLM2-135M", what: "Llama", folder: join(CACHE, "SmolLM2-135M") },
  { name: "gemma-3-270m", what: "Gemma 3", folder: join(CACHE, "gemma-3-270m") },
  { name: "dinov2-small", what: "ViT with LayerScale", folder: join(CACHE, "dinov2-small"), input: ["--images", ...files(join(CACHE, "photographs"), ["china", "flower", "grace_hopper"], "jpg")] },
  { name: "whisper-tiny.en", what: "encoder and decoder", folder: join(CACHE, "whisper-tiny.en"), input: ["--sounds", join(CACHE, "whisper-tiny.en-speech/speech.wav")] },
];

/** The paths of a model that are missing here. */
export function missing({ folder, input = [] }) {
  return [folder, ...input.filter((one) => !one.startsWith("--"))].filter((path) => !existsSync(path));
}

/** What is stored of a report (schema gammascope.report/1) of a trained model, and of the `program` that made it. */
export function trainedOf(report, program) {
  const { verification, norms } = report;
  const { sites, random_init, residual, falls, claims, pass, input, tokens, seconds } = verification;
  const deepening = (name) => norms.find((norm) => norm.name === name)?.kernel.deepening ?? null;
  const initial = (name) => random_init.sites.find((site) => site.name === name);
  const { told } = pass;
  return {
    family: pass.family,
    told,
    width: report.model.width,
    tokens,
    input,
    sites: sites.length,
    depth: spread(sites.map((site) => site.depth_scale_free)),
    depth_random: spread(sites.map(({ name }) => initial(name)?.depth_scale_free)),
    // Only an exact kernel has a depth that training can change.
    deepening: told === "rmsnorm" ? null : spread(sites.map(({ name }) => initial(name)?.depth_ratio)),
    predicted: told === "rmsnorm" ? null : spread(sites.map(({ name }) => deepening(name))),
    sigma: residual.length > 0 ? [residual[0].sigma_min, residual.at(-1).sigma_min] : null,
    blocks: residual.length,
    falls: falls.length,
    on_both_halves: falls.filter((fall) => fall.on_both_halves).length,
    deepest: deepestOf(falls),
    claims,
    seconds: Math.round(seconds),
    ...program,
  };
}

function deepestOf(falls) {
  const [deepest] = falls.filter(({ place }) => place).sort((a, b) => a.ratio.value - b.ratio.value);
  return deepest ? { block: deepest.block, stack: deepest.stack, ratio: deepest.ratio.value, ...deepest.place } : null;
}

/** Least, median and greatest of the values that are known. Null if there are none. */
function spread(values) {
  const known = values.filter((value) => typeof value === "number").sort((a, b) => a - b);
  return known.length > 0 ? [known[0], known[known.length >> 1], known.at(-1)] : null;
}

export const keepTrained = (name, measured) => writeFileSync(record(name), `${JSON.stringify(measured, null, 2)}\n`);

export const keptTrained = (name) => (existsSync(record(name)) ? JSON.parse(readFileSync(record(name), "utf8")) : undefined);

const record = (name) => join(RECORDS, `${name}.json`);

/** The part of docs/paper.md about trained models. */
export function writtenTrained() {
  const all = TRAINED.map((model) => ({ ...model, measured: keptTrained(model.name) }));
  const rows = all.filter(({ measured }) => measured);
  const left = all.filter(({ measured }) => !measured);
  const layers = rows.filter(({ measured }) => measured.deepening);
  const others = rows.filter(({ measured }) => !measured.deepening);
  const streams = rows.filter(({ measured }) => measured.sigma);
  return [
    "## Trained against random",
    "",
    "`npm run paper -- trained` writes this part from `docs/trained/NAME.json`. It ran `gammascope verify FOLDER --random-init 1 --sites all --json` on each",
    "model with its own input, and the same architecture with random weights on the same input.",
    "",
    "**The claim**: training makes the kernel about 10³ times deeper. The depth of a kernel is depth^, which is rounding, times HM(γ²)/AM(γ²), which the scale alone",
    "gives. *Measured* is the depth after training over that at the initialisation, and *predicted* is HM(γ²)/AM(γ²). Each cell has the least, the median and the",
    "greatest of all sites.",
    "",
    table(
      ["model", "what", "n", "sites", "depth^ trained", "depth^ random", "deepening predicted", "measured", "agrees"],
      layers.map(({ name, what, measured: m }) => [name, what, m.tokens, m.sites, cells(m.depth), cells(m.depth_random), cells(m.predicted), cells(m.deepening), agrees(m, "Training makes")]),
    ),
    "",
    "RMSNorms have no such direction, trained or not:",
    "",
    table(
      ["model", "what", "n", "sites", "depth^ trained", "depth^ random", "agrees"],
      others.map(({ name, what, measured: m }) => [name, what, m.tokens, m.sites, cells(m.depth), cells(m.depth_random), agrees(m, "An RMSNorm has no")]),
    ),
    "",
    "## The residual stream",
    "",
    "**The claim**: the least singular value σ_min of the residual stream does not fall from block to block (13 of 14 models). A fall counts if σ_min drops by more than a",
    "hundredth. Post-norm models are left out, because every block ends in a norm. *Deepest* has the block and the factor there, and the factors of its two parts. *Before*, *mean* and *1/γ* are |cos| of",
    "the bottom direction after that block with the one before it, with 1/√d, and with 1/γ of the next norm. *Energy* says how strongly the maps of attention and of the",
    "feed-forward part write along it (0: in their null space, 1: as along the average direction).",
    "",
    table(
      ["model", "blocks", "σ_min first", "last", "falls", "on both halves", "deepest", "attention", "feed-forward", "before", "mean", "1/γ", "energy", "agrees"],
      streams.map(({ name, measured: m }) => [name, m.blocks, short(m.sigma[0]), short(m.sigma[1]), m.falls, m.on_both_halves, ...placeOf(m.deepest), agrees(m, "The residual stream")]),
    ),
    "",
    "## What differs from the paper, and why",
    "",
    ...differences(rows),
    "",
    ...(left.length > 0 ? [`Not run: ${left.map(({ name }) => name).join(", ")}.`, ""] : []),
  ];
}

/** For each claim of the paper that a model does not share: the claim, and what was found in each of these models. */
function differences(rows) {
  const all = rows.flatMap(({ name, measured }) => measured.claims.filter(({ agrees }) => agrees === false).map((claim) => ({ name, ...claim })));
  const papers = [...new Set(all.map(({ paper }) => paper))];
  return papers.flatMap((paper) => {
    const found = all.filter((one) => one.paper === paper);
    return ["", `The paper: ${paper}.`, "", ...found.map(({ name, found, why }) => `- ${name}: ${found}.${why ? ` ${why[0].toUpperCase()}${why.slice(1)}.` : ""}`)];
  }).slice(1);
}

function placeOf(deepest) {
  if (!deepest) return ["", "", "", "", "", "", ""];
  const { block, ratio, attention, feed_forward, same_direction, mean, inverse_scale } = deepest;
  const energies = [deepest.attention_energy, deepest.feed_forward_energy].map(short).join(", ");
  return [`block ${block}, × ${short(ratio)}`, `× ${short(attention)}`, `× ${short(feed_forward)}`, ...[same_direction, mean, inverse_scale].map(short), energies];
}

/** Whether the model shares the claim of the paper that begins like this. */
function agrees({ claims }, beginning) {
  const claim = claims.find(({ paper }) => paper.startsWith(beginning));
  return claim ? (claim.agrees ? "yes" : "**no**") : "";
}

const cells = (values) => (values ? values.map(short).join(" · ") : "");

function short(value) {
  if (value === null || value === undefined) return "unknown";
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return value.toPrecision(3);
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, at) => (at === 0 ? "---" : "--:"))), ...rows.map(line)].join("\n");
}
