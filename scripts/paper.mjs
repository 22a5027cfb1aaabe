// npm run paper -- random-init [NAME…] [--parameters N] [--tokens N] [--minutes M]: the claim about models at their initialisation, held
// against the published sizes of docs/paper, smallest first; writes docs/paper.md. Ends with 1 when a row disagrees or a run fails.
//   NAME           these only, however many parameters they have
//   --parameters   the most parameters of a model that is run: 700e6 without
//   --tokens       tokens of each run: four for each channel of the stream without
//   --minutes      no run is begun later than this
//   --as-is        with the program that was compiled last
// What the same program has measured before, in .cache/paper, is not measured again.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { requireNode } from "./lib/packages.mjs";
import { Failure, ask, main, step } from "./lib/run.mjs";
import { cargoBuild, requireRust } from "./lib/rust.mjs";

const CONFIGS = "docs/paper";
const DOCUMENT = "docs/paper.md";
const KEPT = ".cache/paper";
const SEED = 1;
const SEQUENCE = 128;
const USUAL_MOST = 700e6;
/** A LayerNorm's least |cos^|. */
const SAME_DIRECTION = 0.9999;
/** A LayerNorm's greatest depth^: ten times the 1e-13 that the rounding of an f32 pass leaves at most as a rule. */
const FLOOR = 1e-12;
/** An RMSNorm's greatest |cos^| and least depth^. */
const [ANOTHER_DIRECTION, ALIVE] = [0.9, 1e-2];

await main(async () => {
  const options = asked();
  requireNode();
  const command = options.asIs ? compiled() : await compile();
  const version = `${ask(command, ["--version"])}, commit ${commitOf(command)}`;
  const { rows, left } = await runAll(command, options);
  writeFileSync(DOCUMENT, written(rows, left, version, options));
  console.log(`\n${table(rows)}\n\n${DOCUMENT} has ${rows.length} rows; ${left.length} models were not run.`);
  const wrong = rows.filter((row) => row.against.length > 0);
  const failed = left.filter(({ failed }) => failed);
  const faults = [
    ...wrong.map((row) => `${row.name}: ${row.against.join("; ")}`),
    ...failed.map(({ name, why }) => `${name}: ${why}`),
  ];
  if (faults.length > 0) throw new Failure(`What was measured disagrees, or could not be:\n  ${faults.join("\n  ")}`);
});

/** Compiles the command line, and keeps what commit it was compiled from, whatever becomes of the files later. */
async function compile() {
  await requireRust();
  const command = await cargoBuild(
    "Command line: compiling, with optimisation",
    ["--release", "--locked", "--bin", "gammascope"],
    process.platform === "win32" ? ".exe" : "gammascope",
  );
  mkdirSync(KEPT, { recursive: true });
  writeFileSync(join(KEPT, `${digest([readFileSync(command)])}.commit`), commit());
  return command;
}

function compiled() {
  const command = join("target", "release", process.platform === "win32" ? "gammascope.exe" : "gammascope");
  if (!existsSync(command)) throw new Failure("Nothing was compiled yet: run this without --as-is.");
  return command;
}

function commitOf(command) {
  const kept = join(KEPT, `${digest([readFileSync(command)])}.commit`);
  return existsSync(kept) ? readFileSync(kept, "utf8").trim() : "unknown";
}

function asked() {
  const number = { type: "string" };
  const parsed = () => parseArgs({ allowPositionals: true, options: { parameters: number, tokens: number, minutes: number, "as-is": { type: "boolean" } } });
  const { values, positionals } = orFailure(parsed);
  const [what, ...names] = positionals;
  if (what !== "random-init") throw new Failure("There is one measurement: `npm run paper -- random-init`.");
  const of = (name, otherwise) => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (Number.isNaN(value) || value <= 0) throw new Failure(`--${name} is \`${values[name]}\`: give a number above 0.`);
    return value;
  };
  const sizes = readFileSync(join(CONFIGS, "parameters.tsv"), "utf8").trim().split("\n").slice(1);
  const models = sizes.map((line) => line.split("\t")).map(([name, parameters]) => ({ name, parameters: Number(parameters) }));
  models.sort((a, b) => a.parameters - b.parameters);
  const unknown = names.find((name) => !models.some((model) => model.name === name));
  if (unknown) throw new Failure(`${CONFIGS} has no \`${unknown}\`.`);
  return {
    models,
    names,
    most: of("parameters", USUAL_MOST),
    tokens: of("tokens"),
    asIs: values["as-is"] === true,
    until: Date.now() + of("minutes", Infinity) * 60_000,
    line: ["npm run paper --", ...process.argv.slice(2)].join(" "),
  };
}

function orFailure(work) {
  try {
    return work();
  } catch (error) {
    throw new Failure(`${error.message}.`);
  }
}

async function runAll(command, options) {
  const rows = [];
  const left = [];
  for (const model of options.models) {
    const { name, parameters } = model;
    const chosen = options.names.length > 0 ? options.names.includes(name) : parameters <= options.most;
    if (!chosen) {
      left.push({ ...model, why: options.names.length > 0 ? "not asked for" : `more than ${millions(options.most)} parameters` });
      continue;
    }
    const args = ["verify", join(CONFIGS, name, "config.json"), ...usual(options)];
    const kept = join(KEPT, `${name}-${fingerprint(command, args)}.json`);
    if (!existsSync(kept) && Date.now() > options.until) {
      left.push({ ...model, why: "no time was left" });
      continue;
    }
    try {
      rows.push(judged(model, await reportOf(command, args, kept, name)));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const said = error.output.trim().split("\n").at(-1) || error.message;
      left.push({ ...model, why: `failed: ${said}`, failed: true });
    }
  }
  return { rows, left };
}

/** The options of every run. */
function usual({ tokens }) {
  const few = tokens ? ["--tokens", String(tokens)] : [];
  return ["--random-init", String(SEED), "--uniform", "--sites", "all", "--sequence", String(SEQUENCE), ...few, "--json"];
}

function fingerprint(command, args) {
  return digest([readFileSync(command), args.join("\0"), readFileSync(args[1])]);
}

function digest(parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex").slice(0, 16);
}

async function reportOf(command, args, kept, name) {
  if (existsSync(kept)) {
    console.log(`${name}: measured before`);
    return JSON.parse(readFileSync(kept, "utf8"));
  }
  const report = JSON.parse(await step(name, command, args, { minutes: 24 * 60 }));
  mkdirSync(KEPT, { recursive: true });
  writeFileSync(kept, JSON.stringify(report));
  return report;
}

/** A row of the table: what was measured, and what in it speaks against the claim. */
function judged({ name, parameters }, report) {
  const { pass, sites, seconds } = report.verification;
  const known = (values) => values.filter((value) => value !== null);
  const cosines = known(sites.map((site) => site.cos_scale_free));
  const depths = known(sites.map((site) => site.depth_scale_free));
  const unresolved = sites.filter((site) => site.cos_scale_free === null || site.depth_scale_free === null);
  const norm = (site) => report.norms.find((norm) => norm.name === site.name);
  const row = {
    name,
    parameters,
    family: pass.family,
    told: pass.told,
    width: report.model.width,
    tokens: pass.sequences * pass.length,
    sites: sites.length,
    unreached: report.norms.map((norm) => norm.name).filter((name) => !sites.some((site) => site.name === name)),
    cosine: [Math.min(...cosines), Math.max(...cosines)],
    depth: [Math.min(...depths), Math.max(...depths)],
    predicted: sum(sites.map((site) => norm(site)?.kernel.predicted_below_tau ?? NaN)),
    measured: sum(sites.map((site) => site.below_tau ?? NaN)),
    unresolved: unresolved.length,
    seconds,
    against: [],
  };
  const hold = (fact, otherwise) => !fact && row.against.push(otherwise);
  for (const site of unresolved) {
    const depth = site.depth_scale_free === null ? "unknown" : small(site.depth_scale_free);
    const others = `${site.below_tau ?? "unknown"} directions lie below τ there, where ${norm(site)?.kernel.predicted_below_tau ?? "unknown"} is predicted`;
    row.against.push(`at \`${site.name}\` several directions lie below rounding, so that none is the bottom one (depth^ ${depth}; ${others})`);
  }
  hold(report.checkpoint.parameters === parameters, `${report.checkpoint.parameters} parameters, not ${parameters}`);
  if (pass.told === "layernorm") {
    hold(row.cosine[0] >= SAME_DIRECTION, `a |cos^| of ${cosine(row.cosine[0])} is below ${SAME_DIRECTION}`);
    hold(row.depth[1] <= FLOOR, `a depth^ of ${small(row.depth[1])} is above ${FLOOR}`);
  } else if (pass.told === "rmsnorm") {
    hold(row.cosine[1] < ANOTHER_DIRECTION, `a |cos^| of ${cosine(row.cosine[1])} is not below ${ANOTHER_DIRECTION}`);
    hold(row.depth[0] > ALIVE, `a depth^ of ${small(row.depth[0])} is not above ${ALIVE}`);
  } else hold(false, "the kind of its norms is not known");
  return row;
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0);
}

function written(rows, left, version, options) {
  const layers = rows.filter((row) => row.told === "layernorm");
  const others = rows.filter((row) => row.told === "rmsnorm");
  const wrong = rows.filter((row) => row.against.length > 0);
  const agree = wrong.length === 0 ? `All ${rows.length} rows agree.` : `${wrong.length} of ${rows.length} rows disagree: ${wrong.map((row) => `${row.name} (${row.against.join("; ")})`).join(", ")}.`;
  const unreached = rows.filter((row) => row.unreached.length > 0);
  const lines = [
    "# At random initialisation every LayerNorm has its kernel, and no RMSNorm has one",
    "",
    `Written by \`${options.line}\` with ${version}; nothing in it is written by hand.`,
    "",
    "**The claim** (arXiv 2606.19491): at a model's random initialisation the bottom direction of a LayerNorm's output is the predicted one",
    "to four decimal places, and in an RMSNorm there is no such direction. Here: at every LayerNorm site the direction 1/√d of the",
    `normalised input has |cos^| ≥ ${SAME_DIRECTION} with the measured bottom direction, and its variance is at the floor of an f32 pass, depth^ ≤ ${FLOOR};`,
    `at every RMSNorm site it is absent: |cos^| < ${ANOTHER_DIRECTION}, depth^ > ${ALIVE}.`,
    "",
    `**${agree}** ${layers.length} of them are of LayerNorm (${sum(layers.map((row) => row.sites))} sites), ${others.length} of RMSNorm (${sum(others.map((row) => row.sites))} sites).`,
    "",
    "**What it is no evidence of.** The pass is told the kind of every norm, so a kernel shows that the norms of that architecture, as run here, do",
    "what LayerNorm does, down to rounding; it does not tell which kind a checkpoint has. The architectures are",
    "the published ones ([paper/README.md](paper/README.md)), the weights are drawn here, and the tokens are uniform ids.",
    "",
    `Each model was run by \`gammascope verify docs/paper/NAME/config.json ${usual(options).join(" ")}\`,`,
    `${options.tokens ? `${options.tokens} tokens` : "n = 4d tokens"} in sequences of ${SEQUENCE}. *Below τ*: directions with less than 10⁻⁶ of the mean variance, of all sites`,
    `together, predicted from the scales alone and measured. Seconds are wall time on ${availableParallelism()} cores that others may have used too.`,
    "",
    table(rows),
    "",
    ...unreached.map((row) => `Not reached in ${row.name}, as it belongs to a head that uniform ids do not need: ${row.unreached.map((name) => `\`${name}\``).join(", ")}.`),
    ...(unreached.length > 0 ? [""] : []),
    "## Not run",
    "",
    ...(left.length > 0 ? left.map(({ name, parameters, why }) => `- ${name} (${millions(parameters)}): ${why}`) : ["Every model of docs/paper was run."]),
    "",
  ];
  return lines.join("\n");
}

function table(rows) {
  const head = ["model", "family", "told", "parameters", "d", "n", "sites", "\\|cos^\\|", "depth^", "below τ predicted", "measured", "seconds", "agrees"];
  const cells = (row) => {
    const absent = row.told === "rmsnorm";
    return [
      row.name,
      row.family,
      { layernorm: "LayerNorm", rmsnorm: "RMSNorm" }[row.told] ?? row.told,
      millions(row.parameters),
      row.width,
      row.tokens,
      row.sites,
      absent ? `absent: ≤ ${cosine(row.cosine[1])}` : row.cosine.map(cosine).join(" … ") + (row.unresolved > 0 ? `, unresolved at ${row.unresolved}` : ""),
      absent ? `absent: ≥ ${small(row.depth[0])}` : row.depth.map(small).join(" … "),
      row.predicted,
      row.measured,
      row.seconds.toFixed(0),
      row.against.length === 0 ? "yes" : "**no**",
    ];
  };
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, at) => (at < 3 ? "---" : "--:"));
  return [head, rule, ...rows.map(cells)].map(line).join("\n");
}

function commit() {
  const changed = ask("git", ["status", "--porcelain", "--untracked-files=no", "--", ".", `:!${DOCUMENT}`]);
  return `${ask("git", ["rev-parse", "--short", "HEAD"]) ?? "unknown"}${changed ? " with changes" : ""}`;
}

function millions(parameters) {
  return parameters < 1e9 ? `${Math.round(parameters / 1e6)}M` : `${(parameters / 1e9).toFixed(1)}B`;
}

function cosine(value) {
  return value.toFixed(6);
}

function small(value) {
  return value < 0.01 ? value.toExponential(1) : value.toPrecision(2);
}
