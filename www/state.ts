/**
 * The state of the page: a handful of signals and the few actions that change them. Views read signals and call
 * actions; they hold no state that outlives them.
 */
import { computed, signal } from '@preact/signals';
import { Inspector } from './inspector';
import type { Entry } from './protocol';
import type { Progress, Report } from './report';
import { stored } from './stored';

/** An opened checkpoint: its report, and the worker that still holds its scales and draws its figures. */
export type Opened = { report: Report; inspector: Inspector };

/** Something that is running: how far it is and how to stop it. */
export type Running = { progress: Progress | null; controller: AbortController };

/** The checkpoint on show; null until the first one has been opened. */
export const opened = signal<Opened | null>(null);

/** The open that is running, if one is. */
export const opening = signal<Running | null>(null);

/** The sampling of the weights of the checkpoint on show, if it is running. */
export const weighing = signal<Running | null>(null);

/** Whether weights are sampled once the first verdict is on the page. */
export const weighs = stored('gammascope.weights', ['yes', 'no'], 'yes');

/** The sentence of the last open that failed, until it is dismissed or another open succeeds. */
export const failure = signal<string | null>(null);

/** A short line for screen readers: said when it changes. */
export const announcement = signal('');

/** The site another part of the page points at (index into `report.norms`); a new object each time it is asked for. */
export const pointedAt = signal<{ site: number } | null>(null);

/** Position of each site by name, for links from readers, warnings and figures. */
export const siteByName = computed(() => new Map(opened.value?.report.norms.map((norm, index) => [norm.name, index])));

type Gather = (signal: AbortSignal) => Entry[] | Promise<Entry[]>;

/**
 * Opens what `gather` finds and shows its report; then, with `weights`, samples the weights and shows the report that
 * takes them into account. An open that is still running is cancelled first; one that fails leaves the earlier report
 * and its worker as they were. Resolves to the last report shown.
 */
export async function open(gather: Gather, weights = weighs.value === 'yes'): Promise<Report> {
  cancel();
  const controller = new AbortController();
  const { signal: stop } = controller;
  opening.value = { progress: null, controller };
  failure.value = null;
  announcement.value = 'Opening the checkpoint';
  let next: Opened;
  try {
    const entries = await gather(stop);
    if (entries.length === 0)
      throw new Error('There is no file in that. Drop the files or the folder of a checkpoint.');
    next = await Inspector.open(entries, follow(controller), stop);
    if (stop.aborted) {
      next.inspector.close();
      stop.throwIfAborted();
    }
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    failure.value = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    if (opening.value?.controller === controller) opening.value = null;
  }
  weighing.value?.controller.abort(new DOMException('Another checkpoint was opened.', 'AbortError'));
  weighing.value = null;
  opened.value?.inspector.close();
  pointedAt.value = null;
  opened.value = next;
  announcement.value = `Report ready. ${next.report.model.sentence}`;
  return weights ? weigh(next) : next.report;
}

/** Takes progress to whatever is running: the open of `controller`, or the sampling after it. */
function follow(controller: AbortController): (progress: Progress) => void {
  return (progress) => {
    const running = progress.stage === 'weights' ? weighing : opening;
    const now = running.value;
    if (now && !now.controller.signal.aborted && (running === weighing || now.controller === controller))
      running.value = { ...now, progress };
  };
}

/** Samples the weights of the checkpoint on show. Stopped, or failed, it leaves the report as it is. */
async function weigh({ report, inspector }: Opened): Promise<Report> {
  const controller = new AbortController();
  weighing.value = { progress: null, controller };
  try {
    const weighed = await inspector.weigh(controller.signal);
    if (opened.value?.inspector !== inspector) return weighed;
    opened.value = { report: weighed, inspector };
    if (weighed.model.sentence !== report.model.sentence)
      announcement.value = `The weights change the verdict. ${weighed.model.sentence}`;
    return weighed;
  } catch (error) {
    // The first verdict stands, and says that the weights were not sampled.
    if (!controller.signal.aborted) console.error(error);
    return report;
  } finally {
    if (weighing.value?.controller === controller) weighing.value = null;
  }
}

/** Samples the weights of the checkpoint on show now, whatever was chosen before. */
export function weighNow(): void {
  if (opened.value && !weighing.value) void weigh(opened.value);
}

/** Stops the sampling of the weights. The report on show stays. */
export function stopWeighing(): void {
  weighing.value?.controller.abort(new DOMException('Sampling the weights was stopped.', 'AbortError'));
  weighing.value = null;
  announcement.value = 'Stopped';
}

/** `open` for event handlers: the failure is already on the page, so nobody needs the rejection. */
export function show(gather: Gather): void {
  open(gather).catch(() => undefined);
}

/** Stops the running open. The report on show stays. */
export function cancel(): void {
  if (!opening.value) return;
  opening.value.controller.abort(new DOMException('Opening was cancelled.', 'AbortError'));
  opening.value = null;
  announcement.value = 'Cancelled';
}

/** Opens a site's row in the table and takes the reader there. */
export function pointAt(name: string): void {
  const site = siteByName.value.get(name);
  if (site !== undefined) pointedAt.value = { site };
}
