// docs/paper.md: written from what was kept of each run, and what in a run speaks against the claim.
//   node --test tests/paper.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { faults, measuredOf, written } from "../scripts/paper/document.mjs";
import { kept, models } from "../scripts/paper/records.mjs";

/** A report of two blocks with a norm each and a final norm, of which the second block was not run. */
function report(told, { cosine = 0.999999, depth = 1e-13, cosineAtLast = cosine } = {}) {
  const norm = (name, block) => ({ name, block, kernel: { predicted_below_tau: told === "layernorm" ? 1 : 0 } });
  const site = (name, cos) => ({ name, cos_scale_free: cos, depth_scale_free: depth, below_tau: told === "layernorm" ? 1 : 0 });
  return {
    checkpoint: { parameters: 100 },
    model: { width: 8, layers: 2 },
    norms: [norm("h.0.ln", 0), norm("h.1.ln", 1), norm("ln_f", null), norm("head.ln", null)],
    verification: {
      pass: { family: "gpt2", told, sequences: 2, length: 16, left_out: 1 },
      sites: [site("h.0.ln", cosine), site("ln_f", cosineAtLast)],
      seconds: 1.6,
    },
  };
}

const against = (...of) => faults({ parameters: 100, measured: measuredOf(report(...of), {}) });

test("docs/paper.md is what is written of the records, and of nothing else", () => {
  const all = models().map((model) => ({ ...model, measured: kept(model.name) }));
  assert.ok(all.filter(({ measured }) => measured).length > 10);
  assert.equal(readFileSync("docs/paper.md", "utf8"), written(all), "run `npm run paper -- random-init --minutes 0.001`");
});

test("what was run of a model is told apart from what was not reached in it", () => {
  const measured = measuredOf(report("layernorm"), { commit: "abc" });
  assert.deepEqual([measured.blocks, measured.left_out, measured.tokens, measured.sites, measured.commit], [1, 1, 32, 2, "abc"]);
  // The norm of the block that was not run is not missed.
  assert.deepEqual(measured.unreached, ["head.ln"]);
  assert.deepEqual([measured.predicted_below_tau, measured.measured_below_tau], [2, 2]);
});

test("a LayerNorm without its kernel and an RMSNorm with one speak against the claim", () => {
  assert.deepEqual(against("layernorm"), []);
  assert.match(against("layernorm", { cosineAtLast: 0.5 }).join(), /\|cos\^\| of 0.500000 is below/);
  assert.match(against("layernorm", { depth: 2e-12 }).join(), /depth\^ of 2.0e-12 is above/);
  assert.deepEqual(against("rmsnorm", { cosine: 0.1, depth: 0.8 }), []);
  assert.match(against("rmsnorm", { cosine: 0.95, depth: 0.8 }).join(), /\|cos\^\| of 0.950000 is not below/);
  assert.match(against("rmsnorm", { cosine: 0.1, depth: 1e-13 }).join(), /depth\^ of 1.0e-13 is not above/);
  assert.match(against("unknown").join(), /kind of its norms is not known/);
});

test("a site where no direction is the bottom one speaks against it, and is named", () => {
  const [said, ...others] = against("layernorm", { cosineAtLast: null });
  assert.match(said, /`ln_f` several directions lie below rounding/);
  assert.deepEqual(others, []);
  // Of an RMSNorm only where the variance of 1/√d does not tell either.
  assert.deepEqual(against("rmsnorm", { cosine: 0.1, depth: 0.8, cosineAtLast: null }), []);
  assert.match(against("rmsnorm", { cosine: 0.1, depth: null, cosineAtLast: null }).join(), /depth\^ unknown/);
});

test("where no site is resolved the row says unknown, and speaks against the claim", () => {
  assert.match(against("layernorm", { cosine: null }).join(), /\|cos\^\| of unknown is below/);
  assert.match(against("rmsnorm", { cosine: null, depth: null }).join(), /depth\^ of unknown is not above/);
});

test("another number of parameters than the published one speaks against it", () => {
  const measured = measuredOf(report("layernorm"), {});
  assert.match(faults({ parameters: 99, measured }).join(), /100 parameters, not 99/);
});
