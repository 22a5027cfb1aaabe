// Extracts the prose of a file as Markdown. Each piece keeps its line.

import { parseSync } from "vite";

/** The prose of a Markdown, Rust or TypeScript file. Throws for any other. */
export function proseOf(path, text) {
  if (path.endsWith(".md")) return text;
  if (path.endsWith(".rs")) return onTheirLines(text, rust(text));
  if (/\.tsx?$/u.test(path)) return onTheirLines(text, typescript(path, text));
  throw new Error(`${path}: prose is known in Markdown, Rust and TypeScript only.`);
}

/** Doc comments and string literals, up to the tests at the end of the file. */
function rust(text) {
  const [code] = text.split(/^#\[cfg\(test\)\]/mu, 1);
  const tokens = /\/\/[/!] ?(?<doc>.*)|\/\/.*|r#"(?<raw>[\s\S]*?)"#|'(?:\\.|[^'\\])'|"(?<string>(?:[^"\\]|\\[\s\S])*)"/gu;
  return [...code.matchAll(tokens)].map(({ index, groups: { doc, raw, string = "" } }) => ({
    index,
    said: doc ?? proseOrNothing((raw ?? string.replace(/\\(?!\n)./gu, " ").replaceAll("\\\n", "\n")).replace(/\{[^{}\n]*\}/gu, "…")),
  }));
}

/** Doc comments, text between tags, and string literals. */
function typescript(path, text) {
  const { program, comments, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  const found = comments
    .filter(({ type, value }) => type === "Block" && value.startsWith("*"))
    .map(({ start, value }) => ({ index: start, said: value.replace(/^\s*\*+ ?/gmu, "") }));
  const visit = (node) => {
    const { type, start, value } = node;
    if (type === "JSXText") found.push({ index: start, said: value });
    if (type === "Literal" && typeof value === "string") found.push({ index: start, said: proseOrNothing(value) });
    if (type === "TemplateLiteral") found.push({ index: start, said: proseOrNothing(node.quasis.map((part) => part.value.raw).join("…")) });
    for (const child of Object.values(node).flat()) if (typeof child?.type === "string") visit(child);
  };
  visit(program);
  return found.toSorted((a, b) => a.index - b.index);
}

/** Returns the string if it is prose. A single word is a name, not prose. */
function proseOrNothing(string) {
  return string.trim().includes(" ") ? string : "";
}

/** Joins pieces of text. Each begins on the line of its index. */
function onTheirLines(text, pieces) {
  const lines = text.split("\n").map(() => "");
  let [line, at] = [0, 0];
  for (const { index, said } of pieces) {
    line += text.slice(at, index).split("\n").length - 1;
    at = index;
    said.split("\n").forEach((part, below) => {
      if (line + below < lines.length) lines[line + below] += `${part.trim()} `;
    });
  }
  return lines.join("\n");
}
