/** The verifier: the wasm that can measure as well, loaded when that is asked for. */
import init, { Inspection, weightsBudget } from '../generated/verifier.js';
import type { Progress } from '../report';
import { network } from './network';
import { report, serve } from './serve';

let stopped = false;

serve(
  async (entries) => {
    await init();
    return Inspection.open(entries, network, report);
  },
  weightsBudget,
  (opened) => ({
    async measure(entry, site, device) {
      stopped = false;
      const measured = await opened().measure(entry, site, device === 'gpu', (progress: Progress) => {
        report(progress);
        return stopped;
      });
      opened().verify(measured);
      return opened().report();
    },
    alone: (site, device) => opened().alone(site, device === 'gpu'),
    stopMeasuring: () => {
      stopped = true;
    },
  }),
);
