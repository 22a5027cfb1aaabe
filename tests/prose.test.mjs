// Tests the prose rules on sentences that break them and on sentences that do not.
//   node --test tests/prose.test.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { complaints } from "../scripts/prose/lint.mjs";

const lines = async (path, text) => (await complaints(path, text)).map(({ line }) => line);
const messages = async (path, text) => (await complaints(path, text)).map(({ message }) => message).join("\n");
const longSentence = (words) => `Some ${"words ".repeat(words - 2)}end.`;

test("an archaic word is found, with what to write instead", async () => {
  assert.match(await messages("a.md", "The token is heeded.\n"), /“heeded”: write use, read, follow/);
  assert.match(await messages("a.md", "It carries the\nmodel out.\n"), /“carries the model out”: write do, run/);
  assert.match(await messages("a.md", "One is merged, else it is refused.\n"), /write otherwise/);
  assert.match(await messages("a.md", "| a | whence it came |\n|---|---|\n| b | c |\n"), /“whence”/);
});

test("words that only look archaic, code and longer words are left alone", async () => {
  assert.equal(await messages("a.md", "Everything else has a weight, and `told` is a field.\n\n    told\n"), "");
  assert.equal(await messages("a.md", "It follows the shallow sentence, thusly named.\n"), "");
});

test("a sentence of more than 35 words is found, and code spans count as one word", async () => {
  assert.match(await messages("a.md", longSentence(36)), /36 words/);
  assert.equal(await messages("a.md", longSentence(35)), "");
  assert.equal(await messages("a.md", `${longSentence(30)} ${longSentence(30)}`), "");
  assert.equal(await messages("a.md", `\`a b c d e f\` ${longSentence(34)}`), "");
});

test("a link inside the repository leads to a file and to a heading in it", async () => {
  assert.match(await messages("docs/a.md", "See [there](nowhere.md).\n"), /nowhere\.md: there is no such file/);
  assert.match(await messages("docs/a.md", "See [there](../README.md#nowhere).\n"), /no such heading/);
  assert.equal(await messages("docs/a.md", "See [there](../README.md#read-on) and [here](https://example.org/nowhere.md).\n"), "");
});

test("complaints have the line in the file", async () => {
  assert.deepEqual(await lines("a.md", "# Title\n\nGood.\nIt shall pass.\n"), [4]);
  const rust = '//! Plain.\n\n/// Whence it comes.\nfn a() -> &str {\n    // hence, a plain comment\n    "we shall see"\n}\n\n#[cfg(test)]\nmod tests {\n    /// hence\n}\n';
  assert.deepEqual(await lines("a.rs", rust), [3, 6]);
  const page = '/** Hence. */\nexport const a = (n: number) => (\n  <p title="we shall see" class="hence">\n    as {n} told\n  </p>\n);\nconst b = `amid ${a}`;\n';
  assert.deepEqual(await lines("a.tsx", page), [1, 3, 4, 7]);
});

test("prose that cannot be read is an error", async () => {
  await assert.rejects(complaints("a.py", "told"), /a\.py: prose is known in/);
  await assert.rejects(complaints("a.tsx", "const = told"), /a\.tsx/);
});
