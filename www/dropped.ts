/** Files that are dropped or pasted: a checkpoint, a base with its adapter, or another beside the open one. Loaded with the first drop. */
import { isAdapter, pairOf, topOf } from './files';
import { SeveralCheckpoints } from './inspector';
import { open, show } from './intake';
import type { Dropped } from './protocol';
import { shown } from './state/opened';

/** Comparisons and adapters are fetched with the first of them. */
const together = () => import('./together');

/**
 * Opens what was dropped; a base and its adapter are opened and measured, and of two checkpoints somebody is asked. With `compare` the open one stays, and is compared with what
 * was dropped.
 */
export function drop(dropped: Promise<Dropped[]>, handles: Promise<FileSystemHandle[]>, compares: boolean): void {
  if (compares && shown.value) return void besides(dropped);
  let adapter: Dropped[] | undefined;
  const gather = async () => {
    const entries = await dropped;
    const pair = pairOf(entries);
    if (!pair) return entries;
    const [first, second] = pair;
    if (!isAdapter(second)) throw twoCheckpoints(entries, pair);
    adapter = second;
    return first;
  };
  // Two things are not one to open again.
  const origin = async () => ({ handles: adapter ? [] : await handles });
  open(gather, undefined, origin).then(
    () => adapter && weigh(adapter),
    () => undefined,
  );
}

/** Names alone do not tell whether two files are two models: somebody is asked, who may also say that they are one. */
function twoCheckpoints(entries: Dropped[], pair: [Dropped[], Dropped[]]): SeveralCheckpoints {
  const checkpoints = pair.map((files) => ({ name: topOf(files), files: files.map((file) => entries.indexOf(file)) }));
  const [first, second] = checkpoints.map(({ name }) => name);
  return new SeveralCheckpoints(`${first} and ${second} may be two checkpoints. Open one of them, or compare them.`, checkpoints, entries);
}

/** What was dropped to be compared with the open one; an adapter is measured. */
async function besides(dropped: Promise<Dropped[]>): Promise<void> {
  const entries = await dropped.catch(() => null);
  // What the browser could not read has its sentence where it is opened.
  if (entries === null) return show(() => dropped);
  if (isAdapter(entries)) weigh(entries);
  else together().then(({ showCompared }) => showCompared(() => entries), console.error);
}

function weigh(adapter: Dropped[]): void {
  together().then(({ showWeighed }) => showWeighed(adapter), console.error);
}
