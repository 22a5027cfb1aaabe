// Everything the other scripts need, installed once: npm packages, Rust, its wasm32 target.
// Uses Node's own modules only, since it runs before node_modules exists.

import { installPackages, requireNode } from "./lib/packages.mjs";
import { requireRust } from "./lib/rust.mjs";
import "./lib/run.mjs";

/** Checks what must be there and installs what can be. */
export async function setUp() {
  requireNode();
  await requireRust();
  await installPackages();
}
