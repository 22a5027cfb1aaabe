/** What only Node has: files of this machine, read by slices, and the wasm beside this file. */
import { openAsBlob } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NamedBlob } from './index.js';

/** Files that may belong to a checkpoint. */
const WANTED = /\.(safetensors|gguf|json|npy)$/i;

export function wasm(): Promise<Uint8Array> {
  return readFile(new URL('./verifier_bg.wasm', import.meta.url));
}

/** The files at a path, those in a folder and below it; null where there is nothing of that name, as with an address. */
export async function files(source: string | URL): Promise<NamedBlob[] | null> {
  const isFile = String(source).startsWith('file:');
  if (!isFile && /^[a-z]+:\/\//i.test(String(source))) return null;
  const path = isFile ? fileURLToPath(source) : String(source);
  const found = await stat(path).catch(() => null);
  if (!found) return null;
  const name = basename(path);
  if (found.isFile()) return [{ path: name, file: await openAsBlob(path) }];
  const inside = await readdir(path, { recursive: true, withFileTypes: true });
  const wanted = inside.filter((entry) => entry.isFile() && WANTED.test(entry.name));
  return Promise.all(
    wanted.map(async (entry) => {
      const whole = join(entry.parentPath, entry.name);
      return { path: join(name, whole.slice(path.length)), file: await openAsBlob(whole) };
    }),
  );
}
