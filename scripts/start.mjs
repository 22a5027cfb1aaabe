// npm start: builds the page, serves it on localhost, and prints the address. It serves the page as soon as the inspector is built, and
// builds the verifier meanwhile.
//   npm start -- --port 8080   another port
//   npm start -- --dev         Vite's development server: the page reloads after every edit in www/ and of the Rust code, which is
//                              compiled with little optimisation

import { watch } from "node:fs";
import { parseArgs } from "node:util";
import { bundlePage } from "./build.mjs";
import { RUST, buildWasm, hasVerifier, writeVerifierStub } from "./build-wasm.mjs";
import { Failure, main } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

/** How long to wait until an editor has written its files. */
const SETTLE_MS = 200;

await main(async () => {
  const { dev, port } = options();
  await setUp();
  await buildWasm({ names: ["inspector", "figures"], fast: dev });
  const beforeVerifier = !hasVerifier();
  if (beforeVerifier) writeVerifierStub();
  if (!dev) await bundlePage({ beforeVerifier });

  const vite = await import("vite");
  const where = { port, host: "127.0.0.1" }; // also reached as localhost; if the port is taken, Vite uses the next one
  const server = dev
    ? await (await vite.createServer({ server: where })).listen()
    : await vite.preview({ preview: where });
  console.log(`\nGammascope is at http://localhost:${server.httpServer.address().port}/ (Ctrl+C stops it)`);

  await buildWasm({ names: ["verifier"], fast: dev });
  if (!dev) await bundlePage();
  if (beforeVerifier) console.log("The verifier is ready: reload the page to measure, and to open addresses and links.");
  if (dev) await rebuildOnEdits();
});

/** Compiles all modules again after every edit of the Rust code. Vite notices the new files and reloads the page. */
async function rebuildOnEdits() {
  let edited = false;
  let wake = () => undefined;
  const noticed = () => {
    edited = true;
    wake();
  };
  for (const folder of RUST) watch(folder, { recursive: true }, noticed);
  for (;;) {
    if (!edited) await new Promise((resolve) => (wake = resolve));
    edited = false;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    await buildWasm({ fast: true }).catch((error) => {
      if (!(error instanceof Failure)) throw error;
      console.error([error.output, error.message].filter(Boolean).join("\n"));
    });
  }
}

function options() {
  try {
    const { values } = parseArgs({
      options: { dev: { type: "boolean", default: false }, port: { type: "string", default: "4173" } },
    });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 1 || port > 65535)
      throw new Error(`--port ${values.port} is no port number`);
    return { dev: values.dev, port };
  } catch (error) {
    throw new Failure(`${error.message}; the options are --port NUMBER and --dev.`);
  }
}
