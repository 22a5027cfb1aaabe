// Our prose rules, run by textlint.

import { TextlintKernel } from "@textlint/kernel";
import markdown from "@textlint/textlint-plugin-markdown";
import liveLinks from "./rules/live-links.mjs";
import plainWords from "./rules/plain-words.mjs";
import shortSentences from "./rules/short-sentences.mjs";
import { proseOf } from "./extract.mjs";

const kernel = new TextlintKernel();
const WORDS = { ruleId: "plain-words", rule: plainWords };
const SENTENCES = { ruleId: "short-sentences", rule: shortSentences, options: { most: 35 } };
const LINKS = { ruleId: "live-links", rule: liveLinks };

/** Returns what to change in the text of the file at `path`: `{ line, message }`, in the order of the lines. In code, it checks only words. */
export async function complaints(path, text) {
  const rules = path.endsWith(".md") ? [WORDS, SENTENCES, LINKS] : [WORDS];
  const plugins = [{ pluginId: "markdown", plugin: markdown.default ?? markdown }];
  const { messages } = await kernel.lintText(proseOf(path, text), { filePath: path, ext: ".md", plugins, rules });
  return messages.map(({ line, message }) => ({ line, message })).toSorted((a, b) => a.line - b.line);
}
