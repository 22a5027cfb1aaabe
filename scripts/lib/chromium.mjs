// A Chromium for the tests of the page.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { aptInstall } from "./apt.mjs";
import { Failure, ask, step } from "./run.mjs";

/** The browser to use: CHROMIUM_PATH, or the first one found in the usual places, or undefined. */
export function findChromium() {
  return process.env.CHROMIUM_PATH ?? usualPlaces().find(starts);
}

/** Finds a Chromium, or installs one: Playwright's download, or Debian's package. */
export async function requireChromium() {
  let found = findChromium() ?? (await playwrights());
  if (!found) {
    const install = ["node_modules/@playwright/test/cli.js", "install", "chromium"];
    await step("Chromium: downloading, once", process.execPath, install, { minutes: 10 }).catch(() => {});
    found = await playwrights();
  }
  if (!found && (await aptInstall("chromium"))) found = findChromium();
  if (!found)
    throw new Failure(
      "Chromium is missing: install Chromium or Chrome, or set CHROMIUM_PATH to one, then run this again.",
    );
  process.env.CHROMIUM_PATH = found;
}

async function playwrights() {
  const { chromium } = await import("@playwright/test");
  const path = chromium.executablePath();
  return path && starts(path) ? path : undefined;
}

function usualPlaces() {
  switch (process.platform) {
    case "darwin":
      return ["/Applications", join(homedir(), "Applications")].flatMap((folder) => [
        `${folder}/Chromium.app/Contents/MacOS/Chromium`,
        `${folder}/Google Chrome.app/Contents/MacOS/Google Chrome`,
      ]);
    case "win32":
      return [process.env.PROGRAMFILES, process.env["PROGRAMFILES(X86)"], process.env.LOCALAPPDATA]
        .filter((folder) => folder !== undefined)
        .flatMap((folder) => [
          join(folder, "Google/Chrome/Application/chrome.exe"),
          join(folder, "Chromium/Application/chrome.exe"),
        ]);
    default:
      return [
        "/usr/bin/chromium",
        "/usr/bin/google-chrome-stable",
        "/usr/bin/google-chrome",
        "/usr/bin/chromium-browser",
      ];
  }
}

/** Whether the browser starts. Some systems ship a stub that only says how to install it. On Windows, trying would open a window. */
function starts(path) {
  return existsSync(path) && (process.platform === "win32" || ask(path, ["--version"]) !== null);
}
