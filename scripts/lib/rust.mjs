// Rust: the toolchain, its wasm32 target, and builds with cargo.

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { aptInstall } from "./apt.mjs";
import { Failure, ask, step } from "./run.mjs";

const TARGET = "wasm32-unknown-unknown";

/** Makes sure that cargo and rustc run, in a version that Cargo.toml allows, and that there is a linker. */
export async function requireRust() {
  if (ask("cargo", ["--version"]) === null) useCargoHome();
  if (ask("rustc", ["--version"]) === null) await installStable();
  const wanted = readFileSync("Cargo.toml", "utf8").match(/^rust-version = "(.+)"/m)[1];
  const found = rustVersion("rustc");
  if (!atLeast(found, wanted)) {
    throw new Failure(
      `Rust ${wanted} or newer is needed and this is ${found}: run \`rustup update stable\`, then this again.`,
    );
  }
  await requireLinker();
}

/** Makes sure that `cargo fmt` and `cargo clippy` run. */
export async function requireLints() {
  const missing = ["fmt", "clippy"].filter((name) => ask("cargo", [name, "--version"]) === null);
  if (missing.length === 0) return;
  await step("Rust: installing rustfmt and clippy", "rustup", ["component", "add", "rustfmt", "clippy"], {
    otherwise: "rustfmt or clippy is missing: run `rustup component add rustfmt clippy`, then this again.",
  });
}

/**
 * Returns the flags and the environment for cargo to compile for the browser.
 * They use the target that rustup downloads or, if it cannot, Debian's compiler and library sources.
 */
export function wasmTarget() {
  return (target ??= findTarget());
}

let target;

async function findTarget() {
  const own = { flags: [], env: {} };
  if (hasTarget()) return own;
  const attempt = step(`Rust: downloading the ${TARGET} target, once`, "rustup", ["target", "add", TARGET], {
    minutes: 10,
  });
  const refused = await attempt.then(
    () => null,
    (failure) => failure,
  );
  if (hasTarget()) return own;
  return debianTarget(refused?.output ?? "");
}

/** Runs a cargo build and returns the built file whose name ends in `suffix`. */
export async function cargoBuild(label, args, suffix, { env = {}, otherwise } = {}) {
  const messages = await step(
    label,
    "cargo",
    ["build", "--message-format=json-render-diagnostics", ...args],
    { env, otherwise },
  );
  const artifacts = messages.split("\n").filter((line) => line.startsWith('{"reason":"compiler-artifact"'));
  const made = JSON.parse(artifacts.at(-1)).filenames.find((name) => name.endsWith(suffix));
  if (!made)
    throw new Failure(`cargo made no ${suffix || "program"} with \`cargo build ${args.join(" ")}\`.`);
  return made;
}

/** Returns the command line that cargo builds for its tests. A separate build would compile the library again. */
export async function testedTerminal() {
  const args = ["test", "--no-run", "--test", "it", "--features", "gpu", "--locked", "--message-format=json-render-diagnostics"];
  const messages = await step("Gammascope: compiling the command line and its tests", "cargo", args);
  const artifacts = messages.split("\n").filter((line) => line.startsWith('{"reason":"compiler-artifact"'));
  const made = artifacts.map((line) => JSON.parse(line)).find(({ target }) => target.kind[0] === "bin" && target.name === "gammascope");
  if (!made?.executable) throw new Failure("cargo built no command line beside its tests.");
  return made.executable;
}

/** The version of a package in a Cargo.lock. */
export function lockedVersion(lock, name) {
  const entry = readFileSync(lock, "utf8").match(new RegExp(`name = "${name}"\\r?\\nversion = "(.+)"`));
  if (!entry)
    throw new Failure(
      `${lock} names no ${name}: run \`cargo generate-lockfile\` beside it, then this again.`,
    );
  return entry[1];
}

/** Adds the folder of rustup to PATH. A shell opened before rustup was installed does not have it. */
function useCargoHome() {
  const bin = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");
  if (!existsSync(join(bin, process.platform === "win32" ? "cargo.exe" : "cargo"))) {
    throw new Failure("Rust is missing: install it from https://rustup.rs, then run this again.");
  }
  process.env.PATH = bin + delimiter + process.env.PATH;
}

/** Installs a toolchain, if there is rustup without one. The default of rustup stays as it is. */
async function installStable() {
  await step(
    "Rust: downloading the stable toolchain, once",
    "rustup",
    ["toolchain", "install", "stable", "--profile", "default"],
    {
      otherwise:
        "Rust has no toolchain and rustup could not download one: run `rustup default stable`, then this again.",
    },
  );
  process.env.RUSTUP_TOOLCHAIN = "stable";
}

async function requireLinker() {
  if (process.platform === "win32" || ask("cc", ["--version"]) !== null) return;
  if (await aptInstall("gcc", "libc6-dev")) return;
  const how =
    process.platform === "darwin"
      ? "`xcode-select --install`"
      : "your package manager (Debian: `apt-get install build-essential`)";
  throw new Failure(
    `A C compiler is missing, which Rust needs for linking: install one with ${how}, then run this again.`,
  );
}

function hasTarget() {
  const folder = ask("rustc", ["--print", "target-libdir", "--target", TARGET]);
  return folder !== null && existsSync(folder);
}

async function debianTarget(said) {
  const otherwise = `The ${TARGET} target of Rust is missing: run \`rustup target add ${TARGET}\` with a network connection, then this again.`;
  const rustc = "/usr/bin/rustc";
  const sources = "/usr/lib/rustlib/src/rust/library/std";
  if (!existsSync(rustc) || !existsSync(sources)) {
    const installed = await aptInstall("rustc-web", "rust-web-src");
    if (!installed || !existsSync(sources)) throw new Failure(otherwise, said);
  }
  const wanted = readFileSync("Cargo.toml", "utf8").match(/^rust-version = "(.+)"/m)[1];
  const host = ask("rustc", ["-vV"]).match(/^host: (.+)$/m)[1];
  const linker = join(ask("rustc", ["--print", "sysroot"]), "lib", "rustlib", host, "bin", "rust-lld");
  if (!atLeast(rustVersion(rustc), wanted) || !existsSync(linker)) throw new Failure(otherwise, said);
  console.log(
    `Rust: rustup has no ${TARGET} target here; using ${rustc} ${rustVersion(rustc)} and its library sources`,
  );
  return {
    flags: ["-Zbuild-std=std,panic_abort"],
    env: { RUSTC: rustc, RUSTC_BOOTSTRAP: "1", CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linker },
  };
}

function rustVersion(rustc) {
  return ask(rustc, ["--version"])?.split(" ")[1] ?? "0.0.0";
}

function atLeast(found, wanted) {
  const [a, b] = [found, wanted].map((version) => version.split(".").map((part) => parseInt(part, 10)));
  return a[0] !== b[0] ? a[0] > b[0] : a[1] >= b[1];
}
