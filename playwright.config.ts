import { defineConfig } from "@playwright/test";
import { findChromium } from "./scripts/lib/chromium.mjs";

const port = process.env["E2E_PORT"] ?? "4179";
const path = "/any/sub/path/"; // dist/ must work wherever it is put
const address = `http://127.0.0.1:${port}${path}`;
const executablePath = findChromium();

// Run by `npm test`, on what `npm run build` wrote.
export default defineConfig({
  testDir: "tests/e2e",
  workers: 2, // tests share nothing but the web server
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 20_000 }, // two tests share two cores with a GPU in software
  forbidOnly: process.env["CI"] !== undefined,
  reporter: [["list"], ["json", { outputFile: process.env["E2E_REPORT"] ?? ".cache/e2e.json" }]],
  use: {
    baseURL: address,
    browserName: "chromium",
    headless: true,
    serviceWorkers: "block", // the tests of it allow it
    trace: "retain-on-failure",
    launchOptions: {
      ...(executablePath === undefined ? {} : { executablePath }),
      args: [
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  webServer: {
    command: `node node_modules/vite/bin/vite.js preview --base ${path} --port ${port} --strictPort --host 127.0.0.1`,
    url: address,
  },
});
