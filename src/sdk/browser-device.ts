/**
 * Owns the device client for browsers: the device API over the platform's WebSocket. A browser cannot set headers, so the
 * key travels in the first message, or a single-use ticket in the query; a key never does. What was pushed is stored when
 * the page is hidden, since it may be frozen or discarded then; when it is back, or the network is, it connects at once.
 */

import { AppError, messageOf } from '#base/errors.ts';
import { closeCodes } from '#protocol/codes.ts';
import { DEVICE_SUBPROTOCOL } from '#protocol/version.ts';
import { browserMachine, type BrowserMachine } from '#sdk/browser-machine.ts';
import { deviceEndpoint } from '#sdk/device-endpoint.ts';
import {
  createDevice,
  type Device,
  type DeviceRuntimeOptions,
  type DeviceSocket,
  type DeviceSocketHandlers,
} from '#sdk/device-runtime.ts';

export interface OpenDeviceOptions extends Omit<DeviceRuntimeOptions, 'openSocket' | 'key'> {
  /** `http(s)://` or `ws(s)://`, host and port; the path defaults to `/v1/device`. Default: the page's own origin. */
  readonly url?: string;
  /** The device key, sent in the first message. This or `ticket`. */
  readonly key?: string;
  /**
   * A new single-use ticket for every attempt, from a server that keeps the key away from the page. An AppError that
   * is not temporary stops the device.
   */
  readonly ticket?: () => Promise<string>;
  /** Allows a key and readings to travel in clear beyond this machine. For trials only. */
  readonly insecure?: boolean;
  /** For tests. */
  readonly machine?: BrowserMachine;
}

/**
 * Opens a device: it stores from now on, connects, and reconnects by itself. Resolves without waiting for a
 * connection, since a device records offline too. Throws AppError `invalid-field` for options that cannot be used.
 */
export function openDevice(options: OpenDeviceOptions): Promise<Device> {
  const { url, key, ticket, insecure, machine = browserMachine, ...runtime } = options;
  return Promise.resolve().then(() => {
    if ((key === undefined) === (ticket === undefined))
      throw new AppError('invalid-field', 'a device has a key or tickets', { field: '/key' });
    const endpoint = deviceEndpoint(url ?? pageOrigin(), insecure ?? false);
    const device = createDevice({
      ...runtime,
      ...(key === undefined ? {} : { key }),
      openSocket: (handlers) => openSocket(endpoint, ticket, handlers),
    });
    const stopListening = machine.listen({
      hidden: () => void device.flush(),
      awake: () => {
        if (device.status().phase === 'waiting') device.reconnect();
      },
    });
    return {
      ...device,
      close: (closing) => {
        stopListening();
        return device.close(closing);
      },
    };
  });
}

function pageOrigin(): string {
  const { location } = globalThis as { readonly location?: { readonly origin: string } };
  if (location === undefined)
    throw new AppError('invalid-field', 'outside of a page a device needs a url', { field: '/url' });
  return location.origin;
}

/** A WebSocket as far as it is used here: its types in Node and in browsers differ in what they may send. */
interface Socket {
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

const CONNECTING = 0;
const OPEN = 1;
/** No close code came (RFC 6455 section 7.1.5). */
const ABNORMAL = 1006;

function openSocket(
  endpoint: URL,
  ticket: (() => Promise<string>) | undefined,
  handlers: DeviceSocketHandlers,
): DeviceSocket {
  let socket: Socket | null = null;
  let isClosed = false;
  const connect = (address: URL): void => {
    if (!isClosed) socket = join(address, handlers);
  };
  if (ticket === undefined) connect(endpoint);
  else
    ticket().then(
      (text) => {
        const address = new URL(endpoint);
        address.searchParams.set('ticket', text);
        connect(address);
      },
      (thrown: unknown) => {
        if (isClosed) return;
        const isFinal = thrown instanceof AppError && !thrown.temporary;
        handlers.closed(isFinal ? closeCodes.unauthenticated : ABNORMAL, messageOf(thrown));
      },
    );
  return {
    sendText: (text) => {
      if (socket?.readyState === OPEN) socket.send(text);
    },
    sendBinary: (bytes) => {
      // What the device sends it has encoded itself, into memory that nobody shares.
      if (socket?.readyState === OPEN) socket.send(bytes as Uint8Array<ArrayBuffer>);
    },
    bufferedBytes: () => socket?.bufferedAmount ?? 0,
    close: (code, reason) => {
      isClosed = true;
      // A page may send 1000 and 3000 to 4999 only (WHATWG WebSockets, close()).
      if (socket?.readyState === OPEN) socket.close(code, reason);
      else if (socket?.readyState === CONNECTING) socket.close();
    },
  };
}

function join(address: URL, handlers: DeviceSocketHandlers): Socket {
  const socket = new WebSocket(address.href, DEVICE_SUBPROTOCOL);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => handlers.opened());
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    if (typeof data === 'string') handlers.message(data);
    else if (data instanceof ArrayBuffer) handlers.message(new Uint8Array(data));
  });
  // A failed handshake is followed by close as well (WHATWG WebSockets, "fail the WebSocket connection").
  socket.addEventListener('close', ({ code, reason }) => handlers.closed(code, reason));
  return socket;
}
