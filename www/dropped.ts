/** Opens dropped or pasted files: a checkpoint, a base with its adapter, or a checkpoint to compare. Loaded with the first drop. */
import { isAdapter, pairOf, topOf } from './files';
import { SeveralCheckpoints } from './inspector';
import { open, show } from './intake';
import type { Dropped } from './protocol';
import { shown } from './state/opened';

/** Loads the code for comparisons and adapters when it is first needed. */
const together = () => import('./together');

/**
 * Opens what was dropped. For a base with its adapter, it opens the base and measures the adapter. For two checkpoints, it asks which
 * one to open. With `compares`, the open checkpoint stays and is compared with what was dropped.
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
  // A base with its adapter cannot be one item of the recent list.
  const origin = async () => ({ handles: adapter ? [] : await handles });
  open(gather, undefined, origin).then(
    () => adapter && weigh(adapter),
    () => undefined,
  );
}

/** Names do not say whether two files are two models, so the page asks. The answer may be that they are one. */
function twoCheckpoints(entries: Dropped[], pair: [Dropped[], Dropped[]]): SeveralCheckpoints {
  const checkpoints = pair.map((files) => ({ name: topOf(files), files: files.map((file) => entries.indexOf(file)) }));
  const [first, second] = checkpoints.map(({ name }) => name);
  return new SeveralCheckpoints(`${first} and ${second} may be two checkpoints. Open one of them, or compare them.`, checkpoints, entries);
}

/** Compares what was dropped with the open checkpoint, or measures it if it is an adapter. */
async function besides(dropped: Promise<Dropped[]>): Promise<void> {
  const entries = await dropped.catch(() => null);
  // If the browser could not read it, opening it shows the error.
  if (entries === null) return show(() => dropped);
  if (isAdapter(entries)) weigh(entries);
  else together().then(({ showCompared }) => showCompared(() => entries), console.error);
}

function weigh(adapter: Dropped[]): void {
  together().then(({ showWeighed }) => showWeighed(adapter), console.error);
}
