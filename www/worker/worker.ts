/** The inspector: the small wasm that every visit loads, and the tables of measured models that it needs to open a checkpoint. */
import init, { Inspection, provideTables, weightsBudget } from '../generated/inspector.js';
import tables from '../generated/tables.txt?url';
import { serve, tellProgress } from './serve';

serve(
  async (entries) => {
    const [measured] = await Promise.all([loadTables(), init()]);
    provideTables(measured);
    return Inspection.open(entries, tellProgress);
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

/** What was measured of other models, which the first page does without. */
async function loadTables(): Promise<string> {
  const answer = await fetch(new URL(tables, import.meta.url));
  if (!answer.ok) throw new Error(`The tables of measured models did not load (${answer.status}): reload the page.`);
  return answer.text();
}

function refuse(): never {
  throw new Error('Only the verifier does that.');
}
