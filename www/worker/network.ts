/**
 * The network access of the worker: plain fetch for the Rust side. The Rust side decides what an answer means; this file only says
 * why there is none. It sends no cookie and no referrer and uses no cache: the caller keeps what was read in memory.
 */

/** Why no answer came. */
type Failure =
  | { kind: 'offline' | 'blocked' | 'insecure' | 'unreachable' | 'cut'; reason: string }
  | { kind: 'slow'; got: number; seconds: number };

/** Milliseconds that a server may be silent, and the least bytes per second of a body after that. `fault.rs` has the same values. */
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

/** Whether the machine is online. Node does not say; assume online. */
function online(): boolean {
  return globalThis.navigator?.onLine ?? true;
}

function fail(kind: Exclude<Failure['kind'], 'slow'>, error?: unknown): Failure {
  return { kind, reason: error instanceof Error ? error.message : 'the browser gives no reason' };
}

/**
 * Finds out why fetch failed, which it does not say itself. HEAD requests show whether the server is there and whether it allows
 * this page to read. If it does both, the browser could not use its answer.
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

/** Reads a body to its end, or its first `most` bytes. Gives up if it arrives too slowly. */
async function read(response: Response, most: number, controller: AbortController): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  const began = performance.now();
  const isSlow = () => length < ((performance.now() - began - SILENCE) / 1000) * SLOWEST;
  // The timer also ends a body of which nothing arrives.
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
