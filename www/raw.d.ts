/** Vite gives a file's text where its path ends so. */
declare module '*?raw' {
  const text: string;
  export default text;
}

/** What `npm start` says to the page that it builds before the verifier. */
interface ImportMeta {
  readonly env: { readonly VITE_BEFORE_VERIFIER?: string };
}

/** Its address where the path ends so. */
declare module '*?url' {
  const address: string;
  export default address;
}
