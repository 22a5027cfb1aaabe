/**
 * What both workers do: own a wasm module and the one checkpoint it has opened, so that reading never blocks the page and
 * cancelling is as simple as ending the thread.
 */
import type { Calls, Entry, Json, Reply, Request, Shown } from '../protocol';
import type { Figure, FigureKind, Gathered, Progress } from '../report';

/** What either worker does with the checkpoint that it has opened. */
export interface Inspecting<Sample extends { free(): void }> {
  report(): string;
  weigh(budget: number, progress: (progress: Progress) => boolean): Promise<Sample>;
  take(weights: Sample): void;
  figure(kind: string, site: string | null | undefined, width: number, height: number): unknown;
  csv(kind: string, site: string | null | undefined): string | Promise<string>;
  contents(): string;
  /** The values of one tensor, read from its file. */
  valuesFigure(name: string, width: number, height: number): unknown;
  valuesCsv(name: string): string | Promise<string>;
}

/** What a call answers; the wasm gives JSON as any other text. */
type Loose<Value> = Value extends Json<unknown> ? string : Value;
type Answer<Name extends keyof Calls> = Loose<ReturnType<Calls[Name]>> | Promise<Loose<ReturnType<Calls[Name]>>>;
type Answers = { [Name in keyof Calls]: (...args: Parameters<Calls[Name]>) => Answer<Name> };

/** The calls that only the verifier answers. */
export type VerifierCalls = Omit<Answers, 'open' | 'weigh' | 'stopWeighing' | 'contents' | 'figure' | 'csv'>;

const post = (reply: Reply, transfer: Transferable[] = []): void => self.postMessage(reply, { transfer });

/** Tells the page how far something is. */
export const tellProgress = (progress: Progress): void => post({ progress });

/** Shows the page a sample of a run, which it takes. */
export const shows = (shown: Shown): void => {
  const { sample } = shown;
  const transfer = sample ? [sample.output.buffer, ...('before' in sample ? [sample.before.buffer] : [])] : [];
  post({ shown }, transfer);
};

/** The sentence of an error. A trap inside wasm has no sentence of its own: it is our bug, and says so. */
function sentence(error: unknown): string {
  if (error instanceof WebAssembly.CompileError) {
    return `This browser cannot run the wasm of this page (${error.message}). Use a browser of the last three years.`;
  }
  if (error instanceof WebAssembly.RuntimeError) {
    return `Gammascope itself failed on these files (${error.message}). This is a bug in Gammascope.`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Answers the page's calls with what `open` opens. */
export function serve<Sample extends { free(): void }, Inspected extends Inspecting<Sample>>(
  open: (entries: Entry[]) => Promise<Inspected>,
  budget: () => number,
  verifierCalls: Partial<VerifierCalls> = {},
): void {
  let inspection: Inspected | undefined;
  let stopped = false;
  let weighed: Promise<unknown> = Promise.resolve();

  function opened(): Inspected {
    if (!inspection) throw new Error('No checkpoint is open.');
    return inspection;
  }

  const calls: Partial<Answers> = {
    async open(entries: Entry[]): Promise<string> {
      inspection = await open(entries);
      return inspection.report();
    },
    async weigh(): Promise<string | null> {
      // One that was stopped ends at its next read; its checkpoint is borrowed until then.
      await weighed;
      stopped = false;
      // Messages are answered between two reads, so that a stop is heard and figures are drawn.
      const sampling = opened().weigh(budget(), (progress: Progress) => {
        tellProgress(progress);
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
    ...verifierCalls,
    contents: () => opened().contents(),
    figure: (kind: FigureKind, site: string | undefined, width: number, height: number) =>
      (kind === 'tensor_values'
        ? opened().valuesFigure(site ?? '', width, height)
        : opened().figure(kind, site, width, height)) as Figure | Promise<Figure>,
    csv: (kind: FigureKind, site: string | undefined) =>
      kind === 'tensor_values' ? opened().valuesCsv(site ?? '') : opened().csv(kind, site),
  };

  // A trap in the middle of an answer reaches no promise: the worker is lost with all that waits for it.
  self.addEventListener('error', (event) => {
    if (!(event.error instanceof WebAssembly.RuntimeError)) return;
    event.preventDefault();
    post({ died: sentence(event.error) });
  });

  self.onmessage = async ({ data }: MessageEvent<Request>) => {
    try {
      // The table's entry and the arguments belong together by construction of `Request`.
      const run = calls[data.call] as ((...args: unknown[]) => Answer<keyof Calls>) | undefined;
      if (run === undefined) throw new Error('Only the verifier does that.');
      post({ id: data.id, value: (await run(...data.args)) as ReturnType<Calls[keyof Calls]> });
    } catch (error) {
      const { name = 'Error', checkpoints } = error instanceof Error ? (error as Error & { checkpoints?: Gathered[] }) : {};
      post({ id: data.id, error: sentence(error), name, ...(checkpoints === undefined ? {} : { checkpoints }) });
    }
  };
}
