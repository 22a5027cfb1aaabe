// The npm package, installed like by a user: its contents, its types, its example, and its reports compared with the command line.
//   PACKAGE=package GAMMASCOPE=target/debug/gammascope node --test tests/package.test.mjs

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const [source, terminal] = [process.env.PACKAGE, process.env.GAMMASCOPE].map((path) => resolve(path));
const sample = (name) => resolve("samples", name);
const folder = mkdtempSync(join(tmpdir(), "gammascope-package-"));
const npm = process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : ["npm"];
const run = ([program, ...first], ...args) => execFileSync(program, [...first, ...args], { cwd: folder, encoding: "utf8" });

/** The JSON output of the command line. */
const native = (...args) => JSON.parse(execFileSync(terminal, [...args, "--json"], { encoding: "utf8" }));

let held;
let library;

before(async () => {
  [{ files: held }] = JSON.parse(run(npm, "pack", source, "--json"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  run(npm, "install", "--offline", "--no-audit", "--no-fund", "./gammascope-gammascope-0.1.0.tgz");
  library = await import(join(folder, "node_modules/@gammascope/gammascope/index.js"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("it contains one entry point, its types, the wasm, and nothing else", () => {
  const names = held.map(({ path }) => path).sort();
  const expected = ["LICENSE", "README.md", "index.d.ts", "index.js", "network.js", "node.js", "package.json", "report.d.ts", "report.js", "verifier.js", "verifier_bg.wasm"];
  assert.deepEqual(names, expected);
});

test("strict TypeScript code compiles with its types", () => {
  writeFileSync(
    join(folder, "consumer.ts"),
    `import { Checkpoint, type Report, inspect, readLink } from '@gammascope/gammascope';
     const report: Report = await inspect('model/', { weights: false });
     const width: number | null = report.model.width;
     const checkpoint = await Checkpoint.open([{ path: 'a.safetensors', file: new Blob([]) }]);
     const svg: string = checkpoint.figure('site_map').svg;
     const sites: number = checkpoint.compare(checkpoint).sites.length;
     const bytes: Uint8Array = checkpoint.kernels({ sites: ['a'], format: 'json' });
     // @ts-expect-error: there is no such figure
     checkpoint.figure('no_such_figure');
     export { width, svg, sites, bytes, readLink };`,
  );
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2023,dom", "--types", ""];
  run([process.execPath, resolve("node_modules/typescript/bin/tsc")], ...options, "consumer.ts");
});

test("its example prints the same sentence as the command line", () => {
  cpSync("examples/node/inspect.mjs", join(folder, "inspect.mjs"));
  const said = run([process.execPath], "inspect.mjs", sample("layernorm"));
  assert.match(said, /^LayerNorm model. All 9 norms ignore one direction/);
  assert.match(said, /transformer\.ln_f: layernorm, as if 127\.2 channels shared the direction, most at 126/);
});

for (const name of ["layernorm", "rmsnorm"]) {
  test(`the report of the ${name} sample is that of the command line, to the last digit`, async () => {
    const expected = native("inspect", sample(name));
    assert.deepEqual(await library.inspect(sample(name)), expected);
    // The same from blobs, as in a browser.
    const files = ["model.safetensors", "config.json"].map((file) => ({
      path: `${name}/${file}`,
      file: new Blob([readFileSync(join(sample(name), file))]),
    }));
    assert.deepEqual(await library.inspect(files), expected);
  });
}

test("the cache of a hub, in which every file is a link, opens like on the command line", async () => {
  const snapshot = join(folder, "snapshots", "abc");
  mkdirSync(snapshot, { recursive: true });
  for (const name of ["model.safetensors", "config.json"]) symlinkSync(join(sample("layernorm"), name), join(snapshot, name));
  symlinkSync(join(folder, "nowhere"), join(snapshot, "dangling.json"));
  const report = await library.inspect(snapshot);
  assert.equal(report.norms.length, 9);
  assert.deepEqual(report, native("inspect", snapshot));
});

test("a single file opens with the configuration beside it, and an index with its shards", async () => {
  const model = join(sample("layernorm"), "model.safetensors");
  assert.deepEqual(await library.inspect(model), native("inspect", model));
  const sharded = join(folder, "sharded");
  cpSync(sample("layernorm"), sharded, { recursive: true });
  const weight_map = { "transformer.ln_f.weight": "model.safetensors" };
  const index = join(sharded, "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ weight_map }));
  const report = await library.inspect(index);
  assert.equal(report.checkpoint.shards, 1);
  assert.deepEqual(report, native("inspect", index));
});

test("a file of more than four gigabytes is read in slices", async () => {
  const [width, rows] = [4, 2 ** 30];
  const end = 2 * width * (rows + 1);
  const header = JSON.stringify({
    "model.embed_tokens.weight": { dtype: "BF16", shape: [rows, width], data_offsets: [0, end - 2 * width] },
    "model.norm.weight": { dtype: "BF16", shape: [width], data_offsets: [end - 2 * width, end] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, "large.safetensors");
  writeFileSync(path, Buffer.concat([length, Buffer.from(header)]));
  truncateSync(path, 8 + header.length + end);
  const { checkpoint, norms } = await library.inspect(path);
  assert.equal(checkpoint.bytes, 8 + header.length + end);
  assert.ok(checkpoint.bytes_read < 1 << 20, `${checkpoint.bytes_read} bytes were read`);
  assert.deepEqual(norms.map(({ name, width: wide }) => [name, wide]), [["model.norm", width]]);
});

test("links and comparisons are those of the command line", async () => {
  const checkpoint = await library.Checkpoint.open(sample("layernorm"));
  const other = await library.Checkpoint.open(sample("rmsnorm"));
  assert.deepEqual(checkpoint.compare(other).sites, native("compare", sample("layernorm"), sample("rmsnorm")).sites);
  const linked = await library.readLink(`https://example.org/${checkpoint.link()}`);
  assert.equal(linked.model.sentence, checkpoint.report.model.sentence);
  assert.ok(linked.shared.names);
  assert.ok(checkpoint.html().startsWith("<!DOCTYPE html>"));
  checkpoint.close();
  other.close();
});

test("errors are sentences", async () => {
  await assert.rejects(library.inspect("./no/such/model"), /there is no file or folder `.\/no\/such\/model`/);
  await assert.rejects(library.inspect("package.json"), /no safetensors, GGUF, ONNX or PyTorch file among what was given/);
  writeFileSync(join(folder, "pytorch_model.bin"), "PK\x03\x04 and so on");
  await assert.rejects(library.inspect(join(folder, "pytorch_model.bin")), /the archive has no directory at its end/);
  await assert.rejects(library.inspect("http://127.0.0.1:9/x.safetensors"), /could not be reached/);
  await assert.rejects(library.readLink("#report=1.00000000.x"), /this link is damaged/);
});
