// The Rust core as WebAssembly, twice, in www/generated/: the inspector that every visit loads, and the verifier, which
// can measure as well, open addresses and links, share, compare, weigh adapters and export, and is loaded when that is asked for.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { Failure, step } from "./lib/run.mjs";
import { cargoBuild, lockedVersion, wasmTarget } from "./lib/rust.mjs";

const flags = (features) => ["--lib", "--no-default-features", "--features", features, "--locked"];

export const WASM_FLAGS = flags("web,gpu,remote,share,text,together");

const ARTEFACTS = [
  // The crate is an rlib, too, and rustc optimises across crates only where nothing but the wasm is made. That makes the inspector
  // a twentieth smaller, and the verifier slower to build and larger.
  { name: "inspector", features: "web", profile: "web", rustflags: "", command: "rustc", only: ["--crate-type", "cdylib"] },
  // Every browser with WebGPU has 128-bit vectors, and every other of the last years.
  { name: "verifier", features: "web,gpu,remote,share,text,together", profile: "web-fast", rustflags: "-Ctarget-feature=+simd128", command: "build", only: [] },
];

/** Compiles the core and writes its JavaScript side; cargo skips what has not changed. */
export async function buildWasm() {
  const target = await wasmTarget();
  const bindgen = await buildBindgen();
  for (const { name, features, profile, rustflags, command, only } of ARTEFACTS) {
    const place = ["--target", "wasm32-unknown-unknown", "--profile", profile];
    const args = [...target.flags, ...flags(features), ...place, ...only];
    const wasm = await cargoBuild(`Gammascope: compiling the ${name} to WebAssembly`, args, ".wasm", {
      env: { ...target.env, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: rustflags },
      command,
      otherwise: "The Rust core does not compile for the browser; the compiler says why above.",
    });
    await step(`Gammascope: writing www/generated/${name}.js`, bindgen, [wasm, "www/generated", name]);
  }
  writeTables();
}

/** Tables that the inspector loads beside itself, as one file: `src/tables.rs` takes it apart. */
const TABLES = [
  "src/norm/registry/families.tsv",
  "src/norm/registry/published.tsv",
  "src/norm/registry/marks.tsv",
  "src/norm/registry/layouts.tsv",
  "src/norm/registry/counts.tsv",
  "src/norm/registry/vocabulary.tsv",
  "src/reader/measured.tsv",
  "src/reader/measured_outside.tsv",
];

function writeTables() {
  const parts = TABLES.map((path) => `#### ${basename(path, ".tsv")}\n${readFileSync(path, "utf8")}`);
  writeFileSync("www/generated/tables.txt", parts.join(""));
}

/** The tool must be of exactly the version that the core is linked with. */
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
