// The page's npm packages.

import { existsSync, readFileSync, statSync } from "node:fs";
import { Failure, step } from "./run.mjs";

/** Refuses a Node that the page's tools cannot run on. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const good = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  if (good) return;
  const { engines } = JSON.parse(readFileSync("package.json", "utf8"));
  throw new Failure(
    `Node ${engines.node} is needed and this is ${process.versions.node}: install a newer one from https://nodejs.org.`,
  );
}

/** Installs exactly what package-lock.json says, when that is not what node_modules holds. */
export async function installPackages() {
  const installed = "node_modules/.package-lock.json";
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync("package-lock.json").mtimeMs) return;
  const [command, first] = npm();
  await step(
    "npm packages: installing, some seconds, once",
    command,
    [...first, "ci", "--include=dev", "--no-audit", "--no-fund"],
    {
      otherwise: "npm could not install the packages above: check the network and run this again.",
    },
  );
}

/** npm as Node can start it on every system: the script that is running us where npm did start us. */
export function npm() {
  const script = process.env.npm_execpath;
  return script?.endsWith(".js") ? [process.execPath, [script]] : ["npm", []];
}
