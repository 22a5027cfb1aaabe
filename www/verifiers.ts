/**
 * A measurement by several verifiers side by side, each a worker with its own wasm. Each takes the next site when it is done
 * with one; whatever ends one of them, the outcomes that there are stay.
 */
import { workersFor } from './cores';
import { Inspector } from './inspector';
import type { Device, Dropped, Entry, Json } from './protocol';
import type { MeasurementPlan, Progress } from './report';

/** What is to be measured. */
export type Wanted = { entries: Entry[]; activations: Dropped; site: string | undefined; device: Device };

export class Verifiers {
  private constructor(
    private readonly wanted: Wanted,
    readonly plan: MeasurementPlan,
    private readonly first: Inspector,
  ) {}

  /** Opens the checkpoint and the activations in the first verifier. */
  static async plan(wanted: Wanted, signal: AbortSignal): Promise<Verifiers> {
    const first = await start(wanted, signal);
    try {
      const plan = await first.plan(wanted.activations, wanted.site, wanted.device, signal);
      return new Verifiers(wanted, plan, first);
    } catch (error) {
      first.close(error);
      throw error;
    }
  }

  /** How many work side by side: as many as there are cores and sites, and as memory allows. */
  get workers(): number {
    return Math.min(this.plan.sites.length || 1, workersFor(this.plan.memory));
  }

  /**
   * Measures every site, calling `onProgress` as they come, until `stop`. Resolves to what `Inspector.verify` takes; aborting
   * `signal` ends everything.
   */
  async measure(onProgress: (progress: Progress) => void, stop: AbortSignal, signal: AbortSignal): Promise<Json> {
    const began = performance.now();
    const { sites, warnings, device, input } = this.plan;
    const outcomes: (Json | undefined)[] = sites.map(() => undefined);
    let next = 0;
    const report = () => {
      const done = outcomes.filter((outcome) => outcome !== undefined).length;
      onProgress({ stage: 'sites', done, total: sites.length, bytes_read: 0 });
    };
    const halted = AbortSignal.any([stop, signal]);
    const work = async (verifier: Inspector): Promise<void> => {
      let broken = false;
      while (next < sites.length && !halted.aborted && !broken) {
        const at = next++;
        try {
          outcomes[at] = await verifier.measure(at, halted);
        } catch (error) {
          if (halted.aborted) break;
          outcomes[at] = failed(sites[at] ?? '', error);
          // What Rust can say is an outcome: this wasm has trapped, and would fail at every site after this one.
          broken = true;
        }
        report();
      }
      verifier.close();
      if (broken && next < sites.length) await another();
    };
    const another = async (): Promise<void> => {
      // One that cannot start leaves its sites to the others.
      const verifier = await start(this.wanted, halted).catch(() => null);
      if (!verifier) return;
      // On the device that the first one found fastest.
      await verifier
        .plan(this.wanted.activations, this.wanted.site, device === 'cpu' ? 'cpu' : 'gpu', halted)
        .then(() => work(verifier), () => verifier.close());
    };
    report();
    await Promise.all([work(this.first), ...Array.from({ length: this.workers - 1 }, another)]);
    signal.throwIfAborted();
    const seconds = (performance.now() - began) / 1000;
    // An outcome is JSON already.
    const done = outcomes.filter((outcome) => outcome !== undefined).join();
    const rest = JSON.stringify({ warnings, device, input, seconds });
    return `{"outcomes":[${done}],${rest.slice(1)}`;
  }

  close(): void {
    this.first.close();
  }
}

async function start({ entries }: Wanted, signal: AbortSignal): Promise<Inspector> {
  return (await Inspector.open(entries, () => undefined, signal, 'verifier')).inspector;
}

/** The outcome of a site whose verifier broke: out of memory, as a rule. */
function failed(site: string, error: unknown): Json {
  const message = `\`${site}\`: ${error instanceof Error ? error.message : String(error)}`;
  return JSON.stringify({ site: null, warnings: [{ code: 'not_measured', message, where: site }], unit_roundoff: 0, kernel_seconds: null });
}
