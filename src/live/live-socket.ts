/**
 * Owns the WebSocket transport of the hub on a socket that answered the handshake: frames in (frame-reader.ts), whole frames
 * out as they are, the closing handshake, and the end. What many viewers are given in one tick is put together once. One
 * class with shared handlers, since there may be a hundred thousand: a connection that waits costs its fields.
 */

import type { Socket } from 'node:net';

import type { Clock } from '#base/clock.ts';
import { closeCodes, type CloseReason } from '#protocol/codes.ts';
import { limits as protocolLimits } from '#protocol/limits.ts';
import { encodeClose, encodePong, pingFrame } from '#live/control-frames.ts';
import {
  createFrameReader,
  frameFaults,
  readFrames,
  type FrameHandlers,
  type FrameReader,
} from '#live/frame-reader.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import type { Outgoing, Transport, ViewerPort } from '#live/transport.ts';

export interface UpgradedSocket {
  readonly socket: Socket;
  /** What was read behind the handshake. */
  readonly head: Buffer;
}

/** Connects such a socket to the hub. From here on nobody else may read or write it. */
export type ConnectLiveSocket = (
  upgraded: UpgradedSocket,
  connect: (transport: Transport) => ViewerPort,
) => void;

export interface LiveSocketContext {
  readonly clock: Pick<Clock, 'after'>;
  readonly limits: Pick<HubLimits, 'highWaterBytes' | 'closeGraceMs'>;
}

/** Once for all connections of a hub. */
export function createLiveSockets({ clock, limits }: LiveSocketContext): ConnectLiveSocket {
  const shared: Shared = { clock, limits, join: createFrameJoiner() };
  return ({ socket, head }, connect) => {
    const connection = new LiveConnection(socket, shared);
    connection.port = connect(connection);
    // What came behind the handshake is before what is still in the socket.
    if (head.length > 0) readFrames(connection.reader, head);
    socket.on('data', onData);
  };
}

interface Shared extends LiveSocketContext {
  readonly join: (items: readonly Outgoing[]) => Uint8Array;
}

const CONNECTION = Symbol('the connection on a socket');

interface LiveSocket extends Socket {
  [CONNECTION]?: LiveConnection;
}

class LiveConnection implements Transport {
  readonly socket: LiveSocket;
  readonly reader: FrameReader<LiveConnection>;
  /** Null until the hub has taken the connection: nothing is read before. */
  port: ViewerPort | null = null;
  /** A close frame was sent, or the peer is gone: nothing is written any more. */
  private isClosing = false;
  private readonly shared: Shared;
  private cancelDestruction: (() => void) | null = null;

  constructor(socket: LiveSocket, shared: Shared) {
    this.socket = socket;
    this.shared = shared;
    this.reader = createFrameReader(this, frameHandlers, protocolLimits.controlBytes);
    socket[CONNECTION] = this;
    // Small messages leave at once. Node's own time-outs ended with the request; silence is the hub's concern.
    socket.setNoDelay(true);
    socket.on('end', onEnd);
    socket.on('error', onError);
    socket.on('close', onClose);
  }

  write(items: readonly Outgoing[], sent: () => void): void {
    if (this.isClosing) return;
    this.socket.write(this.shared.join(items), (failure) => {
      if (failure === undefined || failure === null) sent();
    });
  }

  ping(): void {
    if (!this.isClosing) this.socket.write(pingFrame);
  }

  close(reason: CloseReason): void {
    this.sayGoodbye(closeCodes[reason], reason);
  }

  /** A pong may be left out when a later ping is answered (RFC 6455 section 5.5.3): nobody fills the queue with them. */
  answerPing(payload: Buffer): void {
    this.port?.heard();
    if (this.isClosing || this.socket.writableLength > this.shared.limits.highWaterBytes) return;
    this.socket.write(encodePong(payload));
  }

  /** The peer closes, or answers our close: it gets its code back, and the server ends the connection (section 7.1.1). */
  answerClose(code: number | null): void {
    this.sayGoodbye(code, '');
    this.socket.end();
  }

  /** Sends the close frame once; after a grace the connection is gone in any case. */
  sayGoodbye(code: number | null, reason: string): void {
    if (this.isClosing) return;
    this.socket.write(encodeClose(code, reason));
    this.beginClosing();
  }

  /** Node leaves our side of an upgraded socket open when the peer's ends. */
  peerEnded(): void {
    this.beginClosing();
    this.socket.end();
  }

  gone(): void {
    this.isClosing = true;
    this.cancelDestruction?.();
    this.port?.ended();
  }

  private beginClosing(): void {
    this.isClosing = true;
    const { clock, limits } = this.shared;
    this.cancelDestruction ??= clock.after(limits.closeGraceMs, () => this.socket.destroy());
  }
}

const frameHandlers: FrameHandlers<LiveConnection> = {
  text: ({ port }, text) => port?.receiveText(text),
  binary: ({ port }) => port?.receiveBinary(),
  ping: (connection, payload) => connection.answerPing(payload),
  pong: ({ port }) => port?.heard(),
  close: (connection, code) => connection.answerClose(code),
  broken(connection, fault) {
    connection.sayGoodbye(frameFaults[fault], '');
    connection.socket.end();
  },
};

function onData(this: LiveSocket, chunk: Buffer): void {
  readFrames(this[CONNECTION]!.reader, chunk);
}

function onEnd(this: LiveSocket): void {
  this[CONNECTION]!.peerEnded();
}

/** `close` follows. */
function onError(this: LiveSocket): void {
  this.destroy();
}

function onClose(this: LiveSocket): void {
  this[CONNECTION]!.gone();
}

/**
 * Viewers of one channel miss the same messages in a tick, one after the other: whoever is given the same items as the one
 * before gets the same bytes. Keeps the last ones only.
 */
function createFrameJoiner(): Shared['join'] {
  let lastItems: readonly Outgoing[] = [];
  let lastBytes: Uint8Array = new Uint8Array();
  return (items) => {
    if (items.length === 1) return items[0]!.framed;
    if (!isSame(items, lastItems)) {
      lastItems = items;
      lastBytes = Buffer.concat(items.map((item) => item.framed));
    }
    return lastBytes;
  };
}

function isSame(items: readonly Outgoing[], others: readonly Outgoing[]): boolean {
  if (items.length !== others.length) return false;
  for (let i = 0; i < items.length; i++) if (items[i] !== others[i]) return false;
  return true;
}
