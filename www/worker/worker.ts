/** The inspector: the small wasm that every visit loads. */
import init, { Inspection, weightsBudget } from '../generated/inspector.js';
import { network } from './network';
import { report, serve } from './serve';

serve(
  async (entries) => {
    await init();
    return Inspection.open(entries, network, report);
  },
  weightsBudget,
  () => ({
    measure: () => {
      throw new Error('Only the verifier measures.');
    },
    alone: () => {
      throw new Error('Only the verifier measures.');
    },
    stopMeasuring: () => undefined,
  }),
);
