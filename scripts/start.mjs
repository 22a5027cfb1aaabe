// npm start: build, serve on localhost, print the address.
//   npm start -- --port 8080   another port
//   npm start -- --dev         Vite's development server: the page reloads on every edit in www/

import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { buildWasm } from "./build-wasm.mjs";
import { Failure, main } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

await main(async () => {
  const { dev, port } = options();
  if (dev) {
    await setUp();
    await buildWasm();
  } else {
    await build();
  }
  const vite = await import("vite");
  const where = { port, host: "127.0.0.1" }; // reached as localhost too; a port that is taken gives the next one
  const server = dev
    ? await (await vite.createServer({ server: where })).listen()
    : await vite.preview({ preview: where });
  console.log(`\nGammascope is at http://localhost:${server.httpServer.address().port}/ (Ctrl+C stops it)`);
});

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
