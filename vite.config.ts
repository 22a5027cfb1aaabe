import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Plugin, defineConfig } from "vite";
import { VitePWA } from "vite-plugin-pwa";

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
      output: {
        chunkFileNames: ({ isDynamicEntry }) => `assets/${isDynamicEntry ? "later/" : ""}[name]-[hash].js`,
        // All of the state is one file: small files compress worse, and one called verifier would be taken for what comes later.
        codeSplitting: { groups: [{ name: "state", test: /\/www\/state\// }] },
      },
    },
  },
  worker: { format: "es" },
  server: { watch: { ignored: ["**/target/**", "**/.cache/**", "**/dist/**"] } },
  plugins: [tables(), named(), policyOnlyWhenBuilt(), offline()],
});

/** A manifest, with which the page can be installed, and a service worker that keeps all of dist/ for when there is no network. */
function offline() {
  const icon = (name: string, sizes: string, purpose: "any" | "maskable" = "any") => ({
    src: `icons/${name}.png`,
    sizes,
    type: "image/png",
    purpose,
  });
  return VitePWA({
    strategies: "injectManifest",
    srcDir: "www/worker",
    filename: "service-worker.ts",
    injectRegister: null, // www/offline.ts does it, when the page has loaded
    injectManifest: {
      globPatterns: ["**/*.{html,js,css,wasm,svg,png,json,safetensors,txt,webmanifest}"],
      maximumFileSizeToCacheInBytes: 16 << 20,
    },
    manifest: {
      name: "Gammascope",
      short_name: "Gammascope",
      description: "The algebraically dead directions of a transformer checkpoint, read from its norm scales alone.",
      start_url: "./",
      scope: "./",
      display: "standalone",
      theme_color: "#16324a",
      background_color: "#fbfaf7",
      file_handlers: [{ action: "./", accept: { "application/octet-stream": [".safetensors", ".sft", ".gguf", ".onnx", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".msgpack", ".h5"] } }],
      icons: [icon("192", "192x192"), icon("512", "512x512"), icon("maskable-512", "512x512", "maskable")],
    },
  });
}

/**
 * The tables of measured models, which the inspector's worker loads by name when a checkpoint is opened. They lie in one folder that
 * is named after what they hold: a list of a hundred hashed addresses would be a quarter of the worker.
 */
function tables(): Plugin {
  const source = "www/generated/tables";
  const read = () => readdirSync(source).toSorted().map((name) => ({ name, text: readFileSync(join(source, name), "utf8") }));
  const folder = () => `tables-${createHash("sha256").update(JSON.stringify(read())).digest("hex").slice(0, 8)}`;
  return {
    name: "gammascope:tables",
    config: (_, { command }) => ({
      // The built worker lies in assets/.
      define: { TABLES: JSON.stringify(command === "build" ? `./later/${folder()}/` : `/${source}/`) },
    }),
    generateBundle() {
      for (const { name, text } of read()) {
        this.emitFile({ type: "asset", fileName: `assets/later/${folder()}/${name}`, source: text });
      }
    },
  };
}

/** samples/ and icons keep their names in dist/; the development server finds the samples at the top of the repository anyway. */
function named(): Plugin {
  return {
    name: "gammascope:named",
    apply: "build",
    generateBundle() {
      for (const icon of ["192", "512", "maskable-512"]) {
        this.emitFile({ type: "asset", fileName: `icons/${icon}.png`, source: readFileSync(`www/icons/${icon}.png`) });
      }
      for (const sample of ["layernorm", "rmsnorm", "vit-layernorm", "vit-rmsnorm"]) {
        for (const file of readdirSync(`samples/${sample}`)) {
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
