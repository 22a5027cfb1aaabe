// The npm packages of the page.

import { existsSync, readFileSync, statSync } from "node:fs";
import { Failure, step } from "./run.mjs";

/** Fails if this Node is too old for the tools. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const good = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  if (good) return;
  const { engines } = JSON.parse(readFileSync("package.json", "utf8"));
  throw new Failure(
    `Node ${engines.node} is needed and this is ${process.versions.node}: install a newer one from https://nodejs.org.`,
  );
}

/** Installs exactly the packages of package-lock.json, unless node_modules is newer. */
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

/** The command that starts npm on every system. If npm started this script, it is the npm script that did. */
export function npm() {
  const script = process.env.npm_execpath;
  return script?.endsWith(".js") ? [process.execPath, [script]] : ["npm", []];
}
