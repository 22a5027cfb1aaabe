// npm run build: writes dist/, static files that work under any path.

import { pathToFileURL } from "node:url";
import { buildWasm } from "./build-wasm.mjs";
import { main, step } from "./lib/run.mjs";
import { BUDGET_KB, pageSize } from "./lib/size.mjs";
import { SBOM, writeSbom } from "./lib/supply.mjs";
import { setUp } from "./setup.mjs";

/** Installs what is needed, compiles the core and bundles the page. */
export async function build() {
  await setUp();
  await buildWasm();
  await bundlePage();
}

/** Bundles www/ and its generated wasm into dist/. With `beforeVerifier`, the verifier is a stub, and the page says so. */
export async function bundlePage({ beforeVerifier = false } = {}) {
  await step(
    "Page: bundling into dist",
    process.execPath,
    ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"],
    {
      env: beforeVerifier ? { VITE_BEFORE_VERIFIER: "1" } : {},
      otherwise: "The page does not bundle; Vite says why above.",
    },
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    await build();
    const { kb, lines } = pageSize();
    console.log(`dist: ${kb.toFixed(0)} KB compressed of ${BUDGET_KB}, without the samples`);
    console.log(lines.join("\n"));
    console.log(`${writeSbom()} crates and packages are listed in ${SBOM}`);
  });
}
