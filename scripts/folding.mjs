// npm run folding -- [MODEL…] [--as-is]: folds models in every way, proves each result by running both, and writes the table of
// docs/folding.md. The exit code is 1 if a result computes something else.
//   MODEL     folders with safetensors; by default the samples for text and everything in .cache/models and .cache/small. The latter
//             comes from `python3 scripts/fixtures/small_models.py .cache/small`, with torch and transformers
//   --as-is   use the program that was compiled last

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { Failure, main } from "./lib/run.mjs";
import { cargoBuild, requireRust } from "./lib/rust.mjs";

const DOCUMENT = "docs/folding.md";
const [BEGIN, END] = ["<!-- the table of npm run folding -->", "<!-- end of the table -->"];
const PROGRAM = process.platform === "win32" ? "gammascope.exe" : "gammascope";
const COMMAND = join(process.env.CARGO_TARGET_DIR ?? "target", "release", PROGRAM);
const DIFFERS = 4;
const WAYS = [
  ["--scales", "--shifts"],
  ["--centre"],
  ["--canonical"],
  ["--untie", "--scales", "--shifts", "--centre", "--canonical"],
  ["--to", "rmsnorm", "--untie"],
];

await main(async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { "as-is": { type: "boolean" } } });
  if (!values["as-is"]) {
    await requireRust();
    await cargoBuild("Command line: compiling, with optimisation", ["--release", "--locked", "--bin", "gammascope"], PROGRAM);
  }
  if (!existsSync(COMMAND)) throw new Failure("Nothing was compiled yet: run this without --as-is.");
  const models = positionals.length > 0 ? positionals : usual();
  const rows = models.map((model) => row(model)).filter((cells) => cells !== null);
  const text = readFileSync(DOCUMENT, "utf8");
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Failure(`${DOCUMENT} has no place for the table: put \`${BEGIN}\` and \`${END}\` there.`);
  const table = [["model", "compared", ...WAYS.map((way) => `\`${way.join(" ")}\``)], Array(WAYS.length + 2).fill("---"), ...rows];
  const lines = table.map((cells) => `| ${cells.join(" | ")} |`);
  writeFileSync(DOCUMENT, `${text.slice(0, from)}${BEGIN}\n\n${lines.join("\n")}\n\n${text.slice(to)}`);
  const wrong = rows.filter((cells) => cells.includes("differs")).map(([name]) => name);
  if (wrong.length > 0) throw new Failure(`These compute something else after folding: ${wrong.join(", ")}.`);
});

/** The models that are here, in folders of their own. */
function usual() {
  const below = (folder) => (existsSync(folder) ? readdirSync(folder).sort().map((name) => join(folder, name)) : []);
  const all = ["samples/layernorm", "samples/rmsnorm", ...below(".cache/small"), ...below(".cache/models")];
  return all.filter((folder) => existsSync(join(folder, "config.json")) && existsSync(join(folder, "model.safetensors")));
}

/** The row of a model, or null if it cannot be run. */
function row(model) {
  let compared = "";
  const cells = WAYS.map((way) => {
    const work = mkdtempSync(join(tmpdir(), "gammascope-folding-"));
    try {
      const { status, stdout, stderr } = spawnSync(COMMAND, ["fold", model, "-o", join(work, "out"), ...way, "--prove", "--json"], {
        encoding: "utf8",
        maxBuffer: 1 << 28,
      });
      console.log(`${basename(model)} ${way.join(" ")}: ${status === 0 ? "ok" : stderr.trim()}`);
      if (status === DIFFERS) return "differs";
      if (stderr.includes("nothing could be done")) return "nothing to do";
      if (status !== 0) return "refused";
      const { logits, hidden } = JSON.parse(stdout).proof;
      compared = logits ? "logits" : "last hidden states";
      const { found, floor } = logits ?? hidden;
      return `${found.toExponential(1)} (${floor.toExponential(1)})`;
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  return compared === "" ? null : [basename(model), compared, ...cells];
}
