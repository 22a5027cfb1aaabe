/**
 * The worker's way to the network: fetch, as plain as the Rust side wants it. The Rust side decides what an answer means;
 * this file only says why there is none. No cookie, no referrer and no cache: the caller keeps what was read in memory.
 */

/** Why no answer came. */
type Failure =
  | { kind: 'offline' | 'blocked' | 'insecure' | 'unreachable' | 'cut'; reason: string }
  | { kind: 'slow'; got: number; seconds: number };

/** Milliseconds after which a server that says nothing is gone, and bytes a second that a body brings after that, as `fault.rs` has them. */
const SILENCE = 30_000;
const SLOWEST = 4_000;

const HERE = ['localhost', '127.0.0.1', '[::1]'];

const common = { credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store' } as const;

export const network = {
  async send(method: string, url: string, headers: [string, string][]) {
    const { origin, protocol, hostname } = new URL(url);
    // Node has no location.
    if (protocol === 'http:' && !HERE.includes(hostname) && origin !== globalThis.location?.origin) throw fail('insecure');
    const controller = new AbortController();
    let response: Response;
    const silence = setTimeout(() => controller.abort(), SILENCE);
    try {
      response = await fetch(url, { ...common, method, headers, signal: controller.signal });
    } catch (error) {
      if (controller.signal.aborted) throw fail('unreachable', new Error(`it does not answer within ${SILENCE / 1000} s`));
      throw await explained(url, headers, error);
    } finally {
      clearTimeout(silence);
    }
    return {
      status: response.status,
      headers: [...response.headers],
      body: (most: number) => read(response, most, controller),
      cancel: () => controller.abort(),
    };
  },

  wait: (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)),
};

/** Where nobody tells, as in Node before 21, it is taken to be so. */
function online(): boolean {
  return globalThis.navigator?.onLine ?? true;
}

function fail(kind: Exclude<Failure['kind'], 'slow'>, error?: unknown): Failure {
  return { kind, reason: error instanceof Error ? error.message : 'the browser gives no reason' };
}

/**
 * fetch does not say why it failed. Requests that read nothing tell a server that forbids from one that is not there, and
 * from one whose answer the browser could not take.
 */
async function explained(url: string, headers: [string, string][], error: unknown): Promise<Failure> {
  if (!online()) return fail('offline');
  const several = headers.some(([name, value]) => name === 'Range' && value.includes(','));
  if (several) return fail('unreachable', error);
  const answers = (mode: RequestMode) => fetch(url, { ...common, method: 'HEAD', mode }).then(() => true, () => false);
  if (!(await answers('no-cors'))) return fail('unreachable', error);
  const withToken = headers.some(([name]) => name === 'Authorization');
  if (withToken || !(await answers('cors'))) return fail('blocked');
  return { kind: 'cut', reason: 'its answer could not be used: it is a compressed range, or cut off' };
}

/** A body to its end, or its first `most` bytes. One that comes too slowly is given up. */
async function read(response: Response, most: number, controller: AbortController): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  const began = performance.now();
  const isSlow = () => length < ((performance.now() - began - SILENCE) / 1000) * SLOWEST;
  // Also where nothing comes at all.
  const watch = setInterval(() => isSlow() && controller.abort(), 1000);
  try {
    while (reader && length < most) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      length += value.length;
    }
  } catch (error) {
    if (isSlow()) throw { kind: 'slow', got: length, seconds: Math.round((performance.now() - began) / 1000) } satisfies Failure;
    throw fail(online() ? 'cut' : 'offline', error);
  } finally {
    clearInterval(watch);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes.subarray(0, most);
}
