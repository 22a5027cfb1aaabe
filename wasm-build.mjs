import { buildWasm } from "./scripts/build-wasm.mjs";
await buildWasm({ fast: true, names: process.argv.slice(2) });
