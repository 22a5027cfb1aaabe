// Checks the prose of the project, or of the files named: node scripts/prose.mjs [FILE…]
// The rules are in scripts/prose/rules/, their reasons in CONTRIBUTING.md.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Failure, main } from "./lib/run.mjs";
import { complaints } from "./prose/lint.mjs";

const FOLDERS = ["docs", "examples", "npm", "python", "samples", "src", "web", "www"];
/** Tests quote unwanted words, and generated files repeat the words of the Rust code. */
const LEFT_OUT = /tests?\.rs$|\/(?:tests|target|node_modules|generated)\/|^www\/report\.ts$/u;

function proseFiles() {
  const below = FOLDERS.flatMap((folder) => readdirSync(folder, { recursive: true }).map((path) => join(folder, path)));
  return [...readdirSync("."), ...below].filter((path) => /\.(?:md|rs|tsx?)$/u.test(path) && !LEFT_OUT.test(path)).toSorted();
}

await main(async () => {
  const named = process.argv.slice(2);
  const files = named.length > 0 ? named : proseFiles();
  let count = 0;
  for (const path of files) {
    for (const { line, message } of await complaints(path, readFileSync(path, "utf8"))) {
      console.log(`${path}:${line}: ${message}`);
      count += 1;
    }
  }
  if (count > 0) throw new Failure(`The prose rules find ${count} places to change, above.`);
  console.log(`The prose of ${files.length} files follows the rules.`);
});
