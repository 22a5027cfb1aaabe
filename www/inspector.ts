/**
 * The bridge to the worker. One worker holds one opened checkpoint: a new open starts a new worker and leaves the
 * earlier one, with its figures, untouched until the new one has succeeded. A wasm loop cannot be interrupted, so
 * cancelling an open ends its worker; cancelling a figure only drops its answer, as the checkpoint is still wanted.
 */
import { type Calls, type Entry, type Failed, type Json, type Reply, type Request, type Sample, type Shown, parse } from './protocol';
import type { AdapterReport, Comparison, Figure, FigureKind, Gathered, Measured, Progress, Report, RunOutcome } from './report';

/** Which wasm the worker runs: the small one, which opens dropped files, or the one that can measure, draw weights and open addresses. */
type Wasm = 'inspector' | 'verifier';

const wasmFor = (entries: Entry[]): Wasm => (entries.every((entry) => 'file' in entry && !('seed' in entry)) ? 'inspector' : 'verifier');

/** Whatever draws figures: an inspector those of its report, or those of something else. */
export type Drawer = Pick<Inspector, 'figure' | 'csv'>;

/** Takes what a run shows; resolves to true to stop it. */
export type Show = (shown: Shown) => Promise<boolean>;

type Waiting = { resolve(value: never): void; reject(reason: unknown): void };

let inspectors = 0;

/** That the files are several checkpoints, and which; with `entries` where that is a guess from what was dropped, and they may be one. */
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

const startVerifier = (): Worker => new Worker(new URL('./worker/verifier.ts', import.meta.url), { type: 'module' });

/** A verifier that is loaded and has opened nothing: the next one that is needed. */
let spare: Worker | null = null;

function takeVerifier(): Worker {
  const taken = spare ?? startVerifier();
  spare = null;
  return taken;
}

/** Connections on which nothing is loaded ahead: https://wicg.github.io/savedata/#networkinformation-interface. */
type Connected = Navigator & { connection?: { saveData?: boolean; type?: string } };

const AHEAD_MS = 1_500;

/**
 * Loads a verifier when the report has been on the page for a while and the browser is idle. Resolves at once; gives what calls it off.
 */
export function prepareVerifier(): () => void {
  const { connection } = navigator as Connected;
  if (connection?.saveData || connection?.type === 'cellular') return () => undefined;
  const begin = () => {
    if (spare) return;
    const worker = (spare = startVerifier());
    // What it needs is loaded again, and a failure has its sentence, when it is asked for.
    worker.onerror = (event) => {
      event.preventDefault();
      if (spare === worker) spare = null;
    };
  };
  const timer = setTimeout(() => ('requestIdleCallback' in window ? requestIdleCallback(begin) : begin()), AHEAD_MS);
  return () => clearTimeout(timer);
}

export class Inspector {
  /** Tells one opened checkpoint from the next. */
  readonly id = ++inspectors;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private onShown: Show = () => Promise.resolve(true);
  private last = 0;
  private ended: { reason: unknown } | null = null;

  private constructor(
    readonly wasm: Wasm,
    private onProgress: (progress: Progress) => void,
  ) {
    this.worker =
      wasm === 'verifier' ? takeVerifier() : new Worker(new URL('./worker/worker.ts', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ('progress' in data) return this.onProgress(data.progress);
      if ('shown' in data) return this.shown(data.shown);
      if ('died' in data) return this.close(new Error(data.died));
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ('error' in data) waiting?.reject(failed(data));
      else waiting?.resolve(data.value as never);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.close(
        new Error(`The inspector could not be loaded. Reload the page and try again. ${event.message ?? ''}`.trim()),
      );
    };
  }

  /**
   * Opens a checkpoint in a worker of its own. Aborting ends that worker. What comes back in place of an address opens again
   * without a request. What the small wasm leaves to the other one opens there.
   */
  static async open(
    entries: Entry[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
    wasm: Wasm = wasmFor(entries),
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
      throw error;
    }
  }

  /** Samples the weights, reporting through `onProgress` of `open`. Aborting ends it and leaves the report as it was. */
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

  /** Runs the model that is planned, from where it stands, handing what it shows to `show`; a verifier's call. */
  run(show: Show, signal: AbortSignal): Promise<Json<RunOutcome>> {
    this.onShown = show;
    return this.ask('run', [], signal);
  }

  /** Measures what a run has shown, also one in another worker; a verifier's call. */
  measureSample(sample: Sample, device: 'gpu' | 'cpu', signal: AbortSignal): Promise<Json<Measured>> {
    const transfer = [sample.output.buffer, ...('before' in sample ? [sample.before.buffer] : [])];
    return this.ask('measureSample', [sample, device], signal, transfer);
  }

  private shown(shown: Shown): void {
    // Whoever cannot take it does not want more.
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

  /** What changed from this checkpoint to that of `entries`: a `Comparison`; a verifier's call. */
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

  /** Draws the figures of what `compare` or `adapter` gave; a verifier's. */
  of(report: Json<Comparison | AdapterReport>): Drawer {
    return {
      figure: (kind, _, width, height, signal) => this.ask('figureOf', [report, kind, width, height], signal),
      csv: (kind, _, signal) => this.ask('csvOf', [report, kind], signal),
    };
  }

  /** Ends the worker; calls still waiting fail with `reason`. */
  close(reason: unknown = new DOMException('The checkpoint was closed.', 'AbortError')): void {
    this.ended ??= { reason };
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  /**
   * Asks the worker. What no method above does needs none: `Calls` says what there is, and what only the verifier answers fails in
   * the inspector.
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
      this.waiting.set(id, { resolve, reject });
      signal.addEventListener('abort', () => this.waiting.delete(id) && reject(signal.reason), { once: true });
      this.worker.postMessage({ id, call, args } as Request, transfer);
    });
  }
}
