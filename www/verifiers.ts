/**
 * Measures with several verifiers at once. Each is a worker with its own wasm and takes the next site when it finishes one. If
 * measuring is stopped, the outcomes so far stay.
 */
import { workersFor } from './cores';
import { Inspector } from './inspector';
import { Pool } from './pool';
import { type Device, type Dropped, type Entry, type Json, parse, write } from './protocol';
import type { MeasurementPlan, Outcome, Outcomes, Progress } from './report';

/** What to measure. */
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
      const plan = parse(await first.ask('plan', [wanted.activations, wanted.site, wanted.device], signal));
      return new Verifiers(wanted, plan, first);
    } catch (error) {
      first.close(error);
      throw error;
    }
  }

  /** The number of parallel workers, limited by cores, sites and memory. */
  get workers(): number {
    return Math.min(this.plan.sites.length || 1, workersFor(this.plan.memory));
  }

  /**
   * Measures every site and calls `onProgress` after each. Aborting `stop` ends it early with the outcomes so far, as the call `verify`
   * takes them. Aborting `signal` ends it with an error.
   */
  async measure(onProgress: (progress: Progress) => void, stop: AbortSignal, signal: AbortSignal): Promise<Json<Outcomes>> {
    const began = performance.now();
    const { sites, warnings, device, input } = this.plan;
    const outcomes: (Outcome | undefined)[] = sites.map(() => undefined);
    const tell = () => {
      const done = outcomes.filter((outcome) => outcome !== undefined).length;
      onProgress({ stage: 'sites', done, total: sites.length, bytes_read: 0 });
    };
    const stopped = AbortSignal.any([stop, signal]);
    const another = async (): Promise<Inspector> => {
      const verifier = await start(this.wanted, stopped);
      // Uses the device that the first verifier found fastest.
      const { activations, site } = this.wanted;
      await verifier.ask('plan', [activations, site, device === 'cpu' ? 'cpu' : 'gpu'], stopped).catch((error: unknown) => {
        verifier.close();
        throw error;
      });
      return verifier;
    };
    const pool = new Pool(this.workers, another, this.first);
    tell();
    await Promise.all(
      sites.map(async (site, at) => {
        try {
          outcomes[at] = await pool.run(async (verifier) => parse(await verifier.ask('measure', [at], stopped)));
        } catch (error) {
          if (stopped.aborted) return;
          outcomes[at] = failed(site, error);
        }
        tell();
      }),
    );
    pool.close();
    signal.throwIfAborted();
    const seconds = (performance.now() - began) / 1000;
    return write({ outcomes: outcomes.filter((outcome) => outcome !== undefined), warnings, device, input, seconds });
  }

  close(): void {
    this.first.close();
  }
}

async function start({ entries }: Wanted, signal: AbortSignal): Promise<Inspector> {
  return (await Inspector.open(entries, () => undefined, signal, 'verifier')).inspector;
}

/** The outcome of a site whose verifier failed, usually out of memory. */
export function failed(site: string, error: unknown): Outcome {
  const message = `\`${site}\`: ${error instanceof Error ? error.message : String(error)}`;
  return { site: null, warnings: [{ code: 'not_measured', message, where: site }], unit_roundoff: 0, kernel_seconds: null };
}
