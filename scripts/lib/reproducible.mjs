// Compares the bytes of two builds.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The SHA-256 of every file below `folder`, by path. */
export function fingerprint(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const hash = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
  return new Map(files.map(({ parentPath, name }) => join(parentPath, name)).map((path) => [path.slice(folder.length + 1), hash(path)]));
}

/** The paths that only one of two builds has, or that differ between them. */
export function differences(one, other) {
  const paths = [...new Set([...one.keys(), ...other.keys()])].toSorted();
  return paths.filter((path) => one.get(path) !== other.get(path));
}
