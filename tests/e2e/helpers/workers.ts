/** Ends the workers of the page or limits their memory, like a browser on a device without free memory. */
import type { Page } from '@playwright/test';

type Recorded = Window & { workers: { worker: Worker; address: string; lock?: string | undefined }[] };

/**
 * Loads the page again and records its workers from the start. Without `ahead`, the page believes that the connection should save data.
 * Then it loads no worker in advance, so that the order is known.
 */
export async function recordWorkers(page: Page, { ahead = false } = {}): Promise<void> {
  await page.addInitScript((prepares) => {
    if (!prepares) Object.defineProperty(navigator, 'connection', { value: { saveData: true } });
    const { Worker } = window;
    const workers: Recorded['workers'] = [];
    Object.assign(window, { workers });
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        const recorded: Recorded['workers'][number] = { worker: this, address: String(url) };
        workers.push(recorded);
        this.addEventListener('message', ({ data }: MessageEvent<{ lock?: string }>) => (recorded.lock ??= data.lock));
      }
    };
  }, ahead);
  await page.reload();
}

/** How many workers of the inspector have started. */
export function inspectorsStarted(page: Page): Promise<number> {
  return page.evaluate(
    () => (window as unknown as Recorded).workers.filter(({ address }) => address.includes('/worker-')).length,
  );
}

/** Ends a recorded worker, once it holds its lock and the page waits for that lock. The page gets no event. */
export async function endWorker(page: Page, at: number): Promise<void> {
  await page.waitForFunction(async (index) => {
    const lock = (window as unknown as Recorded).workers[index]?.lock;
    // Workers of the page before a reload may still hold locks.
    return lock !== undefined && (await navigator.locks.query()).pending?.some(({ name }) => name === lock);
  }, at);
  await page.evaluate((index) => (window as unknown as Recorded).workers[index]?.worker.terminate(), at);
}

/** Limits the wasm module `name` to `pages` (of 64 KiB) more memory than at its start. `first` limits only the first load. */
export async function limitMemory(page: Page, name: string, pages: number, first = false): Promise<void> {
  let loads = 0;
  await page.route(new RegExp(`${name}.*\\.wasm$`), async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    loads += 1;
    await route.fulfill({ response, body: first && loads > 1 ? body : withLimit(body, pages) });
  });
}

/** The wasm module with a maximum in its memory section: https://webassembly.github.io/spec/core/binary/modules.html#memory-section. */
function withLimit(wasm: Buffer, pages: number): Buffer {
  const MEMORY = 5;
  for (let at = 8; at < wasm.length; ) {
    const section = wasm[at];
    const [size, start] = leb(wasm, at + 1);
    if (section === MEMORY) {
      const [least] = leb(wasm, start + 2);
      const content = [1, 1, ...toLeb(least), ...toLeb(least + pages)];
      return Buffer.concat([wasm.subarray(0, at), Buffer.from([MEMORY, ...toLeb(content.length), ...content]), wasm.subarray(start + size)]);
    }
    at = start + size;
  }
  throw new Error('The wasm module has no memory section.');
}

/** Reads an unsigned LEB128 number. Returns it and the position after it. */
function leb(bytes: Buffer, from: number): [number, number] {
  let value = 0;
  for (let at = from, shift = 0; ; at += 1, shift += 7) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at + 1];
  }
}

function toLeb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...toLeb(value >>> 7)];
}
