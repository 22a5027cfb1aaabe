/** The inspector: the small wasm that every visit loads, and of the tables of measured models what it needs to open a checkpoint. */
import init, { Inspection, weightsBudget } from '../generated/inspector.js';
import { serve, tellProgress } from './serve';

serve(
  async (entries) => {
    const always = loadTable('all');
    // It is awaited when the headers are read. Until then nothing handles its failure.
    always.catch(() => undefined);
    await init();
    const load = async (parts: string[]) => (await Promise.all([always, ...parts.map(loadTable)])).join('');
    return Inspection.open(entries, tellProgress, load);
  },
  weightsBudget,
);

/** One table of what was measured of other models, or a part of one. */
async function loadTable(name: string): Promise<string> {
  const answer = await fetch(new URL(`${TABLES}${name}.txt`, self.location.href));
  if (!answer.ok) throw new Error(`The tables of measured models did not load (${answer.status}): reload the page.`);
  return answer.text();
}
