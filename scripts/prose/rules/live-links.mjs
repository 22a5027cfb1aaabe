// Checks links inside the repository: the file and the heading must exist.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export default function liveLinks(context) {
  const { Syntax, RuleError, report, getFilePath } = context;
  const check = (node) => {
    if (/^[a-z]+:/iu.test(node.url)) return;
    const [path, anchor] = node.url.split("#", 2);
    const file = path === "" ? getFilePath() : join(dirname(getFilePath()), decodeURI(path));
    if (!existsSync(file)) report(node, new RuleError(`${node.url}: there is no such file.`));
    else if (anchor && file.endsWith(".md") && !anchors(file).includes(decodeURI(anchor))) {
      report(node, new RuleError(`${node.url}: the file has no such heading.`));
    }
  };
  return { [Syntax.Link]: check, [Syntax.Image]: check };
}

/** The anchors that GitHub gives to the headings of a document: lower case, no punctuation, hyphens for spaces. */
function anchors(file) {
  const headings = readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gmu);
  return [...headings].map(([, heading]) => heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-"));
}
