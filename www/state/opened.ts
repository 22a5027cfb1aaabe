/** The open checkpoint, and the site to go to. */
import { computed, signal } from '@preact/signals';
import type { Inspector } from '../inspector';
import type { Entry } from '../protocol';
import type { Report } from '../report';

/**
 * An open checkpoint: its report, the worker that holds its scales and draws its figures, and its files, for the verifier to open
 * again. Each open has a new `id`; measuring changes the worker, not the id. `fragment` is the part of a link that opens the checkpoint
 * again, empty for files.
 */
export type Opened = { id: number; report: Report; inspector: Inspector; entries: Entry[]; fragment: string };

/** The open checkpoint. Null until the first one is open. */
export const opened = signal<Opened | null>(null);

/** What the page shows: the welcome, the report of the open checkpoint, or the table of several checkpoints. */
export type View = 'welcome' | 'report' | 'scan';

export const view = signal<View>('welcome');

/** The open checkpoint while the page shows its report. */
export const shown = computed(() => (view.value === 'report' ? opened.value : null));

/** The site to go to (index into `report.norms`). Each request is a new object. */
export const pointedAt = signal<{ site: number } | null>(null);

/** The index of each site by name, for links from readers, warnings and figures. */
export const siteByName = computed(() => new Map(opened.value?.report.norms.map((norm, index) => [norm.name, index])));

/** Opens the row of a site in the table and scrolls to it. */
export function pointAt(name: string): void {
  const site = siteByName.value.get(name);
  if (site !== undefined) pointedAt.value = { site };
}
