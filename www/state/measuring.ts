/** Measuring the open checkpoint on activations, or one of its norms alone. */
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

/** A measurement: its plan as soon as it is known, and `begin` while it waits for somebody to agree to it. */
export type Measuring = Task & {
  stop: AbortController;
  plan: MeasurementPlan | null;
  workers: number;
  begin: (() => void) | null;
};

/** The measurement that is running, if it is. */
export const measuring = signal<Measuring | null>(null);

/** The norm of the open checkpoint that was last measured alone. */
export const alone = signal<NormAlone | null>(null);

/** The sentence of the last measurement that failed, until another one begins. */
export const measureFailure = signal<string | null>(null);

/** A measurement that takes longer than this many seconds waits until somebody has read its plan. */
const LONG = 20;

/** How to measure: one site's activations or those of all, where, and whether a long measurement waits for consent. */
type Options = { site?: string | undefined; device?: Device | undefined; ask?: boolean };

const NO_CHECKPOINT = 'Open a checkpoint first. Measuring activations needs its scales.';

/** What measuring would take. */
export async function plan(activations: Dropped, { site, device = 'fastest' }: Options = {}): Promise<MeasurementPlan> {
  if (!opened.value) throw new Error(NO_CHECKPOINT);
  const { entries } = opened.value;
  const verifiers = await Verifiers.plan({ entries, activations, site, device }, new AbortController().signal);
  verifiers.close();
  return { ...verifiers.plan, seconds: verifiers.plan.seconds / verifiers.workers };
}

/** Begins a measurement in place of one that is running. */
function beginMeasuring(): Measuring {
  measuring.value?.controller.abort(new DOMException('Another measurement was begun.', 'AbortError'));
  const [controller, stop] = [new AbortController(), new AbortController()];
  measureFailure.value = null;
  announcement.value = 'Measuring';
  return (measuring.value = { progress: null, controller, stop, plan: null, workers: 1, begin: null });
}

/**
 * Measures sites of the open checkpoint on activations: by their names, or all of them as those of `site`; on what is
 * fastest, by default. Verifiers open the files again and measure side by side; another one takes
 * what they find into a report, also when it was stopped on the way, and takes the place of the inspector. A failure leaves
 * everything as it was.
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
    throw error;
  } finally {
    verifiers?.close();
    if (measuring.value?.controller === controller) measuring.value = null;
  }
}

/**
 * Measures the norm of `site` alone, on random inputs, in a verifier of its own: the report stays as it is, for what comes
 * out is no evidence about the model.
 */
export async function measureAlone(site: string, device: Device): Promise<void> {
  const current = opened.value;
  if (!current) return;
  const { controller, stop } = beginMeasuring();
  // There is no half of it to keep.
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

/** `measure` for event handlers: a long one asks first. */
export function showMeasured(activations: Dropped, site?: string, device?: Device): void {
  measure(activations, { site, device, ask: true }).catch(() => undefined);
}

/** Ends the measurement; what has been measured until then is kept. */
export function stopMeasuring(): void {
  measuring.value?.stop.abort();
}
