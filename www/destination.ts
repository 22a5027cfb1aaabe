/**
 * Where the files of a folded checkpoint go: a folder, through the File System Access API, or downloads where the browser has no such
 * API. A file has its final name only once all of them are complete.
 */
import { save } from './download';

/** A file that is being written. */
export type Writing = {
  write(bytes: Uint8Array<ArrayBuffer> | Blob): Promise<void>;
  /** Completes the file and returns it, so that it can be read. */
  close(): Promise<File>;
};

export interface Destination {
  /** What a sentence calls it. */
  readonly name: string;
  /** Fails if a file with one of these names cannot be written. Nothing is written before. */
  check(names: readonly string[]): Promise<void>;
  /** Begins a file. The one before is closed. */
  create(name: string): Promise<Writing>;
  /** Gives all files their final names, and returns them. */
  complete(): Promise<File[]>;
  /** Removes everything that was written. */
  discard(): Promise<void>;
}

/** More than this is not downloaded: the browser would hold it in memory or in a temporary file first. */
export const MOST_DOWNLOADED = 2e9;

/** A handle that can rename its file. TypeScript does not know the method: https://github.com/whatwg/fs/pull/10. */
type Movable = FileSystemFileHandle & { move(name: string): Promise<void> };

/** Whether the page can write into a folder: it must be able to choose one, and to rename files there. */
export function writesFolders(): boolean {
  return 'showDirectoryPicker' in window && 'move' in FileSystemFileHandle.prototype;
}

/** Asks the user for a folder. */
export async function chooseFolder(): Promise<Destination> {
  return new Folder(await showDirectoryPicker({ id: 'gammascope-fold', mode: 'readwrite' }));
}

const partOf = (name: string): string => `${name}.part`;

/** A folder of the disk. Files are called `NAME.part` until all are complete. */
class Folder implements Destination {
  private readonly parts = new Map<string, FileSystemFileHandle>();
  private open: FileSystemWritableFileStream | null = null;

  constructor(private readonly folder: FileSystemDirectoryHandle) {}

  get name(): string {
    return `the folder \`${this.folder.name}\``;
  }

  async check(names: readonly string[]): Promise<void> {
    const present = new Set<string>();
    for await (const name of this.folder.keys()) present.add(name.toLowerCase());
    const taken = names.flatMap((name) => [name, partOf(name)]).find((name) => present.has(name.toLowerCase()));
    if (taken === undefined) return;
    throw new Error(`\`${taken}\` is already in ${this.name}, and the page overwrites nothing: choose an empty folder.`);
  }

  async create(name: string): Promise<Writing> {
    const handle = await this.folder.getFileHandle(partOf(name), { create: true });
    this.parts.set(name, handle);
    const stream = (this.open = await handle.createWritable());
    return {
      write: (bytes) => stream.write(bytes),
      close: async () => {
        await stream.close();
        this.open = null;
        return handle.getFile();
      },
    };
  }

  async complete(): Promise<File[]> {
    const named: string[] = [];
    try {
      for (const [name, handle] of this.parts) {
        await (handle as Movable).move(name);
        named.push(name);
      }
      return await Promise.all([...this.parts.values()].map((handle) => handle.getFile()));
    } catch (error) {
      for (const name of named) await this.folder.removeEntry(name).catch(() => undefined);
      throw error;
    }
  }

  async discard(): Promise<void> {
    // A stream that failed is already aborted.
    await this.open?.abort().catch(() => undefined);
    for (const name of this.parts.keys()) await this.folder.removeEntry(partOf(name)).catch(() => undefined);
  }
}

/** Downloads. The browser keeps the files as blobs until all are complete. */
export class Downloads implements Destination {
  readonly name = 'your downloads';
  private readonly files: File[] = [];

  check(): Promise<void> {
    return Promise.resolve();
  }

  create(name: string): Promise<Writing> {
    // A blob may lie on the disk. An array would stay in memory.
    const pieces: Blob[] = [];
    return Promise.resolve({
      write: (bytes) => Promise.resolve(void pieces.push(new Blob([bytes]))),
      close: () => {
        const file = new File(pieces, name);
        this.files.push(file);
        return Promise.resolve(file);
      },
    });
  }

  complete(): Promise<File[]> {
    for (const file of this.files) save(file, file.name);
    return Promise.resolve(this.files);
  }

  discard(): Promise<void> {
    this.files.length = 0;
    return Promise.resolve();
  }
}
