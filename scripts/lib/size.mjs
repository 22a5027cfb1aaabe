// What a visitor downloads before the page answers.

import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { gzipSync } from "node:zlib";

export const BUDGET_KB = 400;

/** What is loaded when it is asked for: samples, verifier, figures, the views after the first one; or when all has loaded. */
const LATER = [["samples"], ["assets", "verifier"], ["assets", "figures"], ["assets", "later"], ["service-worker.js"], ["icons"]].map((parts) =>
  join("dist", ...parts),
);

/** Scripts and styles that index.html loads, with what they import in turn. What later views share is not among them. */
function firstScripts() {
  const found = new Set();
  const read = (file, links) => {
    for (const [, name] of readFileSync(file, "utf8").matchAll(links)) {
      const linked = join(dirname(file), name);
      if (found.has(linked) || ![".js", ".css"].includes(extname(linked))) continue;
      found.add(linked);
      if (extname(linked) === ".js") read(linked, /(?:from|import)"(\.\/[^"]+)"/g);
    }
  };
  read(join("dist", "index.html"), /(?:src|href)="(\.\/[^"]+)"/g);
  return found;
}

/** The page in dist/ without what comes later, gzipped file by file. */
export function pageFiles() {
  const first = firstScripts();
  // The worker is started by its address.
  const comesFirst = (file) => ![".js", ".css"].includes(extname(file)) || first.has(file) || basename(file).startsWith("worker-");
  return readdirSync("dist", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extname(entry.name) !== ".map")
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => comesFirst(file) && !LATER.some((later) => file.startsWith(later)))
    .map((file) => ({ file, bytes: gzipSync(readFileSync(file), { level: 9 }).length }))
    .sort((a, b) => b.bytes - a.bytes);
}

/** The size in KB, and the files that make it up in one line each. */
export function pageSize() {
  const files = pageFiles();
  const kb = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1000;
  return {
    kb,
    lines: files.map(({ file, bytes }) => `  ${(bytes / 1000).toFixed(1).padStart(7)} KB  ${file}`),
  };
}
