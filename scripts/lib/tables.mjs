// Writes the tables of measured models for the page: one file with the tables that every checkpoint needs, and the large tables in
// parts. A checkpoint needs only a few parts. `src/tables.rs` joins them; its `part` and `hash` are the same as here.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const WHOLE = ["published", "marks", "counts", "vocabulary"].map((name) => `src/norm/registry/${name}.tsv`);
const FAMILIES = "src/norm/registry/families.tsv";
const LAYOUTS = "src/norm/registry/layouts.tsv";
const READERS = "src/reader/measured.tsv";
const READERS_OUTSIDE = "src/reader/measured_outside.tsv";

/** FNV-1a of a text, 64 bits. */
export function hash(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

/** The part of a table for a hash: its first five bits. */
export const part = (name, hash) => `${name}-${String(hash >> 59n).padStart(2, "0")}`;

/** The part of the table of families for a family. There are only eight parts, because a configuration needs one or two. */
export const familyPart = (family) => part("families", (hash(family) >> 61n) << 59n);

/** The key that splits the readers into parts: a family, or the first word of an architecture of timm. `kin` in `src/reader/measured.rs` is the same. */
export function kin(model) {
  return model.startsWith("timm:") ? model.slice(5).replace(/^(test_)+/, "").split(/[_.]/)[0] : model;
}

/** All table files by name. A part without lines is an empty file, so that every name that a checkpoint needs exists. */
export function tableFiles() {
  const files = new Map([["all", WHOLE.map((path) => section(path, rows(path))).join("")]]);
  for (const name of ["layouts", "blocks", "readers"]) for (let number = 0n; number < 32n; number += 1n) files.set(part(name, number << 59n), "");
  for (let number = 0n; number < 8n; number += 1n) files.set(part("families", number << 59n), "");
  const add = (name, text) => files.set(name, files.get(name) + text);
  for (const [name, lines] of cut(rows(FAMILIES), (line) => [familyPart(line.split("\t")[0])])) add(name, section(FAMILIES, lines));
  for (const [name, lines] of cut(rows(LAYOUTS), (line) => [part("layouts", BigInt(`0x${line.split("\t")[0]}`) << 24n)])) {
    add(name, section(LAYOUTS, lines));
  }
  // Split by the names in a block, and by family. The latter leaves out the names, because only their order is needed.
  const readers = rows(READERS);
  for (const [name, lines] of cut(readers, (line) => [part("blocks", hash(line.split("\t")[2]))])) add(name, section(READERS, lines));
  const families = (line) => new Set(line.split("\t")[0].split(" ").map((model) => part("readers", hash(kin(model)))));
  for (const [name, lines] of cut(readers.map((line) => without(line, 2)), families)) add(name, section(READERS, lines));
  // Leave out the measured classes. They are only for people who read the table.
  const outside = rows(READERS_OUTSIDE).map((line) => without(line, 3));
  for (const [name, lines] of cut(outside, families)) add(name, section(READERS_OUTSIDE, lines));
  return files;
}

/** Writes the tables as `NAME.txt`. */
export function writeTables(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of tableFiles()) writeFileSync(join(folder, `${name}.txt`), text);
}

const rows = (path) => readFileSync(path, "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"));

const section = (path, lines) => `#### ${basename(path, ".tsv")}\n${lines.join("\n")}\n`;

const without = (line, column) => line.split("\t").with(column, "").join("\t");

/** Groups lines by part, in their order. */
function cut(lines, partsOf) {
  const parts = new Map();
  for (const line of lines) for (const name of partsOf(line)) parts.set(name, [...(parts.get(name) ?? []), line]);
  return parts;
}
