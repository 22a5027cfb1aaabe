// The npm package as somebody else installs it: what it holds, its types, its example, and its reports against the command line's.
//   PACKAGE=package GAMMASCOPE=target/debug/gammascope node --test tests/package.test.mjs

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const [source, terminal] = [process.env.PACKAGE, process.env.GAMMASCOPE].map((path) => resolve(path));
const sample = (name) => resolve("samples", name);
const folder = mkdtempSync(join(tmpdir(), "gammascope-package-"));
const npm = process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : ["npm"];
const run = ([program, ...first], ...args) => execFileSync(program, [...first, ...args], { cwd: folder, encoding: "utf8" });

let held;
let library;

before(async () => {
  [{ files: held }] = JSON.parse(run(npm, "pack", source, "--json"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  run(npm, "install", "--offline", "--no-audit", "--no-fund", "./gammascope-gammascope-0.1.0.tgz");
  library = await import(join(folder, "node_modules/@gammascope/gammascope/index.js"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("it holds one entry, its types, the wasm, and nothing else", () => {
  const names = held.map(({ path }) => path).sort();
  const expected = ["LICENSE", "README.md", "index.d.ts", "index.js", "network.js", "node.js", "package.json", "report.d.ts", "verifier.js", "verifier_bg.wasm"];
  assert.deepEqual(names, expected);
});

test("a strict consumer compiles against its types", () => {
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

test("its example says of a checkpoint what the command line says", () => {
  cpSync("examples/node/inspect.mjs", join(folder, "inspect.mjs"));
  const said = run([process.execPath], "inspect.mjs", sample("layernorm"));
  assert.match(said, /^LayerNorm transformer, 9 norm sites/);
  assert.match(said, /transformer\.ln_f: layernorm, as if 127\.2 channels shared the direction, most at 126/);
});

for (const name of ["layernorm", "rmsnorm"]) {
  test(`the report of the ${name} sample is the command line's, to the last digit`, async () => {
    const native = JSON.parse(execFileSync(terminal, ["inspect", sample(name), "--json"], { encoding: "utf8" }));
    assert.deepEqual(await library.inspect(sample(name)), native);
    // And from blobs, as in a browser.
    const files = ["model.safetensors", "config.json"].map((file) => ({
      path: `${name}/${file}`,
      file: new Blob([readFileSync(join(sample(name), file))]),
    }));
    assert.deepEqual(await library.inspect(files), native);
  });
}

test("a link and a comparison are what the command line reads and prints", async () => {
  const checkpoint = await library.Checkpoint.open(sample("layernorm"));
  const other = await library.Checkpoint.open(sample("rmsnorm"));
  const native = JSON.parse(execFileSync(terminal, ["compare", sample("layernorm"), sample("rmsnorm"), "--json"], { encoding: "utf8" }));
  assert.deepEqual(checkpoint.compare(other).sites, native.sites);
  const linked = await library.readLink(`https://example.org/${checkpoint.link()}`);
  assert.equal(linked.model.sentence, checkpoint.report.model.sentence);
  assert.ok(linked.shared.names);
  assert.ok(checkpoint.html().startsWith("<!DOCTYPE html>"));
  checkpoint.close();
  other.close();
});

test("what is wrong is a sentence", async () => {
  await assert.rejects(library.inspect("./no/such/model"), /there is no file or folder `.\/no\/such\/model`/);
  await assert.rejects(library.inspect("package.json"), /no safetensors or GGUF file among what was given/);
  await assert.rejects(library.inspect("http://127.0.0.1:9/x.safetensors"), /could not be reached/);
  await assert.rejects(library.readLink("#report=1.00000000.x"), /this link is damaged/);
});
