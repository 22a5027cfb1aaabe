/**
 * Files in the browser's private storage for activations that do not fit into memory. A worker holds its file open and so locks it. What
 * it leaves behind is deleted after the run, and when a report is opened next.
 */

const FOLDER = 'gammascope-scratch';

/** A file as a worker sees it. The types of a window do not have this method. */
type FileInWorker = FileSystemFileHandle & { createSyncAccessHandle(): Promise<unknown> };

/** Deletes the files that no worker uses. */
export async function clearScratch(): Promise<void> {
  try {
    const folder = await directory(false);
    for await (const name of folder.keys()) await folder.removeEntry(name).catch(() => undefined);
  } catch {
    // Without private storage, or before the first such run, there is nothing to delete.
  }
}

/** Opens an empty file for reading and writing at once, in a worker. `null` if the browser offers no private storage: the activations then stay in memory. */
export async function openScratch(): Promise<unknown> {
  await clearScratch();
  try {
    const file = await (await directory(true)).getFileHandle(crypto.randomUUID(), { create: true });
    return await (file as FileInWorker).createSyncAccessHandle();
  } catch {
    return null;
  }
}

async function directory(create: boolean): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create });
}
