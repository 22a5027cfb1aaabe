/** Opens a checkpoint, and holds the state of opening: progress, errors and questions. */
import { effect, signal } from '@preact/signals';
import { fragmentOf, hasWeights } from '../files';
import { Inspector, SeveralCheckpoints } from '../inspector';
import type { Dropped, Entry } from '../protocol';
import type { Origin } from '../recent';
import type { Progress, Report } from '../report';
import { announcement } from './announcement';
import { alone, measureFailure, measuring } from './measuring';
import { media } from './media';
import { type Opened, opened, pointedAt } from './opened';
import type { Task } from './task';
import { weigh, weighing, weighs } from './weighing';

/** The running open. */
export const opening = signal<Task | null>(null);

/** Resolves when no open is running. */
export function nothingOpening(): Promise<void> {
  return new Promise((resolve) => {
    const end = effect(() => {
      if (opening.value === null) queueMicrotask(() => (end(), resolve()));
    });
  });
}

/** The error of the last open, until it is dismissed or another open begins. */
export const failure = signal<string | null>(null);

/** Whether the last address failed because it needs a token. */
export const tokenWanted = signal(false);

/** The files of the last open that failed, if they are a configuration without weights: weights can be drawn for it. */
export const drawable = signal<Dropped[] | null>(null);

/** One of several checkpoints that were opened together. */
export type Candidate = { name: string; entries: Entry[] };

/** Two checkpoints, while the page asks which one to open or whether to compare them. `both` is set if they may be one. */
export const several = signal<{
  two: readonly [Candidate, Candidate];
  both: Candidate | null;
  open: (one: Candidate) => Promise<Report>;
} | null>(null);

/** The seed of random weights. It is the same for everybody, so that numbers can be compared. */
export const SEED = 1;

let opens = 0;

/** Finds what to open. */
export type Gather = (signal: AbortSignal) => Entry[] | Promise<Entry[]>;

/** Returns how to open something again. */
export type Trace = () => Origin | Promise<Origin>;

/**
 * How to open: whether to sample weights, and how to open it again. `instead` handles entries that are not a checkpoint, and returns
 * null for a checkpoint. `again` is the id and fragment that these entries had before.
 */
type Options = {
  weights?: boolean | undefined;
  origin?: Trace | undefined;
  again?: Pick<Opened, 'id' | 'fragment'>;
  instead?: (entries: Entry[]) => Promise<Report> | null;
};

/**
 * Opens what `gather` finds and shows its report. Then, with `weights`, it samples the weights and shows the updated report. It first
 * cancels a running open. If it fails, the earlier report and its worker stay. Resolves to the last report shown.
 */
export async function openCheckpoint(
  gather: Gather,
  { weights = weighs.value === 'yes', origin, instead, again }: Options = {},
): Promise<Report> {
  cancel();
  const controller = new AbortController();
  const { signal: stop } = controller;
  opening.value = { progress: null, controller };
  failure.value = null;
  tokenWanted.value = false;
  drawable.value = null;
  several.value = null;
  announcement.value = 'Opening the checkpoint';
  let next: Opened;
  let asked: Entry[] = [];
  try {
    const entries = await gather(stop);
    asked = entries;
    const other = instead?.(entries) ?? null;
    if (other !== null) return other;
    if (entries.length === 0)
      throw new Error('That contains no file. Drop the files or the folder of a checkpoint.');
    const made = await Inspector.open(entries, follow(controller), stop);
    next = { ...(again ?? { id: ++opens, fragment: fragmentOf(entries) }), ...made };
    if (stop.aborted) {
      next.inspector.close();
      stop.throwIfAborted();
    }
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    if (error instanceof SeveralCheckpoints) {
      offer(error, error.entries ?? asked, weights);
      throw error;
    }
    failure.value = error instanceof Error ? error.message : String(error);
    tokenWanted.value = error instanceof Error && error.name === 'TokenWanted';
    drawable.value = configurationAlone(asked);
    throw error;
  } finally {
    if (opening.value?.controller === controller) opening.value = null;
  }
  for (const running of [weighing, measuring]) {
    running.value?.controller.abort(new DOMException('Another checkpoint was opened.', 'AbortError'));
    running.value = null;
  }
  alone.value = null;
  measureFailure.value = null;
  opened.value?.inspector.close();
  pointedAt.value = null;
  if (!again) media.value = imagesAmong(asked);
  opened.value = next;
  announcement.value = `Report ready. ${next.report.model.sentence}`;
  if (!again) void keepRecent({ ...next, entries: asked }, origin);
  // At an address, a sample would take thousands of requests.
  return weights && next.report.checkpoint.remote === null && !next.report.shared ? weigh(next) : next.report;
}

/** Returns the images that came with a model for its run. */
function imagesAmong(entries: Entry[]): typeof media.value {
  const files = entries.flatMap((entry) => ('input' in entry && entry.input ? [entry.file] : []));
  return files.length > 0 ? { kind: 'images', files } : null;
}

/** Asks about two checkpoints, and scans more than two. */
function offer({ checkpoints, entries: guessed }: SeveralCheckpoints, entries: Entry[], weights: boolean): void {
  const all = checkpoints.map(({ name, files }) => ({ name, entries: files.flatMap((at) => entries[at] ?? []) }));
  const [first, second, ...more] = all;
  if (!first || !second || more.length > 0) return void import('./scanning').then(({ scanAll }) => scanAll(all));
  announcement.value = 'These are two checkpoints. Open one of them, or compare them.';
  const both = guessed && { name: 'both', entries };
  several.value = { two: [first, second], both, open: ({ entries: own }) => openCheckpoint(() => own, { weights }) };
}

/** Returns the files if they hold a configuration and no weights. */
function configurationAlone(entries: Entry[]): Dropped[] | null {
  const files = entries.filter((entry) => 'file' in entry);
  const configured = files.some(({ path }) => /(^|\/)config\.json$/.test(path));
  return configured && !files.some(hasWeights) && !('seed' in (files[0] ?? {})) ? files : null;
}

/** Opens the configuration that was given without weights, with random weights. */
export function draw(): void {
  const files = drawable.value;
  if (files) openCheckpoint(() => files.map((file) => ({ ...file, seed: SEED }))).catch(() => undefined);
}

/** Puts the opened checkpoint into the recent list: its origin, or its address without the token. */
async function keepRecent({ entries: [first], report }: Opened, origin: Trace | undefined): Promise<void> {
  const { remember } = await import('../recent');
  const { name, bytes } = report.checkpoint;
  if (origin) return remember(await origin(), name, bytes);
  if (!first || !('address' in first)) return;
  const { address, hub } = first;
  await remember({ address: { address, ...(hub ? { hub } : {}) } }, name, bytes);
}

/** Passes progress to the open of `controller`, or to the sampling after it. */
function follow(controller: AbortController): (progress: Progress) => void {
  return (progress) => {
    const running = progress.stage === 'weights' ? weighing : opening;
    const now = running.value;
    if (now && !now.controller.signal.aborted && (running === weighing || now.controller === controller))
      running.value = { ...now, progress };
  };
}

/** Cancels the running open. The open report stays. */
export function cancel(): void {
  if (!opening.value) return;
  opening.value.controller.abort(new DOMException('Opening was cancelled.', 'AbortError'));
  opening.value = null;
  announcement.value = 'Cancelled';
}
