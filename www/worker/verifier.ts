/**
 * The verifier: the larger wasm, which also measures, runs the model, opens addresses and links, shares, compares, measures adapters,
 * exports and folds. The page loads it when one of these is needed.
 */
import init, {
  Adapter,
  type Fold,
  Inspection,
  LinkedReport,
  type Measurement,
  Measurer,
  type ModelRun,
  type WeightSample,
  csvOf,
  figureOf,
  weightsBudget,
} from '../generated/verifier.js';
import type { Known, Shown } from '../protocol';
import type { Figure, Progress, RunPlan } from '../report';
import { openScratch } from '../scratch';
import { network } from './network';
import { type Inspecting, type VerifierCalls, passes, serve, shows, tellProgress } from './serve';

let inspection: Inspection | undefined;
let measurement: Measurement | undefined;
let modelRun: ModelRun | undefined;
let measurer: Measurer | undefined;
let plannedFold: Fold | undefined;
let letGoOn: (stop: boolean) => void = () => undefined;
let letNextCome: () => void = () => undefined;

function live(): Inspection {
  if (!inspection) throw new Error('This report came in a link, which holds less than a checkpoint. Open the checkpoint to do that.');
  return inspection;
}

function planned(): Measurement {
  if (!measurement) throw new Error('No measurement is planned.');
  return measurement;
}

function plannedRun(): ModelRun {
  if (!modelRun) throw new Error('No run is planned.');
  return modelRun;
}

function fold(): Fold {
  if (!plannedFold) throw new Error('No fold is planned.');
  return plannedFold;
}

/** A run reads messages every so many milliseconds, so that it can be stopped between two matrices. */
const PAUSE_MS = 100;

const channel = new MessageChannel();
let stopping = false;
let paused = 0;

/** Whether the run should stop. The run asks before every matrix. */
function pause(): boolean | Promise<boolean> {
  if (performance.now() - paused < PAUSE_MS) return stopping;
  return new Promise((resolve) => {
    channel.port1.onmessage = () => {
      paused = performance.now();
      resolve(stopping);
    };
    channel.port2.postMessage(null);
  });
}

/** Sends the page what a run shows, and waits for `goOn`. Resolves to true to stop the run. */
function show(shown: Shown): Promise<boolean> {
  return new Promise((resolve) => {
    letGoOn = resolve;
    shows(shown);
  });
}

/** Opens a report from a link. What needs the checkpoint fails with a message. */
function linked(fragment: string): Inspecting<WeightSample> {
  const shared = LinkedReport.open(fragment);
  return {
    report: () => shared.report(),
    figure: (kind, site, width, height) => shared.figure(kind, site, width, height),
    csv: (kind, site) => shared.csv(kind, site),
    contents: () => live().contents(),
    valuesFigure: (name, width, height) => live().valuesFigure(name, width, height),
    valuesCsv: (name) => live().valuesCsv(name),
    weigh: (budget, progress) => live().weigh(budget, progress),
    take: (weights) => live().take(weights),
  };
}

/** Loads the wasm before anything is opened, because the page starts a worker in advance. */
const ahead = init();
ahead.catch(() => undefined);

serve<WeightSample, Inspecting<WeightSample>>(
  async (entries) => {
    await ahead.catch(() => init());
    const [first] = entries;
    if (first && 'link' in first) return linked(first.link);
    return (inspection = await Inspection.open(entries, network, tellProgress));
  },
  weightsBudget,
  {
    entries: () => live().entries() as Known[],
    async plan(entry, site, device) {
      measurement = await live().plan(entry, site, device);
      return measurement.plan();
    },
    measure: (at) => live().measure(planned(), at),
    verify(measured) {
      live().verify(measured);
      return live().report();
    },
    async planRun(options, files, device) {
      modelRun = await live().planRun(JSON.stringify(options), files, device);
      const planned = modelRun.plan();
      const scratch = (JSON.parse(planned) as RunPlan).parts > 1 ? await openScratch() : null;
      if (scratch) modelRun = modelRun.keptIn(scratch);
      return planned;
    },
    run() {
      stopping = false;
      return live().run(plannedRun(), show, pause);
    },
    stopRun: () => {
      stopping = true;
    },
    goOn: (stop) => letGoOn(stop),
    ran: (carried, seconds) => plannedRun().ran(carried, seconds),
    async measureSample(sample, device) {
      measurer ??= await Measurer.open(device);
      return live().measureSample(sample, measurer);
    },
    async twin(seed) {
      const twin = await live().twin(seed);
      modelRun = modelRun?.ofTwin(twin);
      live().free();
      inspection = twin;
    },
    async verifyRun(ran, ofTwin, seed) {
      await live().verifyRun(ran, ofTwin, seed);
      return live().report();
    },
    alone: (site, device) => live().alone(site, device),
    link: (names, made) => live().link(names, made),
    html: (names, made) => live().html(names, made),
    async compare(entries, weighs) {
      const other = await Inspection.open(entries, network, tellProgress);
      try {
        if (weighs) {
          const weights = await other.weigh(weightsBudget(), (progress: Progress) => {
            tellProgress(progress);
            return false;
          });
          other.take(weights);
        }
        return live().compare(other);
      } finally {
        other.free();
      }
    },
    async adapter(entries) {
      const adapter = await Adapter.open(entries, network);
      try {
        return await live().adapter(adapter);
      } finally {
        adapter.free();
      }
    },
    export: (sites, json) => live().export(sites, json) as Uint8Array<ArrayBuffer>,
    planFold(operations) {
      plannedFold?.free();
      plannedFold = live().planFold(operations);
      return plannedFold.report();
    },
    shards: () => live().shards() as string[],
    async fold() {
      const take = (shard: number, bytes: Uint8Array<ArrayBuffer>) =>
        new Promise<void>((resolve) => {
          letNextCome = resolve;
          passes({ shard, bytes });
        });
      await fold().write(live(), take);
      return fold().report();
    },
    took: () => letNextCome(),
    async proveFold(files) {
      await fold().prove(live(), files);
      return fold().report();
    },
    foldHtml: (made) => fold().html(made),
    figureOf: (of, kind, width, height) => figureOf(of, kind, width, height) as Figure,
    csvOf,
  } satisfies VerifierCalls,
);
