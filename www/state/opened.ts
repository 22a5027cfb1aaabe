/** The open checkpoint, and the site of it that is pointed at. */
import { computed, signal } from '@preact/signals';
import type { Inspector } from '../inspector';
import type { Entry } from '../protocol';
import type { Report } from '../report';

/**
 * An opened checkpoint: its report, the worker that still holds its scales and draws its figures, and its files, for the
 * verifier to open again. `id` tells one open from the next; measuring changes the worker, not the id. `fragment` is the part of a link
 * that opens it again, empty for files.
 */
export type Opened = { id: number; report: Report; inspector: Inspector; entries: Entry[]; fragment: string };

/** The open checkpoint; null until the first one has been opened. */
export const opened = signal<Opened | null>(null);

/** What is on the page: the welcome, the report of the open checkpoint, or the table of several checkpoints. */
export type View = 'welcome' | 'report' | 'scan';

export const view = signal<View>('welcome');

/** The open checkpoint while its report is on the page. */
export const shown = computed(() => (view.value === 'report' ? opened.value : null));

/** The site another part of the page points at (index into `report.norms`); a new object each time it is asked for. */
export const pointedAt = signal<{ site: number } | null>(null);

/** Position of each site by name, for links from readers, warnings and figures. */
export const siteByName = computed(() => new Map(opened.value?.report.norms.map((norm, index) => [norm.name, index])));

/** Opens a site's row in the table and takes the reader there. */
export function pointAt(name: string): void {
  const site = siteByName.value.get(name);
  if (site !== undefined) pointedAt.value = { site };
}
