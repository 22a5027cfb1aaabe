/**
 * What the page and its worker say to each other. Both sides are compiled against this file, each with its own `lib`, so
 * that neither can reach for the other's globals.
 */
import type {
  AdapterReport,
  Comparison,
  Contents,
  Figure,
  FigureKind,
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

/** One file of a checkpoint and where it lies in what was dropped, for example `folder/model.safetensors`. An `input` is an image to run the model on. */
export type Dropped = { path: string; file: File; input?: boolean };

/** A configuration for which weights are drawn at random, from this seed. */
export type Drawn = Dropped & { seed: number };

/** A URL, or `org/model[@revision]` on a hub. The token goes to the address's own host and is kept in memory only. */
export type Address = { address: string; hub?: string; token?: string };

/** A file behind an address that a worker has opened, with what it read of it: another worker takes it as it is. */
export type Known = { path: string; url?: string; whole?: Uint8Array };

/** A report that came in a link: its fragment, from `#report=` on. */
export type Linked = { link: string };

/** What is opened: files, one address, or a report from a link. */
export type Entry = Dropped | Drawn | Address | Known | Linked;

/** Where the exact covariance is computed, with the same numbers: "fastest" tries both; without a GPU the CPU does it. */
export type Device = Wanted;

/** What a run has shown of a norm (by its index in the report) or of the stream after a block, to be measured by any worker. */
export type Sample = {
  name: string;
  width: number;
  output: Float32Array<ArrayBuffer>;
} & ({ site: number; before: Float32Array<ArrayBuffer> } | { block: number });

/** What a run shows: something to be measured, or only how many blocks, tokens of the loss and moved readers are done. */
export type Shown = { sample: Sample | null; blocks: number; losses: number; moved: number };

/** A value as text: long ones are sooner parsed than copied object by object, and most are only handed on. */
export type Json<Value> = string & { readonly of?: Value };

/** The value of a text. */
export const parse = <Value>(json: Json<Value>): Value => JSON.parse(json) as Value;

/** A value as text. */
export const write = <Value>(value: Value): Json<Value> => JSON.stringify(value) as Json<Value>;

/**
 * The calls a worker answers. `open` comes first and once: a worker holds one checkpoint. `weigh` resolves to null when it
 * was stopped. Only the verifier answers `plan`, `measure`,
 * `verify`, `alone`, what runs the model, `link`, `html`, and what puts the checkpoint beside something else: `compare` and all after it.
 */
export interface Calls {
  open(entries: Entry[]): Json<Report>;
  /** What another worker opens in place of an address; empty when files were dropped. */
  entries(): Known[];
  weigh(): Json<Report> | null;
  stopWeighing(): void;
  /** Reads what a file of activations holds, and what measuring it takes. */
  plan(activations: Dropped, site: string | undefined, device: Device): Json<MeasurementPlan>;
  /** Measures the site at this place of the plan. */
  measure(at: number): Json<Outcome>;
  /** Measures one norm on random inputs, as both kinds. */
  alone(site: string, device: Device): Json<NormAlone>;
  /** Takes outcomes into the report. */
  verify(measured: Json<Outcomes>): Json<Report>;
  /** Plans to run the model, on a text or a list of ids if one is given. */
  planRun(options: RunOptions, files: Dropped[], device: Device): Json<RunPlan>;
  /** Runs the planned model from the block that it has reached. Resolves to the outcome without the samples, for `ran`. */
  run(): Json<RunOutcome>;
  /** Stops a run before its next matrix. */
  stopRun(): void;
  /** Lets a run go on after it has shown something, or stops it. */
  goOn(stop: boolean): void;
  /** All that came of a run, without what was measured. */
  ran(outcome: Json<RunOutcome>, seconds: number): Json<RunResult>;
  /** Measures what a run in another worker has shown. */
  measureSample(sample: Sample, device: 'gpu' | 'cpu'): Json<Measured>;
  /** Turns the checkpoint, and the run if one is planned, into that of the same architecture with random weights. */
  twin(seed: number): void;
  /** Takes all that came of a run into the report, beside that of a twin drawn from `seed` if one was run. */
  verifyRun(ran: Json<RunResult>, ofTwin: Json<RunResult> | undefined, seed: number): Json<Report>;
  /** The report as the fragment of a link, or as an HTML file; `made` is when. */
  link(names: boolean, made: string): string;
  html(names: boolean, made: string): string;
  /** Every tensor of the files and the documents about them. */
  contents(): Json<Contents>;
  /** A figure of the report and its table; `site` is the name of a tensor where the figure is of its values. */
  figure(kind: FigureKind, site: string | undefined, width: number, height: number): Figure;
  csv(kind: FigureKind, site: string | undefined): string;
  /** Compares the checkpoint with another one. `weighs` also samples the weights of the other. */
  compare(entries: Entry[], weighs: boolean): Json<Comparison>;
  /** What an adapter wastes on this checkpoint. */
  adapter(entries: Dropped[]): Json<AdapterReport>;
  /** A file of the kernel directions of these sites, or of all. */
  export(sites: string[] | undefined, json: boolean): Uint8Array<ArrayBuffer>;
  /** A figure, and its table, of what `compare` or `adapter` gave. */
  figureOf(report: Json<Comparison | AdapterReport>, kind: FigureKind, width: number, height: number): Figure;
  csvOf(report: Json<Comparison | AdapterReport>, kind: FigureKind): string;
}

/** A call on its way to the worker. */
export type Request = {
  [Name in keyof Calls]: { id: number; call: Name; args: Parameters<Calls[Name]> };
}[keyof Calls];

/** What comes back: progress of the open that is running, what a run shows before it waits for `goOn`, or the answer to one request. */
export type Reply =
  | { progress: Progress }
  | { shown: Shown }
  | { died: string }
  | { id: number; value: ReturnType<Calls[keyof Calls]> }
  | Failed;

/** A call that failed, by the name of its error; `checkpoints` lists those that the files are, where they are several. */
export type Failed = { id: number; error: string; name: string; checkpoints?: Gathered[] };
