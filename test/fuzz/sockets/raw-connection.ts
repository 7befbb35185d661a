/**
 * Owns one TCP connection of a hostile client: it sends any bytes, keeps what comes back (at most KEPT bytes), and knows
 * how the server ended it. It never throws: a reset is an end like any other.
 */

import { connect, type Socket } from 'node:net';

import { decodeFrames, type ServerFrame } from '#test/fuzz/sockets/wire-frames.ts';

const KEPT = 4 * 1024 * 1024;

export interface RawConnection {
  /** Status of the answer to the handshake or request; null before it, or when there was none. */
  readonly status: number | null;
  /** The answer's head, in lower case. */
  readonly head: string;
  /** Frames since the handshake. */
  readonly frames: readonly ServerFrame[];
  /** True once the server has ended or reset the connection, or it could not be made. */
  readonly isOver: boolean;
  send(bytes: string | Uint8Array): void;
  /** Sends FIN and goes on listening. */
  end(): void;
  /** Stops and resumes reading. */
  setReading(isReading: boolean): void;
  destroy(): void;
  /** Resolves to true when it holds, to false after `timeoutMs`. Looked at whenever something came. */
  until(holds: () => boolean, timeoutMs: number): Promise<boolean>;
}

export function openRaw(port: number, host = '127.0.0.1'): RawConnection {
  const socket: Socket = connect({ port, host, allowHalfOpen: true });
  let head = '';
  let hasHead = false;
  let received: Buffer = Buffer.alloc(0);
  let isOver = false;
  const frames: ServerFrame[] = [];
  const waiting = new Set<() => void>();
  const look = (): void => {
    for (const check of waiting) check();
  };
  const over = (): void => {
    isOver = true;
    look();
  };
  socket.on('data', (chunk: Buffer) => {
    received = received.length + chunk.length > KEPT ? chunk : Buffer.concat([received, chunk]);
    if (!hasHead) {
      const end = received.indexOf('\r\n\r\n');
      if (end >= 0) {
        head = received.subarray(0, end).toString('latin1').toLowerCase();
        received = received.subarray(end + 4);
        hasHead = true;
      }
    }
    if (hasHead && head.startsWith('http/1.1 101')) {
      const decoded = decodeFrames(received);
      frames.push(...decoded.frames);
      received = decoded.rest;
    }
    look();
  });
  socket.on('end', over);
  socket.on('close', over);
  socket.on('error', over);
  return {
    get status() {
      const found = /^http\/1\.[01] (\d{3})/.exec(head)?.[1];
      return found === undefined ? null : Number(found);
    },
    get head() {
      return head;
    },
    frames,
    get isOver() {
      return isOver;
    },
    send(bytes) {
      if (socket.writable) socket.write(bytes);
    },
    end: () => void socket.end(),
    setReading: (isReading) => void (isReading ? socket.resume() : socket.pause()),
    destroy: () => void socket.destroy(),
    until(holds, timeoutMs) {
      return new Promise((resolve) => {
        const settle = (): void => {
          const isSo = holds();
          if (!isSo && performance.now() < deadlineMs) return;
          waiting.delete(settle);
          clearTimeout(timer);
          resolve(isSo);
        };
        const deadlineMs = performance.now() + timeoutMs;
        const timer = setTimeout(settle, timeoutMs + 1);
        waiting.add(settle);
        settle();
      });
    },
  };
}
