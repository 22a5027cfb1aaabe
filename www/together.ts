/**
 * Compares the open checkpoint with another one, measures an adapter on it, and exports its kernel directions. Loaded when a report is
 * open. A failure changes nothing.
 */
import { effect, signal } from '@preact/signals';
import { type Dropped, type Entry, type Json, parse } from './protocol';
import type { AdapterReport, Comparison, Progress, Report } from './report';
import { announcement } from './state/announcement';
import { opened } from './state/opened';
import { besides } from './state/sections';
import type { Gather } from './state/opening';
import type { Task } from './state/task';
import { withVerifier } from './state/verifier';

/** The kind of work. It is also the id of the section that shows it. */
export type Work = 'compare' | 'adapter';

/** A result, parsed and as JSON for the worker that draws its figures. `of` is the id of the checkpoint, `base` its report. */
export type Beside<Result> = { of: number; base: Report; entries: Entry[]; json: Json<Result>; result: Result };

/** The last comparison and the last adapter of the open checkpoint. */
export const comparison = signal<Beside<Comparison> | null>(null);
export const adapter = signal<Beside<AdapterReport> | null>(null);

/** The running work. */
export const working = signal<(Task & { work: Work; of: number }) | null>(null);

/** The error of the last work that failed. */
export const workFailure = signal<{ work: Work; of: number; sentence: string } | null>(null);

// The bar links to the results.
effect(() => {
  besides.value = [...(comparison.value ? (['compare'] as const) : []), ...(adapter.value ? (['adapter'] as const) : [])];
});

// When another checkpoint is opened, the work and results of the earlier one end.
effect(() => {
  const id = opened.value?.id;
  const now = working.peek();
  if (now && now.of !== id) end('Another checkpoint was opened.');
  for (const kept of [comparison, adapter, workFailure]) {
    const { of } = kept.peek() ?? {};
    if (of !== undefined && of !== id) kept.value = null;
  }
});

function end(reason: string): void {
  working.peek()?.controller.abort(new DOMException(reason, 'AbortError'));
  working.value = null;
}

/** Stops what is running. */
export function stopWork(): void {
  end('It was stopped.');
  announcement.value = 'Stopped';
}

const EMPTY = 'That contains no file. Choose the files, or the folder.';

/** Compares the open checkpoint with what `gather` finds. Changes count from the open one. */
export function compare(gather: Gather): Promise<Comparison> {
  return work('compare', async (controller) => {
    const { signal: stop } = controller;
    const entries = await gather(stop);
    if (entries.length === 0) throw new Error(EMPTY);
    const { id, report, inspector } = await withVerifier();
    const tell = (progress: Progress) => {
      if (working.value?.controller === controller) working.value = { ...working.value, progress };
    };
    // Sample the weights of both or of neither: writer energies of one alone would make the verdicts differ.
    const weighs = report.writers.length > 0 && entries.every((entry) => 'file' in entry);
    const json = await inspector.compare(entries, weighs, tell, stop);
    const result = parse(json);
    comparison.value = { of: id, base: report, entries, json, result };
    announcement.value = `Compared. ${result.sentence}`;
    return result;
  });
}

/** Measures an adapter on the open checkpoint, its base. */
export function weighAdapter(entries: Dropped[]): Promise<AdapterReport> {
  return work('adapter', async ({ signal: stop }) => {
    if (entries.length === 0) throw new Error(EMPTY);
    const { id, report, inspector } = await withVerifier();
    const json = await inspector.ask('adapter', [entries], stop);
    const result = parse(json);
    adapter.value = { of: id, base: report, entries, json, result };
    announcement.value = `The adapter is measured. ${result.sentence}`;
    return result;
  });
}

/** Calls `weighAdapter` for an adapter that was opened like a checkpoint. Resolves to the open report. */
export async function adapterOf(entries: Dropped[]): Promise<Report> {
  goTo('adapter');
  await weighAdapter(entries);
  if (!opened.value) throw new Error(NOTHING_OPEN);
  return opened.value.report;
}

/** Returns the kernel directions of these sites, or of all, as a file. */
export async function exportKernels(sites: string[] | undefined, format: Format): Promise<Blob> {
  const { inspector } = await withVerifier();
  const bytes = await inspector.ask('export', [sites, format === 'json'], new AbortController().signal);
  return new Blob([bytes], { type: format === 'json' ? 'application/json' : 'application/octet-stream' });
}

export type Format = 'safetensors' | 'json';

const NOTHING_OPEN = 'Open a checkpoint first. Other checkpoints are compared with it, and it is the base of an adapter.';

async function work<Result>(kind: Work, run: (controller: AbortController) => Promise<Result>): Promise<Result> {
  const current = opened.value;
  if (!current) throw new Error(NOTHING_OPEN);
  end('Another one was started.');
  const controller = new AbortController();
  const { signal: stop } = controller;
  const of = current.id;
  working.value = { work: kind, of, progress: null, controller };
  workFailure.value = null;
  announcement.value = kind === 'compare' ? 'Comparing' : 'Measuring the adapter';
  try {
    const stopped = new Promise<never>((_, reject) => stop.addEventListener('abort', () => reject(stop.reason as Error)));
    return await Promise.race([run(controller), stopped]);
  } catch (error) {
    if (!stop.aborted) workFailure.value = { work: kind, of, sentence: error instanceof Error ? error.message : String(error) };
    throw error;
  } finally {
    if (working.value?.controller === controller) working.value = null;
  }
}

/** Calls `compare` from event handlers. */
export function showCompared(gather: Gather): void {
  goTo('compare');
  compare(gather).catch(() => undefined);
}

/** Calls `weighAdapter` from event handlers. */
export function showWeighed(entries: Dropped[]): void {
  goTo('adapter');
  weighAdapter(entries).catch(() => undefined);
}

/** Scrolls to the section that shows the result. */
function goTo(section: Work): void {
  document.getElementById(section)?.scrollIntoView({ block: 'start' });
}
