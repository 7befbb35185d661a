/**
 * Owns what a transport is to the subscriber: it takes the messages of a viewer as text, gives those of the server, and
 * closes with a code as a WebSocket does. Here is the WebSocket itself. A closed link says nothing more.
 */

import type { Clock } from '#base/clock.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';

export interface LinkEvents {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** Once, unless `close` came first. */
  closed(code: number, reason: string): void;
}

export interface Link {
  send(text: string): void;
  close(code: number): void;
}

/** `ticket`: single-use, for one connection. `token`: an access key, server key or token of another back end. */
export type Credential =
  | { readonly kind: 'ticket'; readonly text: string }
  | { readonly kind: 'token'; readonly text: string };

/** Opens a socket; the platform's WebSocket unless a test brings its own. */
export type OpenSocket = (url: string, protocol: string) => WebSocket;

export const openPlatformSocket: OpenSocket = (url, protocol) => new WebSocket(url, protocol);

const OPEN = 1;

/** `url`: of the live endpoint. A token is said in the first message: it belongs into no address. */
export function openSocketLink(
  { url, credential, openSocket }: LinkAddress & { readonly openSocket: OpenSocket },
  events: LinkEvents,
): Link {
  const { kind, text } = credential;
  const address = kind === 'ticket' ? `${url}?ticket=${encodeURIComponent(text)}` : url;
  const socket = openSocket(address, LIVE_SUBPROTOCOL);
  let isClosed = false;
  socket.binaryType = 'arraybuffer';
  if (kind === 'token')
    socket.addEventListener('open', () => {
      if (!isClosed) socket.send(JSON.stringify({ type: 'hello', key: text }));
    });
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    if (isClosed) return;
    if (typeof data === 'string') events.text(data);
    else if (data instanceof ArrayBuffer) events.binary(new Uint8Array(data));
  });
  // A failed handshake is followed by close as well (WHATWG WebSockets, "fail the WebSocket connection").
  socket.addEventListener('close', ({ code, reason }) => {
    if (isClosed) return;
    isClosed = true;
    events.closed(code, reason);
  });
  return {
    send(message) {
      if (!isClosed && socket.readyState === OPEN) socket.send(message);
    },
    close(code) {
      isClosed = true;
      socket.close(code);
    },
  };
}

/** A handshake that takes longer would be no better transport. */
const LOOK_MS = 5_000;

/** Tells once whether a handshake comes about; the socket is closed again. */
export function lookForSocket(
  {
    url,
    openSocket,
    clock,
  }: { readonly url: string; readonly openSocket: OpenSocket; readonly clock: Clock },
  told: (isOpen: boolean) => void,
): void {
  const socket = openSocket(url, LIVE_SUBPROTOCOL);
  let isOver = false;
  const finish = (isOpen: boolean): void => {
    if (isOver) return;
    isOver = true;
    cancel();
    socket.close(1000);
    told(isOpen);
  };
  const cancel = clock.after(LOOK_MS, () => finish(false));
  socket.addEventListener('open', () => finish(true));
  socket.addEventListener('close', () => finish(false));
}

export interface LinkAddress {
  /** Of the live endpoint, e.g. `wss://kymo.example/v1/live`. */
  readonly url: string;
  readonly credential: Credential;
}
