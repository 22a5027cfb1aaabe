/** For a path with this ending, Vite imports the text of the file. */
declare module '*?raw' {
  const text: string;
  export default text;
}

interface ImportMeta {
  /** `npm start` sets this for the page that it builds before the verifier. */
  readonly env: { readonly VITE_BEFORE_VERIFIER?: string };}

/** The folder of the tables of measured models, relative to the worker. */
declare const TABLES: string;
