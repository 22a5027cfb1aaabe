/** The inspector: the small wasm that every visit loads. */
import init, { Inspection, weightsBudget } from '../generated/inspector.js';
import { report, serve } from './serve';

serve(
  async (entries) => {
    await init();
    return Inspection.open(entries, report);
  },
  weightsBudget,
  () => ({
    entries: refuse,
    plan: refuse,
    measure: refuse,
    alone: refuse,
    verify: refuse,
    planRun: refuse,
    run: refuse,
    goOn: refuse,
    ran: refuse,
    measureSample: refuse,
    twin: refuse,
    verifyRun: refuse,
    link: refuse,
    html: refuse,
    compare: refuse,
    adapter: refuse,
    export: refuse,
    figureOf: refuse,
    csvOf: refuse,
  }),
);

function refuse(): never {
  throw new Error('Only the verifier does that.');
}
