// The built page in a real Chromium: what it downloads, when it is usable, and how long it takes to open a checkpoint.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

/** Serves dist/ gzipped, as static hosts do, and records each file it sends and the time of its first request. */
export async function serve(folder = "dist") {
  const sent = new Map();
  const packed = new Map();
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    try {
      if (!packed.has(file)) {
        const body = readFileSync(file);
        packed.set(file, { gzip: gzipSync(body, { level: 9 }), brotli: brotliCompressSync(body).length });
      }
    } catch {
      response.writeHead(404).end();
      return;
    }
    const { gzip, brotli } = packed.get(file);
    if (!sent.has(file)) sent.set(file, { gzip: gzip.length, brotli, at: Date.now() });
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-encoding": "gzip", "content-length": gzip.length });
    response.end(gzip);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    sent,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** A slow connection: 10 Mbit/s with a round trip of 40 ms. */
export const SLOW = { offline: false, latency: 40, downloadThroughput: 1.25e6, uploadThroughput: 1.25e6 };

/**
 * Measures `activations` against the checkpoint `files` on the fastest device. Returns the plan, and the outcome with the seconds from the
 * call to the report.
 */
export async function timeMeasuring(browser, url, files, activations) {
  return inFreshPage(browser, async (page) => {
    await page.goto(url);
    await page.locator(".pick-opened").first().setInputFiles(files);
    await page.locator("#measure").waitFor();
    // The page's own input would start the measurement at once.
    await page.evaluate(() => {
      const input = document.createElement("input");
      input.type = "file";
      input.id = "bench";
      document.body.append(input);
    });
    await page.locator("#bench").setInputFiles(activations);
    return page.evaluate(async () => {
      const [file] = document.querySelector("#bench").files;
      const plan = await window.gammascope.plan(file);
      const began = performance.now();
      const { verification } = await window.gammascope.measure(file);
      return { plan, verification, milliseconds: performance.now() - began };
    });
  });
}

/** Loads the page with an empty cache. Returns the milliseconds until it is painted and accepts files. */
export async function timeLoad(browser, url, network) {
  return inFreshPage(browser, async (page) => {
    if (network) {
      const client = await page.context().newCDPSession(page);
      await client.send("Network.enable");
      await client.send("Network.emulateNetworkConditions", network);
    }
    await page.addInitScript(() => {
      const look = () => {
        const ready = window.gammascope && document.querySelector(".pick-opened");
        // Two frames later, the rendered content is on the screen.
        if (ready) requestAnimationFrame(() => requestAnimationFrame(() => (window.readyAt = performance.now())));
        else requestAnimationFrame(look);
      };
      look();
    });
    await page.goto(url);
    await page.waitForFunction(() => window.readyAt !== undefined);
    return page.evaluate(() => window.readyAt);
  });
}

/**
 * Drops files on a freshly loaded page. Returns the milliseconds until the verdict is painted, the time of that (`Date.now()`), and the
 * bytes that were read.
 */
export async function timeDrop(browser, url, files) {
  return inFreshPage(browser, async (page) => {
    await page.goto(url, { waitUntil: "networkidle" });
    await page.evaluate(() => {
      const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, id: "bench" });
      document.body.append(input);
    });
    await page.locator("#bench").setInputFiles(files);
    const { milliseconds, at } = await page.evaluate(async () => {
      const files = document.querySelector("#bench").files;
      const data = new DataTransfer();
      for (const file of files) data.items.add(file);
      const began = performance.now();
      document.body.dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }),
      );
      const frame = () => new Promise(requestAnimationFrame);
      while (!document.querySelector("#sentence")) {
        const failed = document.querySelector("[role=alert]");
        if (failed) throw new Error(failed.textContent);
        await frame();
      }
      const at = Date.now();
      await frame();
      await frame();
      return { milliseconds: performance.now() - began, at };
    });
    const { checkpoint, model, norms } = await page.evaluate(() =>
      window.gammascope.open(document.querySelector("#bench").files, { weights: false }),
    );
    return { milliseconds, at, bytes: checkpoint.bytes_read, sentence: model.sentence, sites: norms.length };
  });
}

/** Returns the milliseconds from opening to the report that includes the weights, and the bytes of them that were read. */
export async function timeWeights(browser, url, files) {
  return inFreshPage(browser, async (page) => {
    await page.goto(url, { waitUntil: "networkidle" });
    await page.evaluate(() => {
      const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, id: "weighed" });
      document.body.append(input);
    });
    await page.locator("#weighed").setInputFiles(files);
    return page.evaluate(async () => {
      const began = performance.now();
      const { checkpoint } = await window.gammascope.open(document.querySelector("#weighed").files, { weights: true });
      return { milliseconds: performance.now() - began, bytes: checkpoint.weight_bytes_read };
    });
  });
}

/**
 * Uses the table of sites of a report: for each interaction, milliseconds until the change is painted. Then scrolls the list of tensors
 * from its top to its end: the median and the longest time between two frames, in milliseconds.
 */
export async function timeTable(browser, url, files) {
  return inFreshPage(browser, async (page) => {
    await page.goto(url, { waitUntil: "networkidle" });
    await page.locator(".pick-opened").first().setInputFiles(files);
    await page.locator("#sites tbody th button").first().waitFor();
    await page.locator("#file > details summary").first().click();
    await page.locator("#file .scroll tbody th button").first().waitFor();
    return page.evaluate(async () => {
      const frame = () => new Promise(requestAnimationFrame);
      const find = (selector) => document.querySelector(`#sites ${selector}`);
      const named = (text) => [...document.querySelectorAll("#sites button")].find((button) => button.textContent.includes(text));
      const type = (text) => {
        const box = find("input[type=search]");
        box.value = text;
        box.dispatchEvent(new InputEvent("input", { bubbles: true }));
      };
      const key = (name) => () => {
        const row = find("tbody th button");
        row.focus();
        row.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
      };
      const actions = {
        "group blocks": () => named("Group blocks").click(),
        sort: () => find("thead button").click(),
        "sort again": () => find("thead button").click(),
        filter: () => type("post"),
        "clear the filter": () => type(""),
        "open a row": () => find("tbody th button").click(),
        "close it": () => find("tbody th button").click(),
        "go to the end": key("End"),
        "choose columns": () => named("Columns").click(),
      };
      const interactions = {};
      for (const [name, act] of Object.entries(actions)) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        const began = performance.now();
        act();
        // What was rendered in the first frame is on the screen with the second.
        await frame();
        await frame();
        interactions[name] = performance.now() - began;
      }
      const box = document.querySelector("#file .scroll");
      const frames = [];
      for (let step = 0, last = await frame(); step < 120; step += 1) {
        box.scrollTop = (box.scrollHeight * step) / 120;
        const now = await frame();
        frames.push(now - last);
        last = now;
      }
      frames.sort((a, b) => a - b);
      return { interactions, median: frames[frames.length / 2], longest: frames.at(-1) };
    });
  });
}

async function inFreshPage(browser, body) {
  // Downloads of a service worker after the load must not count.
  const context = await browser.newContext({ serviceWorkers: "block" });
  try {
    return await body(await context.newPage());
  } finally {
    await context.close();
  }
}
