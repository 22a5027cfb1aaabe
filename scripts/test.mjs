// npm test: runs all stages. `npm test -- rust page` runs only those two.
// The last line is the sum over all test runners. A stage that fails without a failed test counts as one failed test.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { PACKAGE, buildPackage } from "./build-package.mjs";
import { buildWasm } from "./build-wasm.mjs";
import { bundlePage } from "./build.mjs";
import { requireChromium } from "./lib/chromium.mjs";
import { npm } from "./lib/packages.mjs";
import { pythonWithTorch, pythonsWithWheel } from "./lib/python.mjs";
import { Failure, ask, main, show, step } from "./lib/run.mjs";
import { differences, fingerprint } from "./lib/reproducible.mjs";
import { requireLints, testedTerminal } from "./lib/rust.mjs";
import { BUDGET_KB, pageSize } from "./lib/size.mjs";
import { SBOM, writeSbom } from "./lib/supply.mjs";
import { setUp } from "./setup.mjs";

const E2E_REPORT = ".cache/e2e.json";

/** Each stage returns its counts, or an empty object for a check that passed, or throws a Failure. */
const stages = { prose, supply, fmt, clippy, scripts, rust, python, wheel, types, package: npmPackage, page };

/** Those that run only if they are named. */
const ON_REQUEST = ["wheel"];

/** Checks the words of documents, doc comments, messages and the page. */
function prose() {
  return check(process.execPath, ["scripts/prose.mjs"], "The prose breaks a rule of CONTRIBUTING.md, see above.");
}

/** Checks the dependencies: lock files, licences, sources and known faults. Without a tool or the network, it says what it left out. */
async function supply() {
  if (ask("cargo", ["tree", "--locked", "--depth", "0"]) === null)
    throw new Failure("Cargo.lock does not fit Cargo.toml: run `cargo update --workspace`.");
  const [program, first] = npm();
  if (ask(program, [...first, "ci", "--dry-run", "--ignore-scripts", "--offline", "--no-audit"]) === null)
    throw new Failure("package-lock.json does not fit package.json: run `npm install --package-lock-only`.");
  console.log(`${writeSbom()} crates and packages are listed in ${SBOM}`);
  if (ask("cargo", ["deny", "--version"]) === null) {
    console.log("cargo deny is not installed, so licences and sources of crates are not checked: `cargo install --locked cargo-deny`.");
  } else {
    await check("cargo", ["deny", "--locked", "check", "licenses", "bans", "sources"], "cargo deny found problems, see above.");
    const { code, stderr } = await show("cargo", ["deny", "--locked", "check", "advisories"]);
    if (code !== 0 && !/failed to fetch|unable to fetch|advisory database/i.test(stderr)) throw new Failure("A crate has a known fault, see above.");
    if (code !== 0) console.log("The database of advisories cannot be reached, so known faults of crates are not checked.");
  }
  const audit = spawnSync(program, [...first, "audit", "--json"], { encoding: "utf8", timeout: 60_000 });
  const { vulnerabilities } = parsed(audit.stdout).metadata ?? {};
  if (!vulnerabilities) console.log("npm audit gives no answer, so known faults of npm packages are not checked.");
  else if (vulnerabilities.high + vulnerabilities.critical > 0) throw new Failure("npm packages have known faults: run `npm audit`.", audit.stdout);
  return {};
}

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
};

async function fmt() {
  await requireLints();
  await check("cargo", ["fmt", "--check"], "The Rust code is not formatted: run `cargo fmt`.");
  const bindgen = ["fmt", "--check", "--manifest-path", "scripts/bindgen/Cargo.toml"];
  return check("cargo", bindgen, "scripts/bindgen is not formatted: run `cargo fmt` there.");
}

async function clippy() {
  await requireLints();
  // Checks the crates of web/ natively too: no code is only for wasm32, and checking all dependencies for it takes a minute.
  const all = ["clippy", "--workspace", "--all-targets", "--features", "gammascope/gpu"];
  for (const args of [all, ["clippy"]]) {
    const { code } = await show("cargo", [...args, "--locked", "--", "-D", "warnings"]);
    if (code !== 0) throw new Failure("Clippy found problems, see above.");
  }
  const env = { RUSTDOCFLAGS: "-D warnings" };
  const { code } = await show("cargo", ["doc", "--no-deps", "--lib", "--features", "gpu", "--locked"], { env });
  if (code !== 0) throw new Failure("The documentation of the crate does not build, see above.");
  return {};
}

/** Compares the outputs of scripts with their sources, and tests the prose rules. */
function scripts() {
  return nodeTest(["tests/paper.test.mjs", "tests/prose.test.mjs", "tests/tables.test.mjs"]);
}

/**
 * Runs all tests of cargo with one set of features, which the other stages share. A test that needs more than this repository is
 * `#[ignore]`d. A second run selects those whose requirements are met, by a part of their names. The rest count as skipped.
 */
async function rust() {
  const provided = [];
  if (await models) provided.push("real_");
  if (process.env.GAMMASCOPE_GPU) provided.push("gpu");
  if (["python3", ".cache/models/venv/bin/python"].some((python) => ask(python, ["-c", "import numpy"]) !== null)) provided.push("export::");
  if (existsSync("../shared/architectures")) provided.push("ground_truth::");
  // Examples are not built: no test runs them, and clippy checks them.
  const tests = ["--tests", "--no-fail-fast"];
  const counts = await cargoTest(tests);
  const documented = await cargoTest(["--doc"]);
  for (const key of Object.keys(counts)) counts[key] += documented[key];
  if (provided.length === 0) return counts;
  const more = await cargoTest([...tests, "--", "--ignored", ...provided]);
  counts.skipped -= more.passed + more.failed;
  for (const key of ["passed", "failed"]) counts[key] += more[key];
  return counts;
}

/** A promise of whether the trained models are there. It is set if the stage that needs them will run. */
let models;

/** The wasm modules, compiled once. */
let wasm;
const compiledWasm = () => (wasm ??= buildWasm());

/** Fetches the trained models of tests/models/fetch.py into .cache/models. If that fails, it prints why and returns false. */
async function fetchModels() {
  const python = ["python3", "python"].find((name) => ask(name, ["--version"]) !== null);
  if (!python || process.env.GAMMASCOPE_OFFLINE) return false;
  const fetch = ["tests/models/fetch.py", ".cache/models", "minilm", "smollm2", "gemma3", "onnx"];
  try {
    await step("Trained models: fetching, once", python, fetch, { minutes: 15 });
    return true;
  } catch (failure) {
    console.log(`The trained models could not be fetched, so the tests on them are skipped: ${failure.message}`);
    return false;
  }
}

/** Tests the Python code that the page shows, the hook and the snippets. Without PyTorch, the tests are skipped with a message. */
async function python() {
  const terminal = await testedTerminal();
  const interpreter = await pythonWithTorch();
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const script of ["tests/hook.py", "tests/use/pytorch.py", "tests/rms_norm.py", "tests/lens.py"]) {
    const folder = mkdtempSync(join(tmpdir(), "gammascope-python-"));
    try {
      const { code, stdout } = await show(interpreter, [script, terminal, folder]);
      const [, ...counts] = stdout.match(/(\d+) passed, (\d+) failed, (\d+) skipped\s*$/) ?? [];
      const [passed = 0, failed = 0, skipped = 0] = counts.map(Number);
      const counted = withExit({ passed, failed, skipped }, code);
      for (const key of Object.keys(sum)) sum[key] += counted[key];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return sum;
}

/** Tests the Python package, from the wheel that pip builds. */
async function wheel() {
  const terminal = await testedTerminal();
  const { python, alone } = await pythonsWithWheel();
  const env = { GAMMASCOPE: resolve(terminal), CLEAN_PYTHON: resolve(alone), PYTHONSAFEPATH: "" };
  const { code, stdout } = await show(python, ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "tests/python"], { env });
  const [last = ""] = stdout.match(/^.*\d+ (?:passed|failed|skipped|error).* in [\d.]+.*$/m) ?? [];
  const count = (what) => Number(last.match(new RegExp(`(\\d+) ${what}`))?.[1] ?? 0);
  return withExit({ passed: count("passed"), failed: count("failed") + count("error"), skipped: count("skipped") }, code);
}

async function cargoTest(args) {
  const { code, stdout } = await show("cargo", ["test", "--locked", "--features", "gpu", ...args]);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [, passed, failed, ignored] of stdout.matchAll(
    /^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  return withExit(counts, code);
}

async function types() {
  await compiledWasm(); // the page is checked against the generated types
  for (const project of ["tsconfig.json", "www/worker/tsconfig.json", "tests/e2e/tsconfig.json", "npm/tsconfig.json"]) {
    const tsc = ["node_modules/typescript/bin/tsc", "--noEmit", "--project", project];
    await check(process.execPath, tsc, `${project}: TypeScript found problems, see above.`);
  }
  return {};
}

/** Tests the npm package, installed like by a user. */
async function npmPackage() {
  await buildPackage();
  const terminal = await testedTerminal();
  const env = { PACKAGE, GAMMASCOPE: terminal };
  return nodeTest(["tests/package.test.mjs"], env);
}

async function nodeTest(files, env = {}) {
  const { code, stdout } = await show(process.execPath, ["--test", "--test-reporter=tap", ...files], { env });
  const count = (what) => Number(stdout.match(new RegExp(`^# ${what} (\\d+)$`, "m"))?.[1] ?? 0);
  return withExit({ passed: count("pass"), failed: count("fail"), skipped: count("skipped") }, code);
}

async function page() {
  await requireChromium();
  await compiledWasm();
  await bundlePage();
  const { kb, lines } = pageSize();
  const size = `The page is ${kb.toFixed(0)} KB compressed, of ${BUDGET_KB}.`;
  if (kb > BUDGET_KB) throw new Failure(size, lines.join("\n"));
  console.log(size);
  const first = fingerprint("dist");
  await bundlePage();
  const differ = differences(first, fingerprint("dist"));
  if (differ.length > 0) throw new Failure("Two builds of the page differ in these files.", differ.join("\n"));
  console.log(`A second build of the page gave the same ${first.size} files.`);

  // The tests compare the numbers of the page with those of the command line.
  const terminal = await testedTerminal();

  mkdirSync(".cache", { recursive: true });
  rmSync(E2E_REPORT, { force: true });
  const env = { E2E_PORT: String(await freePort()), E2E_REPORT, GAMMASCOPE: terminal };
  const { code } = await show(process.execPath, ["node_modules/@playwright/test/cli.js", "test"], { env });
  if (!existsSync(E2E_REPORT)) throw new Failure("Playwright ended before it could report.");
  const { stats } = JSON.parse(readFileSync(E2E_REPORT, "utf8"));
  return withExit(
    { passed: stats.expected + stats.flaky, failed: stats.unexpected, skipped: stats.skipped },
    code,
  );
}

async function check(command, args, complaint) {
  const { code } = await show(command, args);
  if (code !== 0) throw new Failure(complaint);
  return {};
}

/** Counts one failed test if a runner exits with an error but reports none. */
function withExit(counts, code) {
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function sentence({ passed = 0, failed = 0, skipped = 0 }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

await main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !(name in stages));
  if (unknown)
    throw new Failure(`There is no stage ${unknown}; the stages are ${Object.keys(stages).join(", ")}.`);
  await setUp();

  // Download the models while the stages before `rust` compile.
  if (chosen.length === 0 || chosen.includes("rust")) models = fetchModels();

  const sum = { passed: 0, failed: 0, skipped: 0 };
  const summary = [];
  for (const [name, run] of Object.entries(stages)) {
    if (chosen.length > 0 ? !chosen.includes(name) : ON_REQUEST.includes(name)) continue;
    console.log(`\n── ${name}`);
    // Linking wasm keeps one core busy, and tests the other. A failure shows in the stage that needs the wasm.
    if (name === "rust" && ["types", "page"].some((later) => chosen.length === 0 || chosen.includes(later))) compiledWasm().catch(() => undefined);
    const began = Date.now();
    const counts = await run().catch((error) => {
      console.error(
        [error.output, error instanceof Failure ? error.message : error.stack].filter(Boolean).join("\n"),
      );
      return { failed: 1 };
    });
    for (const key of Object.keys(sum)) sum[key] += counts[key] ?? 0;
    const said = Object.keys(counts).length === 0 ? "ok" : sentence(counts);
    summary.push(`${name.padEnd(8)} ${said} · ${Math.round((Date.now() - began) / 1000)} s`);
  }
  console.log(`\n${summary.join("\n")}\n`);
  if (sum.failed > 0) process.exitCode = 1;
  console.log(sentence(sum));
});
