/** Vite gives a file's text where its path ends so. */
declare module '*?raw' {
  const text: string;
  export default text;
}

interface ImportMeta {
  /** What `npm start` says to the page that it builds before the verifier. */
  readonly env: { readonly VITE_BEFORE_VERIFIER?: string };}

/** The folder of the tables of measured models, from the worker's address. */
declare const TABLES: string;
