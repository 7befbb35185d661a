/**
 * Owns what a benchmark's client must know of a server's messages: how to connect, subscribe, publish and resume, and how
 * to tell the few kinds of messages apart by looking at a byte or two. The messages themselves are the same for all
 * servers: the name of a channel and a JSON object.
 */

import { maskedFrame } from '#bench/support/client-frames.ts';

/** What a server's message means to the client. */
export const kinds = {
  /** Nothing that the client waits for. */
  other: 0,
  /** The server spoke first and waits for `hello`. */
  greeting: 1,
  /** The connection may be used. */
  ready: 2,
  subscribed: 3,
  publication: 4,
  /** Wants `pong` in return. */
  ping: 5,
  /** The server refused something: an error of the run. */
  refused: 6,
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

/** A server's message: a part of what the socket read, valid during the call only. */
export interface MessageView {
  readonly kind: Kind;
  readonly text: string;
}

export interface Dialect {
  readonly path: string;
  /** Further lines of the handshake, each ended. */
  headers(key: string): string;
  /** Who speaks first once the handshake is done; `nobody`: the connection is ready. */
  readonly speaksFirst: 'client' | 'server' | 'nobody';
  /** `session`: what `sessionIn` found before, to be taken up again. */
  hello(session: string | null, position: string | null): Buffer | null;
  readonly pong: Buffer | null;
  /** Sent on every connection at this interval, where the server ends silent connections; 0 for never. */
  readonly heartbeatMs: number;
  readonly heartbeat: Buffer | null;
  kindOf(bytes: Buffer, from: number): Kind;
  /** How a connection that comes back is given what it missed: by a position when it subscribes, by a session, or not. */
  readonly resumes: 'subscription' | 'session' | 'nothing';
  /** From a `ready` message, where sessions are resumed. */
  sessionIn(text: string): string | null;
  /** Where a member is after a `subscribed` or a `publication` message. */
  positionAfter(previous: string | null, message: MessageView): string | null;
  /** Whether a `ready` or `subscribed` message of a member that resumed says that nothing is missing. */
  hasRecovered(text: string): boolean;
  subscribe(channel: string, position: string | null): Buffer;
  /** `json` is an object. */
  publish(channel: string, json: string): Buffer;
}

const codeOf = (character: string): number => character.charCodeAt(0);
const textFrame = (text: string): Buffer => maskedFrame('text', Buffer.from(text));

const simple = {
  headers: () => '',
  pong: null,
  heartbeatMs: 0,
  heartbeat: null,
  resumes: 'nothing',
  sessionIn: () => null,
  positionAfter: () => null,
  hasRecovered: () => false,
} as const;

const LETTER = {
  b: codeOf('b'),
  e: codeOf('e'),
  m: codeOf('m'),
  s: codeOf('s'),
  u: codeOf('u'),
  v: codeOf('v'),
  w: codeOf('w'),
};
/** Behind `{"type":"`. */
const TYPE_AT = 9;
/** Behind `{"v":1,"type":"`. */
const VERSIONED_TYPE_AT = 15;

/** What one writes without a library: `{"type":"message","channel":...,"data":...}` and the like. */
const plainJson: Dialect = {
  ...simple,
  path: '/ws',
  speaksFirst: 'nobody',
  hello: () => null,
  kindOf(bytes, from) {
    const first = bytes[from + TYPE_AT];
    return first === LETTER.m ? kinds.publication : first === LETTER.s ? kinds.subscribed : kinds.other;
  },
  subscribe: (channel) => textFrame(JSON.stringify({ type: 'subscribe', id: 1, channel })),
  publish: (channel, json) =>
    textFrame(`{"type":"publish","channel":${JSON.stringify(channel)},"data":${json}}`),
};

const DIGIT = codeOf('0');

/** Engine.IO 4 with Socket.IO 5 packets: the first digit is Engine.IO's, the second, in its messages, Socket.IO's. */
const socketIo: Dialect = {
  ...simple,
  path: '/socket.io/?EIO=4&transport=websocket',
  speaksFirst: 'server',
  hello: (session, position) =>
    textFrame(session === null ? '40' : `40${JSON.stringify({ pid: session, offset: position })}`),
  pong: textFrame('3'),
  kindOf(bytes, from) {
    const engine = bytes[from]! - DIGIT;
    if (engine === 0) return kinds.greeting;
    if (engine === 2) return kinds.ping;
    if (engine !== 4) return kinds.other;
    const packet = bytes[from + 1]! - DIGIT;
    if (packet === 0) return kinds.ready;
    if (packet === 2) return kinds.publication;
    if (packet === 3) return kinds.subscribed;
    return packet === 4 ? kinds.refused : kinds.other;
  },
  resumes: 'session',
  sessionIn: (text) => (JSON.parse(text.slice(2)) as { pid?: string }).pid ?? null,
  // With recovery switched on, the server adds the offset to what it emits.
  positionAfter(previous, { kind, text }) {
    if (kind !== kinds.publication) return previous;
    const last = (JSON.parse(text.slice(2)) as unknown[]).at(-1);
    return typeof last === 'string' ? last : previous;
  },
  subscribe: (channel) => textFrame(`421${JSON.stringify(['subscribe', channel])}`),
  publish: (channel, json) => textFrame(`42["publish",${JSON.stringify(channel)},${json}]`),
};

/** The viewer protocol (contract/live-messages.ts). */
const kymo: Dialect = {
  ...simple,
  path: '/v1/live',
  headers: (key) => `Authorization: Bearer ${key}\r\nSec-WebSocket-Protocol: kymo.live.v1\r\n`,
  speaksFirst: 'server',
  hello: () => null,
  // The server runs with --heartbeat-ms 25000 and waits for three.
  heartbeatMs: 30_000,
  heartbeat: textFrame('{"type":"heartbeat"}'),
  kindOf(bytes, from) {
    // `{"v":1,"type":"` in publications, which are the many.
    const first = bytes[from + (bytes[from + 2] === LETTER.v ? VERSIONED_TYPE_AT : TYPE_AT)];
    if (first === LETTER.m) return kinds.publication;
    if (first === LETTER.s) return kinds.subscribed;
    if (first === LETTER.w) return kinds.ready;
    // `error`, and `bye` of a server that drains. `unsubscribed` is never asked for.
    return first === LETTER.e || first === LETTER.b || first === LETTER.u ? kinds.refused : kinds.other;
  },
  resumes: 'subscription',
  positionAfter(previous, { kind, text }) {
    const message = JSON.parse(text) as { position?: object; offset?: number };
    if (kind === kinds.subscribed) return JSON.stringify(message.position);
    return previous === null
      ? null
      : JSON.stringify({ ...(JSON.parse(previous) as object), offset: message.offset });
  },
  hasRecovered: (text) => text.includes('"recovered":true'),
  subscribe: (channel, position) =>
    textFrame(
      `{"type":"subscribe","id":1,"channel":${JSON.stringify(channel)}${position === null ? '' : `,"position":${position}`}}`,
    ),
  publish: (channel, json) =>
    textFrame(
      `{"type":"publish","id":2,"channel":${JSON.stringify(channel)},"event":"message","data":${json}}`,
    ),
};

export const dialects = { plainJson, socketIo, kymo } as const satisfies Record<string, Dialect>;
export type DialectName = keyof typeof dialects;
