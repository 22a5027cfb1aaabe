// docs/paper.md from all stored runs: models at their initialisation, trained ones, and what a run takes.

import { writtenInitial } from "./initial.mjs";
import { kept, models } from "./records.mjs";
import { writtenTaken } from "./taken.mjs";
import { writtenTrained } from "./trained.mjs";

/** The text of docs/paper.md. */
export function written() {
  const title = ["# The paper's claims, measured", "", "The claims are those of arXiv 2606.19491. No number here is written by hand.", ""];
  const all = models().map((model) => ({ ...model, measured: kept(model.name) }));
  return [...title, ...writtenInitial(all), ...writtenTrained(), ...writtenTaken(models())].join("\n");
}
