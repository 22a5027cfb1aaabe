/** Vite gives a file's text where its path ends so. */
declare module '*?raw' {
  const text: string;
  export default text;
}

/** Its address where the path ends so. */
declare module '*?url' {
  const address: string;
  export default address;
}
