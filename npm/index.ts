/**
 * Gammascope as a library: reads the algebraically dead directions of a transformer checkpoint from its norm scales. It is the same
 * code as the page and the command line, for browsers and Node.
 */
import init, { Adapter, Inspection, LinkedReport, weightsBudget } from './verifier.js';
import { network } from './network.js';
import type {
  AdapterReport,
  Comparison,
  Figure,
  FigureKind,
  MeasurementPlan,
  NormAlone,
  Outcome,
  Outcomes,
  Progress,
  Report,
} from './report.js';

export type * from './report.js';

/** One file of a checkpoint and its path, for example `folder/model.safetensors`. It is read in slices. */
export type NamedBlob = { path: string; file: Blob };

/**
 * A checkpoint: its files, or its address (the URL of a file, an index or a folder, or `org/model[@revision]` on a hub). In Node, a
 * string can also be the path of a local file or folder, which takes precedence.
 */
export type Source = string | URL | Blob | Iterable<Blob | NamedBlob>;

export type OpenOptions = {
  /** Whether to also read a sample of the weights, 64 MB at most. True by default. At an address, they are never sampled. */
  weights?: boolean;
  /** The hub for `org/model`. */
  hub?: string;
  /** A token for the host of the address. */
  token?: string;
  onProgress?: (progress: Progress) => void;
};

let ready: Promise<unknown> | undefined;

const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** Loads the wasm once. If that fails, the next call tries again. */
function load(): Promise<unknown> {
  return (ready ??= (inNode
    ? import('./node.js').then(async ({ wasm }) => init({ module_or_path: await wasm() }))
    : init()
  ).catch((error: unknown) => {
    ready = undefined;
    throw error;
  }));
}

type Entry = NamedBlob | { address: string; hub?: string; token?: string };

async function entriesOf(source: Source, { hub, token }: OpenOptions): Promise<Entry[]> {
  if (typeof source === 'string' || source instanceof URL) {
    const local = inNode ? await (await import('./node.js')).files(source) : null;
    if (local) return local;
    if (inNode && /^(\.{0,2}[\\/]|file:|[a-z]:\\)/i.test(String(source))) {
      throw new Error(`there is no file or folder \`${source}\`: check the path`);
    }
    return [{ address: String(source), ...(hub ? { hub } : {}), ...(token ? { token } : {}) }];
  }
  return named(source);
}

function named(source: Blob | Iterable<Blob | NamedBlob>): NamedBlob[] {
  const list = source instanceof Blob ? [source] : [...source];
  return list.map((item, index) => {
    if (!(item instanceof Blob)) return item;
    const { name, webkitRelativePath } = item as Partial<File>;
    return { path: webkitRelativePath || name || `${index}.safetensors`, file: item };
  });
}

/** An open checkpoint. Every method rejects or throws with a message that says what is wrong, where, and what to do. */
export class Checkpoint {
  private constructor(private readonly inspection: Inspection) {}

  /** Opens a checkpoint: reads its headers and norm tensors, then a sample of its weights unless `weights` is false. */
  static async open(source: Source, options: OpenOptions = {}): Promise<Checkpoint> {
    await load();
    const progress = (now: Progress) => options.onProgress?.(now);
    const entries = await entriesOf(source, options);
    const inspection = await Inspection.open(entries, network, progress);
    const made = new Checkpoint(inspection);
    if (options.weights !== false && made.report.checkpoint.remote === null) {
      inspection.take(
        await inspection.weigh(weightsBudget(), (now: Progress) => {
          progress(now);
          return false;
        }),
      );
    }
    return made;
  }

  /** The report (schema `gammascope.report/1`). */
  get report(): Report {
    return JSON.parse(this.inspection.report()) as Report;
  }

  /** Returns what changed from this checkpoint to another (schema `gammascope.comparison/1`). */
  compare(other: Checkpoint): Comparison {
    return JSON.parse(this.inspection.compare(other.inspection)) as Comparison;
  }

  /** Returns what an adapter (its safetensors file, or the files from PEFT) wastes on this checkpoint (schema `gammascope.adapter/1`). */
  async adapter(source: Source): Promise<AdapterReport> {
    const adapter = await Adapter.open(await entriesOf(source, {}), network);
    try {
      return JSON.parse(await this.inspection.adapter(adapter)) as AdapterReport;
    } finally {
      adapter.free();
    }
  }

  /** Returns the kernel directions of these sites, or of all, as the bytes of a safetensors file or of JSON (`gammascope.kernels/1`). */
  kernels({ sites, format = 'safetensors' }: { sites?: string[]; format?: 'safetensors' | 'json' } = {}): Uint8Array {
    return this.inspection.export(sites, format === 'json');
  }

  /**
   * Measures norms on activations, a `.safetensors` with one tensor per site or an `.npy` of one `site`, and adds the result to the
   * report. It computes the exact covariance on the CPU, in this thread.
   */
  async measure(activations: Source, { site }: { site?: string } = {}): Promise<Report> {
    const [entry] = await entriesOf(activations, {});
    const began = performance.now();
    const measurement = await this.inspection.plan(entry, site, 'cpu');
    try {
      const { sites, warnings, device, input } = JSON.parse(measurement.plan()) as MeasurementPlan;
      const outcomes: Outcome[] = [];
      for (let at = 0; at < sites.length; at += 1)
        outcomes.push(JSON.parse(await this.inspection.measure(measurement, at)) as Outcome);
      const measured: Outcomes = { outcomes, warnings, device, input, seconds: (performance.now() - began) / 1000 };
      this.inspection.verify(JSON.stringify(measured));
    } finally {
      measurement.free();
    }
    return this.report;
  }

  /** Measures one norm on random inputs, as both kinds. This is no evidence about the model. */
  async alone(site: string): Promise<NormAlone> {
    return JSON.parse(await this.inspection.alone(site, 'cpu')) as NormAlone;
  }

  /** Returns one figure as SVG, with its data table. */
  figure(kind: FigureKind, { site, width = 720, height = 0 }: { site?: string; width?: number; height?: number } = {}): Figure {
    return this.inspection.figure(kind, site, width, height) as Figure;
  }

  /** Returns the fragment of a link that holds the report: `#report=…`, to append to the address of any copy of the page. */
  link({ names = true } = {}): string {
    return this.inspection.link(names, new Date().toISOString());
  }

  /** Returns the report as one HTML file. */
  html({ names = true } = {}): string {
    return this.inspection.html(names, new Date().toISOString());
  }

  /** Frees the memory. The checkpoint cannot be used afterwards. */
  close(): void {
    this.inspection.free();
  }
}

/** Returns the report of a checkpoint. */
export async function inspect(source: Source, options: OpenOptions = {}): Promise<Report> {
  const checkpoint = await Checkpoint.open(source, options);
  try {
    return checkpoint.report;
  } finally {
    checkpoint.close();
  }
}

/** Returns the report in a link. */
export async function readLink(link: string): Promise<Report> {
  await load();
  const linked = LinkedReport.open(link.slice(Math.max(0, link.indexOf('#'))).replace(/[&#](site|section)=[^&]*$/, ''));
  try {
    return JSON.parse(linked.report()) as Report;
  } finally {
    linked.free();
  }
}
