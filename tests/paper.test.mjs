// docs/paper.md is written from the stored runs. Also tests what in a run contradicts the claim.
//   node --test tests/paper.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { written } from "../scripts/paper/document.mjs";
import { faults, measuredOf } from "../scripts/paper/initial.mjs";
import { kept, models } from "../scripts/paper/records.mjs";
import { trainedOf } from "../scripts/paper/trained.mjs";

/** A report of two blocks with one norm each, and a final norm. The second block was not run. */
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

test("docs/paper.md is exactly the text written from the stored runs", () => {
  assert.ok(models().filter(({ name }) => kept(name)).length > 10);
  assert.equal(readFileSync("docs/paper.md", "utf8"), written(), "run `npm run paper -- random-init --minutes 0.001`");
});

test("the record of a run counts only the blocks that it reached", () => {
  const measured = measuredOf(report("layernorm"), { commit: "abc" });
  assert.deepEqual([measured.blocks, measured.left_out, measured.tokens, measured.sites, measured.commit], [1, 1, 32, 2, "abc"]);
  // The norm of the block that was not run does not count as unreached.
  assert.deepEqual(measured.unreached, ["head.ln"]);
  assert.deepEqual([measured.predicted_below_tau, measured.measured_below_tau], [2, 2]);
});

test("a LayerNorm without its kernel and an RMSNorm with one contradict the claim", () => {
  assert.deepEqual(against("layernorm"), []);
  assert.match(against("layernorm", { cosineAtLast: 0.5 }).join(), /\|cos\^\| of 0.500000 is below/);
  assert.match(against("layernorm", { depth: 2e-12 }).join(), /depth\^ of 2.0e-12 is above/);
  assert.deepEqual(against("rmsnorm", { cosine: 0.1, depth: 0.8 }), []);
  assert.match(against("rmsnorm", { cosine: 0.95, depth: 0.8 }).join(), /\|cos\^\| of 0.950000 is not below/);
  assert.match(against("rmsnorm", { cosine: 0.1, depth: 1e-13 }).join(), /depth\^ of 1.0e-13 is not above/);
  assert.match(against("unknown").join(), /kind of its norms is not known/);
});

test("a site without a single bottom direction contradicts the claim, and is named", () => {
  const [said, ...others] = against("layernorm", { cosineAtLast: null });
  assert.match(said, /`ln_f` several directions lie below rounding/);
  assert.deepEqual(others, []);
  // For an RMSNorm, only if the variance of 1/√d does not decide either.
  assert.deepEqual(against("rmsnorm", { cosine: 0.1, depth: 0.8, cosineAtLast: null }), []);
  assert.match(against("rmsnorm", { cosine: 0.1, depth: null, cosineAtLast: null }).join(), /depth\^ unknown/);
});

test("if no site is resolved, the row says unknown and contradicts the claim", () => {
  assert.match(against("layernorm", { cosine: null }).join(), /\|cos\^\| of unknown is below/);
  assert.match(against("rmsnorm", { cosine: null, depth: null }).join(), /depth\^ of unknown is not above/);
});

test("a number of parameters that differs from the published one contradicts the claim", () => {
  const measured = measuredOf(report("layernorm"), {});
  assert.match(faults({ parameters: 99, measured }).join(), /100 parameters, not 99/);
});

test("the record of a trained model has the deepening of exact kernels alone, and the deepest fall", () => {
  const site = (name, ratio) => ({ name, depth_scale_free: 1e-14, depth_ratio: ratio });
  const fall = (block, value) => ({ block, stack: null, ratio: { value }, on_both_halves: block === 1, place: { part: "attention", attention: value } });
  const of = (told) =>
    trainedOf(
      {
        model: { width: 8 },
        norms: [3, 1, 2].map((deepening, at) => ({ name: `n${at}`, kernel: { deepening } })),
        verification: {
          pass: { family: "gpt2", told },
          sites: [0, 1, 2].map((at) => site(`n${at}`, null)),
          random_init: { sites: [0, 1, 2].map((at) => site(`n${at}`, at + 1)) },
          residual: [{ sigma_min: 2 }, { sigma_min: 1 }],
          falls: [fall(0, 0.9), fall(1, 0.5)],
          claims: [],
          seconds: 1,
        },
      },
      { commit: "abc" },
    );
  const { deepening, predicted, sigma, falls, on_both_halves, deepest } = of("layernorm");
  assert.deepEqual([deepening, predicted, sigma, falls, on_both_halves], [[1, 2, 3], [1, 2, 3], [2, 1], 2, 1]);
  assert.deepEqual([deepest.block, deepest.ratio, deepest.attention], [1, 0.5, 0.5]);
  assert.deepEqual([of("rmsnorm").deepening, of("rmsnorm").predicted], [null, null]);
});
