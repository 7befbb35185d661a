/**
 * Owns one keep-alive connection of the API benchmark's generator: one request at a time, answers read by their
 * Content-Length or chunks. It knows of HTTP/1.1 (RFC 9112) only what the servers under test send, and costs a fraction of
 * node:http, so that one generator can load a server that is faster than itself.
 */

import net from 'node:net';

/** Node reads into it and calls back before it reads from another socket. */
const memory = Buffer.allocUnsafeSlow(256 * 1024);
const HEAD_END = Buffer.from('\r\n\r\n');

export interface HttpConnection {
  readonly isBusy: boolean;
  /** `done`: status, or 0 when the connection broke; and the body's length. The body itself only when `keep`. */
  send(request: string, keep: boolean, done: (status: number, body: Buffer | null) => void): void;
  close(): void;
}

export function openHttpConnection(
  target: { readonly host: string; readonly port: number },
  lost: () => void,
): HttpConnection {
  let done: ((status: number, body: Buffer | null) => void) | null = null;
  let isKept = false;
  /** What has come of the present answer. */
  let parts: Buffer[] = [];
  let have = 0;
  /** Bytes of the whole answer; -1 while its head is not complete; -2 when it comes in chunks. */
  let whole = -1;
  let bodyAt = 0;
  let status = 0;
  const finish = (ok: boolean): void => {
    const tell = done;
    const body = ok && isKept ? Buffer.concat(parts).subarray(bodyAt, have) : null;
    done = null;
    parts = [];
    have = 0;
    whole = -1;
    tell?.(ok ? status : 0, body);
  };
  const readHead = (): void => {
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) return;
    const head = bytes.toString('latin1', 0, end);
    status = Number(head.slice(9, 12));
    bodyAt = end + 4;
    const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
    whole = length === undefined ? (status === 204 || status === 304 ? bodyAt : -2) : bodyAt + Number(length);
  };
  const take = (chunk: Buffer): void => {
    parts.push(chunk);
    have += chunk.length;
    if (whole === -1) readHead();
    if (whole === -2) {
      // Chunked: rare, so its end is looked for in the text.
      const bytes = Buffer.concat(parts);
      parts = [bytes];
      if (bytes.subarray(-5).equals(Buffer.from('0\r\n\r\n'))) finish(true);
    } else if (whole >= 0 && have >= whole) finish(true);
  };
  const socket = net.connect({
    ...target,
    noDelay: true,
    onread: {
      buffer: memory,
      callback(length: number, chunk: Uint8Array): boolean {
        // Most answers come whole: nothing has to be kept, so nothing is copied.
        const bytes = (chunk as Buffer).subarray(0, length);
        take(have === 0 && !isKept ? bytes : Buffer.from(bytes));
        if (have > 0 && parts.at(-1) === bytes) parts[parts.length - 1] = Buffer.from(bytes);
        return true;
      },
    },
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (done !== null) finish(false);
    lost();
  });
  return {
    get isBusy() {
      return done !== null;
    },
    send(request, keep, tell) {
      done = tell;
      isKept = keep;
      socket.write(request, 'latin1');
    },
    close: () => void socket.destroy(),
  };
}
