/** A small HTTP server on a separate origin. It answers ranges, and simulates faults that only a browser meets. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Seen = { method: string; path: string; range: string | undefined; authorization: string | undefined };

/** The fault of one path. */
export type Play =
  | 'no-cors'
  | 'no-range'
  | 'hidden'
  | 'page'
  | 'new-tag'
  | 'cut'
  | 'gzip'
  | 'other-range'
  | 'half'
  | 'busy-once'
  | 'slow'
  | 'trickles'
  | { status: number }
  | { redirect: string }
  | { token: string };

const EXPOSED = 'Content-Range, ETag, Content-Encoding, Retry-After';

export class FileServer {
  readonly seen: Seen[] = [];
  /** The bytes of all bodies sent. */
  sent = 0;
  private readonly files = new Map<string, { bytes: Buffer; play: Play | undefined; count: number }>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<FileServer> {
    const server = createServer();
    const made = new FileServer(server);
    server.on('request', (request, response) => made.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  /** Serves `bytes` at `path` and returns the address. */
  put(path: string, bytes: Buffer | string, play?: Play): string {
    this.files.set(path, { bytes: Buffer.from(bytes), play, count: 0 });
    return this.origin + path;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const { range, authorization } = request.headers;
    this.seen.push({ method: request.method ?? '', path, range, authorization });
    const file = this.files.get(path);
    const play = file?.play;
    if (play !== 'no-cors') response.setHeader('Access-Control-Allow-Origin', '*');
    if (play !== 'hidden') response.setHeader('Access-Control-Expose-Headers', EXPOSED);
    if (request.method === 'OPTIONS') {
      response.setHeader('Access-Control-Allow-Headers', 'Range, Authorization');
      response.writeHead(204).end();
      return;
    }
    if (!file) return void response.writeHead(404).end();
    file.count += 1;
    if (typeof play === 'object') {
      if ('status' in play) return void response.writeHead(play.status).end();
      if ('redirect' in play) return void response.writeHead(302, { Location: play.redirect }).end();
      if (authorization !== `Bearer ${play.token}`) return void response.writeHead(401).end();
    }
    if (play === 'busy-once' && file.count === 1) return void response.writeHead(503).end();
    if (play === 'page') return void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>');
    if (play === 'slow') return void setTimeout(() => response.writeHead(503).end(), 60_000).unref();
    const { bytes } = file;
    response.setHeader('ETag', play === 'new-tag' ? `"${file.count}"` : '"tag"');
    const parts = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
    if (!parts || play === 'no-range') {
      response.writeHead(200, { 'Content-Length': bytes.length });
      if (request.method === 'HEAD') return void response.end();
      // Write slowly, so that `sent` shows whether the client hangs up.
      const piece = 16 * 1024;
      const write = (at: number): void => {
        if (response.destroyed || at >= bytes.length) return void response.end();
        this.sent += Math.min(piece, bytes.length - at);
        response.write(bytes.subarray(at, at + piece));
        setTimeout(write, 5, at + piece);
      };
      return write(0);
    }
    let [first, last] = [Number(parts[1]), Math.min(Number(parts[2]), bytes.length - 1)];
    if (first >= bytes.length) return void response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}` }).end();
    if (play === 'other-range') first += 1;
    if (play === 'half') last = first + Math.floor((last - first) / 2);
    const body = bytes.subarray(first, last + 1);
    if (play === 'gzip') response.setHeader('Content-Encoding', 'gzip');
    response.writeHead(206, { 'Content-Range': `bytes ${first}-${last}/${bytes.length}`, 'Content-Length': body.length });
    if (play === 'trickles') {
      let at = 0;
      const next = (): void => {
        if (response.destroyed || at >= body.length) return void response.end();
        response.write(body.subarray(at, ++at));
        setTimeout(next, 1000);
      };
      return next();
    }
    if (play === 'cut') {
      response.write(body.subarray(0, 100));
      setTimeout(() => response.destroy(), 20);
      return;
    }
    this.sent += body.length;
    response.end(body);
  }
}
