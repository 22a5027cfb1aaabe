// node scripts/icons.mjs: renders the icons of the installed page from www/favicon.svg with Chromium, into www/icons/. Run it when the
// drawing changes, and commit the files.

import { readFileSync } from "node:fs";
import { chromium } from "@playwright/test";
import { findChromium } from "./lib/chromium.mjs";

/** Each icon: its side in pixels, and the share of it that the drawing fills. Systems crop the maskable one. */
const ICONS = [
  { name: "192", side: 192, share: 1 },
  { name: "512", side: 512, share: 1 },
  { name: "maskable-512", side: 512, share: 0.72 },
];

const executablePath = findChromium();
const browser = await chromium.launch({ args: ["--no-sandbox"], ...(executablePath && { executablePath }) });
const drawing = readFileSync("www/favicon.svg", "utf8");
const ground = drawing.match(/fill="(#[0-9a-f]+)"/)[1];
for (const { name, side, share } of ICONS) {
  const page = await browser.newPage({ viewport: { width: side, height: side } });
  const background = share < 1 ? ground : "transparent";
  const style = `body{margin:0;height:100vh;display:grid;place-items:center;background:${background}}svg{width:${100 * share}vw}`;
  await page.setContent(`<style>${style}</style>${drawing}`);
  await page.screenshot({ path: `www/icons/${name}.png`, omitBackground: true });
  await page.close();
}
await browser.close();
