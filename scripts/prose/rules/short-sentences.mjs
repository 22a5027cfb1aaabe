// Finds long sentences in paragraphs and lists. Table cells are often lists, so they may be long.

/** `most`: the words a sentence may have. A code span counts as one word. */
export default function shortSentences(context, { most }) {
  const { Syntax, RuleError, report, locator } = context;
  const sentences = new Intl.Segmenter("en", { granularity: "sentence" });
  return {
    [Syntax.Paragraph](node) {
      for (const { segment, index } of sentences.segment(plain(node))) {
        const words = segment.split(/\s+/u).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
        if (words <= most) continue;
        // Code, links and emphasis are shorter here than in the source, so the position in the paragraph is approximate.
        const at = Math.min(index, node.range[1] - node.range[0] - 1);
        report(node, new RuleError(`${words} words in “${opening(segment)}”: ${most} at most.`, { padding: locator.at(at) }));
      }
    },
  };
}

/** The text of a node on one line, with a word in place of code and images. */
function plain(node) {
  if (node.type === "Str") return node.value.replace(/\s/gu, " ");
  if (node.type === "Code" || node.type === "Image") return "Code";
  if (node.type === "Break") return " ";
  return (node.children ?? []).map(plain).join("");
}

function opening(sentence) {
  return `${sentence.trim().split(/\s+/u).slice(0, 6).join(" ")} …`;
}
