// Words and turns of phrase that make prose read as if it were a hundred years old, each with what to write instead.

/** A pattern, matched at word boundaries in any case, and what to write instead. */
const UNWANTED = [
  [/told/, "say who knows or prints it: “the report says”, “is set to”"],
  [/heed(?:s|ed|ing)?/, "use, read, follow"],
  [/hence|thus/, "so"],
  [/whence|thence|wherefore/, "where … from, why"],
  [/(?:where|there|here)(?:of|in|by|upon|from|unto|to|with)/, "of it, in it, by it"],
  [/hitherto|heretofore/, "so far, until now"],
  [/henceforth/, "from now on"],
  [/borne/, "carried, confirmed"],
  [/carr(?:y|ies|ied|ying) (?:\S+ ){0,4}out/, "do, run"],
  [/weigh(?:s|ed|ing)?/, "measure"],
  [/by which/, "that … by, how"],
  [/nobody (?:has |had )?\w+ed/, "say it without “nobody”: “unlisted code”"],
  [/whosoever|whoever/, "anyone who"],
  [/upon/, "on"],
  [/shall/, "will, must"],
  [/lest/, "so that … not"],
  [/amid|amidst|amongst|whilst/, "among, while"],
  [/albeit/, "although"],
  [/must needs|needs must/, "must"],
  [/anew|afresh/, "again"],
  [/foretell(?:s|ing)?|foretold/, "predict"],
  [/forgo(?:es|ne|ing)?/, "do without"],
  [/befall(?:s|en)?|bestow(?:s|ed)?|beget(?:s)?/, "happen to, give, make"],
  [/naught|nought|aught/, "nothing, anything"],
  [/ought/, "should"],
  [/ere/, "before"],
  [/in vain/, "without success"],
  [/for want of/, "because there is no"],
  [/for (?:\S+ )?sake|sake/, "for, so that"],
  [/and said/, "“… and the report says so”"],
  [/otherwise than/, "differently from, not as"],
  [/on show/, "open"],
  [/at hand/, "available"],
  [/but for/, "except"],
  [/save for/, "except"],
  [/held (?:to|against)/, "checked against"],
  [/(?:its|their) like/, "similar ones"],
  [/likewise/, "also, the same way"],
  [/what it is worth/, "say the number"],
];

/** A comma before a lone "else", which people say as "otherwise". */
const LONE_ELSE = /[,;] else\b/giu;

export default function plainWords(context) {
  const { Syntax, RuleError, report, getSource, locator } = context;
  return {
    [Syntax.Str](node) {
      const text = getSource(node);
      const complain = (found, otherwise) => {
        const range = locator.range([found.index, found.index + found[0].length]);
        report(node, new RuleError(`“${found[0].replace(/\s+/gu, " ")}”: ${otherwise}`, { padding: range }));
      };
      for (const [pattern, instead] of UNWANTED) {
        const spaced = pattern.source.replaceAll(" ", "\\s+");
        for (const found of text.matchAll(new RegExp(`(?<![\\p{L}\\p{N}_-])(?:${spaced})(?![\\p{L}\\p{N}_-])`, "giu"))) {
          complain(found, `write ${instead}.`);
        }
      }
      for (const found of text.matchAll(LONE_ELSE)) complain(found, "write otherwise.");
    },
  };
}
