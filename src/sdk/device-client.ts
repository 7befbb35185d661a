/**
 * Owns the device client for Node: the device API over a WebSocket of the `ws` package, TLS or plain. The key travels
 * in the Authorization header. Bound: ws buffers at most what the credit and maxBufferedBytes allow.
 */

import { WebSocket } from 'ws';

import { closeCodes } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { DEVICE_SUBPROTOCOL } from '#protocol/version.ts';
import { deviceEndpoint } from '#sdk/device-endpoint.ts';
import {
  createDevice,
  type Device,
  type DeviceRuntimeOptions,
  type DeviceSocket,
  type DeviceSocketHandlers,
} from '#sdk/device-runtime.ts';

export interface OpenDeviceOptions extends Omit<DeviceRuntimeOptions, 'openSocket' | 'key'> {
  /** `http(s)://` or `ws(s)://`, host and port; the path defaults to `/v1/device`. */
  readonly url: string;
  readonly key: string;
  /** PEM certificates to trust instead of the system's, for a server with its own authority. */
  readonly ca?: string;
  /** Allows a key and readings to travel in clear beyond this machine. For trials only. */
  readonly insecure?: boolean;
}

/**
 * Opens a device: it stores from now on, connects, and reconnects by itself. Resolves without waiting for a
 * connection, since a device records offline too. Throws AppError `invalid-field` for a URL that cannot be used.
 */
export function openDevice(options: OpenDeviceOptions): Promise<Device> {
  const { url, key, ca, insecure, ...runtime } = options;
  return Promise.resolve().then(() => {
    const endpoint = deviceEndpoint(url, insecure ?? false).href;
    return createDevice({
      ...runtime,
      openSocket: (handlers) => openSocket({ endpoint, key, ca }, handlers),
    });
  });
}

interface Endpoint {
  readonly endpoint: string;
  readonly key: string;
  readonly ca: string | undefined;
}

/** An acknowledgement of 256 streams with 32 ranges each, all numbers at their longest, is under 300 KiB. */
const MAX_SERVER_MESSAGE_BYTES = 2 * limits.messageBytes;

function openSocket(target: Endpoint, handlers: DeviceSocketHandlers): DeviceSocket {
  const socket = new WebSocket(target.endpoint, [DEVICE_SUBPROTOCOL], {
    perMessageDeflate: false,
    maxPayload: MAX_SERVER_MESSAGE_BYTES,
    headers: { authorization: `Bearer ${target.key}` },
    ...(target.ca === undefined ? {} : { ca: target.ca }),
  });
  socket.binaryType = 'nodebuffer';
  let refusal: { code: number; reason: string } | null = null;
  socket.on('open', () => handlers.opened());
  socket.on('message', (data: Buffer, isBinary) => handlers.message(isBinary ? data : data.toString('utf8')));
  socket.on('unexpected-response', (_request, response) => {
    const status = response.statusCode ?? 0;
    refusal = { code: closeCodeOfStatus(status), reason: `HTTP ${status}` };
    response.destroy();
    socket.terminate();
  });
  socket.on('error', (error) => {
    refusal ??= { code: 1006, reason: error.message };
  });
  socket.on('close', (code, reason) =>
    refusal === null || code !== 1006
      ? handlers.closed(code, reason.toString('utf8'))
      : handlers.closed(refusal.code, refusal.reason),
  );
  return {
    sendText: (text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    sendBinary: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
    },
    bufferedBytes: () => socket.bufferedAmount,
    close: (code, reason) => closeSocket(socket, code, reason),
  };
}

/** What an HTTP answer instead of a WebSocket means, in close codes. */
function closeCodeOfStatus(status: number): number {
  if (status === 401) return closeCodes.unauthenticated;
  if (status === 403) return closeCodes.forbidden;
  if (status === 429 || status === 503) return closeCodes.overloaded;
  return 1006;
}

/** How long a peer may take to answer a close before its socket is destroyed. */
const CLOSE_MS = 2000;

function closeSocket(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== WebSocket.OPEN) return socket.terminate();
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
  socket.once('close', () => clearTimeout(timer));
}
