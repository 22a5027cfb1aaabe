// npm run paper -- random-init [NAME…] [--parameters N] [--blocks K] [--minutes M] [--again] [--as-is]: checks the claim about models at
// their initialisation on the published sizes of docs/paper, smallest first. It stores each result beside the configuration
// (docs/paper/NAME/measured.json). The exit code is 1 if a row disagrees or a run fails.
// npm run paper -- trained [NAME…] [--again] [--as-is]: checks the other claims on trained models, and stores docs/trained/NAME.json.
// npm run paper -- taken [NAME…] [--blocks K] [--again] [--as-is]: compares the plan of a run with its memory and time, on the first blocks
// of the published sizes from 3B parameters, and stores docs/paper/NAME/taken.json. It needs Linux and an idle machine.
// All write docs/paper.md from what is stored.
//   NAME           only these, however many parameters they have
//   --parameters   the largest number of parameters of a model that runs whole, 700e6 by default
//   --blocks       of larger models, run so many blocks and the final norm; by default, larger models do not run, and `taken` runs two
//   --minutes      start no run later than this
//   --again        also measure what was measured before
//   --as-is        use the program that was compiled last

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { requireNode } from "./lib/packages.mjs";
import { Failure, ask, main, step } from "./lib/run.mjs";
import { cargoBuild, requireRust } from "./lib/rust.mjs";
import { written } from "./paper/document.mjs";
import { SEED, SEQUENCE, faults, measuredOf } from "./paper/initial.mjs";
import { CONFIGS, keep, kept, models } from "./paper/records.mjs";
import { extent, keepTaken, keptTaken, takenOf } from "./paper/taken.mjs";
import { TRAINED, keepTrained, keptTrained, missing, trainedOf } from "./paper/trained.mjs";

const DOCUMENT = "docs/paper.md";
const PROGRAM = process.platform === "win32" ? "gammascope.exe" : "gammascope";
const COMMAND = join(process.env.CARGO_TARGET_DIR ?? "target", "release", PROGRAM);
/** Holds the commit that the program was compiled from. The files may change later. */
const COMMIT = `${COMMAND}.commit`;
const USUAL_MOST = 700e6;
/** `taken` runs models of so many parameters, and so many of their blocks. */
const LEAST_TAKEN = 3e9;
const TAKEN_BLOCKS = 2;

await main(async () => {
  const options = asked();
  requireNode();
  if (!options.asIs) await compile();
  if (!existsSync(COMMAND)) throw new Failure("Nothing was compiled yet: run this without --as-is.");
  const run = { "random-init": runAll, trained: runTrained, taken: runTaken }[options.what];
  const { failed, late } = await run(options);
  const all = models().map((model) => ({ ...model, measured: kept(model.name) }));
  writeFileSync(DOCUMENT, written());
  if (options.what !== "random-init") {
    if (failed.length > 0) throw new Failure(`Some models could not be measured:\n  ${failed.join("\n  ")}`);
    return;
  }
  const rows = all.filter(({ measured }) => measured);
  const unbegun = late.length > 0 ? ` No time was left for ${late.join(", ")}.` : "";
  console.log(`${DOCUMENT} has rows of ${rows.length} of ${all.length} models.${unbegun}`);
  const wrong = rows.filter((row) => faults(row).length > 0).map((row) => `${row.name}: ${faults(row).join("; ")}`);
  const said = [...wrong, ...failed];
  if (said.length > 0) throw new Failure(`What was measured disagrees, or could not be:\n  ${said.join("\n  ")}`);
});

async function compile() {
  await requireRust();
  await cargoBuild("Command line: compiling, with optimisation", ["--release", "--locked", "--bin", "gammascope"], PROGRAM);
  writeFileSync(COMMIT, commit());
}

function asked() {
  const number = { type: "string" };
  const flag = { type: "boolean" };
  const parsed = () =>
    parseArgs({
      allowPositionals: true,
      options: { parameters: number, blocks: number, minutes: number, again: flag, "as-is": flag },
    });
  const { values, positionals } = orFailure(parsed);
  const [what, ...names] = positionals;
  if (!["random-init", "trained", "taken"].includes(what)) {
    throw new Failure("There are three measurements: `npm run paper -- random-init`, `trained` and `taken`.");
  }
  const trained = what === "trained";
  const of = (name, otherwise) => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (Number.isNaN(value) || value <= 0) throw new Failure(`--${name} is \`${values[name]}\`: give a number above 0.`);
    return value;
  };
  const known = trained ? TRAINED : models();
  const unknown = names.find((name) => !known.some((model) => model.name === name));
  if (unknown) throw new Failure(trained ? `No trained model here is called \`${unknown}\`.` : `${CONFIGS} has no \`${unknown}\`.`);
  return {
    what,
    names,
    most: of("parameters", USUAL_MOST),
    blocks: of("blocks"),
    again: values.again === true,
    asIs: values["as-is"] === true,
    until: Date.now() + of("minutes", Infinity) * 60_000,
  };
}

function orFailure(work) {
  try {
    return work();
  } catch (error) {
    throw new Failure(`${error.message}.`);
  }
}

/** Runs the chosen models and stores the results. Returns a sentence for each run that failed, and the names that it had no time for. */
async function runAll(options) {
  const [failed, late] = [[], []];
  for (const { name, parameters, input } of models()) {
    const large = parameters > options.most;
    const chosen = options.names.length > 0 ? options.names.includes(name) : !large || options.blocks !== undefined;
    if (!chosen) continue;
    const blocks = large ? options.blocks : undefined;
    if (!options.again && holds(kept(name), blocks)) continue;
    if (Date.now() > options.until) {
      late.push(name);
      continue;
    }
    try {
      keep(name, measuredOf(JSON.parse(await step(name, COMMAND, arguments_(name, input, blocks), { minutes: 24 * 60 })), program()));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failed.push(`${name}: ${error.output.trim().split("\n").at(-1) || error.message}`);
    }
  }
  return { failed, late };
}

/** Runs the chosen trained models beside random weights and stores the results. Returns a sentence for each run that failed. */
async function runTrained({ names, again }) {
  const failed = [];
  for (const model of TRAINED) {
    const { name, folder, input = [] } = model;
    if ((names.length > 0 && !names.includes(name)) || (!again && keptTrained(name))) continue;
    const lacking = missing(model);
    if (lacking.length > 0) {
      failed.push(`${name}: ${lacking.join(", ")} is missing. docs/paper/README.md says where it is from`);
      continue;
    }
    const options = ["--random-init", String(SEED), "--sites", "all", "--json", ...input];
    try {
      keepTrained(name, trainedOf(JSON.parse(await step(name, COMMAND, ["verify", folder, ...options], { minutes: 60 })), program()));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failed.push(`${name}: ${error.output.trim().split("\n").at(-1) || error.message}`);
    }
  }
  return { failed, late: [] };
}

/** Plans and runs the first blocks of the chosen models, and stores what they took. Returns a sentence for each run that failed. */
async function runTaken({ names, blocks = TAKEN_BLOCKS, again }) {
  if (process.platform !== "linux") throw new Failure("`taken` reads the peak memory from /proc, so it needs Linux.");
  const failed = [];
  for (const { name, parameters } of models()) {
    const chosen = names.length > 0 ? names.includes(name) : parameters >= LEAST_TAKEN;
    if (!chosen || (!again && keptTaken(name))) continue;
    const usual = ["--random-init", String(SEED), "--uniform", "--sites", "final", "--json"];
    const args = ["verify", join(CONFIGS, name, "config.json"), ...usual, ...extent(name, blocks, SEQUENCE)];
    try {
      const plan = JSON.parse(await step(`${name}: plan`, COMMAND, [...args, "--plan"]));
      let peak;
      const report = JSON.parse(await step(name, COMMAND, args, { minutes: 24 * 60, onStart: (pid) => (peak = peakOf(pid)) }));
      keepTaken(name, takenOf(plan, report, await peak, program()));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failed.push(`${name}: ${error.output.trim().split("\n").at(-1) || error.message}`);
    }
  }
  return { failed, late: [] };
}

/** Resolves to the most memory, in bytes, that a process held, once it has ended. */
function peakOf(pid) {
  return new Promise((resolve) => {
    let peak = 0;
    const look = setInterval(() => {
      let kilobytes;
      try {
        [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
      } catch {
        // The process has ended.
      }
      if (kilobytes) peak = 1024 * Number(kilobytes);
      else {
        clearInterval(look);
        resolve(peak);
      }
    }, 100);
  });
}

/** Whether `measured` has at least so many blocks, or the whole model. */
function holds(measured, blocks) {
  return measured !== undefined && (measured.left_out === 0 || (blocks !== undefined && measured.blocks >= blocks));
}

function arguments_(name, input, blocks) {
  const some = blocks === undefined ? [] : ["--blocks", String(blocks)];
  const ids = input === "ids" ? ["--uniform"] : [];
  const usual = ["--random-init", String(SEED), ...ids, "--sites", "all", "--sequence", String(SEQUENCE), "--json"];
  return ["verify", join(CONFIGS, name, "config.json"), ...usual, ...some];
}

/** The program and the machine, for the row. */
function program() {
  const commit = existsSync(COMMIT) ? readFileSync(COMMIT, "utf8").trim() : "unknown";
  return { commit, cores: availableParallelism() };
}

function commit() {
  const records = [`:!${DOCUMENT}`, `:!${CONFIGS}/*/measured.json`];
  const changed = ask("git", ["status", "--porcelain", "--untracked-files=no", "--", ".", ...records]);
  return `${ask("git", ["rev-parse", "--short", "HEAD"]) ?? "unknown"}${changed ? " with changes" : ""}`;
}
