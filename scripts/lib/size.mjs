// What a visitor downloads before the page answers.

import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { gzipSync } from "node:zlib";

export const BUDGET_KB = 400;

/** What loads later or on demand: samples, verifier, figures, and the views after the first one. */
const LATER = [["samples"], ["assets", "verifier"], ["assets", "figures"], ["assets", "later"], ["service-worker.js"], ["icons"]].map((parts) =>
  join("dist", ...parts),
);

/** Scripts and styles that index.html loads, and their imports, without what only later views share. */
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

/** The files of the page in dist/ that load first, with their gzipped sizes. */
export function pageFiles() {
  const first = firstScripts();
  // The worker is not imported: the page starts it by its address.
  const comesFirst = (file) => ![".js", ".css"].includes(extname(file)) || first.has(file) || basename(file).startsWith("worker-");
  return readdirSync("dist", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extname(entry.name) !== ".map")
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => comesFirst(file) && !LATER.some((later) => file.startsWith(later)))
    .map((file) => ({ file, bytes: gzipSync(readFileSync(file), { level: 9 }).length }))
    .sort((a, b) => b.bytes - a.bytes);
}

/** The size in KB, and one line for each file. */
export function pageSize() {
  const files = pageFiles();
  const kb = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1000;
  return {
    kb,
    lines: files.map(({ file, bytes }) => `  ${(bytes / 1000).toFixed(1).padStart(7)} KB  ${file}`),
  };
}
