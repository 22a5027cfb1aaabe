/**
 * One leg of a run: a worker runs the model from its current block, and a pool of workers measures its samples. If a leg is stopped or
 * fails, it keeps its measurements, and another leg can go on from there.
 */
import { workersFor } from './cores';
import type { Inspector } from './inspector';
import { Pool } from './pool';
import { type Json, type Sample, parse, write } from './protocol';
import type { Measured, RunOutcome, RunPlan, RunResult } from './report';
import { failed } from './verifiers';

/**
 * Where a run starts or goes on: finished blocks, measured samples, samples still to be measured, and seconds `before`. If the runner
 * dies, `again` plans the same run in a new worker.
 */
export type Leg = {
  runner: Inspector;
  again: ((ended: AbortSignal) => Promise<Inspector>) | null;
  blocks: number;
  measured: Measured[];
  owed: Sample[];
  before: number;
};

/** The result of a leg: the measurements, why it stopped early if it did, and where the next leg goes on. */
export type LegOutcome = { ran: RunResult | null; endsEarly: boolean; failure: string | null; blocks: number; next: Leg };

/** The progress of a leg. */
export type LegProgress = { blocks?: number; shown?: number; measured?: number; losses?: number; moved?: number };

/**
 * What a leg needs from its run. `stop` ends it and keeps the measurements; `ended` ends it and drops them. `prepare` opens a worker of
 * the pool. `onLast` is called when the model has stopped running, while the last samples are measured.
 */
export type Surroundings = {
  stop: AbortSignal;
  ended: AbortSignal;
  prepare: () => Promise<Inspector>;
  tell: (news: LegProgress) => void;
  onLast: (endsEarly: boolean) => void;
};

/** The core that runs the model measures nothing. */
export const RUNNER = 1;

export const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The result for a sample whose worker failed. */
function lost(sample: Sample, error: unknown): Measured {
  if ('site' in sample) return { site: [sample.site, failed(sample.name, error)] };
  return { block: [sample.block, { Err: sentenceOf(error) }] };
}

/** A unique name of a sample. A run that begins again after its worker died shows the same samples again. */
const nameOf = (sample: Sample | Measured): string => {
  const [kind, at] = 'site' in sample ? ['site', sample.site] : ['block', sample.block];
  return `${kind} ${Array.isArray(at) ? at[0] : at}`;
};

/** The leg with a runner that works. A new runner starts at the first block, because the activations were in the earlier one. */
const revived = async (leg: Leg, ended: AbortSignal): Promise<Leg> =>
  leg.runner.isOpen || leg.again === null ? leg : { ...leg, runner: await leg.again(ended), blocks: 0 };

/** The outcome of a run that ended after `stopped` blocks. */
const halfway = (stopped: number): Json<RunOutcome> => write({ loss: null, mean_loss: null, preservation: [], stopped, warnings: [] });

/** Runs a leg of the planned run until its end, `stop`, or a failure. Rejects only if `ended` is aborted or no worker can go on. */
export async function leg(plan: RunPlan, from: Leg, { stop, ended, prepare, tell, onLast }: Surroundings): Promise<LegOutcome> {
  const began = performance.now();
  const beginning = await revived(from, ended);
  const { runner, measured, owed, before } = beginning;
  let { blocks } = beginning;
  const named = new Set([...measured, ...owed].map(nameOf));
  const device = plan.gram_device === 'cpu' ? 'cpu' : 'gpu';
  const workers = workersFor(plan.memory_of_site, RUNNER);
  const pool = new Pool(workers, prepare);
  let shown = measured.length + owed.length;
  let failure: string | null = null;
  let outcome = halfway(blocks);
  const pending = new Set<Promise<void>>();
  const measure = (sample: Sample) => {
    named.add(nameOf(sample));
    const job: Promise<void> = pool
      // A sample that still waits for a worker when the run stops is measured after *Go on*.
      .run(async (worker) => (stop.aborted ? null : parse(await worker.measureSample(sample, device, ended))))
      .then((done) => (done === null ? void owed.push(sample) : tell({ measured: measured.push(done) })))
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
  const stopRunner = () => void runner.ask('stopRun', [], ended).catch(() => undefined);
  stop.addEventListener('abort', stopRunner, { once: true });
  try {
    outcome = await runner.run(async ({ sample, blocks: done, losses, moved }) => {
      if (done > blocks) tell({ blocks: (blocks = done) });
      if (losses > 0 || moved > 0) tell({ losses, moved });
      if (sample && !named.has(nameOf(sample))) {
        tell({ shown: ++shown });
        measure(sample);
        // For each worker, one sample is measured and one waits. If there are more, the model waits.
        while (pending.size > 2 * workers && !stop.aborted) await Promise.race(pending);
      }
      // Without workers, nothing more can be measured.
      return stop.aborted || failure !== null;
    }, ended);
  } catch (error) {
    // After a trap, the wasm of the runner fails at every call.
    if (error instanceof Error && error.name === 'RuntimeError') runner.close(error);
    failure = sentenceOf(error);
    outcome = halfway(blocks);
  }
  if (!ended.aborted) onLast(failure !== null || stop.aborted);
  try {
    while (pending.size > 0) await Promise.race(pending);
  } finally {
    pool.close();
  }
  ended.throwIfAborted();
  const seconds = before + (performance.now() - began) / 1000;
  const endsEarly = failure !== null || stop.aborted;
  const here = { ...beginning, blocks, before: seconds };
  const next = await revived(here, ended).catch(() => here);
  if (measured.length === 0 || !next.runner.isOpen) return { ran: null, endsEarly: true, failure, blocks, next };
  const rest = parse(await next.runner.ask('ran', [outcome, seconds], ended));
  return { ran: { ...rest, measured }, endsEarly, failure, blocks, next };
}
