/**
 * The worker's way to the network: fetch, as plain as the Rust side wants it. The Rust side decides what an answer means;
 * this file only says why there is none. No cookie, no referrer and no cache: the caller keeps what was read in memory.
 */

/** Why no answer came. */
type Failure = { kind: 'offline' | 'blocked' | 'insecure' | 'unreachable' | 'cut'; reason: string };

const HERE = ['localhost', '127.0.0.1', '[::1]'];

const common = { credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store' } as const;

export const network = {
  async send(method: string, url: string, headers: [string, string][]) {
    const { origin, protocol, hostname } = new URL(url);
    // Node has no location.
    if (protocol === 'http:' && !HERE.includes(hostname) && origin !== globalThis.location?.origin) throw fail('insecure');
    const controller = new AbortController();
    let response: Response;
    try {
      response = await fetch(url, { ...common, method, headers, signal: controller.signal });
    } catch (error) {
      throw await explained(url, headers, error);
    }
    return {
      status: response.status,
      headers: [...response.headers],
      body: (most: number) => read(response, most),
      cancel: () => controller.abort(),
    };
  },

  wait: (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds)),
};

/** Where nobody tells, as in Node before 21, it is taken to be so. */
function online(): boolean {
  return globalThis.navigator?.onLine ?? true;
}

function fail(kind: Failure['kind'], error?: unknown): Failure {
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

/** A body to its end, or its first `most` bytes. */
async function read(response: Response, most: number): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    while (reader && length < most) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      length += value.length;
    }
  } catch (error) {
    throw fail(online() ? 'cut' : 'offline', error);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes.subarray(0, most);
}
