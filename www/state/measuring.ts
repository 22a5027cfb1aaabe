/** Measures the open checkpoint on activations, or one of its norms alone. */
import { signal } from '@preact/signals';
import { Inspector } from '../inspector';
import { type Device, type Dropped, parse } from '../protocol';
import type { MeasurementPlan, NormAlone, Report } from '../report';
import { Verifiers } from '../verifiers';
import { announcement } from './announcement';
import { opened } from './opened';
import { showTaken } from './retaking';
import type { Task } from './task';
import { successor } from './verifier';

/** The state of a measurement. `plan` is null until it is known; `begin` is set while the measurement waits for a click to start it. */
export type Measuring = Task & {
  stop: AbortController;
  plan: MeasurementPlan | null;
  workers: number;
  begin: (() => void) | null;
};

/** The running measurement. */
export const measuring = signal<Measuring | null>(null);

/** The last norm of the open checkpoint that was measured alone. */
export const alone = signal<NormAlone | null>(null);

/** The error of the last measurement, until another one begins. */
export const measureFailure = signal<string | null>(null);

/** If a plan estimates more seconds than this, the measurement shows it first and waits for a click. */
const LONG = 20;

/** How to measure: as activations of `site` or by their names, the device, and whether a long measurement waits for a click. */
type Options = { site?: string | undefined; device?: Device | undefined; ask?: boolean };

const NO_CHECKPOINT = 'Open a checkpoint first. Measuring activations needs its scales.';

/** Returns the plan of a measurement without measuring. */
export async function plan(activations: Dropped, { site, device = 'fastest' }: Options = {}): Promise<MeasurementPlan> {
  if (!opened.value) throw new Error(NO_CHECKPOINT);
  const { entries } = opened.value;
  const verifiers = await Verifiers.plan({ entries, activations, site, device }, new AbortController().signal);
  verifiers.close();
  return { ...verifiers.plan, seconds: verifiers.plan.seconds / verifiers.workers };
}

/** Begins a measurement and ends the running one. */
function beginMeasuring(): Measuring {
  measuring.value?.controller.abort(new DOMException('Another measurement was started.', 'AbortError'));
  const [controller, stop] = [new AbortController(), new AbortController()];
  measureFailure.value = null;
  announcement.value = 'Measuring';
  return (measuring.value = { progress: null, controller, stop, plan: null, workers: 1, begin: null });
}

/**
 * Measures sites of the open checkpoint on activations, by their names or all as those of `site`, by default on the faster device.
 * Verifiers open the files again and measure in parallel. Another verifier adds the outcomes to the report, also if measuring was
 * stopped, and replaces the inspector. A failure changes nothing.
 */
export async function measure(activations: Dropped, { site, device = 'fastest', ask = false }: Options = {}): Promise<Report> {
  const current = opened.value;
  if (!current) throw new Error(NO_CHECKPOINT);
  const { controller, stop } = beginMeasuring();
  const { signal: ended } = controller;
  const tell = (news: Partial<Measuring>) => {
    if (measuring.value?.controller === controller) measuring.value = { ...measuring.value, ...news };
  };
  let verifiers: Verifiers | undefined;
  try {
    const either = AbortSignal.any([ended, stop.signal]);
    verifiers = await Verifiers.plan({ entries: current.entries, activations, site, device }, either);
    const { plan, workers } = verifiers;
    tell({ plan, workers });
    if (ask && plan.seconds / workers > LONG) await new Promise<void>((resolve, reject) => {
      either.addEventListener('abort', () => reject(either.reason as Error), { once: true });
      announcement.value = 'The plan of the measurement is ready.';
      tell({ begin: resolve });
    });
    tell({ begin: null });
    const [measured, { inspector: after }] = await Promise.all([
      verifiers.measure((progress) => tell({ progress }), stop.signal, ended),
      successor(current, ended),
    ]);
    const report = await showTaken(current.id, after, (verifier, signal) => verifier.ask('verify', [measured], signal), ended);
    announcement.value = `Measured. ${report.model.sentence}`;
    return report;
  } catch (error) {
    if (!ended.aborted && !stop.signal.aborted) measureFailure.value = error instanceof Error ? error.message : String(error);
    // If no worker can show the report, the others need not measure on.
    controller.abort(error);
    throw error;
  } finally {
    verifiers?.close();
    if (measuring.value?.controller === controller) measuring.value = null;
  }
}

/**
 * Measures the norm of `site` alone, on random inputs, in a separate verifier. The report does not change: the result is no evidence
 * about the model.
 */
export async function measureAlone(site: string, device: Device): Promise<void> {
  const current = opened.value;
  if (!current) return;
  const { controller, stop } = beginMeasuring();
  // Stopping it keeps nothing.
  const ended = AbortSignal.any([controller.signal, stop.signal]);
  let verifier: Inspector | undefined;
  try {
    verifier = (await Inspector.open(current.entries, () => undefined, ended, 'verifier')).inspector;
    alone.value = parse(await verifier.ask('alone', [site, device], ended));
    announcement.value = 'Measured on random inputs';
  } catch (error) {
    if (!ended.aborted) measureFailure.value = error instanceof Error ? error.message : String(error);
  } finally {
    verifier?.close();
    if (measuring.value?.controller === controller) measuring.value = null;
  }
}

/** Calls `measure` from event handlers: a long measurement waits for a click first. */
export function showMeasured(activations: Dropped, site?: string, device?: Device): void {
  measure(activations, { site, device, ask: true }).catch(() => undefined);
}

/** Stops the measurement. Its outcomes so far stay. */
export function stopMeasuring(): void {
  measuring.value?.stop.abort();
}
