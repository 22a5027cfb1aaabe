/** Files that are dropped or pasted: a checkpoint, a base with its adapter, or another beside the open one. Loaded with the first drop. */
import { baseAndAdapter, isAdapter } from './files';
import { open, show } from './intake';
import type { Dropped } from './protocol';
import { shown } from './state/opened';
import { showCompared, showWeighed } from './together';

/**
 * Opens what was dropped; a base and its adapter are opened and measured. With `compare` the open one stays, and is compared with what
 * was dropped.
 */
export function drop(dropped: Promise<Dropped[]>, handles: Promise<FileSystemHandle[]>, compares: boolean): void {
  if (compares && shown.value) return void besides(dropped);
  let adapter: Dropped[] | undefined;
  const gather = async () => {
    const entries = await dropped;
    const pair = baseAndAdapter(entries);
    adapter = pair?.[1];
    return pair?.[0] ?? entries;
  };
  // Two things are not one to open again.
  const origin = async () => ({ handles: adapter ? [] : await handles });
  open(gather, undefined, origin).then(
    () => adapter && showWeighed(adapter),
    () => undefined,
  );
}

/** What was dropped to be compared with the open one; an adapter is measured. */
async function besides(dropped: Promise<Dropped[]>): Promise<void> {
  const entries = await dropped.catch(() => null);
  // What the browser could not read has its sentence where it is opened.
  if (entries === null) return show(() => dropped);
  if (isAdapter(entries)) showWeighed(entries);
  else showCompared(() => entries);
}
