// What a run takes: planned and measured memory and time of published sizes, and that part of docs/paper.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONFIGS, digest } from "./records.mjs";

/** Published checkpoints store 16 bits for each parameter. */
const BYTES = 2;
/** From this size on, a run promises to take less than `SHARE` of the checkpoint. */
const LARGE = 7e9;
const SHARE = 0.3;
/** Bytes that the program takes before it runs anything, and what glibc keeps of freed memory, roughly. */
const PROGRAM = 150e6;
/** A plan is as good as this: the time that a run takes is at most so much above or below it. */
const CLOSE = 0.25;

/** How much of a model runs: so many blocks at most, on a few more tokens than channels, because fewer do not measure the residual stream. */
export function extent(name, blocks, sequence) {
  const config = JSON.parse(readFileSync(join(CONFIGS, name, "config.json"), "utf8"));
  const { hidden_size, n_embd, d_model, num_hidden_layers, n_layer, n_layers } = config.text_config ?? config;
  const width = hidden_size ?? n_embd ?? d_model;
  const tokens = (Math.ceil(width / sequence) + 1) * sequence;
  const whole = blocks >= (num_hidden_layers ?? n_layer ?? n_layers);
  return ["--tokens", String(tokens), ...(whole ? [] : ["--blocks", String(blocks)])];
}

/** What is stored of the `plan` of a run, its report (schema gammascope.report/1), its `peak` of memory in bytes and the `program`. */
export function takenOf(plan, report, peak, program) {
  const { pass, seconds } = report.verification;
  return {
    blocks: plan.blocks,
    left_out: plan.left_out,
    tokens: pass.sequences * pass.length,
    planned_memory: plan.memory + plan.memory_of_site * plan.measured_at_once,
    peak_memory: peak,
    planned_seconds: plan.seconds[1],
    seconds,
    ...program,
  };
}

/** What in a row is not as promised, each as a clause. */
export function broken({ parameters, taken }) {
  const share = taken.peak_memory / (BYTES * parameters);
  const clauses = [];
  if (parameters >= LARGE && share >= SHARE) clauses.push(`the peak is ${share.toFixed(2)} of the checkpoint, not below ${SHARE}`);
  if (taken.peak_memory > 1.1 * taken.planned_memory + PROGRAM) clauses.push("the peak is more than a tenth above the plan");
  // Of a run of a few seconds, the start is a large part. In a run of few blocks, a single norm is.
  const off = taken.seconds / taken.planned_seconds;
  if (taken.left_out === 0 && taken.seconds > 10 && Math.abs(off - 1) > CLOSE) clauses.push(`the run took ${off.toFixed(2)} × the planned time`);
  return clauses;
}

export const keepTaken = (name, taken) => writeFileSync(record(name), `${JSON.stringify({ ...taken, configuration: digest(name) }, null, 2)}\n`);

/** The stored run of a model with its current configuration, or undefined. */
export function keptTaken(name) {
  if (!existsSync(record(name))) return undefined;
  const { configuration, ...taken } = JSON.parse(readFileSync(record(name), "utf8"));
  return configuration === digest(name) ? taken : undefined;
}

const record = (name) => join(CONFIGS, name, "taken.json");

/** The part of docs/paper.md about memory and time. */
export function writtenTaken(models) {
  const rows = models.map((model) => ({ ...model, taken: keptTaken(model.name) })).filter(({ taken }) => taken);
  const faults = rows.flatMap((row) => broken(row).map((fault) => `- ${row.name}: ${fault}`));
  return [
    "## What a run takes",
    "",
    "`npm run paper -- taken` writes this part from `docs/paper/NAME/taken.json`. It ran the first blocks of each model with random weights in f32 and measured the final",
    "norm and the residual stream. The published checkpoint has two bytes for each parameter. *Planned* is what `--plan` says right before the run. The peak is",
    "what the operating system counts (VmHWM). Unlike the plan, it has up to 150 MB for the program itself and for freed memory that glibc keeps.",
    "The plan counts every norm that may be measured at once. Stored weights of 16 bits take half of the memory that these random ones take. Times are wall",
    "time on cores that may also have done other work.",
    "",
    `A run of a checkpoint of 7B parameters or more takes less than ${SHARE} of its size in memory. The planned time of a whole model is within ${100 * CLOSE} %. The`,
    "times of a few blocks differ more: there, the final norm is most of the work.",
    faults.length > 0 ? "These rows are not as promised:" : "All rows are as promised.",
    "",
    ...(faults.length > 0 ? [...faults, ""] : []),
    "| model | parameters | checkpoint | blocks | n | memory planned | peak | peak ÷ checkpoint | time planned | measured | cores | commit |",
    "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |",
    ...rows.map(({ name, parameters, taken: t }) => {
      const size = BYTES * parameters;
      const blocks = t.left_out > 0 ? `${t.blocks} of ${t.blocks + t.left_out}` : `${t.blocks}`;
      const cells = [name, parameters.toLocaleString("en"), gigabytes(size), blocks, t.tokens.toLocaleString("en"), gigabytes(t.planned_memory), gigabytes(t.peak_memory), (t.peak_memory / size).toFixed(3), `${Math.round(t.planned_seconds)} s`, `${Math.round(t.seconds)} s`, t.cores, t.commit];
      return `| ${cells.join(" | ")} |`;
    }),
    "",
  ];
}

const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
