// Compiles the Rust core to three WebAssembly modules in www/generated/: the inspector, which every visit loads; the module that draws
// its figures, which loads after the verdict; and the verifier, which loads on demand. The verifier also measures, runs the model, opens
// addresses and links, shares, compares, measures adapters and exports.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure, step } from "./lib/run.mjs";
import { cargoBuild, lockedVersion, wasmTarget } from "./lib/rust.mjs";
import { writeTables } from "./lib/tables.mjs";

/** The modules: a crate of web/, its profile in Cargo.toml, and compiler flags that its browsers support. Binaryen makes the small ones smaller. */
const MODULES = [
  { name: "inspector", profile: "web", rustflags: "", shrinks: true },
  { name: "figures", profile: "web", rustflags: "", shrinks: true },
  // Every browser with WebGPU, and every other recent browser, has 128-bit vectors.
  { name: "verifier", profile: "web-fast", rustflags: "-Ctarget-feature=+simd128" },
];

/** The folder of the page's tables of measured models. */
const TABLES = "www/generated/tables";

/**
 * Compiles modules and writes their JavaScript. cargo skips what has not changed. `fast` compiles with little optimisation, for edits of
 * the Rust code.
 */
export async function buildWasm({ names = MODULES.map(({ name }) => name), fast = false } = {}) {
  const target = await wasmTarget();
  const bindgen = await buildBindgen();
  for (const { name, profile, rustflags, shrinks } of MODULES.filter(({ name }) => names.includes(name))) {
    const place = ["--target", "wasm32-unknown-unknown", "--profile", fast ? "web-edit" : profile];
    const args = [...target.flags, "--package", `gammascope-${name}`, ...place, "--locked"];
    const wasm = await cargoBuild(`Gammascope: compiling the ${name} to WebAssembly`, args, ".wasm", {
      env: { ...target.env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: rustflags },
      otherwise: "The Rust core does not compile for the browser; the compiler says why above.",
    });
    await step(`Gammascope: writing www/generated/${name}.js`, bindgen, [wasm, "www/generated", name]);
    if (shrinks && !fast) await shrink(name);
  }
  writeTables(TABLES);
}

/** What the compiler uses of WebAssembly, and all browsers have. */
const FEATURES = ["bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"];

/**
 * How a module is made smaller. Without the limit, functions that are called once are merged into long ones, which browsers compile for so
 * long that the verdict comes 40 % later.
 */
const SHRINK = [
  "-Os",
  "--one-caller-inline-max-function-size=50",
  ...FEATURES.map((feature) => `--enable-${feature}`),
];

/** Makes a module 2 % smaller as it is sent. It takes a quarter of a minute, so the result is kept. */
async function shrink(name) {
  const path = `www/generated/${name}_bg.wasm`;
  const hash = createHash("sha256").update(readFileSync(path)).update(SHRINK.join(" ")).digest("hex");
  const kept = `.cache/shrunk/${hash.slice(0, 16)}.wasm`;
  mkdirSync(".cache/shrunk", { recursive: true });
  const args = ["node_modules/binaryen/bin/wasm-opt", ...SHRINK, path, "-o", `${kept}.part`];
  if (!existsSync(kept)) {
    await step(`Gammascope: making the ${name} smaller`, process.execPath, args);
    renameSync(`${kept}.part`, kept);
  }
  copyFileSync(kept, path);
}

/** The folders with the Rust code. */
export const RUST = ["src", "web"];

/** Whether the verifier was built after the last edit of the Rust code. */
export function hasVerifier() {
  const built = "www/generated/verifier_bg.wasm";
  if (!existsSync(built)) return false;
  const files = RUST.flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)));
  const edited = Math.max(...["Cargo.toml", "Cargo.lock", ...files].map((file) => statSync(file).mtimeMs));
  return statSync(built).mtimeMs > edited;
}

/** Writes a stub of the verifier, so that the page can be bundled before the verifier is built. Loading the stub fails with a message. */
export function writeVerifierStub() {
  mkdirSync("www/generated", { recursive: true });
  const why = "The verifier is still being compiled. Reload the page when the terminal says that it is ready.";
  const names = ["Adapter", "Inspection", "LinkedReport", "Measurer", "csvOf", "figureOf", "weightsBudget"];
  const lines = names.map((name) => `export const ${name} = undefined;`);
  const init = `export default () => Promise.reject(new Error(${JSON.stringify(why)}));`;
  writeFileSync("www/generated/verifier.js", `${[...lines, init].join("\n")}\n`);
}

/** Builds wasm-bindgen. It must have exactly the version that the core links. */
async function buildBindgen() {
  const [core, tool] = [
    lockedVersion("Cargo.lock", "wasm-bindgen"),
    lockedVersion("scripts/bindgen/Cargo.lock", "wasm-bindgen-cli-support"),
  ];
  if (core !== tool) {
    throw new Failure(
      `Cargo.lock has wasm-bindgen ${core} and scripts/bindgen has ${tool}: set scripts/bindgen/Cargo.toml to "=${core}" and run \`cargo update\` there.`,
    );
  }
  const folder = ".cache/bindgen";
  const label = existsSync(folder)
    ? `wasm-bindgen ${tool}`
    : `wasm-bindgen ${tool}: compiling, one or two minutes, once`;
  const args = ["--manifest-path", "scripts/bindgen/Cargo.toml", "--target-dir", folder, "--locked"];
  return cargoBuild(label, args, process.platform === "win32" ? ".exe" : "bindgen");
}
