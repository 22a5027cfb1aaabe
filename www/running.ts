/**
 * Runs the model of the open checkpoint: one worker runs it, others measure its samples. The page loads this file when a report is
 * open. If a run is stopped or fails, it keeps its measurements and can go on from its last finished block.
 */
import { effect, signal } from '@preact/signals';
import { workersFor } from './cores';
import { Inspector } from './inspector';
import { Pool } from './pool';
import { type Calls, type Device, type Entry, type Json, type Sample, parse, write } from './protocol';
import type { Measured, Report, RunOptions, RunPlan, RunOutcome, RunResult } from './report';
import { announcement } from './state/announcement';
import { type Opened, opened } from './state/opened';
import { showTaken } from './state/retaking';
import { successor } from './state/verifier';
import { failed } from './verifiers';

/** The options of a run. Missing ones take their defaults. With a `seed`, the twin with random weights runs too. */
export type RunChoice = Partial<RunOptions> & { files?: File[]; device?: Device; ask?: boolean; seed?: number | null };

/** The state of a run. `plan` is null until it is known; `begin` is set while the run waits for a click to start it. */
export type Running = {
  of: number;
  plan: RunPlan | null;
  workers: number;
  /** `twice`: a twin with random weights runs after the model. `twin`: it is running now. */
  twice: boolean;
  twin: boolean;
  begin: (() => void) | null;
  blocks: number;
  shown: number;
  measured: number;
  losses: number;
  moved: number;
  /** Somebody has stopped the run, and it has not ended yet. */
  stopping: boolean;
  controller: AbortController;
  stop: AbortController;
};

/** The current run. */
export const running = signal<Running | null>(null);

/** A run that ended early. `sentence` says why and is null if somebody stopped it; `goOn` continues it. */
export const halted = signal<{ of: number; blocks: number; total: number; sentence: string | null; goOn: () => Promise<Report> } | null>(null);

/** The error of a run that could not begin. `refused`: no other input or device would help. */
export const runFailure = signal<{ of: number; sentence: string; refused?: boolean } | null>(null);

/** The core that runs the model measures nothing. */
const RUNNER = 1;

/** If a plan estimates more seconds than this, the run shows it first and waits for a click. */
const LONG = 120;

// When another checkpoint is opened, the run of the earlier one ends.
effect(() => {
  const id = opened.value?.id;
  const now = running.peek();
  if (now && now.of !== id) {
    now.controller.abort(new DOMException('Another checkpoint was opened.', 'AbortError'));
    running.value = null;
  }
  if (halted.peek() && halted.peek()?.of !== id) forget();
  if (runFailure.peek() && runFailure.peek()?.of !== id) runFailure.value = null;
});

// During a run, the browser asks before it leaves the page.
addEventListener('beforeunload', (event) => {
  if (running.value) event.preventDefault();
});

let held: Inspector | null = null;

function forget(): void {
  held?.close();
  held = null;
  halted.value = null;
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Returns the plan of a run without running it. */
export async function planRun(choice: RunChoice = {}): Promise<RunPlan> {
  const { signal: never } = new AbortController();
  const runner = await start(current().entries, never);
  try {
    return await plan(runner, choice, never);
  } finally {
    runner.close();
  }
}

function current(): Opened {
  if (!opened.value) throw new Error('Open a checkpoint first. The run uses the open model.');
  return opened.value;
}

async function start(entries: Entry[], signal: AbortSignal): Promise<Inspector> {
  const { inspector } = await Inspector.open(entries, () => undefined, signal, 'verifier');
  signal.addEventListener('abort', () => inspector.close(signal.reason), { once: true });
  return inspector;
}

async function plan(runner: Inspector, { files = [], device = 'fastest', ...chosen }: RunChoice, signal: AbortSignal): Promise<RunPlan> {
  const options: RunOptions = {
    tokens: chosen.tokens ?? null,
    sequence: chosen.sequence ?? null,
    blocks: chosen.blocks ?? null,
    sites: chosen.sites ?? 'all',
    input: chosen.input ?? 'usual',
    preservation: chosen.preservation ?? false,
  };
  return parse(await runner.ask('planRun', [options, files.map((file) => ({ path: file.name, file })), device], signal));
}

/** Runs the model and shows the report with the measurements. With `ask`, a long run waits for a click first. */
export async function verify(choice: RunChoice = {}): Promise<Report> {
  const { id, entries } = current();
  const now = begin(id, typeof choice.seed === 'number');
  let runner: Inspector | undefined;
  try {
    const either = AbortSignal.any([now.controller.signal, now.stop.signal]);
    runner = await start(entries, now.controller.signal);
    const planned = await plan(runner, choice, either);
    const workers = workersFor(planned.memory_of_site, RUNNER);
    tell(now, { plan: planned, workers });
    if (choice.ask && secondsOf(planned, workers, now.twice) > LONG) {
      announcement.value = 'The plan of the run is ready.';
      await new Promise<void>((resolve, reject) => {
        either.addEventListener('abort', () => reject(either.reason as Error), { once: true });
        tell(now, { begin: resolve });
      });
    }
    tell(now, { begin: null });
  } catch (error) {
    runner?.close();
    if (!now.controller.signal.aborted && !now.stop.signal.aborted) runFailure.value = { of: id, sentence: sentenceOf(error), refused: choice.files === undefined };
    end(now);
    throw error;
  }
  return execute(now, { runner, blocks: 0, measured: [], owed: [], before: 0, seed: choice.seed ?? null });
}

/** Estimates the seconds of a whole run. With a second core, measuring happens while the model runs. */
export function secondsOf({ pass_seconds, measuring_seconds }: RunPlan, workers: number, twice: boolean): number {
  const measuring = measuring_seconds / workers;
  const once = navigator.hardwareConcurrency > RUNNER ? Math.max(pass_seconds, measuring) : pass_seconds + measuring;
  return twice ? 2 * once : once;
}

function begin(of: number, twice: boolean): Running {
  running.value?.controller.abort(new DOMException('Another run was begun.', 'AbortError'));
  forget();
  runFailure.value = null;
  announcement.value = 'Running the model';
  return (running.value = {
    of,
    plan: null,
    workers: 1,
    twice,
    twin: false,
    begin: null,
    blocks: 0,
    shown: 0,
    measured: 0,
    losses: 0,
    moved: 0,
    stopping: false,
    controller: new AbortController(),
    stop: new AbortController(),
  });
}

function tell({ controller }: Running, news: Partial<Running>): void {
  if (running.value?.controller === controller) running.value = { ...running.value, ...news };
}

function end({ controller }: Running): void {
  if (running.value?.controller === controller) running.value = null;
}

/** The result for a sample whose worker failed. */
function lost(sample: Sample, error: unknown): Measured {
  if ('site' in sample) return { site: [sample.site, failed(sample.name, error)] };
  return { block: [sample.block, { Err: sentenceOf(error) }] };
}

/** The outcome of a run that ended after `stopped` blocks. */
const halfway = (stopped: number): Json<RunOutcome> => write({ loss: null, mean_loss: null, preservation: [], stopped, warnings: [] });

/** Where a run starts or goes on: finished blocks, measured samples, samples still to be measured, and seconds `before`. */
type Leg = { runner: Inspector; blocks: number; measured: Measured[]; owed: Sample[]; before: number; seed: number | null };

/** The result of a leg: what was measured, how many blocks are done, and why it stopped early, if it did. */
type LegOutcome = { ran: RunResult | null; blocks: number; halts: boolean; failure: string | null; seconds: number };

/** Runs a leg and measures it with a pool of workers that `prepare` opens. Calls `onLast` when the model has stopped running. */
async function leg(now: Running, planned: RunPlan, from: Leg, prepare: () => Promise<Inspector>, onLast: (halts: boolean) => void): Promise<LegOutcome> {
  const { runner, measured, owed, before } = from;
  const { controller, stop } = now;
  const { signal: ended } = controller;
  const began = performance.now();
  const device = planned.gram_device === 'cpu' ? 'cpu' : 'gpu';
  const workers = workersFor(planned.memory_of_site, RUNNER);
  const pool = new Pool(workers, prepare);
  let shown = measured.length + owed.length;
  let failure: string | null = null;
  let { blocks } = from;
  let outcome = halfway(blocks);
  const pending = new Set<Promise<void>>();
  const measure = (sample: Sample) => {
    const job: Promise<void> = pool
      // A sample that still waits for a worker when the run stops is measured after *Go on*.
      .run(async (worker) => (stop.signal.aborted ? null : parse(await worker.measureSample(sample, device, ended))))
      .then((done) => (done === null ? void owed.push(sample) : tell(now, { measured: measured.push(done) })))
      .catch((error: unknown) => {
        if (ended.aborted) return;
        // The worker took the sample and failed. Another worker would fail on it too.
        if (sample.output.length === 0) return void measured.push(lost(sample, error));
        // No worker could start. The sample is measured when the run goes on.
        failure ??= sentenceOf(error);
        owed.push(sample);
      })
      .finally(() => pending.delete(job));
    pending.add(job);
  };
  owed.splice(0).forEach(measure);
  const halt = () => void runner.ask('stopRun', [], ended).catch(() => undefined);
  stop.signal.addEventListener('abort', halt, { once: true });
  try {
    outcome = await runner.run(async ({ sample, blocks: done, losses, moved }) => {
      if (done > blocks) tell(now, { blocks: (blocks = done) });
      if (losses > 0 || moved > 0) tell(now, { losses, moved });
      if (sample) {
        tell(now, { shown: ++shown });
        measure(sample);
        // For each worker, one sample is measured and one waits. If there are more, the model waits.
        while (pending.size > 2 * workers && !stop.signal.aborted) await Promise.race(pending);
      }
      // Without workers, nothing more can be measured.
      return stop.signal.aborted || failure !== null;
    }, ended);
  } catch (error) {
    failure = sentenceOf(error);
    outcome = halfway(blocks);
  }
  if (!ended.aborted) onLast(failure !== null || stop.signal.aborted);
  try {
    while (pending.size > 0) await Promise.race(pending);
  } finally {
    pool.close();
  }
  ended.throwIfAborted();
  const seconds = before + (performance.now() - began) / 1000;
  const halts = failure !== null || stop.signal.aborted;
  if (measured.length === 0) return { ran: null, blocks, halts: true, failure, seconds };
  const rest = parse(await runner.ask('ran', [outcome, seconds], ended));
  return { ran: { ...rest, measured }, blocks, halts, failure, seconds };
}

/** Runs the model from its current block, then its twin if a seed is given, and shows the result. */
async function execute(now: Running, all: Leg): Promise<Report> {
  const { of, controller } = now;
  const { signal: ended } = controller;
  const { runner, seed } = all;
  const planned = running.value?.plan ?? now.plan;
  // The worker that will show the report opens while the last samples are measured.
  const heirs: ReturnType<typeof successor>[] = [];
  const heir = () => {
    const opening = heirs[0] ?? successor(current(), ended);
    heirs[0] = opening;
    opening.catch(() => undefined); // The caller that awaits it handles the error.
    return opening;
  };
  try {
    if (!planned) throw new Error('Nothing is planned to be run.');
    const { entries } = current();
    const last = (halts: boolean) => void ((halts || seed === null) && heir());
    const trained = await leg(now, planned, all, () => start(entries, ended), last);
    if (trained.halts) {
      held = runner;
      const { blocks, failure, seconds } = trained;
      const further = { ...all, blocks, before: seconds };
      const goOn = () => execute(resumed(now, planned, further), further);
      halted.value = { of, blocks, total: planned.blocks, sentence: failure, goOn };
    }
    if (trained.ran === null) throw new Error(trained.failure ?? 'The run was stopped before anything was measured.');
    let twin: LegOutcome | null = null;
    if (seed !== null && !trained.halts) {
      await runner.ask('twin', [seed], ended);
      tell(now, { twin: true, blocks: 0, shown: 0, measured: 0, losses: 0, moved: 0 });
      const prepare = async () => {
        const worker = await start(entries, ended);
        await worker.ask('twin', [seed], ended);
        return worker;
      };
      twin = await leg(now, planned, { runner, blocks: 0, measured: [], owed: [], before: 0, seed }, prepare, heir);
    }
    // A half-finished twin cannot be compared with the whole model.
    const ofTwin = twin && !twin.halts ? (twin.ran ?? undefined) : undefined;
    const { inspector } = await heir().catch((error: unknown) => {
      // If a file is gone, it cannot be opened again either. The first error says more.
      throw trained.failure === null ? error : new Error(trained.failure);
    });
    const both: Parameters<Calls['verifyRun']> = [write(trained.ran), ofTwin && write(ofTwin), seed ?? 0];
    const report = await showTaken(of, inspector, (verifier, signal) => verifier.ask('verifyRun', both, signal), ended);
    if (twin?.failure) runFailure.value = { of, sentence: `The run with random weights did not finish: ${twin.failure}` };
    announcement.value = trained.halts ? `The run stopped after ${trained.blocks} of ${planned.blocks} blocks.` : `The run is finished. ${report.model.sentence}`;
    if (!trained.halts) runner.close();
    return report;
  } catch (error) {
    for (const opening of heirs) void opening.then(({ inspector }) => inspector.close(), () => undefined);
    if (ended.aborted) throw ended.reason;
    if (halted.value === null) runFailure.value = { of, sentence: sentenceOf(error) };
    throw error;
  } finally {
    end(now);
  }
}

function resumed(before: Running, plan: RunPlan, { blocks, measured: { length: measured }, owed }: Leg): Running {
  halted.value = null;
  held = null;
  announcement.value = 'The run goes on';
  const [controller, stop] = [new AbortController(), new AbortController()];
  const shown = measured + owed.length;
  return (running.value = { ...before, plan, begin: null, blocks, shown, measured, stopping: false, controller, stop });
}

/** Stops the run before its next matrix. Its measurements stay. */
export function stopRunning(): void {
  const now = running.value;
  if (!now) return;
  announcement.value = 'Stopping';
  running.value = { ...now, stopping: true };
  now.stop.abort();
}

/** Calls `verify` from event handlers: a long run waits for a click first. */
export function showVerified(choice: RunChoice): void {
  verify({ ...choice, ask: true }).catch(() => undefined);
}

/** Goes on with a run that halted. */
export function goOn(): void {
  halted.value?.goOn().catch(() => undefined);
}
