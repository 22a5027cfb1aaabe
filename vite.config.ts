import { readFileSync } from "node:fs";
import { type Plugin, defineConfig } from "vite";

// index.html at the top, sources in www/, the result in dist/: static files for any host and any sub-path.
export default defineConfig({
  base: "./",
  publicDir: false,
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy allows no data: scripts or styles
    modulePreload: { polyfill: false }, // nor inline scripts
    reportCompressedSize: false,
    rolldownOptions: {
      // What the first visit does not load is kept apart, for scripts/lib/size.mjs to tell.
      output: { chunkFileNames: ({ isDynamicEntry }) => `assets/${isDynamicEntry ? "later/" : ""}[name]-[hash].js` },
    },
  },
  worker: { format: "es" },
  server: { watch: { ignored: ["**/target/**", "**/.cache/**", "**/dist/**"] } },
  plugins: [samples(), policyOnlyWhenBuilt()],
});

/** samples/ keeps its names in dist/; the development server finds it at the top of the repository anyway. */
function samples(): Plugin {
  return {
    name: "gammascope:samples",
    apply: "build",
    generateBundle() {
      for (const sample of ["layernorm", "rmsnorm"]) {
        for (const file of ["config.json", "model.safetensors"]) {
          const fileName = `samples/${sample}/${file}`;
          this.emitFile({ type: "asset", fileName, source: readFileSync(fileName) });
        }
      }
    },
  };
}

/** The development server injects styles and a reload client, which the page's Content-Security-Policy forbids. */
function policyOnlyWhenBuilt(): Plugin {
  return {
    name: "gammascope:policy-only-when-built",
    apply: "serve",
    transformIndexHtml: (html) => html.replace(/<meta[^>]+Content-Security-Policy[^>]+>/i, ""),
  };
}
