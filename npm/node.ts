/** The part for Node: local files, read in slices, and the wasm file beside this one. */
import { open, readFile, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NamedBlob } from './index.js';
import { WEIGHTS_ENDINGS } from './report.js';

/** How many levels of folders below a given folder are searched. */
const DEPTH = 4;

/**
 * A part of a local file, read only when needed. Node has `openAsBlob` for this, but in Node 20 it counts in 32 bits, and shards are
 * larger.
 */
class FilePart extends Blob {
  private constructor(
    private readonly location: string,
    private readonly modified: number,
    private readonly begin: number,
    private readonly end: number,
  ) {
    super();
  }

  static async of(location: string): Promise<FilePart> {
    const { size, mtimeMs } = await stat(location);
    return new FilePart(location, mtimeMs, 0, size);
  }

  override get size(): number {
    return this.end - this.begin;
  }

  override slice(begin = 0, end = this.size): FilePart {
    const within = (at: number) => this.begin + Math.min(Math.max(at, 0), this.size);
    return new FilePart(this.location, this.modified, within(begin), within(end));
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const file = await open(this.location);
    try {
      const bytes = new Uint8Array(this.size);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, this.begin + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled < bytes.length || (await file.stat()).mtimeMs !== this.modified) {
        throw new Error('the file was changed while it was read; open it again');
      }
      return bytes.buffer;
    } finally {
      await file.close();
    }
  }
}

/** The location of a file on disk, and its path in the checkpoint. */
type Located = { location: string; path: string };

export function wasm(): Promise<Uint8Array> {
  return readFile(new URL('./verifier_bg.wasm', import.meta.url));
}

/**
 * Returns the files at a path, like the command line: for a folder, the files in and below it; for an index, also its shards and the
 * configuration beside it; for a single file, also that configuration. Null if nothing is there, as for an address.
 */
export async function files(source: string | URL): Promise<NamedBlob[] | null> {
  const isFile = String(source).startsWith('file:');
  if (!isFile && /^[a-z]+:\/\//i.test(String(source))) return null;
  const given = isFile ? fileURLToPath(source) : String(source);
  const kind = await kindOf(given);
  if (!kind) return null;
  const located = kind === 'folder' ? await walk(given, basename(await realpath(given)), DEPTH) : await around(given);
  const opened = located.map(async ({ location, path }) => {
    try {
      return { path, file: await FilePart.of(location) };
    } catch (error) {
      // A folder may contain any files. Only weights and the given path must open.
      if (location !== given && !WEIGHTS_ENDINGS.some((ending) => location.endsWith(ending))) return null;
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`\`${location}\` cannot be opened: ${reason}; check that it is there and may be read`, { cause: error });
    }
  });
  return (await Promise.all(opened)).filter((entry) => entry !== null);
}

/** The kind of what is at a path. It follows links, because a model in the cache of a hub is a folder of links. */
async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  const found = await stat(path).catch(() => null);
  return found && (found.isDirectory() ? 'folder' : 'file');
}

async function walk(folder: string, path: string, depth: number): Promise<Located[]> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  const found = names.map(async (name): Promise<Located[]> => {
    const inside = { location: join(folder, name), path: `${path}/${name}` };
    if ((await kindOf(inside.location)) !== 'folder') return [inside];
    return depth > 0 ? walk(inside.location, inside.path, depth - 1) : [];
  });
  return (await Promise.all(found)).flat();
}

/** Finds a file, and the files in its folder that belong to it. */
async function around(file: string): Promise<Located[]> {
  const isIndex = file.endsWith('.index.json');
  const alone = !isIndex && (file.endsWith('.gguf') || !WEIGHTS_ENDINGS.some((ending) => file.endsWith(ending)));
  if (alone) return [{ location: file, path: basename(file) }];
  // The extension of the shards: an index has the name of its shards plus `.index.json`.
  const shards = extname(file.slice(0, -'.index.json'.length));
  // The numbers of an ONNX file may lie in a file beside it.
  const data = ['_data', '.data'].map((end) => basename(file) + end);
  const isData = (name: string) => file.endsWith('.onnx') && data.some((start) => name.startsWith(start));
  const belongs = (name: string) =>
    name === basename(file) || name === 'config.json' || (isIndex && name.endsWith(shards)) || isData(name);
  const names = (await readdir(dirname(file))).filter(belongs).sort();
  // Keep the given path for the file itself.
  return names.map((name) => ({ location: name === basename(file) ? file : join(dirname(file), name), path: name }));
}
