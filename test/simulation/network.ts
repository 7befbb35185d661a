/**
 * Owns the simulated network between devices or viewers and servers: who reaches whom, how fast, and what breaks. Bound:
 * what its users open; a connection that neither end has any more is forgotten.
 */

import { assert } from '#base/assert.ts';
import { integerBelow } from '#base/random.ts';
import {
  openConnection,
  type ClientHandlers,
  type ClientSocket,
  type Connection,
  type UpgradeRequest,
} from '#test/simulation/connection.ts';
import type { Path } from '#test/simulation/line.ts';
import type { Process, Scheduler } from '#test/simulation/scheduler.ts';
import type { ServerCore } from '#test/simulation/server-node.ts';

/**
 * Faults, by the name of a device or viewer. Within one connection messages arrive in order and whole, or the connection
 * ends: what is under way is late or lost, never reordered.
 */
export interface Network {
  /** The connection ends: both ends hear 1006, what was under way is lost. */
  cut(name: string): void;
  /**
   * Nothing passes in this direction and nobody hears of it; new connections hang. Afterwards an old connection is dead
   * for good, or everything arrives late, by chance; what hung goes on.
   */
  halfOpen(name: string, direction: 'up' | 'down' | 'both', forMs: number): void;
  /**
   * The device hears 1006 and comes back; what was under way to the old server arrives there `lateMs` later. Only then does
   * that server hear that the connection has ended, or never, by chance: whoever moves to another network says nothing.
   * Waits up to half a second for something to be under way.
   */
  split(name: string, lateMs: number): void;
  /** The message under way never arrives whole, and both ends hear 1006. Waits as `split` does. */
  cutMidMessage(name: string): void;
  /** New connections fail. An open one ends: this end hears 1006, the server nothing. */
  setUnreachable(name: string, isUnreachable: boolean): void;
  setLatency(name: string, minMs: number, maxMs: number): void;
  /** Of what is sent up from now on; what has not left counts as `bufferedBytes`. */
  setBandwidth(name: string, bytesPerSecond: number | null): void;
  /** Where new connections go. Null: any server that runs, in turn. */
  route(name: string, server: number | null): void;
}

/** The network as machines use it. */
/** `S`: what serves, found by its running process. */
export interface NetworkCore<S extends Served = ServerCore> {
  readonly faults: Network;
  /** A machine of this name is there from now on, on a path of its own. */
  add(name: string): void;
  /** Null: no server can be reached, which `closed` tells as well. Calls no handler before it returns. */
  connect(name: string, request: ConnectRequest<S>): ClientSocket<S> | null;
  /** A short question over HTTP. Rejects when no server can be reached; one that cannot answer leaves it open. */
  ask<T>(name: string, client: Process, answer: (server: Running<S>) => T): Promise<T>;
  /** All connections of this process end; `isTold`: its kernel lives and says so. */
  processDied(process: Process, isTold: boolean): void;
  /** Whether a client takes what comes to it. */
  setReading(name: string, isReading: boolean): void;
}

interface Served {
  /** Null: not running. */
  readonly process: Process | null;
}

type Running<S> = S & { readonly process: Process };

export interface ConnectRequest<S> {
  readonly client: Process;
  readonly handlers: ClientHandlers;
  readonly upgrade: (server: Running<S>, request: UpgradeRequest) => void;
}

interface Place {
  readonly path: Path;
  readonly connections: Set<Connection>;
  isUnreachable: boolean;
  isReading: boolean;
  server: number | null;
  /** Until when nothing passes. */
  readonly blockedUntilMs: { up: number; down: number };
  /** Connections that hang because they began meanwhile. */
  readonly hanging: Set<Connection>;
}

/** For this long `split` and `cutMidMessage` wait for a message. */
const WAIT_MS = 500;

export function createNetwork<S extends Served>(
  scheduler: Scheduler,
  latencyMs: readonly [number, number],
  servers: readonly S[],
): NetworkCore<S> {
  const { random } = scheduler;
  const places = new Map<string, Place>();
  let turn = 0;

  function placeOf(name: string): Place {
    const place = places.get(name);
    assert(place !== undefined, 'a machine of this network');
    return place;
  }

  function latencyOf({ path }: Place): number {
    return path.minMs + random.next() * (path.maxMs - path.minMs);
  }

  function serverFor(place: Place): Running<S> | null {
    const chosen = place.server === null ? null : servers[place.server];
    const running = (chosen === null ? servers : [chosen]).filter((one) => isRunning<S>(one));
    return place.isUnreachable || running.length === 0 ? null : running[turn++ % running.length]!;
  }

  /** Both ends hear that the connection is broken, each after a while. */
  function breakNow(place: Place, connection: Connection): void {
    connection.up.sever();
    connection.down.sever();
    scheduler.after(latencyOf(place), connection.client, connection.clientLost);
    scheduler.after(latencyOf(place), connection.server, connection.serverLost);
  }

  /** Calls `then` as soon as a message is under way, and keeps it there. */
  function whenUnderWay(place: Place, then: (connection: Connection) => void): void {
    for (const connection of place.connections) {
      let isDone = false;
      const go = (): void => {
        if (isDone) return;
        isDone = true;
        if (!connection.isOver()) then(connection);
      };
      if (connection.up.underWay() > 0) go();
      else {
        // Not within the sender's own call.
        connection.up.hold(() => scheduler.after(0, null, go));
        scheduler.after(WAIT_MS, null, go);
      }
    }
  }

  function block(place: Place, direction: 'up' | 'down', forMs: number): void {
    const untilMs = scheduler.nowMs + forMs;
    place.blockedUntilMs[direction] = Math.max(place.blockedUntilMs[direction], untilMs);
    for (const connection of place.connections) connection[direction].hold();
    scheduler.after(forMs, null, () => {
      if (place.blockedUntilMs[direction] > scheduler.nowMs) return;
      for (const connection of place.connections)
        if (place.hanging.has(connection) || integerBelow(random, 2) === 0) connection[direction].release();
        else connection[direction].sever();
    });
  }

  const faults: Network = {
    cut(name) {
      const place = placeOf(name);
      for (const connection of place.connections) breakNow(place, connection);
    },
    halfOpen(name, direction, forMs) {
      const place = placeOf(name);
      if (direction !== 'down') block(place, 'up', forMs);
      if (direction !== 'up') block(place, 'down', forMs);
    },
    split(name, lateMs) {
      whenUnderWay(placeOf(name), (connection) => {
        connection.up.delay(lateMs);
        connection.down.sever();
        scheduler.after(0, connection.client, connection.clientLost);
        if (integerBelow(random, 2) === 0) scheduler.after(lateMs, connection.server, connection.serverLost);
      });
    },
    cutMidMessage(name) {
      const place = placeOf(name);
      whenUnderWay(place, (connection) => {
        connection.up.dropLast();
        connection.up.delay(latencyOf(place));
        connection.down.sever();
        scheduler.after(latencyOf(place), connection.client, connection.clientLost);
        connection.up.release();
        connection.up.send(0, connection.serverLost);
      });
    },
    setUnreachable(name, isUnreachable) {
      const place = placeOf(name);
      place.isUnreachable = isUnreachable;
      if (!isUnreachable) return;
      for (const { client, clientLost, up, down } of place.connections) {
        up.sever();
        down.sever();
        scheduler.after(0, client, clientLost);
      }
    },
    setLatency(name, minMs, maxMs) {
      Object.assign(placeOf(name).path, { minMs, maxMs });
    },
    setBandwidth(name, bytesPerSecond) {
      placeOf(name).path.bytesPerSecond = bytesPerSecond;
    },
    route(name, server) {
      placeOf(name).server = server;
    },
  };

  return {
    faults,
    add(name) {
      const [minMs, maxMs] = latencyMs;
      places.set(name, {
        path: { minMs, maxMs, bytesPerSecond: null },
        connections: new Set(),
        isUnreachable: false,
        isReading: true,
        server: null,
        blockedUntilMs: { up: 0, down: 0 },
        hanging: new Set(),
      });
    },
    connect(name, { client, handlers, upgrade }) {
      const place = placeOf(name);
      const server = serverFor(place);
      if (server === null) {
        scheduler.after(latencyOf(place), client, () => handlers.closed(1006, 'no server can be reached'));
        return null;
      }
      const { connection, socket } = openConnection({
        scheduler,
        path: place.path,
        client,
        server,
        handlers,
        upgrade: (request) => upgrade(server, request),
        over: (ended) => {
          place.connections.delete(ended);
          place.hanging.delete(ended);
        },
      });
      place.connections.add(connection);
      connection.down.setReading(place.isReading);
      for (const direction of ['up', 'down'] as const)
        if (place.blockedUntilMs[direction] > scheduler.nowMs) {
          connection[direction].hold();
          place.hanging.add(connection);
        }
      return socket;
    },
    ask(name, client, answer) {
      const place = placeOf(name);
      const server = serverFor(place);
      return new Promise((resolve, reject) => {
        const upMs = latencyOf(place);
        if (server === null) {
          scheduler.after(upMs, client, () => reject(new Error('no server can be reached')));
          return;
        }
        if (Math.max(place.blockedUntilMs.up, place.blockedUntilMs.down) > scheduler.nowMs) return;
        scheduler.after(upMs, server.process, () => {
          const answered = answer(server);
          scheduler.after(latencyOf(place), client, () => resolve(answered));
        });
      });
    },
    processDied(process, isTold) {
      for (const { connections } of places.values())
        for (const connection of connections) {
          const isClient = connection.client === process;
          if (!isClient && connection.server !== process) continue;
          // Unread bytes make a kernel reset the connection, and what is under way is lost; otherwise it arrives first.
          const line = isClient ? connection.up : connection.down;
          if (isTold && integerBelow(random, 2) === 0) line.clear();
          if (isClient) connection.clientDied(isTold);
          else connection.serverDied();
        }
    },
    setReading(name, isReading) {
      const place = placeOf(name);
      place.isReading = isReading;
      for (const { down } of place.connections) down.setReading(isReading);
    },
  };
}

function isRunning<S extends Served>(server: S | undefined): server is Running<S> {
  return server !== undefined && server.process !== null;
}
