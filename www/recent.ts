/**
 * The list of recent checkpoints: handles of files and folders, if the browser has them, and addresses without tokens. It stays in this
 * browser. If storage is refused or full, there is no list, and everything else works.
 */
import { signal } from '@preact/signals';
import { get, set } from 'idb-keyval';
import { secret } from './files';
import type { Address, Dropped, Entry } from './protocol';

/** A checkpoint that was opened: its name, its size in bytes, when, and how to open it again. */
export type Recent = { name: string; bytes: number; when: number } & Origin;

/** How to open something again. */
export type Origin = { handles: FileSystemHandle[] } | { address: Address };

/** The list, latest first. Null until it is read. */
export const recent = signal<Recent[] | null>(null);

/** Why there is no list, if the browser refuses to store one. */
export const refusal = signal<string | null>(null);

const MOST = 8;
const KEY = 'gammascope.recent';

/** Reads the list. */
export async function recall(): Promise<void> {
  try {
    recent.value = (await get<Recent[]>(KEY)) ?? [];
  } catch (error) {
    refuse(error);
  }
}

/** Puts something that was just opened at the top of the list. */
export async function remember(origin: Origin, name: string, bytes: number): Promise<void> {
  if ('handles' in origin ? origin.handles.length === 0 : secret(origin.address.address)) return;
  if (recent.value === null) await recall();
  const before = recent.value ?? [];
  const other = await Promise.all(before.map(async (item) => !(await same(item, origin))));
  await write([{ name, bytes, when: Date.now(), ...origin }, ...before.filter((_, at) => other[at])].slice(0, MOST));
}

/** Removes an item from the list. */
export function forget(item: Recent): Promise<void> {
  return write((recent.value ?? []).filter((kept) => kept !== item));
}

/** Empties the list. */
export function forgetAll(): Promise<void> {
  return write([]);
}

async function write(items: Recent[]): Promise<void> {
  try {
    await set(KEY, items);
    recent.value = items;
  } catch (error) {
    refuse(error);
  }
}

function refuse(error: unknown): void {
  recent.value = [];
  refusal.value = error instanceof Error ? error.message || error.name : String(error);
}

/** Returns the entries of an item. The browser may ask for permission, so call it from a click. */
export async function entriesOfRecent(item: Origin): Promise<Entry[]> {
  if ('address' in item) return [item.address];
  // Ask for all at once: the click allows it for a few seconds only.
  const permissions = await Promise.all(item.handles.map(permission));
  const refused = item.handles.find((_, at) => permissions[at] !== 'granted');
  if (refused) {
    throw new Error(`The browser was not allowed to read ${refused.name} again. Click it once more and allow it, or choose the files.`);
  }
  return (await Promise.all(item.handles.map((handle) => walk(handle, handle.name)))).flat();
}

/** Shows a picker for files or a folder. Empty if the user cancels. Rejects if the browser may not show the picker. */
export async function pick(folder: boolean): Promise<FileSystemHandle[]> {
  try {
    return folder ? [await showDirectoryPicker({ mode: 'read' })] : await showOpenFilePicker({ multiple: true });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return [];
    throw error;
  }
}

/** Asks for permission to read. Handles of the private file system of the page need none. */
async function permission(handle: FileSystemHandle): Promise<PermissionState> {
  if (!handle.requestPermission) return 'granted';
  return handle.requestPermission({ mode: 'read' });
}

async function walk(handle: FileSystemHandle, path: string): Promise<Dropped[]> {
  try {
    if (handle.kind === 'file') return [{ path, file: await (handle as FileSystemFileHandle).getFile() }];
    const found: Dropped[] = [];
    for await (const child of (handle as FileSystemDirectoryHandle).values()) {
      found.push(...(await walk(child, `${path}/${child.name}`)));
    }
    return found;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotFoundError') {
      throw new Error(`${path} is no longer there. It was moved, renamed or deleted. Choose it where it is now.`);
    }
    throw error;
  }
}

async function same(item: Recent, origin: Origin): Promise<boolean> {
  if ('address' in item || 'address' in origin) {
    return 'address' in item && 'address' in origin && item.address.address === origin.address.address && item.address.hub === origin.address.hub;
  }
  if (item.handles.length !== origin.handles.length) return false;
  const pairs = item.handles.map((handle, at) => handle.isSameEntry(origin.handles[at] ?? handle).catch(() => false));
  return (await Promise.all(pairs)).every(Boolean);
}
