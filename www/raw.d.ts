/** Vite gives a file's text where its path ends so. */
declare module '*?raw' {
  const text: string;
  export default text;
}

interface ImportMeta {
  /** What `npm start` says to the page that it builds before the verifier. */
  readonly env: { readonly VITE_BEFORE_VERIFIER?: string };
  /** The files of a pattern: what Vite imports of each, by its path. */
  glob<Of>(pattern: string, options: { query: string; import: string; eager: true }): Record<string, Of>;
}
