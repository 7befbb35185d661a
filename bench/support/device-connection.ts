/**
 * Owns one client connection of the load generator: TCP, the WebSocket handshake (RFC 6455 section 4.1) and frames in
 * both directions. Knows nothing of what the messages mean. `closed` is called once, after which nothing else is.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';

import { createServerFrameParser, maskedFrame, type Opcode } from '#bench/support/client-frames.ts';

/** A server's handshake answer is a few hundred bytes. */
const MAX_HANDSHAKE_BYTES = 16 * 1024;

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly subprotocol: string;
  /** Sent as a bearer token. */
  readonly key: string;
}

export interface ConnectionHandlers {
  opened(): void;
  text(text: string): void;
  /** What was written has left this process, after it had piled up. */
  drained(): void;
  closed(code: number, reason: string): void;
}

export interface DeviceConnection {
  /** Bytes written and still in this process. */
  readonly backlogBytes: number;
  sendText(message: object): void;
  /** `frames` are whole, masked WebSocket frames. */
  sendFrames(frames: readonly Buffer[]): void;
  close(): void;
  destroy(why: string): void;
}

export function openDeviceConnection(
  target: ConnectionTarget,
  handlers: ConnectionHandlers,
): DeviceConnection {
  const socket = net.connect({ host: target.host, port: target.port, noDelay: true });
  let handshake: Buffer | null = Buffer.alloc(0);
  let closing: { code: number; reason: string } | null = null;

  const destroy = (why: string): void => {
    closing ??= { code: 1006, reason: why };
    socket.destroy();
  };
  const onMessage = (opcode: Opcode, payload: Buffer): void => {
    if (opcode === 'text') handlers.text(payload.toString('utf8'));
    else if (opcode === 'ping') socket.write(maskedFrame('pong', payload));
    else if (opcode === 'close') {
      closing ??= {
        code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005,
        reason: payload.subarray(2).toString('utf8'),
      };
      socket.end(maskedFrame('close', payload.subarray(0, 2)));
    }
  };
  const parse = createServerFrameParser({ message: onMessage, broken: destroy });

  socket.on('connect', () => void socket.write(handshakeRequest(target)));
  socket.on('data', (chunk: Buffer) => {
    if (handshake === null) return parse(chunk);
    handshake = Buffer.concat([handshake, chunk]);
    const end = handshake.indexOf('\r\n\r\n');
    if (end < 0) {
      if (handshake.length > MAX_HANDSHAKE_BYTES) destroy('the handshake answer does not end');
      return;
    }
    const status = handshake.subarray(0, handshake.indexOf('\r\n')).toString('latin1');
    const rest = handshake.subarray(end + 4);
    handshake = null;
    if (!status.startsWith('HTTP/1.1 101 ')) return destroy(`the server answered '${status}'`);
    handlers.opened();
    if (rest.length > 0) parse(rest);
  });
  socket.on('drain', () => handlers.drained());
  socket.on('error', (error) => destroy(error.message));
  socket.on('end', () => socket.end());
  socket.on('close', () =>
    handlers.closed(closing?.code ?? 1006, closing?.reason ?? 'the connection was cut'),
  );
  return {
    get backlogBytes() {
      return socket.writableLength;
    },
    sendText: (message) => void socket.write(maskedFrame('text', Buffer.from(JSON.stringify(message)))),
    sendFrames(frames) {
      if (frames.length === 1) return void socket.write(frames[0]!);
      socket.cork();
      for (const frame of frames) socket.write(frame);
      socket.uncork();
    },
    close() {
      closing ??= { code: 1000, reason: '' };
      socket.end(maskedFrame('close', Buffer.from([0x03, 0xe8])));
    },
    destroy,
  };
}

function handshakeRequest(target: ConnectionTarget): string {
  return (
    [
      `GET ${target.path} HTTP/1.1`,
      `Host: ${target.host}:${target.port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Protocol: ${target.subprotocol}`,
      `Authorization: Bearer ${target.key}`,
    ].join('\r\n') + '\r\n\r\n'
  );
}
