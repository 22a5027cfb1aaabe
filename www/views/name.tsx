/** A longer name is cut in its middle. */
const LONGEST = 500;

/** Writes out invisible characters and those that change the direction of text, so that a text from a file cannot disturb the page. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_C}\p{Zl}\p{Zp}\u200b\ufeff\u{e0000}-\u{e007f}]/gu, (letter) => `\\u{${letter.codePointAt(0)?.toString(16)}}`);
}

/** A name as plain text. A very long one keeps its beginning and its end. */
export function plainName(name: string): string {
  return plain(name.length > LONGEST ? `${name.slice(0, 300)} … ${name.slice(-100)}` : name);
}

/** The name of a tensor or module. It may wrap only after a dot, an underscore or a slash. */
export function Name({ children }: { children: string }) {
  const parts = plainName(children).split(/(?<=[._/])/);
  return <>{parts.flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]))}</>;
}
