/**
 * Owns one simulated WebSocket (RFC 6455) between a client's process and a server's, as `ws` shows it to either: messages
 * in order, a closing handshake, 1006 where there was none. After `close` a client hears nothing more of it.
 */

import { createLine, type Line, type Path } from '#test/simulation/line.ts';
import type { Process, Scheduler } from '#test/simulation/scheduler.ts';
import type { ServerNode } from '#test/simulation/server-node.ts';

export interface ClientHandlers {
  opened(): void;
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  closed(code: number, reason: string): void;
}

export interface ServerHandlers {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** The socket has ended. Once. */
  gone(): void;
}

export interface ClientSocket<S = ServerNode> {
  readonly server: S;
  isOpen(): boolean;
  /** `heard` runs at the server, just before it is given the text. */
  sendText(text: string, heard?: () => void): void;
  sendBinary(bytes: Uint8Array): void;
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

export interface ServerSocket {
  isOpen(): boolean;
  sendText(text: string, left?: () => void): void;
  sendBinary(bytes: Uint8Array, left?: () => void): void;
  unsentBytes(): number;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** What comes before the WebSocket: the request for it. */
export interface UpgradeRequest {
  /** Null when the client has gone meanwhile. */
  accept(): { readonly socket: ServerSocket; serve(handlers: ServerHandlers): void } | null;
  /** `code`: what the client makes of the HTTP status. */
  refuse(code: number, reason: string): void;
}

/** A connection as the network's faults see it. */
export interface Connection {
  readonly client: Process;
  readonly server: Process;
  readonly up: Line;
  readonly down: Line;
  isOver(): boolean;
  /** The client's kernel says that the connection is broken. */
  clientLost(): void;
  /** The same at the server. */
  serverLost(): void;
  /** The process is dead; its kernel says so, or not (the power went). */
  clientDied(isTold: boolean): void;
  serverDied(): void;
}

export interface ConnectionOptions<S> {
  readonly scheduler: Scheduler;
  readonly path: Path;
  readonly client: Process;
  readonly server: S & { readonly process: Process };
  readonly handlers: ClientHandlers;
  readonly upgrade: (request: UpgradeRequest) => void;
  /** Neither end has it any more. */
  readonly over: (connection: Connection) => void;
}

type End = 'opening' | 'open' | 'closing' | 'closed';

/** Without body and header of any size worth the name. */
const REQUEST_BYTES = 300;
const CLOSE_BYTES = 10;
/** RFC 6455 section 5.2. */
const HEADER_BYTES = 4;
/** How long either end waits for the other's close frame (device-socket.ts, device-client.ts). */
const CLOSE_TIMEOUT_MS = 2000;

export function openConnection<S>(options: ConnectionOptions<S>): {
  connection: Connection;
  socket: ClientSocket<S>;
} {
  const { scheduler, path, client, handlers } = options;
  const server = options.server.process;
  const up = createLine(scheduler, path, { sender: client, receiver: server });
  const down = createLine(scheduler, path, { sender: server, receiver: client });
  let near: End = 'opening';
  let far: End = 'opening';
  let served: ServerHandlers | null = null;

  function nearEnds(): void {
    near = 'closed';
    if (far === 'closed') options.over(connection);
  }

  function farEnds(): void {
    if (far === 'closed') return;
    far = 'closed';
    served?.gone();
    if (near === 'closed') options.over(connection);
  }

  function clientHears(code: number, reason: string): void {
    if (near === 'closed') return;
    const isTold = near !== 'closing';
    nearEnds();
    if (isTold) handlers.closed(code, reason);
  }

  function abort(): void {
    up.send(0, farEnds);
    down.sever();
    nearEnds();
  }

  const connection: Connection = {
    client,
    server,
    up,
    down,
    isOver: () => near === 'closed' && far === 'closed',
    clientLost: () => clientHears(1006, 'the connection broke'),
    serverLost: farEnds,
    clientDied(isTold) {
      if (isTold) up.send(0, farEnds);
      if (near !== 'closed') nearEnds();
    },
    serverDied() {
      served = null;
      down.send(0, connection.clientLost);
      farEnds();
    },
  };
  const serverSocket: ServerSocket = {
    isOpen: () => far === 'open',
    sendText(text, left) {
      if (far !== 'open') return;
      const arrive = (): void => {
        if (near === 'open') handlers.text(text);
      };
      down.send(text.length + HEADER_BYTES, arrive, left);
    },
    sendBinary(bytes, left) {
      if (far !== 'open') return;
      const arrive = (): void => {
        if (near === 'open') handlers.binary(bytes);
      };
      down.send(bytes.length + HEADER_BYTES, arrive, left);
    },
    unsentBytes: () => down.unsentBytes(),
    close(code, reason) {
      if (far !== 'open') return;
      far = 'closing';
      down.send(CLOSE_BYTES, () => {
        if (near === 'closed') return;
        up.send(CLOSE_BYTES, farEnds);
        clientHears(code, reason);
      });
      scheduler.after(CLOSE_TIMEOUT_MS, server, farEnds);
    },
    terminate() {
      if (far === 'closed') return;
      down.send(0, connection.clientLost);
      farEnds();
    },
  };
  const request: UpgradeRequest = {
    accept() {
      if (far !== 'opening') return null;
      far = 'open';
      return {
        socket: serverSocket,
        serve(made) {
          served = made;
          down.send(REQUEST_BYTES, () => {
            if (near !== 'opening') return;
            near = 'open';
            handlers.opened();
          });
        },
      };
    },
    refuse(code, reason) {
      if (far !== 'opening') return;
      down.send(REQUEST_BYTES, () => clientHears(code, reason));
      farEnds();
    },
  };
  up.send(REQUEST_BYTES, () => {
    if (far === 'opening') options.upgrade(request);
  });
  const socket: ClientSocket<S> = {
    server: options.server,
    isOpen: () => near === 'open',
    sendText(text, heard) {
      if (near !== 'open') return;
      up.send(text.length + HEADER_BYTES, () => {
        heard?.();
        if (far === 'open') served?.text(text);
      });
    },
    sendBinary(bytes) {
      if (near !== 'open') return;
      up.send(bytes.length + HEADER_BYTES, () => {
        if (far === 'open') served?.binary(bytes);
      });
    },
    bufferedBytes: () => up.unsentBytes(),
    close(code) {
      if (near === 'opening') return abort();
      if (near !== 'open') return;
      near = 'closing';
      up.send(CLOSE_BYTES, () => {
        // A server that closes already has its answer with that; any other answers.
        if (far === 'open' || far === 'closing') {
          down.send(CLOSE_BYTES, () => clientHears(code, ''));
          farEnds();
        }
      });
      scheduler.after(CLOSE_TIMEOUT_MS, client, () => {
        if (near === 'closing') abort();
      });
    },
  };
  return { connection, socket };
}
