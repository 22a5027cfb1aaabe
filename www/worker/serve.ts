/**
 * The common part of both workers. Each owns a wasm module and the one checkpoint that it has opened. So reading never blocks the
 * page, and ending the thread cancels it.
 */
import type { Calls, Entry, Json, Piece, Reply, Request, Shown } from '../protocol';
import type { Figure, FigureKind, Gathered, Progress } from '../report';

/** What both workers can do with the open checkpoint. */
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

/** The answer of a call. JSON from the wasm has the type `string`. */
type Loose<Value> = Value extends Json<unknown> ? string : Value;
type Answer<Name extends keyof Calls> = Loose<ReturnType<Calls[Name]>> | Promise<Loose<ReturnType<Calls[Name]>>>;
type Answers = { [Name in keyof Calls]: (...args: Parameters<Calls[Name]>) => Answer<Name> };

/** The calls that only the verifier answers. */
export type VerifierCalls = Omit<Answers, 'open' | 'weigh' | 'stopWeighing' | 'contents' | 'figure' | 'csv'>;

const post = (reply: Reply, transfer: Transferable[] = []): void => self.postMessage(reply, { transfer });

/** Reports progress to the page. */
export const tellProgress = (progress: Progress): void => post({ progress });

/** Sends the page what a run shows. The buffers of the sample move to the page. */
export const shows = (shown: Shown): void => {
  const { sample } = shown;
  const transfer = sample ? [sample.output.buffer, ...('before' in sample ? [sample.before.buffer] : [])] : [];
  post({ shown }, transfer);
};

/** Sends the page the next bytes of a fold. Their buffer moves to the page. */
export const passes = (piece: Piece): void => post({ piece }, [piece.bytes.buffer]);

/** The message of an error. A trap in the wasm has none of its own: the message says that it is our bug. */
function sentence(error: unknown): string {
  if (error instanceof WebAssembly.CompileError) {
    return `This browser cannot run the wasm of this page (${error.message}). Use a browser of the last three years.`;
  }
  if (error instanceof WebAssembly.RuntimeError) {
    const { panicked } = globalThis as { panicked?: string };
    // Rust ends without a panic when it gets no memory.
    if (panicked === undefined && /unreachable/i.test(error.message)) {
      return 'This device does not have enough memory for that. Close other tabs, or use the command line, which needs less.';
    }
    return `Gammascope itself failed on these files (${panicked ?? error.message}). This is a bug in Gammascope.`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Holds a lock that the browser releases when this worker dies, so that the page notices. Without https, there are no locks. */
function holdLock(): void {
  const lock = crypto.randomUUID?.();
  void navigator.locks?.request(lock, () => {
    post({ lock });
    return new Promise(() => undefined);
  });
}

/** Answers the calls of the page, on the checkpoint that `open` opens. */
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
      // A stopped sampling ends at its next read. Until then it borrows the checkpoint.
      await weighed;
      stopped = false;
      // Between two reads, the worker answers messages: it can stop, and it can draw figures.
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

  holdLock();

  // A trap in the middle of an answer rejects no promise. The worker is lost, and so are all its waiting calls.
  self.addEventListener('error', (event) => {
    if (!(event.error instanceof WebAssembly.RuntimeError)) return;
    event.preventDefault();
    post({ died: sentence(event.error) });
  });

  self.onmessage = async ({ data }: MessageEvent<Request>) => {
    try {
      // The type `Request` guarantees that the arguments match the call.
      const run = calls[data.call] as ((...args: unknown[]) => Answer<keyof Calls>) | undefined;
      if (run === undefined) throw new Error('Only the verifier does that.');
      post({ id: data.id, value: (await run(...data.args)) as ReturnType<Calls[keyof Calls]> });
    } catch (error) {
      const { name = 'Error', checkpoints } = error instanceof Error ? (error as Error & { checkpoints?: Gathered[] }) : {};
      post({ id: data.id, error: sentence(error), name, ...(checkpoints === undefined ? {} : { checkpoints }) });
    }
  };
}
