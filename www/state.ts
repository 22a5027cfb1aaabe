/**
 * The state of the page: a handful of signals and the few actions that change them. Views read signals and call
 * actions; they hold no state that outlives them.
 */
import { computed, signal } from '@preact/signals';
import { Inspector } from './inspector';
import type { Entry } from './protocol';
import type { Progress, Report } from './report';

/** An opened checkpoint: its report, and the worker that still holds its scales and draws its figures. */
export type Opened = { report: Report; inspector: Inspector };

/** The checkpoint on show; null until the first one has been opened. */
export const opened = signal<Opened | null>(null);

/** The open that is running, if one is: how far it is and how to stop it. */
export const opening = signal<{ progress: Progress | null; controller: AbortController } | null>(null);

/** The sentence of the last open that failed, until it is dismissed or another open succeeds. */
export const failure = signal<string | null>(null);

/** A short line for screen readers: said when it changes. */
export const announcement = signal('');

/** The site another part of the page points at (index into `report.norms`); a new object each time it is asked for. */
export const pointedAt = signal<{ site: number } | null>(null);

/** Position of each site by name, for links from readers, warnings and figures. */
export const siteByName = computed(() => new Map(opened.value?.report.norms.map((norm, index) => [norm.name, index])));

/**
 * Opens what `gather` finds and shows its report. An open that is still running is cancelled first; one that fails
 * leaves the earlier report and its worker as they were.
 */
export async function open(gather: (signal: AbortSignal) => Entry[] | Promise<Entry[]>): Promise<Report> {
  cancel();
  const controller = new AbortController();
  const { signal: stop } = controller;
  opening.value = { progress: null, controller };
  failure.value = null;
  announcement.value = 'Opening the checkpoint';
  try {
    const entries = await gather(stop);
    if (entries.length === 0)
      throw new Error('There is no file in that. Drop the files or the folder of a checkpoint.');
    const next = await Inspector.open(
      entries,
      (progress) => {
        if (!stop.aborted) opening.value = { progress, controller };
      },
      stop,
    );
    if (stop.aborted) {
      next.inspector.close();
      stop.throwIfAborted();
    }
    opened.value?.inspector.close();
    pointedAt.value = null;
    opened.value = next;
    announcement.value = `Report ready. ${next.report.model.sentence}`;
    return next.report;
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    failure.value = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    if (opening.value?.controller === controller) opening.value = null;
  }
}

/** `open` for event handlers: the failure is already on the page, so nobody needs the rejection. */
export function show(gather: (signal: AbortSignal) => Entry[] | Promise<Entry[]>): void {
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
