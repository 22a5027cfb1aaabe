/**
 * The messages between the page and its worker. Both are compiled against this file, each with its own `lib`, so that neither can
 * use the globals of the other.
 */
import type {
  AdapterReport,
  Comparison,
  Contents,
  Figure,
  FigureKind,
  FoldOperation,
  FoldReport,
  Gathered,
  Measured,
  MeasurementPlan,
  NormAlone,
  Outcome,
  Outcomes,
  Progress,
  Report,
  RunOptions,
  RunOutcome,
  RunPlan,
  RunResult,
  Wanted,
} from './report';

/** One file of a checkpoint and its path in the drop, for example `folder/model.safetensors`. With `input` it is an image for the run. */
export type Dropped = { path: string; file: File; input?: boolean };

/** A configuration without weights. They are drawn at random from this seed. */
export type Drawn = Dropped & { seed: number };

/** A URL, or `org/model[@revision]` on a hub. The token goes only to the host of the address and stays in memory. */
export type Address = { address: string; hub?: string; token?: string };

/** A file at an address that a worker has opened, with what it has read. Another worker opens it without reading that again. */
export type Known = { path: string; url?: string; whole?: Uint8Array };

/** A report in a link: the fragment from `#report=` on. */
export type Linked = { link: string };

/** What a worker opens: files, one address, or a report from a link. */
export type Entry = Dropped | Drawn | Address | Known | Linked;

/** Where the exact covariance is computed. Both give the same numbers. "fastest" tries both; without a GPU, the CPU does it. */
export type Device = Wanted;

/** The output of a norm (`site` is its index in the report), or the stream after a block, from a run. Any worker can measure it. */
export type Sample = {
  name: string;
  width: number;
  output: Float32Array<ArrayBuffer>;
} & ({ site: number; before: Float32Array<ArrayBuffer> } | { block: number });

/** What a run shows: a sample to measure if there is one, and how many blocks, tokens of the loss and moved readers are done. */
export type Shown = { sample: Sample | null; blocks: number; losses: number; moved: number };

/** The next bytes of a shard of a folded checkpoint. */
export type Piece = { shard: number; bytes: Uint8Array<ArrayBuffer> };

/** A value as JSON text. Parsing a long one is faster than copying its objects, and most are only passed on. */
export type Json<Value> = string & { readonly of?: Value };

/** Parses a value. */
export const parse = <Value>(json: Json<Value>): Value => JSON.parse(json) as Value;

/** Writes a value as text. */
export const write = <Value>(value: Value): Json<Value> => JSON.stringify(value) as Json<Value>;

/**
 * The calls of a worker. `open` comes first and once: a worker holds one checkpoint. `weigh` resolves to null if it was stopped. The
 * inspector answers only `open`, `weigh`, `stopWeighing`, `contents`, `figure` and `csv`; the verifier answers all.
 */
export interface Calls {
  open(entries: Entry[]): Json<Report>;
  /** Returns what another worker opens in place of an address. Empty for dropped files. */
  entries(): Known[];
  weigh(): Json<Report> | null;
  stopWeighing(): void;
  /** Reads the contents of a file of activations, and plans how to measure it. */
  plan(activations: Dropped, site: string | undefined, device: Device): Json<MeasurementPlan>;
  /** Measures the site with this index in the plan. */
  measure(at: number): Json<Outcome>;
  /** Measures one norm on random inputs, as a LayerNorm and as an RMSNorm. */
  alone(site: string, device: Device): Json<NormAlone>;
  /** Adds outcomes to the report. */
  verify(measured: Json<Outcomes>): Json<Report>;
  /** Plans a run of the model, on `files` if there are any. */
  planRun(options: RunOptions, files: Dropped[], device: Device): Json<RunPlan>;
  /** Runs the planned model from its current block. Resolves to the outcome without the samples, for `ran`. */
  run(): Json<RunOutcome>;
  /** Stops a run before its next matrix. */
  stopRun(): void;
  /** Lets a run continue after it has shown something, or stops it. */
  goOn(stop: boolean): void;
  /** Returns the result of a run without its measurements. */
  ran(outcome: Json<RunOutcome>, seconds: number): Json<RunResult>;
  /** Measures a sample of a run in another worker. */
  measureSample(sample: Sample, device: 'gpu' | 'cpu'): Json<Measured>;
  /** Replaces the weights of the checkpoint, and of a planned run, by random ones from `seed`. */
  twin(seed: number): void;
  /** Adds the result of a run to the report, and that of a twin from `seed` if there is one. */
  verifyRun(ran: Json<RunResult>, ofTwin: Json<RunResult> | undefined, seed: number): Json<Report>;
  /** Return the report as the fragment of a link, or as an HTML file. `made` is the date. */
  link(names: boolean, made: string): string;
  html(names: boolean, made: string): string;
  /** Lists every tensor of the files, and the documents beside them. */
  contents(): Json<Contents>;
  /** Return a figure of the report, or its table. For a figure of tensor values, `site` is the name of the tensor. */
  figure(kind: FigureKind, site: string | undefined, width: number, height: number): Figure;
  csv(kind: FigureKind, site: string | undefined): string;
  /** Compares the checkpoint with another one. `weighs` also samples the weights of the other. */
  compare(entries: Entry[], weighs: boolean): Json<Comparison>;
  /** Measures what an adapter wastes on this checkpoint. */
  adapter(entries: Dropped[]): Json<AdapterReport>;
  /** Returns a file of the kernel directions of these sites, or of all. */
  export(sites: string[] | undefined, json: boolean): Uint8Array<ArrayBuffer>;
  /** Plans to fold the checkpoint. */
  planFold(operations: FoldOperation[]): Json<FoldReport>;
  /** Returns the paths of the files with weights, in the order in which `fold` writes them. */
  shards(): string[];
  /** Computes the planned fold. It sends each shard in pieces, and waits for `took` after each. */
  fold(): Json<FoldReport>;
  /** Lets the next piece come. */
  took(): void;
  /** Runs the checkpoint and the folded files on the same tokens. */
  proveFold(files: Dropped[]): Json<FoldReport>;
  /** Returns the fold as an HTML file. `made` is the date. */
  foldHtml(made: string): string;
  /** Return a figure, or its table, of a result of `compare` or `adapter`. */
  figureOf(report: Json<Comparison | AdapterReport>, kind: FigureKind, width: number, height: number): Figure;
  csvOf(report: Json<Comparison | AdapterReport>, kind: FigureKind): string;
}

/** A call to the worker. */
export type Request = {
  [Name in keyof Calls]: { id: number; call: Name; args: Parameters<Calls[Name]> };
}[keyof Calls];

/**
 * A message from the worker: progress, what a run shows before it waits for `goOn`, a piece of a fold before it waits for `took`, a fatal
 * error, the lock that the worker holds while it lives, or the answer to a request.
 */
export type Reply =
  | { progress: Progress }
  | { shown: Shown }
  | { piece: Piece }
  | { died: string | Error }
  | { lock: string }
  | { id: number; value: ReturnType<Calls[keyof Calls]> }
  | Failed;

/** A call that failed. `name` is that of the error. If the files belong to several checkpoints, `checkpoints` lists them. */
export type Failed = { id: number; error: string; name: string; checkpoints?: Gathered[] };
