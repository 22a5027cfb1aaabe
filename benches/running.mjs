// A forward pass in Chromium: the page's, and onnxruntime-web's on the same adapter, weights and token ids.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";

const TYPES = { ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

/**
 * Returns the seconds of the page's pass on `device`, without one-time work (shaders, workers): the time of the blocks after the first,
 * scaled to all blocks. Also returns where it ran. The checkpoint is in `files`, or at an `address`. `choice` has further options of the
 * run.
 */
export async function timePage(browser, url, { files, address }, device, choice) {
  const page = await browser.newPage();
  try {
    await page.goto(address ? `${url}#open=${encodeURIComponent(address)}` : url);
    if (files) await page.locator(".pick-opened").first().setInputFiles(files);
    await page.locator("#verify").waitFor();
    return await page.evaluate(onPage, { device, choice });
  } finally {
    await page.close();
  }
}

/** Runs in the page. */
async function onPage({ device, choice }) {
  const done = new Map();
  const note = () => {
    const progress = document.querySelector("#verify progress");
    if (progress?.value > 0 && !done.has(progress.value)) done.set(progress.value, performance.now());
  };
  const observer = new MutationObserver(note);
  observer.observe(document.querySelector("#verify"), { subtree: true, childList: true, attributes: true });
  const { verification } = await window.gammascope.verify({ device, sites: "final", ...choice });
  observer.disconnect();
  const blocks = [...done.keys()];
  const [first, last] = [Math.min(...blocks), Math.max(...blocks)];
  const each = (done.get(last) - done.get(first)) / (last - first);
  return { seconds: (each * last) / 1000, device: verification.device };
}

/** Serves onnxruntime-web and a model, for [`timeOnnx`]. */
export async function servePeer(folder, model) {
  const server = createServer((request, response) => {
    const name = new URL(request.url, "http://x").pathname.slice(1);
    if (name === "") {
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>peer</title>");
      return;
    }
    const file = name === "model.onnx" ? model : join(folder, name);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-length": statSync(file).size });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => server.close(resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

/**
 * Returns the seconds of a pass of onnxruntime-web on `provider` ("webgpu" or "wasm"), after one that compiles: the least of three, or a
 * single one if that took long. Also returns some of its output. The input is `ids` in sequences of a length, or `embedded` as
 * [sequences, tokens, width], filled as in `benches/encoders.py`.
 */
export async function timeOnnx(browser, url, provider, input) {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    return await page.evaluate(onPeersPage, { provider, ...input });
  } finally {
    await page.close();
  }
}

/** Runs in the peer's page. */
async function onPeersPage({ provider, ids, length, embedded }) {
  const ort = await import(`/ort.${provider}.bundle.min.mjs`);
  ort.env.wasm.wasmPaths = `${location.origin}/`;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("/model.onnx", { executionProviders: [provider] });
  const numbers = (shape) => Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => ((at * 0.6180339887498949) % 1) * 2 - 1);
  const feeds = embedded
    ? { embeddings: new ort.Tensor("float32", numbers(embedded), embedded) }
    : { ids: new ort.Tensor("int32", Int32Array.from(ids), [ids.length / length, length]) };
  let values;
  const run = async () => {
    const began = performance.now();
    const { hidden } = await session.run(feeds);
    // Copied back to memory, as in the page.
    values = Array.from((await hidden.getData()).slice(0, 4));
    hidden.dispose();
    return (performance.now() - began) / 1000;
  };
  const LONG = 10;
  const runs = (await run()) > LONG ? 1 : 3;
  let least = Infinity;
  for (let again = 0; again < runs; again += 1) least = Math.min(least, await run());
  await session.release();
  return { seconds: least, values, version: ort.env.versions?.web ?? "" };
}
