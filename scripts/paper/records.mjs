// The published sizes of docs/paper, and the stored run of each beside its configuration.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const CONFIGS = "docs/paper";

/**
 * Returns the models, smallest first: the name, the parameters of the published checkpoint, how many of them no run reads (`apart`), and
 * the input of a run (`ids` or `noise`).
 */
export function models() {
  const sizes = readFileSync(join(CONFIGS, "parameters.tsv"), "utf8").trim().split("\n").slice(1);
  const models = sizes.map((line) => line.split("\t")).map(([name, parameters, apart, input]) => ({ name, parameters: Number(parameters), apart: Number(apart), input }));
  return models.sort((a, b) => a.parameters - b.parameters);
}

/** The stored run of a model with its current configuration, or undefined. */
export function kept(name) {
  if (!existsSync(record(name))) return undefined;
  const { configuration, ...measured } = JSON.parse(readFileSync(record(name), "utf8"));
  return configuration === digest(name) ? measured : undefined;
}

export function keep(name, measured) {
  writeFileSync(record(name), `${JSON.stringify({ ...measured, configuration: digest(name) }, null, 2)}\n`);
}

/** Identifies the current configuration of a model. */
export function digest(name) {
  return createHash("sha256").update(readFileSync(join(CONFIGS, name, "config.json"))).digest("hex").slice(0, 16);
}

function record(name) {
  return join(CONFIGS, name, "measured.json");
}
