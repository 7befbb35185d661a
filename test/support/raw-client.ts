/** Owns a client on a bare socket: what it sends and gets are bytes, so that a test sees what a proxy sees. */

import { connect, type Socket } from 'node:net';

export interface RawClient {
  readonly socket: Socket;
  /** All bytes so far. */
  received(): Buffer;
  /** The answer so far with its transfer encoding undone, after the blank line behind the headers. */
  body(): Buffer;
  head(): string;
  readonly isClosed: boolean;
  /** Waits, turn by turn, until something is true; the test's own time-out is the limit. */
  until(isTrue: () => boolean): Promise<void>;
}

/** Connects and sends the lines of a request, with the blank line behind them. */
export function requestRaw(port: number, lines: readonly string[]): RawClient {
  const socket = connect({ port, host: '127.0.0.1' });
  const chunks: Buffer[] = [];
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const received = (): Buffer => Buffer.concat(chunks);
  const headEnd = (): number => received().indexOf('\r\n\r\n');
  const head = (): string => {
    const end = headEnd();
    return end < 0 ? '' : received().subarray(0, end).toString('latin1');
  };
  return {
    socket,
    received,
    head,
    body() {
      const end = headEnd();
      if (end < 0) return Buffer.alloc(0);
      const rest = received().subarray(end + 4);
      return /transfer-encoding: chunked/i.test(head()) ? unchunked(rest) : rest;
    },
    get isClosed() {
      return isClosed;
    },
    async until(isTrue) {
      while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** The whole chunks of a chunked body (RFC 9112 section 7.1). */
function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16);
    if (!(size > 0) || lineEnd + 2 + size > bytes.length) break;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(parts);
}

/** One event as the HTML standard (section 9.2.6) reads it. */
export interface ReadEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Reads whole events of a stream, written straight from the standard's rules; `fields` keeps the order of the lines. */
export function readEvents(text: string): {
  events: ReadEvent[];
  comments: number;
  retryMs: number[];
  fields: string[];
} {
  const events: ReadEvent[] = [];
  const retryMs: number[] = [];
  const fields: string[] = [];
  let comments = 0;
  let id = '';
  let event = '';
  let data: string[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (line === '') {
      if (data.length > 0)
        events.push({ id, event: event === '' ? 'message' : event, data: data.join('\n') });
      event = '';
      data = [];
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      comments++;
      continue;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    fields.push(name);
    if (name === 'data') data.push(value);
    else if (name === 'event') event = value;
    else if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) retryMs.push(Number(value));
  }
  return { events, comments, retryMs, fields };
}
