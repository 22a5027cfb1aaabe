/** The verifier: the wasm that can measure as well, and open addresses; loaded when that is asked for. */
import init, { Inspection, type Measurement, weightsBudget } from '../generated/verifier.js';
import type { Known } from '../protocol';
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
  }),
);
