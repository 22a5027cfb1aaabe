/** The verifier: the wasm that can measure as well, open addresses, compare, weigh adapters and export; loaded when that is asked for. */
import init, { Adapter, Inspection, type Measurement, csvOf, figureOf, weightsBudget } from '../generated/verifier.js';
import type { Known } from '../protocol';
import type { Figure, Progress } from '../report';
import { network } from './network';
import { report, serve } from './serve';

let measurement: Measurement | undefined;

function planned(): Measurement {
  if (!measurement) throw new Error('Nothing is planned to be measured.');
  return measurement;
}

serve(
  async (entries) => {
    await init();
    return Inspection.open(entries, network, report);
  },
  weightsBudget,
  (opened) => ({
    entries: () => opened().entries() as Known[],
    async plan(entry, site, device) {
      measurement = await opened().plan(entry, site, device);
      return measurement.plan();
    },
    measure: (at) => opened().measure(planned(), at),
    verify(measured) {
      opened().verify(measured);
      return opened().report();
    },
    alone: (site, device) => opened().alone(site, device),
    async compare(entries, weighs) {
      const other = await Inspection.open(entries, network, report);
      try {
        if (weighs) {
          const weights = await other.weigh(weightsBudget(), (progress: Progress) => {
            report(progress);
            return false;
          });
          other.take(weights);
        }
        return opened().compare(other);
      } finally {
        other.free();
      }
    },
    async adapter(entries) {
      const adapter = await Adapter.open(entries, network);
      try {
        return await opened().adapter(adapter);
      } finally {
        adapter.free();
      }
    },
    export: (sites, json) => opened().export(sites, json) as Uint8Array<ArrayBuffer>,
    figureOf: (of, kind, width, height) => figureOf(of, kind, width, height) as Figure,
    csvOf,
  }),
);
