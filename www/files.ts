/**
 * From what the user did (dropped, picked, pasted, asked for a sample) to a list of entries. Nothing is read here:
 * a `File` is only a handle, and which of them belong to a checkpoint is decided in Rust.
 */
import type { Address, Dropped, Entry, Linked } from './protocol';
import { BESIDE_WEIGHTS, WEIGHTS_ENDINGS } from './report';

/** What `window.gammascope.open` accepts. */
export type Openable = FileList | readonly (File | Dropped)[];

/** The checkpoints that ship with the page, relative to it. */
export const SAMPLES = [
  { name: 'layernorm', label: 'LayerNorm sample' },
  { name: 'rmsnorm', label: 'RMSNorm sample' },
  { name: 'vit-layernorm', label: 'LayerNorm vision' },
  { name: 'vit-rmsnorm', label: 'RMSNorm vision' },
] as const;

export type SampleName = (typeof SAMPLES)[number]['name'];

/** What a sample has beside its weights and its configuration: for text a tokenizer, for images a processor and some images. */
const BESIDE = {
  text: ['tokenizer.json'],
  images: ['preprocessor_config.json', ...'circle ring square frame triangle cross stripes checks'.split(' ').map((shape) => `${shape}.png`)],
};

/** Files given as such: the folder picker tells each one's place, other files are their own. */
export function entriesOf(files: Openable): Dropped[] {
  return Array.from<File | Dropped, Dropped>(files as ArrayLike<File | Dropped>, (item) =>
    item instanceof File ? { path: item.webkitRelativePath || item.name, file: item } : item,
  );
}

/** What of a report is pointed at: one of its sites, a section of the page, or neither. */
export type Spot = { site: string | null; section: string | null };

/** What a link to the page opens, and what of it it points at. */
export type Link = { entry: Address | Linked } & Spot;

/**
 * Reads the fragment of a link: `#open=URL`, escaped or not, with `&hub=` behind it where it is not the public one; or
 * `#report=…`, which holds the report itself. `&site=` or `&section=` at the end of either points at a part of the report.
 */
export function readLink(hash: string): Link | null {
  const { before, spot } = split(hash);
  if (before.startsWith('#report=')) return { entry: { link: before }, ...spot };
  const [, address, hub] = /^#open=(.+?)(?:&hub=(.+))?$/.exec(before) ?? [];
  if (!address) return null;
  return { entry: { address: unescaped(address), ...(hub ? { hub: unescaped(hub) } : {}) }, ...spot };
}

/** What of the open report a fragment points at: `&site=` and `&section=` of a link, or `#site=NAME` and `#SECTION` alone. */
export function readSpot(hash: string): Spot {
  const { before, spot } = split(hash);
  const section = /^#([\w-]+)$/.exec(before)?.[1] ?? null;
  return section === null ? spot : { site: null, section };
}

function split(hash: string): { before: string; spot: Spot } {
  const [, before = '', part, named = ''] = /^(.*?)(?:[&#](site|section)=([^&]*))?$/s.exec(hash) ?? [];
  return { before, spot: { site: part === 'site' ? decoded(named) : null, section: part === 'section' ? decoded(named) : null } };
}

/** The fragment that opens these entries again: of an address or a link; empty for files, and for an address that may hold a secret. */
export function fragmentOf([first]: readonly Entry[]): string {
  if (first && 'link' in first) return first.link;
  if (!first || !('address' in first) || secret(first.address)) return '';
  return `#open=${encodeURIComponent(first.address)}${first.hub ? `&hub=${encodeURIComponent(first.hub)}` : ''}`;
}

/** A fragment that points at part of what `fragment` opens, or of the open report where that is empty. */
export function pointing(fragment: string, { site, section }: Spot): string {
  const at = fragment === '' ? '#' : `${fragment}&`;
  if (site !== null) return `${at}site=${encodeURIComponent(site)}`;
  if (section !== null) return fragment === '' ? `#${section}` : `${at}section=${section}`;
  return fragment;
}

/** What is behind the `?` of an address may be a signature or a key, as what is before an `@` may be. */
export function secret(address: string): boolean {
  return /\?|^[a-z]+:\/\/[^/]*@/i.test(address);
}

/** A link to this page that opens an address, at a site if one is given. */
export function linkToAddress(address: string, hub: string, site: string | null): string {
  const at = (name: string, value: string | null) => (value ? `&${name}=${encodeURIComponent(value)}` : '');
  return `${page()}#open=${encodeURIComponent(address)}${at('hub', hub)}${at('site', site)}`;
}

/** A link to this page that holds a report. */
export function linkToReport(fragment: string, site: string | null): string {
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

/** Holds the weights of something, by its name. */
export function hasWeights({ path }: { path: string }): boolean {
  const name = leafOf(path).toLowerCase();
  return WEIGHTS_ENDINGS.some((ending) => name.endsWith(ending)) && !BESIDE_WEIGHTS.some((word) => name.startsWith(word));
}

const leafOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** What PEFT, MLX and diffusers call the files of an adapter. */
const ADAPTER = /^(adapter_|adapters\.|pytorch_lora_weights)/;

/** Whether these are the files of an adapter and of nothing else, by their names. */
export function isAdapter(entries: readonly Dropped[]): boolean {
  const weights = entries.filter(hasWeights);
  return weights.length > 0 && weights.every(({ path }) => ADAPTER.test(leafOf(path)));
}

/** One file of a checkpoint of several. */
const SHARD = /-\d+-of-\d+\.\w+$/;

/** Two that may be of their own each, an adapter last: folders or single files, where exactly two hold weights. */
export function pairOf(entries: readonly Dropped[]): [Dropped[], Dropped[]] | null {
  const tops = new Map<string, Dropped[]>();
  for (const entry of entries) {
    const [top = '', ...below] = entry.path.split('/');
    // An adapter's files belong together, in a folder or not.
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

/** By name, so that step-900 comes before step-1000. */
function inOrder(first: Dropped[], second: Dropped[]): [Dropped[], Dropped[]] {
  const order = topOf(first).localeCompare(topOf(second), 'en', { numeric: true });
  return order > 0 ? [second, first] : [first, second];
}

/** The folder, or the file, that these came in. */
export function topOf([first]: readonly Dropped[]): string {
  return first?.path.split('/')[0] ?? '';
}

/** True while something that may hold files is dragged or pasted. */
export function carriesFiles(data: DataTransfer | null): boolean {
  return data?.types.includes('Files') ?? false;
}

/**
 * Everything in a drop or a paste, folders walked to their leaves. The items must be asked for synchronously: the
 * browser empties the transfer as soon as the event is over.
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

/** Handles of what was dropped, for opening it again; none where the browser has none. To be asked for synchronously as well. */
export function handlesOfTransfer(data: DataTransfer): Promise<FileSystemHandle[]> {
  const items = Array.from(data.items).filter((item) => item.kind === 'file');
  const asked = items.map((item) => item.getAsFileSystemHandle?.().catch(() => null) ?? null);
  return Promise.all(asked).then((handles) => handles.filter((handle) => handle !== null));
}

async function walk(folder: FileSystemDirectoryEntry): Promise<Dropped[]> {
  const reader = folder.createReader();
  const entries: Dropped[] = [];
  for (;;) {
    // A reader hands out children in batches and is done only when a batch is empty.
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

/** Fetches a sample from beside the page and hands it over as the files a user would have dropped. */
export async function entriesOfSample(name: SampleName, signal: AbortSignal): Promise<Dropped[]> {
  return Promise.all(
    ['model.safetensors', 'config.json', ...BESIDE[name.startsWith('vit') ? 'images' : 'text']].map(async (leafName) => {
      const answer = await fetch(`./samples/${name}/${leafName}`, { signal });
      if (!answer.ok) throw new Error(`The sample file ${leafName} is not there (${answer.status}).`);
      const file = new File([await answer.blob()], leafName);
      return { path: `${name}/${leafName}`, file, input: leafName.endsWith('.png') };
    }),
  );
}
