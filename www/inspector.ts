/**
 * The bridge to the worker. One worker holds one opened checkpoint: a new open starts a new worker and leaves the
 * earlier one, with its figures, untouched until the new one has succeeded. A wasm loop cannot be interrupted, so
 * cancelling an open ends its worker; cancelling a figure only drops its answer, as the checkpoint is still wanted.
 */
import type { Calls, Device, Dropped, Entry, Failed, Json, Reply, Request, Sample, Shown } from './protocol';
import type { Figure, FigureKind, Gathered, MeasurementPlan, NormAlone, Progress, Report, RunOptions, RunPlan } from './report';

/** Which wasm the worker runs: the small one, which opens dropped files, or the one that can measure, draw weights and open addresses. */
type Wasm = 'inspector' | 'verifier';

const wasmFor = (entries: Entry[]): Wasm => (entries.every((entry) => 'file' in entry && !('seed' in entry)) ? 'inspector' : 'verifier');

/** Whatever draws figures: an inspector those of its report, or those of something else. */
export type Drawer = Pick<Inspector, 'figure' | 'csv'>;

/** Takes what a run shows; resolves to true to stop it. */
export type Show = (shown: Shown) => Promise<boolean>;

type Waiting = { resolve(value: never): void; reject(reason: unknown): void };

let inspectors = 0;

/** That the files are several checkpoints, and which. */
export class SeveralCheckpoints extends Error {
  override name = 'SeveralCheckpoints';
  constructor(
    message: string,
    readonly checkpoints: readonly Gathered[],
  ) {
    super(message);
  }
}

function failed({ error, name, checkpoints }: Failed): Error {
  if (checkpoints !== undefined) return new SeveralCheckpoints(error, JSON.parse(checkpoints) as Gathered[]);
  return Object.assign(new Error(error), { name });
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
      wasm === 'verifier'
        ? new Worker(new URL('./worker/verifier.ts', import.meta.url), { type: 'module' })
        : new Worker(new URL('./worker/worker.ts', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ('progress' in data) return this.onProgress(data.progress);
      if ('shown' in data) return this.shown(data.shown);
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
   * without a request.
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
      const report = parsed(await inspector.call('open', [entries], signal));
      const remote = report.checkpoint.remote !== null && report.shared === null;
      return { inspector, report, entries: remote ? await inspector.call('entries', [], signal) : entries };
    } catch (error) {
      inspector.close(error);
      throw error;
    }
  }

  /** Samples the weights, reporting through `onProgress` of `open`. Aborting ends it and leaves the report as it was. */
  async weigh(signal: AbortSignal): Promise<Report> {
    const stop = () => void this.call('stopWeighing', [], new AbortController().signal);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const report = await this.call('weigh', [], signal);
      if (report === null) throw new DOMException('Sampling the weights was stopped.', 'AbortError');
      return parsed(report);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Reads what a file of activations holds and what measuring it takes; a verifier's call. */
  async plan(activations: Dropped, site: string | undefined, device: Device, signal: AbortSignal): Promise<MeasurementPlan> {
    return JSON.parse(await this.call('plan', [activations, site, device], signal)) as MeasurementPlan;
  }

  /** Measures the site at this place of the plan; a verifier's call. */
  measure(at: number, signal: AbortSignal): Promise<Json> {
    return this.call('measure', [at], signal);
  }

  /** Takes outcomes into the report; a verifier's call. */
  async verify(measured: Json, signal: AbortSignal): Promise<Report> {
    return parsed(await this.call('verify', [measured], signal));
  }

  /** Measures one norm on random inputs, as both kinds; a verifier's call. */
  async alone(site: string, device: Device, signal: AbortSignal): Promise<NormAlone> {
    return JSON.parse(await this.call('alone', [site, device], signal)) as NormAlone;
  }

  /** Plans to run the model, on a text or a list of ids if one is given; a verifier's call. */
  async planRun(options: RunOptions, file: Dropped | undefined, device: Device, signal: AbortSignal): Promise<RunPlan> {
    return JSON.parse(await this.call('planRun', [options, file, device], signal)) as RunPlan;
  }

  /** Runs the model that is planned, from where it stands, handing what it shows to `show`; a verifier's call. */
  run(show: Show, signal: AbortSignal): Promise<Json> {
    this.onShown = show;
    return this.call('run', [], signal);
  }

  /** All that came of a run, without what was measured; a verifier's call. */
  ran(carried: Json, seconds: number, signal: AbortSignal): Promise<Json> {
    return this.call('ran', [carried, seconds], signal);
  }

  /** Measures what a run has shown, also one in another worker; a verifier's call. */
  measureSample(sample: Sample, device: 'gpu' | 'cpu', signal: AbortSignal): Promise<Json> {
    const transfer = [sample.output.buffer, ...('before' in sample ? [sample.before.buffer] : [])];
    return this.call('measureSample', [sample, device], signal, transfer);
  }

  /** Turns the checkpoint, and the run that is planned, into the same with random weights drawn from `seed`; a verifier's call. */
  twin(seed: number, signal: AbortSignal): Promise<void> {
    return this.call('twin', [seed], signal);
  }

  /** Takes all that came of a run into the report, beside that of a twin if one was run; a verifier's call. */
  async verifyRun(ran: Json, ofTwin: Json | undefined, seed: number, signal: AbortSignal): Promise<Report> {
    return parsed(await this.call('verifyRun', [ran, ofTwin, seed], signal));
  }

  private shown(shown: Shown): void {
    // Whoever cannot take it does not want more.
    const taken = this.onShown(shown).catch(() => true);
    void taken.then((stop) => this.call('goOn', [stop], new AbortController().signal)).catch(() => undefined);
  }

  /** The report as the fragment of a link; a verifier's call. */
  link(names: boolean, signal: AbortSignal): Promise<string> {
    return this.call('link', [names, new Date().toISOString()], signal);
  }

  /** The report as one HTML file; a verifier's call. */
  html(names: boolean, signal: AbortSignal): Promise<string> {
    return this.call('html', [names, new Date().toISOString()], signal);
  }

  figure(
    kind: FigureKind,
    site: string | undefined,
    width: number,
    height: number,
    signal: AbortSignal,
  ): Promise<Figure> {
    return this.call('figure', [kind, site, width, height], signal);
  }

  csv(kind: FigureKind, site: string | undefined, signal: AbortSignal): Promise<string> {
    return this.call('csv', [kind, site], signal);
  }

  /** What changed from this checkpoint to that of `entries`: a `Comparison`; a verifier's call. */
  async compare(
    entries: Entry[],
    weighs: boolean,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Json> {
    const usual = this.onProgress;
    this.onProgress = onProgress;
    try {
      return await this.call('compare', [entries, weighs], signal);
    } finally {
      this.onProgress = usual;
    }
  }

  /** What an adapter wastes on this checkpoint: an `AdapterReport`; a verifier's call. */
  adapter(entries: Dropped[], signal: AbortSignal): Promise<Json> {
    return this.call('adapter', [entries], signal);
  }

  /** The kernels of these sites, or of all, as a file; a verifier's call. */
  export(sites: string[] | undefined, json: boolean, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.call('export', [sites, json], signal);
  }

  /** Draws the figures of what `compare` or `adapter` gave; a verifier's. */
  of(report: Json): Drawer {
    return {
      figure: (kind, _, width, height, signal) => this.call('figureOf', [report, kind, width, height], signal),
      csv: (kind, _, signal) => this.call('csvOf', [report, kind], signal),
    };
  }

  /** Ends the worker; calls still waiting fail with `reason`. */
  close(reason: unknown = new DOMException('The checkpoint was closed.', 'AbortError')): void {
    this.ended ??= { reason };
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  private call<Name extends keyof Calls>(
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

function parsed(report: Json): Report {
  return JSON.parse(report) as Report;
}
