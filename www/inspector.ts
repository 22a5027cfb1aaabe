/**
 * The bridge to the worker. One worker holds one opened checkpoint. A new open starts a new worker and leaves the
 * earlier one, with its figures, untouched until the new one has succeeded. A wasm loop cannot be interrupted, so
 * cancelling an open ends its worker. Cancelling a figure only drops its answer: the checkpoint stays open.
 */
import { type Calls, type Entry, type Failed, type Json, type Piece, type Reply, type Request, type Sample, type Shown, parse } from './protocol';
import type { AdapterReport, Comparison, Figure, FigureKind, FoldReport, Gathered, Measured, Progress, Report, RunOutcome } from './report';

/** Which wasm the worker runs: the small one, which opens dropped files, or the one that can measure, draw weights and open addresses. */
type Wasm = 'inspector' | 'verifier';

const wasmFor = (entries: Entry[]): Wasm => (entries.every((entry) => 'file' in entry && !('seed' in entry)) ? 'inspector' : 'verifier');

/** Draws the figures of a report, of a comparison or of an adapter. */
export type Drawer = Pick<Inspector, 'figure' | 'csv'>;

/** Receives what a run shows. Resolves to true to stop the run. */
export type Show = (shown: Shown) => Promise<boolean>;

type Waiting = { resolve(value: never): void; reject(reason: unknown): void };

let inspectors = 0;

/** The files belong to several checkpoints. `entries` is set if that is a guess from what was dropped: they may be one. */
export class SeveralCheckpoints extends Error {
  override name = 'SeveralCheckpoints';
  constructor(
    message: string,
    readonly checkpoints: readonly Gathered[],
    readonly entries: Entry[] | null = null,
  ) {
    super(message);
  }
}

function failed({ error, name, checkpoints }: Failed): Error {
  if (checkpoints !== undefined) return new SeveralCheckpoints(error, checkpoints);
  return Object.assign(new Error(error), { name });
}

const DIED = 'The worker of this checkpoint ended: this device may be out of memory. Close other tabs and try again.';

/** A worker that loads sends its first message within this time. */
const ANSWERS_MS = 5_000;

/** The worker did not load. */
class NotLoaded extends Error {}

/**
 * Starts a worker. If it cannot load or dies, the message `died` comes in its place. When it dies, the browser sends no event, but
 * releases the lock that the worker holds while it lives.
 */
function start(wasm: Wasm): Worker {
  const worker =
    wasm === 'verifier'
      ? new Worker(new URL('./worker/verifier.ts', import.meta.url), { type: 'module' })
      : new Worker(new URL('./worker/worker.ts', import.meta.url), { type: 'module' });
  const die = (died: Error) => worker.dispatchEvent(new MessageEvent('message', { data: { died } }));
  const notLoaded = (why = '') => die(new NotLoaded(`The inspector could not be loaded. Reload the page and try again. ${why}`.trim()));
  worker.onerror = (event) => {
    event.preventDefault();
    notLoaded(event.message);
  };
  // While a newer version of the page takes over, the browser may drop the request for the worker, without an answer.
  let loaded = false;
  const takenOver = () => setTimeout(() => !loaded && notLoaded(), ANSWERS_MS);
  navigator.serviceWorker?.addEventListener('controllerchange', takenOver);
  worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
    loaded = true;
    navigator.serviceWorker?.removeEventListener('controllerchange', takenOver);
    if ('lock' in data) void navigator.locks.request(data.lock, () => die(new Error(DIED)));
  });
  return worker;
}

/** Workers that are loaded and have opened nothing, for the next caller. */
const spares: { [wasm in Wasm]?: Worker | undefined } = {};

/** Loads a worker for the next caller, if there is none. Without locks, which need https, nobody would notice that it died. */
export function prepare(wasm: Wasm): void {
  if (spares[wasm] || !navigator.locks) return;
  const worker = (spares[wasm] = start(wasm));
  // The next caller starts another one, and reports a failure.
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    if ('died' in data && spares[wasm] === worker) spares[wasm] = undefined;
  };
}

/** Tells whether to save data: https://wicg.github.io/savedata/#networkinformation-interface. */
type Connected = Navigator & { connection?: { saveData?: boolean; type?: string } };

/**
 * Calls `prepare` after `wait` milliseconds, when the browser is idle, if somebody then still wants it. It does not if the connection should
 * save data. Returns a function that cancels this.
 */
export function prepareSoon(wasm: Wasm, wait: number, wanted: () => boolean = () => true): () => void {
  const { connection } = navigator as Connected;
  if (connection?.saveData || connection?.type === 'cellular') return () => undefined;
  let cancelled = false;
  const begin = () => {
    if (!cancelled && wanted()) prepare(wasm);
  };
  const timer = setTimeout(() => ('requestIdleCallback' in window ? requestIdleCallback(begin) : begin()), wait);
  return () => {
    cancelled = true;
    clearTimeout(timer);
  };
}

export class Inspector {
  /** A different number for every opened checkpoint. */
  readonly id = ++inspectors;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private onShown: Show = () => Promise.resolve(true);
  private onPiece: (piece: Piece) => void = () => undefined;
  private last = 0;
  private ended: { reason: unknown } | null = null;

  private constructor(
    readonly wasm: Wasm,
    private onProgress: (progress: Progress) => void,
  ) {
    this.worker = spares[wasm] ?? start(wasm);
    spares[wasm] = undefined;
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ('progress' in data) return this.onProgress(data.progress);
      if ('shown' in data) return this.shown(data.shown);
      if ('piece' in data) return this.onPiece(data.piece);
      if ('died' in data) return this.close(data.died instanceof Error ? data.died : new Error(data.died));
      if ('lock' in data) return;
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ('error' in data) waiting?.reject(failed(data));
      else waiting?.resolve(data.value as never);
    };
  }

  /**
   * Opens a checkpoint in a new worker; aborting ends that worker. For an address, the returned `entries` hold what was read, so that
   * they open again without a request. If the small wasm cannot read the files, the verifier opens them. A worker that does not load
   * is started once more: its files move while a newer version of the page takes over.
   */
  static async open(
    entries: Entry[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
    wasm: Wasm = wasmFor(entries),
    again = true,
  ): Promise<{ inspector: Inspector; report: Report; entries: Entry[] }> {
    signal.throwIfAborted();
    const inspector = new Inspector(wasm, onProgress);
    try {
      const report = parse(await inspector.ask('open', [entries], signal));
      const remote = report.checkpoint.remote !== null && report.shared === null;
      return { inspector, report, entries: remote ? await inspector.ask('entries', [], signal) : entries };
    } catch (error) {
      inspector.close(error);
      if (wasm === 'inspector' && error instanceof Error && error.name === 'ReadElsewhere')
        return Inspector.open(entries, onProgress, signal, 'verifier');
      if (again && error instanceof NotLoaded) return Inspector.open(entries, onProgress, signal, wasm, false);
      throw error;
    }
  }

  /** Samples the weights and reports progress through `onProgress` of `open`. Aborting stops it and leaves the report as it was. */
  async weigh(signal: AbortSignal): Promise<Report> {
    const stop = () => void this.ask('stopWeighing', [], new AbortController().signal);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const report = await this.ask('weigh', [], signal);
      if (report === null) throw new DOMException('Sampling the weights was stopped.', 'AbortError');
      return parse(report);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Runs the planned model from its current block and passes what it shows to `show`. Only the verifier answers. */
  run(show: Show, signal: AbortSignal): Promise<Json<RunOutcome>> {
    this.onShown = show;
    return this.ask('run', [], signal);
  }

  /**
   * Computes the planned fold and passes its bytes to `take`, which resolves when they are written. If `take` fails, so does this, and the
   * worker waits until it is closed. Only the verifier answers.
   */
  fold(take: (piece: Piece) => Promise<void>, signal: AbortSignal): Promise<Json<FoldReport>> {
    return new Promise((resolve, reject) => {
      this.onPiece = (piece) => void take(piece).then(() => this.ask('took', [], signal)).catch(reject);
      this.ask('fold', [], signal).then(resolve, reject);
    });
  }

  /** Measures a sample of a run, also of a run in another worker. Only the verifier answers. */
  measureSample(sample: Sample, device: 'gpu' | 'cpu', signal: AbortSignal): Promise<Json<Measured>> {
    const transfer = [sample.output.buffer, ...('before' in sample ? [sample.before.buffer] : [])];
    return this.ask('measureSample', [sample, device], signal, transfer);
  }

  private shown(shown: Shown): void {
    // If `onShown` fails, the run stops.
    const taken = this.onShown(shown).catch(() => true);
    void taken.then((stop) => this.ask('goOn', [stop], new AbortController().signal)).catch(() => undefined);
  }

  figure(
    kind: FigureKind,
    site: string | undefined,
    width: number,
    height: number,
    signal: AbortSignal,
  ): Promise<Figure> {
    return this.ask('figure', [kind, site, width, height], signal);
  }

  csv(kind: FigureKind, site: string | undefined, signal: AbortSignal): Promise<string> {
    return this.ask('csv', [kind, site], signal);
  }

  /** Compares this checkpoint with that of `entries`. Only the verifier answers. */
  async compare(
    entries: Entry[],
    weighs: boolean,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Json<Comparison>> {
    const usual = this.onProgress;
    this.onProgress = onProgress;
    try {
      return await this.ask('compare', [entries, weighs], signal);
    } finally {
      this.onProgress = usual;
    }
  }

  /** Returns a `Drawer` for a report of `compare` or `adapter`. Only the verifier answers. */
  of(report: Json<Comparison | AdapterReport>): Drawer {
    return {
      figure: (kind, _, width, height, signal) => this.ask('figureOf', [report, kind, width, height], signal),
      csv: (kind, _, signal) => this.ask('csvOf', [report, kind], signal),
    };
  }

  /** Whether the worker still answers. */
  get isOpen(): boolean {
    return this.ended === null;
  }

  /** Ends the worker. Waiting calls fail with `reason`. */
  close(reason: unknown = new DOMException('The checkpoint was closed.', 'AbortError')): void {
    this.ended ??= { reason };
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  /**
   * Calls the worker. `Calls` lists all calls; those without a method above are called directly. In the inspector, the calls that only
   * the verifier answers fail.
   */
  ask<Name extends keyof Calls>(
    call: Name,
    args: Parameters<Calls[Name]>,
    signal: AbortSignal,
    transfer: Transferable[] = [],
  ): Promise<ReturnType<Calls[Name]>> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      if (this.ended) throw this.ended.reason;
      const id = ++this.last;
      const drop = () => this.waiting.delete(id) && reject(signal.reason);
      const settled =
        (settle: (value: never) => void) =>
        (value: never): void => {
          signal.removeEventListener('abort', drop);
          settle(value);
        };
      this.waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
      signal.addEventListener('abort', drop, { once: true });
      this.worker.postMessage({ id, call, args } as Request, transfer);
    });
  }
}
