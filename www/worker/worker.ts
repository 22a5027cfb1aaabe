/**
 * The inspector: the small wasm that every visit loads. To open a checkpoint, it loads the parts of the tables of measured models
 * that it needs. The wasm that draws figures loads with the first figure.
 */
import loadFigures, { csv, draw } from '../generated/figures.js';
import init, { Inspection, type WeightSample, weightsBudget } from '../generated/inspector.js';
import { type Inspecting, serve, tellProgress } from './serve';

let figures: Promise<unknown> | undefined;

/** Loads the wasm that draws figures. If that fails, the next figure tries again. */
async function canDraw(): Promise<void> {
  figures ??= loadFigures();
  try {
    await figures;
  } catch (error) {
    figures = undefined;
    throw new Error(`The code that draws figures did not load (${(error as Error).message}).`);
  }
}

/** What every checkpoint needs loads before one is opened, because the page starts a worker in advance. */
const [ahead, always] = [init(), loadTable('all')];
// An open tries again. Without the handlers, an early failure would be an unhandled rejection.
for (const loading of [ahead, always]) loading.catch(() => undefined);

serve<WeightSample, Inspecting<WeightSample>>(async (entries) => {
  await ahead.catch(() => init());
  const load = async (parts: string[]) => (await Promise.all([always.catch(() => loadTable('all')), ...parts.map(loadTable)])).join('');
  const inspection = await Inspection.open(entries, tellProgress, load);
  return {
    report: () => inspection.report(),
    weigh: (budget, progress) => inspection.weigh(budget, progress),
    take: (weights) => inspection.take(weights),
    contents: () => inspection.contents(),
    async valuesFigure(name, width, height) {
      const [data] = await Promise.all([inspection.valuesData(name), canDraw()]);
      return draw(data, width, height);
    },
    async valuesCsv(name) {
      const [data] = await Promise.all([inspection.valuesData(name), canDraw()]);
      return csv(data);
    },
    async figure(kind, site, width, height) {
      await canDraw();
      return draw(inspection.figureData(kind, site), width, height);
    },
    async csv(kind, site) {
      await canDraw();
      return csv(inspection.figureData(kind, site));
    },
  };
}, weightsBudget);

/** Loads one table of measured models, or a part of one. */
async function loadTable(name: string): Promise<string> {
  const answer = await fetch(new URL(`${TABLES}${name}.txt`, self.location.href));
  if (!answer.ok) throw new Error(`The tables of measured models did not load (${answer.status}): reload the page.`);
  return answer.text();
}
