// Compares the tables of the page with the tables that they come from.
//   node --test tests/tables.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { familyPart, hash, kin, part, tableFiles } from "../scripts/lib/tables.mjs";

const files = tableFiles();

/** The lines of a table in all files of this name, in order. */
function lines(kind, table) {
  const names = [...files.keys()].filter((name) => name === kind || name.startsWith(`${kind}-`)).toSorted();
  const sections = names.flatMap((name) => files.get(name).split("#### ")).filter((section) => section.startsWith(`${table}\n`));
  return sections.flatMap((section) => section.split("\n").slice(1).filter((line) => line !== ""));
}

const stored = (path) => readFileSync(path, "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("the hash is that of the Rust code", () => {
  // src/tables.rs has the same numbers.
  assert.equal(hash("norm1.weight"), 4080611924157487884n);
  assert.equal(part("layouts", 2n ** 64n - 1n), "layouts-31");
});

test("architectures of timm are split by their first word, other families by their name", () => {
  const models = ["timm:test_vit_relpos", "timm:vit_base_patch16_224", "timm:resnet50.a1_in1k", "xlm-roberta", "torch:A.B"];
  assert.deepEqual(models.map(kin), ["vit", "vit", "resnet50", "xlm-roberta", "torch:A.B"]);
});

test("the parts of the layouts, in order, are the table", () => {
  assert.deepEqual(lines("layouts", "layouts"), stored("src/norm/registry/layouts.tsv"));
});

test("each family is in its part", () => {
  const families = stored("src/norm/registry/families.tsv");
  assert.deepEqual(lines("families", "families").toSorted(), families.toSorted());
  for (const line of families) {
    assert.ok(files.get(familyPart(line.split("\t")[0])).includes(`\n${line}\n`), line);
  }
});

test("each measured block is once in the parts by names, and in the parts of all its families", () => {
  const readers = stored("src/reader/measured.tsv");
  assert.deepEqual(lines("blocks", "measured").toSorted(), readers.toSorted());
  for (const line of readers) {
    const cells = line.split("\t");
    for (const model of cells[0].split(" ")) {
      assert.ok(files.get(part("readers", hash(kin(model)))).includes(`\n${cells.with(2, "").join("\t")}\n`), line);
    }
  }
});

test("each norm outside blocks is in the parts of all its families, without the classes", () => {
  for (const line of stored("src/reader/measured_outside.tsv")) {
    const cells = line.split("\t");
    for (const model of cells[0].split(" ")) {
      assert.ok(files.get(part("readers", hash(kin(model)))).includes(`\n${cells.with(3, "").join("\t")}\n`), line);
    }
  }
});

test("what every checkpoint needs is in one file, without comments", () => {
  for (const name of ["published", "marks", "counts", "vocabulary"]) {
    assert.deepEqual(lines("all", name), stored(`src/norm/registry/${name}.tsv`));
  }
});
