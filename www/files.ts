/**
 * Turns what the user dropped, picked, pasted or linked to into a list of entries. It reads nothing: a `File` is only a handle,
 * and Rust decides which files belong to a checkpoint.
 */
import type { Address, Dropped, Entry, Linked } from './protocol';
import { BESIDE_WEIGHTS, WEIGHTS_ENDINGS } from './report';

/** What `window.gammascope.open` accepts. */
export type Openable = FileList | readonly (File | Dropped)[];

/** Entries of plain files. Files from the folder picker have a path in that folder, other files only a name. */
export function entriesOf(files: Openable): Dropped[] {
  return Array.from<File | Dropped, Dropped>(files as ArrayLike<File | Dropped>, (item) =>
    item instanceof File ? { path: item.webkitRelativePath || item.name, file: item } : item,
  );
}

/** The target of a link into a report: a site, a section of the page, or neither. */
export type Spot = { site: string | null; section: string | null };

/** What a link to the page opens, and its target. */
export type Link = { entry: Address | Linked } & Spot;

/**
 * Reads the fragment of a link: `#open=URL`, escaped or not, followed by `&hub=` unless it is the public hub; or `#report=…`, which
 * holds the report itself. Both may end with a target, `&site=` or `&section=`.
 */
export function readLink(hash: string): Link | null {
  const { before, spot } = split(hash);
  if (before.startsWith('#report=')) return { entry: { link: before }, ...spot };
  const [, address, hub] = /^#open=(.+?)(?:&hub=(.+))?$/.exec(before) ?? [];
  if (!address) return null;
  return { entry: { address: unescaped(address), ...(hub ? { hub: unescaped(hub) } : {}) }, ...spot };
}

/** Reads the target of a fragment: `&site=` or `&section=` of a link, or `#site=NAME` or `#SECTION` alone. */
export function readSpot(hash: string): Spot {
  const { before, spot } = split(hash);
  const section = /^#([\w-]+)$/.exec(before)?.[1] ?? null;
  return section === null ? spot : { site: null, section };
}

function split(hash: string): { before: string; spot: Spot } {
  const [, before = '', part, named = ''] = /^(.*?)(?:[&#](site|section)=([^&]*))?$/s.exec(hash) ?? [];
  return { before, spot: { site: part === 'site' ? decoded(named) : null, section: part === 'section' ? decoded(named) : null } };
}

/** The fragment that opens an address or a link again. It is empty for files and for an address that may contain a secret. */
export function fragmentOf([first]: readonly Entry[]): string {
  if (first && 'link' in first) return first.link;
  if (!first || !('address' in first) || secret(first.address)) return '';
  return `#open=${encodeURIComponent(first.address)}${first.hub ? `&hub=${encodeURIComponent(first.hub)}` : ''}`;
}

/** Adds a target to `fragment`. If `fragment` is empty, the target is in the open report. */
export function pointing(fragment: string, { site, section }: Spot): string {
  const at = fragment === '' ? '#' : `${fragment}&`;
  if (site !== null) return `${at}site=${encodeURIComponent(site)}`;
  if (section !== null) return fragment === '' ? `#${section}` : `${at}section=${section}`;
  return fragment;
}

/** Whether an address may contain a secret: a signature or key after `?`, or a password before `@`. */
export function secret(address: string): boolean {
  return /\?|^[a-z]+:\/\/[^/]*@/i.test(address);
}

/** Returns a link to this page with a fragment that opens something, at a site if one is given. */
export function linkTo(fragment: string, site: string | null): string {
  return `${page()}${pointing(fragment, { site, section: null })}`;
}

/** The address of this page, without a fragment. */
export function page(): string {
  return location.href.replace(/#.*$/s, '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function unescaped(text: string): string {
  return text.includes('://') ? text : decoded(text);
}

/** Whether the file holds weights, by its name. */
export function hasWeights({ path }: { path: string }): boolean {
  const name = leafOf(path).toLowerCase();
  return WEIGHTS_ENDINGS.some((ending) => name.endsWith(ending)) && !BESIDE_WEIGHTS.some((word) => name.startsWith(word));
}

const leafOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The file names of adapters in PEFT, MLX and diffusers. */
const ADAPTER = /^(adapter_|adapters\.|pytorch_lora_weights)/;

/** Whether these files hold weights of an adapter and no others, by their names. */
export function isAdapter(entries: readonly Dropped[]): boolean {
  const weights = entries.filter(hasWeights);
  return weights.length > 0 && weights.every(({ path }) => ADAPTER.test(leafOf(path)));
}

/** The name of one shard of a checkpoint. */
const SHARD = /-\d+-of-\d+\.\w+$/;

/** Splits the entries in two if exactly two folders or single files hold weights, so that they may be separate. An adapter comes last. */
export function pairOf(entries: readonly Dropped[]): [Dropped[], Dropped[]] | null {
  const tops = new Map<string, Dropped[]>();
  for (const entry of entries) {
    const [top = '', ...below] = entry.path.split('/');
    // The files of an adapter belong together, also without a folder.
    const key = below.length === 0 && ADAPTER.test(top) ? 'adapter_' : top;
    tops.set(key, [...(tops.get(key) ?? []), entry]);
  }
  const pair = [...tops.values()].filter((files) => files.some(hasWeights));
  const [first, second] = pair;
  if (pair.length !== 2 || !first || !second) return null;
  if ([first, second].some(([{ path } = { path: '' }, ...more]) => more.length === 0 && SHARD.test(path))) return null;
  if (isAdapter(first) === isAdapter(second)) return inOrder(first, second);
  const loose = entries.filter((entry) => !first.includes(entry) && !second.includes(entry));
  return isAdapter(second) ? [[...first, ...loose], second] : [[...second, ...loose], first];
}

/** Orders the two by name, so that step-900 comes before step-1000. */
function inOrder(first: Dropped[], second: Dropped[]): [Dropped[], Dropped[]] {
  const order = topOf(first).localeCompare(topOf(second), 'en', { numeric: true });
  return order > 0 ? [second, first] : [first, second];
}

/** The top folder of these entries, or the file name. */
export function topOf([first]: readonly Dropped[]): string {
  return first?.path.split('/')[0] ?? '';
}

/** Whether a drag or a paste contains files. */
export function carriesFiles(data: DataTransfer | null): boolean {
  return data?.types.includes('Files') ?? false;
}

/**
 * Returns every file of a drop or a paste, including those in folders. Call it synchronously: the browser empties the transfer after
 * the event.
 */
export function entriesOfTransfer(data: DataTransfer): Promise<Dropped[]> {
  const found = Array.from(data.items)
    .filter((item) => item.kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  return Promise.all(
    found.map(async ({ entry, file }) => {
      if (entry?.isDirectory) return walk(entry as FileSystemDirectoryEntry);
      return file ? [{ path: file.name, file }] : [];
    }),
  ).then((lists) => lists.flat());
}

/** Returns file handles for the dropped items, so that they can be opened again. Empty if the browser has no handles. Call it synchronously. */
export function handlesOfTransfer(data: DataTransfer): Promise<FileSystemHandle[]> {
  const items = Array.from(data.items).filter((item) => item.kind === 'file');
  const asked = items.map((item) => item.getAsFileSystemHandle?.().catch(() => null) ?? null);
  return Promise.all(asked).then((handles) => handles.filter((handle) => handle !== null));
}

async function walk(folder: FileSystemDirectoryEntry): Promise<Dropped[]> {
  const reader = folder.createReader();
  const entries: Dropped[] = [];
  for (;;) {
    // A reader returns children in batches. An empty batch is the last.
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return entries;
    for (const child of batch) {
      if (child.isDirectory) entries.push(...(await walk(child as FileSystemDirectoryEntry)));
      else entries.push(await leaf(child as FileSystemFileEntry));
    }
  }
}

function leaf(entry: FileSystemFileEntry): Promise<Dropped> {
  const path = entry.fullPath.replace(/^\//, '');
  return new Promise((resolve, reject) =>
    entry.file(
      (file) => resolve({ path, file }),
      (error) => reject(new Error(`The browser could not open ${path}: ${error.message}`)),
    ),
  );
}
