/** Files that are dropped or pasted: a checkpoint, two at once, or another beside the open one. Loaded with the first drop. */
import { isAdapter, pairOf, topOf } from './files';
import { open, show } from './intake';
import type { Dropped } from './protocol';
import { announcement } from './state/announcement';
import { choice } from './state/choice';
import { opened } from './state/opened';
import { showCompared, showWeighed } from './together';

/**
 * Opens what was dropped. Where it is two things, a base and its adapter are opened and measured, and of two checkpoints
 * somebody is asked. With `compare` the open one stays, and is compared with what was dropped.
 */
export function drop(dropped: Promise<Dropped[]>, handles: Promise<FileSystemHandle[]>, compares: boolean): void {
  if (compares && opened.value) return void besides(dropped);
  let second: Dropped[] | undefined;
  const gather = async (stop: AbortSignal) => {
    const entries = await dropped;
    const pair = pairOf(entries);
    if (!pair) return entries;
    const together = isAdapter(pair[1]) || (await ask([topOf(pair[0]), topOf(pair[1])], stop));
    if (together) second = pair[1];
    return together ? pair[0] : entries;
  };
  // Two things are not one to open again.
  const origin = async () => ({ handles: second ? [] : await handles });
  open(gather, undefined, origin).then(
    () => {
      if (!second) return;
      if (isAdapter(second)) showWeighed(second);
      else showCompared(() => second ?? []);
    },
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

/** Asks what two things are that were dropped at once: whether they are to be compared, or opened as one. */
function ask(names: [string, string], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const end = () => (choice.value = null);
    signal.addEventListener('abort', () => (end(), reject(signal.reason as Error)), { once: true });
    announcement.value = 'Two checkpoints were dropped';
    choice.value = { names, choose: (compare) => (end(), resolve(compare)) };
  });
}
