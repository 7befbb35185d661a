/**
 * Owns one client connection of the channels benchmark: TCP from a chosen loopback address, the WebSocket handshake
 * (RFC 6455 section 4.1) and the scan of what arrives. All connections of a process read into the same memory.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';

import { maskedFrame } from '#bench/support/client-frames.ts';
import {
  createFrameScanner,
  OPCODE_CLOSE,
  OPCODE_PING,
  type FrameHandler,
} from '#bench/channels/frame-scan.ts';

/** One read takes what a server wrote in a turn; a larger one is read in pieces. */
const READ_BYTES = 256 * 1024;
/** A server's handshake answer is a few hundred bytes. */
const MAX_HANDSHAKE_BYTES = 16 * 1024;

/** Node reads into it and calls back before it reads from another socket. */
const memory = Buffer.allocUnsafeSlow(READ_BYTES);

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Further lines of the handshake, each ended. */
  readonly headers: string;
  readonly localAddress: string;
}

export interface RawHandlers {
  opened(): void;
  /** Text and binary frames. */
  frame: FrameHandler;
  /** Called once, not after `reset`. */
  closed(why: string): void;
}

export interface RawConnection {
  /** Whole, masked frames. */
  send(frames: Buffer): void;
  /** Ends the connection at once, as a cut cable would, and leaves no port waiting. */
  reset(): void;
}

export function openRawConnection(target: RawTarget, handlers: RawHandlers): RawConnection {
  let handshake: Buffer | null = Buffer.alloc(0);
  let isOver = false;
  const end = (why: string): void => {
    if (isOver) return;
    isOver = true;
    socket.resetAndDestroy();
    handlers.closed(why);
  };
  const scan = createFrameScanner((opcode, bytes, from, to) => {
    if (isOver) return;
    if (opcode < OPCODE_CLOSE) handlers.frame(opcode, bytes, from, to);
    else if (opcode === OPCODE_PING) socket.write(maskedFrame('pong', bytes.subarray(from, to)));
    else if (opcode === OPCODE_CLOSE) end(closeText(bytes, from, to));
  });
  const take = (chunk: Buffer, length: number): void => {
    const wrong = scan(chunk, length);
    if (wrong !== null) end(wrong);
  };
  const takeHandshake = (chunk: Buffer): void => {
    handshake = Buffer.concat([handshake!, chunk]);
    const headEnd = handshake.indexOf('\r\n\r\n');
    if (headEnd < 0) {
      if (handshake.length > MAX_HANDSHAKE_BYTES) end('the handshake answer does not end');
      return;
    }
    const status = handshake.subarray(0, handshake.indexOf('\r\n')).toString('latin1');
    const rest = Buffer.from(handshake.subarray(headEnd + 4));
    handshake = null;
    if (!status.startsWith('HTTP/1.1 101 ')) return end(`the server answered '${status}'`);
    handlers.opened();
    if (rest.length > 0) take(rest, rest.length);
  };
  const socket = net.connect({
    host: target.host,
    port: target.port,
    localAddress: target.localAddress,
    noDelay: true,
    onread: {
      buffer: memory,
      callback(length: number, chunk: Uint8Array): boolean {
        if (isOver) return false;
        if (handshake === null) take(chunk as Buffer, length);
        else takeHandshake((chunk as Buffer).subarray(0, length));
        return true;
      },
    },
  });
  socket.on('connect', () => void socket.write(handshakeRequest(target)));
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('the server closed the connection'));
  return {
    send: (frames) => void socket.write(frames),
    reset() {
      isOver = true;
      socket.resetAndDestroy();
    },
  };
}

function closeText(bytes: Buffer, from: number, to: number): string {
  const code = to - from >= 2 ? bytes.readUInt16BE(from) : 1005;
  return `closed by the server: ${code} ${bytes.toString('utf8', Math.min(from + 2, to), to)}`.trimEnd();
}

function handshakeRequest({ host, port, path, headers }: RawTarget): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${headers}\r\n`
  );
}
