// A hub on this machine, in a separate thread, that counts requests: for the table of requests compared with the hub's own client.
//   node benches/hub.mjs client HUB     parses the metadata of bench/model as @huggingface/hub does, and prints its seconds as JSON

import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

const MODEL = "bench/model";
const PREFIX = new RegExp(`^/${MODEL}/(?:resolve|raw)/main/`);

/**
 * Serves a folder as the model `bench/model`. `several` says whether one request may ask for several ranges, as file servers allow. With
 * `bytesPerSecond`, answers are sequential, and each arrives when all its bytes would have.
 */
export async function serveHub(folder, { several = false, bytesPerSecond = Infinity } = {}) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { folder, several, bytesPerSecond } });
  const next = () => new Promise((resolve) => worker.once("message", resolve));
  const { port } = await next();
  return {
    url: `http://127.0.0.1:${port}`,
    model: MODEL,
    address: (file) => `http://127.0.0.1:${port}/${MODEL}/resolve/main/${file}`,
    /** Returns requests and body bytes since the last call. */
    async counts() {
      const counted = next();
      worker.postMessage("counts");
      return counted;
    },
    close: () => worker.terminate(),
  };
}

/** When the connection is free again. */
let free = 0;

function answer(request, response, { folder, several, bytesPerSecond }, counts) {
  // Any page may read this.
  response.setHeader("Access-Control-Allow-Origin", "*");
  response.setHeader("Access-Control-Allow-Headers", "Range");
  response.setHeader("Access-Control-Expose-Headers", "Content-Range, Content-Length, ETag");
  if (request.method === "OPTIONS") {
    response.writeHead(204).end();
    return;
  }
  counts.requests += 1;
  const name = decodeURIComponent(new URL(request.url, "http://x").pathname);
  const path = PREFIX.test(name) ? join(folder, name.replace(PREFIX, "")) : null;
  if (!path || name.includes("..") || !existsSync(path)) {
    response.writeHead(404, { "X-Error-Code": "EntryNotFound" }).end();
    return;
  }
  const file = openSync(path, "r");
  const { size } = fstatSync(file);
  const read = (first, last) => {
    const bytes = Buffer.alloc(last - first + 1);
    readSync(file, bytes, 0, bytes.length, first);
    return bytes;
  };
  const asked = /^bytes=([\d,\- ]+)$/.exec(request.headers.range ?? "")?.[1].split(",") ?? [];
  const ranges = asked.map((range) => {
    const [first, last] = range.split("-");
    return [Number(first), last === "" ? size - 1 : Math.min(Number(last), size - 1)];
  });
  response.setHeader("ETag", '"bench"');
  let body;
  if (ranges.length === 1 || (ranges.length > 1 && !several)) {
    const [[first, last]] = ranges;
    body = read(first, last);
    response.writeHead(206, { "Content-Range": `bytes ${first}-${last}/${size}`, "Content-Length": body.length });
  } else if (ranges.length > 1) {
    const parts = ranges.flatMap(([first, last]) => [
      Buffer.from(`\r\n--part\r\nContent-Range: bytes ${first}-${last}/${size}\r\n\r\n`),
      read(first, last),
    ]);
    body = Buffer.concat([...parts, Buffer.from("\r\n--part--\r\n")]);
    response.writeHead(206, { "Content-Type": "multipart/byteranges; boundary=part", "Content-Length": body.length });
  } else {
    body = request.method === "HEAD" ? Buffer.alloc(0) : read(0, size - 1);
    response.writeHead(200, { "Content-Length": size });
  }
  closeSync(file);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  counts.bytes += body.length;
  const now = performance.now();
  free = Math.max(free, now) + (1000 * body.length) / bytesPerSecond;
  const send = () => response.end(body);
  if (free > now) setTimeout(send, free - now);
  else send();
}

async function client(hubUrl) {
  const { parseSafetensorsMetadata } = await import("@huggingface/hub");
  const began = performance.now();
  const { sharded, header, headers } = await parseSafetensorsMetadata({ repo: MODEL, hubUrl });
  const milliseconds = performance.now() - began;
  const tensors = (sharded ? Object.values(headers) : [header]).reduce((sum, one) => sum + Object.keys(one).length - ("__metadata__" in one), 0);
  console.log(JSON.stringify({ milliseconds, tensors }));
}

if (!isMainThread) {
  const counts = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => answer(request, response, workerData, counts));
  server.listen(0, "127.0.0.1", () => parentPort.postMessage({ port: server.address().port }));
  parentPort.on("message", () => {
    parentPort.postMessage({ ...counts });
    Object.assign(counts, { requests: 0, bytes: 0 });
  });
} else if (process.argv[2] === "client") await client(process.argv[3]);
