// npm run build:package: writes package/, the npm package of the library. It does not publish it.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildWasm } from "./build-wasm.mjs";
import { main, step } from "./lib/run.mjs";
import { SBOM, writeSbom } from "./lib/supply.mjs";
import { setUp } from "./setup.mjs";

export const PACKAGE = "package";
const COMPILED = ".cache/package";

/** The files of the package, and the folders that they come from. */
const FILES = [
  [join(COMPILED, "npm"), ["index.js", "index.d.ts", "node.js"]],
  [join(COMPILED, "www/worker"), ["network.js"]],
  [join(COMPILED, "www"), ["report.d.ts", "report.js"]],
  ["www/generated", ["verifier.js", "verifier_bg.wasm"]],
  ["npm", ["README.md"]],
  [".", ["LICENSE"]],
];

/** Compiles the library and writes the package. */
export async function buildPackage() {
  await buildWasm();
  rmSync(COMPILED, { recursive: true, force: true });
  rmSync(PACKAGE, { recursive: true, force: true });
  const tsc = ["node_modules/typescript/bin/tsc", "--project", "npm/tsconfig.json"];
  await step("Package: compiling npm/", process.execPath, tsc, { otherwise: "npm/ does not compile; TypeScript says why above." });
  mkdirSync(PACKAGE);
  for (const [folder, names] of FILES) for (const name of names) cpSync(join(folder, name), join(PACKAGE, name));
  writeFileSync(join(PACKAGE, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
}

function manifest() {
  const { version, description, license, engines } = JSON.parse(readFileSync("package.json", "utf8"));
  return {
    name: "@gammascope/gammascope",
    version,
    description,
    license,
    keywords: ["transformer", "layernorm", "safetensors", "gguf", "interpretability"],
    type: "module",
    exports: { ".": { types: "./index.d.ts", default: "./index.js" } },
    types: "./index.d.ts",
    // Only Node imports the modules of Node.
    browser: { "./node.js": false },
    sideEffects: false,
    engines,
    files: FILES.flatMap(([, names]) => names),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    await setUp();
    await buildPackage();
    console.log(`${PACKAGE}/: \`npm pack ./${PACKAGE}\` makes a file of it`);
    console.log(`${writeSbom()} crates and packages are listed in ${SBOM}`);
  });
}
