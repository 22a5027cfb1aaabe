/**
 * The worker: owns the wasm module and the one checkpoint it has opened, so that reading never blocks the page and
 * cancelling is as simple as ending the thread.
 */
import init, { Inspection, weightsBudget } from '../generated/gammascope.js';
import type { Calls, Entry, Json, Reply, Request } from '../protocol';
import type { Figure, FigureKind, Progress } from '../report';

type Answer<Name extends keyof Calls> = ReturnType<Calls[Name]> | Promise<ReturnType<Calls[Name]>>;

let inspection: Inspection | undefined;
let stopped = false;
let weighed: Promise<unknown> = Promise.resolve();

const post = (reply: Reply): void => self.postMessage(reply);

function opened(): Inspection {
  if (!inspection) throw new Error('No checkpoint is open.');
  return inspection;
}

const calls: { [Name in keyof Calls]: (...args: Parameters<Calls[Name]>) => Answer<Name> } = {
  async open(entries: Entry[]): Promise<Json> {
    await init();
    inspection = await Inspection.open(entries, (progress: Progress) => post({ progress }));
    return inspection.report();
  },
  async weigh(): Promise<Json | null> {
    // One that was stopped ends at its next read; its checkpoint is borrowed until then.
    await weighed;
    stopped = false;
    // Messages are answered between two reads, so that a stop is heard and figures are drawn.
    const sampling = opened().weigh(weightsBudget(), (progress: Progress) => {
      post({ progress });
      return stopped;
    });
    weighed = sampling;
    const weights = await sampling;
    if (stopped) {
      weights.free();
      return null;
    }
    opened().take(weights);
    return opened().report();
  },
  stopWeighing: () => {
    stopped = true;
  },
  figure: (kind: FigureKind, site: string | undefined, width: number, height: number) =>
    opened().figure(kind, site, width, height) as Figure,
  csv: (kind: FigureKind, site: string | undefined) => opened().csv(kind, site),
};

/** The sentence of an error. A trap inside wasm has no sentence of its own: it is our bug, and says so. */
function sentence(error: unknown): string {
  if (error instanceof WebAssembly.RuntimeError) {
    return `Gammascope itself failed on these files (${error.message}). That is a bug, not something you did.`;
  }
  return error instanceof Error ? error.message : String(error);
}

self.onmessage = async ({ data }: MessageEvent<Request>) => {
  try {
    // The table's entry and the arguments belong together by construction of `Request`.
    const run = calls[data.call] as (...args: unknown[]) => Answer<keyof Calls>;
    post({ id: data.id, value: await run(...data.args) });
  } catch (error) {
    post({ id: data.id, error: sentence(error) });
  }
};
