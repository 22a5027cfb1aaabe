/** A longer name is cut in its middle. */
const LONGEST = 500;

/** A text from a file as text that changes nothing around it: what cannot be seen or turns the direction of a line is spelled out. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_C}\p{Zl}\p{Zp}\u200b\ufeff\u{e0000}-\u{e007f}]/gu, (letter) => `\\u{${letter.codePointAt(0)?.toString(16)}}`);
}

/** A name as text; one of many pages keeps its beginning and its end. */
export function plainName(name: string): string {
  return plain(name.length > LONGEST ? `${name.slice(0, 300)} … ${name.slice(-100)}` : name);
}

/** A tensor's or a module's name: plain text that may break after a dot, an underscore or a slash, and nowhere odd. */
export function Name({ children }: { children: string }) {
  const parts = plainName(children).split(/(?<=[._/])/);
  return <>{parts.flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]))}</>;
}
