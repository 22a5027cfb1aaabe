/**
 * Runs the model of the open checkpoint: one worker runs it, others measure its samples. The page loads this file when a report is
 * open. If a run is stopped or fails, it keeps its measurements and can go on from its last finished block.
 */
import { effect, signal } from '@preact/signals';
import { memoryOfARun, workersFor } from './cores';
import { Inspector } from './inspector';
import { type Leg, type LegOutcome, RUNNER, leg, sentenceOf } from './leg';
import { type Calls, type Device, type Entry, parse, write } from './protocol';
import type { Report, RunOptions, RunPlan, RunResult } from './report';
import { clearScratch } from './scratch';
import { announcement } from './state/announcement';
import { type Opened, opened } from './state/opened';
import { showTaken } from './state/retaking';
import { successor } from './state/verifier';

/** The options of a run. Missing ones take their defaults. With a `seed`, the twin with random weights runs too. */
export type RunChoice = Partial<RunOptions> & { files?: File[]; device?: Device; ask?: boolean; seed?: number | null };

/** The state of a run. `plan` is null until it is known; `begin` is set while the run waits for a click to start it. */
export type Running = {
  of: number;
  plan: RunPlan | null;
  /** Seconds until the worker that runs the model had its plan. The workers that measure start in the same way. */
  starting: number;
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

/** What the time of a planned run depends on. */
export type Planned = Pick<Running, 'starting' | 'workers' | 'twice'> & { plan: RunPlan };

/** The current run. */
export const running = signal<Running | null>(null);

/** A run that ended early. `sentence` says why and is null if somebody stopped it; `goOn` continues it. */
export const stopped = signal<{ of: number; blocks: number; total: number; sentence: string | null; goOn: () => Promise<Report> } | null>(null);

/** The error of a run that could not begin. `refused`: no other input or device would help. */
export const runFailure = signal<{ of: number; sentence: string; refused?: boolean } | null>(null);

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
  if (stopped.peek() && stopped.peek()?.of !== id) forget();
  if (runFailure.peek() && runFailure.peek()?.of !== id) runFailure.value = null;
});

// During a run, the browser asks before it leaves the page.
addEventListener('beforeunload', (event) => {
  if (running.value) event.preventDefault();
});

void clearScratch();

let held: Inspector | null = null;

function forget(): void {
  held?.close();
  held = null;
  stopped.value = null;
}

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
    assume: chosen.assume ?? [],
    memory: chosen.memory ?? memoryOfARun(),
  };
  return parse(await runner.ask('planRun', [options, files.map((file) => ({ path: file.name, file })), device], signal));
}

/** Runs the model and shows the report with the measurements. With `ask`, a long run waits for a click first. */
export async function verify(choice: RunChoice = {}): Promise<Report> {
  const { id, entries } = current();
  const now = begin(id, typeof choice.seed === 'number');
  const began = performance.now();
  let runner: Inspector | undefined;
  try {
    const either = AbortSignal.any([now.controller.signal, now.stop.signal]);
    runner = await start(entries, now.controller.signal);
    const planned = await plan(runner, choice, either);
    const workers = workersFor(planned.memory_of_site, RUNNER);
    const starting = (performance.now() - began) / 1000;
    tell(now, { plan: planned, starting, workers });
    if (choice.ask && secondsOf({ plan: planned, starting, workers, twice: now.twice })[1] > LONG) {
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
  const again = async (ended: AbortSignal) => {
    const another = await start(entries, ended);
    await plan(another, choice, ended);
    return another;
  };
  return execute(now, { runner, again, blocks: 0, measured: [], owed: [], before: 0 }, choice.seed ?? null);
}

/**
 * Estimates the least and the most seconds of a whole run: the loss may decide the kind at its first look or at its last. Measuring happens
 * while the model runs, unless both use the same core or the same GPU.
 */
export function secondsOf({ plan, starting, workers, twice }: Planned): [number, number] {
  const { least_pass_seconds, pass_seconds, measuring_seconds, shared } = plan;
  const measuring = measuring_seconds / workers;
  const apart = !shared && navigator.hardwareConcurrency > RUNNER;
  const once = (pass: number) => (apart ? Math.max(pass, measuring) : pass + measuring);
  // A twin has no loss.
  const further = twice ? once(least_pass_seconds) : 0;
  return [starting + once(least_pass_seconds) + further, starting + once(pass_seconds) + further];
}

function begin(of: number, twice: boolean): Running {
  running.value?.controller.abort(new DOMException('Another run was started.', 'AbortError'));
  forget();
  runFailure.value = null;
  announcement.value = 'Running the model';
  return (running.value = {
    of,
    plan: null,
    starting: 0,
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
  // A worker that was just closed still locks its file.
  setTimeout(() => void clearScratch(), 1000);
}

/** Runs the model from its current block, then its twin if a seed is given, and shows the result. */
async function execute(now: Running, from: Leg, seed: number | null): Promise<Report> {
  const { of, controller, stop } = now;
  const { signal: ended } = controller;
  const planned = running.value?.plan ?? now.plan;
  const heir = new Heir(ended);
  let { runner } = from;
  try {
    if (!planned) throw new Error('No run is planned.');
    const { entries } = current();
    const tells = { stop: stop.signal, ended, tell: (news: Partial<Running>) => tell(now, news) };
    const onLast = (endsEarly: boolean) => void ((endsEarly || seed === null) && heir.open());
    const trained = await leg(planned, from, { ...tells, prepare: () => start(entries, ended), onLast });
    const { ran, next } = trained;
    runner = next.runner;
    if (trained.endsEarly) keepStopped(of, planned, trained, () => execute(resumed(now, planned, next), next, seed), next.runner);
    if (ran === null) throw new Error(trained.failure ?? 'The run was stopped before anything was measured.');
    let twin: LegOutcome | null = null;
    if (seed !== null && !trained.endsEarly) {
      await runner.ask('twin', [seed], ended);
      tell(now, { twin: true, blocks: 0, shown: 0, measured: 0, losses: 0, moved: 0 });
      const prepare = async () => {
        const worker = await start(entries, ended);
        await worker.ask('twin', [seed], ended);
        return worker;
      };
      const fresh = { runner, again: null, blocks: 0, measured: [], owed: [], before: 0 };
      twin = await leg(planned, fresh, { ...tells, prepare, onLast: () => void heir.open() });
    }
    if (!trained.endsEarly) runner.close();
    return await conclude(now, planned, { ...trained, ran }, twin, seed, heir);
  } catch (error) {
    heir.close();
    if (held !== runner) runner.close();
    if (ended.aborted) throw ended.reason;
    if (stopped.value === null) runFailure.value = { of, sentence: sentenceOf(error) };
    throw error;
  } finally {
    end(now);
  }
}

/** A leg that measured something. */
type Ran = LegOutcome & { ran: RunResult };

/** Shows the result of a run in the report. If no worker can show it, the measurements stay, and *Go on* tries again. */
async function conclude(now: Running, planned: RunPlan, trained: Ran, twin: LegOutcome | null, seed: number | null, heir: Heir): Promise<Report> {
  const { of, controller } = now;
  const { ran, failure, endsEarly, blocks } = trained;
  // A half-finished twin cannot be compared with the whole model.
  const ofTwin = twin && !twin.endsEarly ? (twin.ran ?? undefined) : undefined;
  const both: Parameters<Calls['verifyRun']> = [write(ran), ofTwin && write(ofTwin), seed ?? 0];
  let report: Report;
  try {
    const { inspector } = await heir.open();
    report = await showTaken(of, inspector, (verifier, signal) => verifier.ask('verifyRun', both, signal), controller.signal);
  } catch (error) {
    // If a file is gone, it cannot be opened again either. The first error says more.
    if (endsEarly || controller.signal.aborted) throw failure === null ? error : new Error(failure);
    const again = async () => {
      const later = resumed(now, planned, trained.next);
      try {
        return await conclude(later, planned, trained, twin, seed, new Heir(later.controller.signal));
      } finally {
        end(later);
      }
    };
    keepStopped(of, planned, { blocks, failure: sentenceOf(error) }, again, null);
    throw error;
  }
  if (twin?.failure) runFailure.value = { of, sentence: `The run with random weights did not finish: ${twin.failure}` };
  announcement.value = endsEarly ? `The run stopped after ${blocks} of ${planned.blocks} blocks.` : `The run is finished. ${report.model.sentence}`;
  return report;
}

/** Says that a run ended early, and keeps its runner for *Go on*. */
function keepStopped(of: number, { blocks: total }: RunPlan, { blocks, failure }: Pick<LegOutcome, 'blocks' | 'failure'>, goOn: () => Promise<Report>, runner: Inspector | null): void {
  held = runner;
  stopped.value = { of, blocks, total, sentence: failure, goOn };
}

/** The worker that will show the report. It opens while the last samples are measured. */
class Heir {
  private opening: ReturnType<typeof successor> | null = null;

  constructor(private readonly ended: AbortSignal) {}

  open(): ReturnType<typeof successor> {
    this.opening ??= successor(current(), this.ended);
    this.opening.catch(() => undefined); // The caller that awaits it handles the error.
    return this.opening;
  }

  close(): void {
    void this.opening?.then(({ inspector }) => inspector.close(), () => undefined);
  }
}

function resumed(before: Running, plan: RunPlan, { blocks, measured: { length: measured }, owed }: Leg): Running {
  stopped.value = null;
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

/** Goes on with a run that stopped. */
export function goOn(): void {
  stopped.value?.goOn().catch(() => undefined);
}
