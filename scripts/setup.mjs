// Installs once what the other scripts need: npm packages, Rust, its wasm32 target.
// It uses only the modules of Node, because it runs before node_modules exists.

import { installPackages, requireNode } from "./lib/packages.mjs";
import { requireRust } from "./lib/rust.mjs";
import "./lib/run.mjs";

/** Checks the requirements, and installs what it can. */
export async function setUp() {
  requireNode();
  await requireRust();
  await installPackages();
}
