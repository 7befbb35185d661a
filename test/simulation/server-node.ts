/**
 * Owns a simulated server: a machine with a clock, and on it processes that run the real gateway, writer, hub and
 * lifecycle, joined as src/app/server.ts and src/app/upgrades.ts join them.
 */

import { createLifecycle } from '#app/lifecycle.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { integerBelow, seededRandom, type Random } from '#base/random.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { createGateway, defaultGatewayConfig, type Gateway, type GatewayConfig } from '#ingest/gateway.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { createHub, type Hub } from '#live/hub.ts';
import type { ViewerPort } from '#live/transport.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { ServerMessage } from '#protocol/messages.ts';
import { defaultWriterConfig, type WriterConfig } from '#store/writer-machine.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import type { ServerSocket, UpgradeRequest } from '#test/simulation/connection.ts';
import type { DatabaseModel, ServerDatabase } from '#test/simulation/database/database-types.ts';
import { WORLD_STARTS_US, type DeviceNode, type NodeContext } from '#test/simulation/device-node.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createTestChannels } from '#test/support/test-channels.ts';
import { createSimulatedClock, type Process, type SimulatedClock } from '#test/simulation/scheduler.ts';

/** A viewer as the hub knows it: it may follow the sessions of its organisation. */
export interface ViewerIdentity {
  readonly name: string;
  readonly orgId: string;
}

export interface ServerNode {
  readonly index: number;
  readonly clock: SimulatedClock;
  /** Null: not running. */
  readonly process: Process | null;
  readonly gateway: Gateway | null;
  readonly writer: Writer | null;
  /** Null also when the world has no viewers. */
  readonly hub: Hub | null;
  /** A process starts and listens once it has reached the database; while it cannot, it is started anew every second. */
  start(): void;
  /** SIGKILL: its peers hear 1006 after a while. */
  kill(): void;
  /** SIGSTOP: its sockets stay open and take what comes. */
  stop(): void;
  /** SIGCONT. */
  resume(): void;
  /** SIGTERM: devices and viewers are asked to go, what they sent is committed, then the process ends. */
  drain(): void;
}

/** A device that asks for a connection. */
export interface DevicePeer {
  readonly node: DeviceNode;
  /** Null: its hello will say it. */
  readonly key: string | null;
  readonly address: string;
  /** What is open under a reference, as far as the server has heard. */
  readonly streamKey: (ref: number) => string | null;
}

/** A server as the machines see it that reach it over the network. */
export interface ServerCore extends ServerNode {
  upgradeDevice(request: UpgradeRequest, peer: DevicePeer): void;
  upgradeViewer(request: UpgradeRequest, ticket: string): void;
  issueTicket(viewer: ViewerIdentity): string;
}

export interface ServerNodeOptions extends NodeContext {
  readonly index: number;
  readonly database: DatabaseModel;
  readonly gateway: Partial<GatewayConfig>;
  readonly writer: Partial<WriterConfig>;
  readonly hub: Partial<HubLimits>;
  /** Whether viewers are served. */
  readonly hasHub: boolean;
  readonly rollUpMs: number | null;
}

/** All that lives in one process. */
interface Running {
  readonly process: Process;
  readonly gateway: Gateway;
  readonly writer: Writer;
  readonly hub: Hub | null;
  readonly database: ServerDatabase;
  readonly tickets: Map<string, ViewerIdentity>;
  phase: 'starting' | 'listening' | 'draining';
}

/** What its supervisor waits before it starts a server again that could not start. */
const RESTART_MS = 1000;
/** As config.ts has it. */
const DRAIN_MS = 10_000;
/** device-socket.ts. */
const UNSENT_BYTES = 1024 * 1024;
/** A query of one round trip. */
const QUERY_MS = 1;

export function createServerNode(options: ServerNodeOptions): ServerCore {
  const { scheduler, network, observer, database, index } = options;
  const { random } = scheduler;
  const name = `server-${index}`;
  const clock = createSimulatedClock(scheduler, WORLD_STARTS_US, () => running?.process ?? null);
  let running: Running | null = null;
  let processes = 0;
  let isWanted = false;
  let lastTicket = 0;

  const log: Log = {
    debug: () => undefined,
    info: (message, fields) => observer.note(message, fields),
    warn: (message, fields) => observer.note(message, fields),
    error: (message, fields) => observer.note(message, fields),
  };

  function start(): void {
    isWanted = true;
    if (running !== null) return;
    const process = scheduler.process(`${name}#${++processes}`);
    const own = join(process);
    running = own;
    own.writer.preparePartitions().then(
      () => {
        own.phase = 'listening';
        rollUpLater(own);
      },
      (thrown: unknown) => {
        observer.note(`${name} cannot start`, { error: messageOf(thrown) });
        end(own);
        scheduler.after(RESTART_MS, null, () => {
          if (isWanted) start();
        });
      },
    );
  }

  function join(process: Process): Running {
    const ownRandom: Random = seededRandom(integerBelow(random, 2 ** 32));
    const endOfTurn = (callback: () => void): void => void scheduler.after(0, process, callback);
    const access = database.connect(process);
    const writer = createWriter({
      database: access.writer,
      config: { ...defaultWriterConfig, ...options.writer },
      clock,
      random: ownRandom.next,
      log,
    });
    const bus = createMemoryBus();
    const gateway = createGateway({
      backend: access.backend,
      store: writer,
      bus,
      clock,
      log,
      random: ownRandom.next,
      config: { ...defaultGatewayConfig, ...options.gateway },
      endOfTurn,
    });
    const hub = options.hasHub
      ? createHub({
          channels: createTestChannels({
            clock,
            bus,
            rule: (channel, { orgId }) => isVisible(process, channel, orgId),
          }),
          clock,
          limits: options.hub,
          random: ownRandom,
          endOfTurn,
          authenticate: async () => null,
          onFailure: (cause) => log.error('a viewer could not be served', { error: messageOf(cause) }),
        })
      : null;
    return { process, gateway, writer, hub, database: access, tickets: new Map(), phase: 'starting' };
  }

  /** As session-readings.ts: any other organisation's session does not exist. */
  function isVisible(process: Process, channel: string, orgId: string): Promise<boolean> {
    const session = channel.split('/')[1];
    return new Promise((resolve) => {
      scheduler.after(QUERY_MS, process, () => {
        const { streams, erased } = database.tables;
        let isThere = false;
        for (const stream of streams.values())
          if (stream.definition.session === session && stream.orgId === orgId) isThere = !erased.has(session);
        resolve(isThere);
      });
    });
  }

  function rollUpLater(own: Running): void {
    if (options.rollUpMs === null) return;
    clock.after(options.rollUpMs, () => {
      own.database
        .rollUp()
        .catch((thrown: unknown) => log.warn('a roll-up failed', { error: messageOf(thrown) }))
        .finally(() => rollUpLater(own));
    });
  }

  /** The parts stop in the order that server.ts gives them. */
  function stopInOrder(own: Running): Promise<void> {
    const { writer, gateway, hub } = own;
    const lifecycle = createLifecycle(clock, log);
    lifecycle.add('writer', () => writer.stop());
    lifecycle.add(
      'devices',
      async () => {
        gateway.drain();
        if (!(await writer.drain(DRAIN_MS))) log.error('not everything was committed before stopping');
        gateway.stop();
      },
      DRAIN_MS + 1000,
    );
    if (hub !== null) lifecycle.add('viewers', () => hub.drain());
    lifecycle.add('handshakes', () => {
      own.phase = 'draining';
    });
    return lifecycle.stop();
  }

  function end(own: Running): void {
    if (running !== own) return;
    running = null;
    own.process.kill();
    network.processDied(own.process, true);
  }

  /** As upgrades.ts: who asks is known before the socket opens. */
  async function upgradeDevice(request: UpgradeRequest, peer: DevicePeer): Promise<void> {
    const own = running;
    if (own?.phase === 'draining') return request.refuse(closeCodes.overloaded, 'HTTP 503');
    if (own?.phase !== 'listening') return request.refuse(1006, 'ECONNREFUSED');
    if (peer.key === null) return attachDevice(own, request, { peer, known: null });
    try {
      const known = await own.database.backend.authenticate(peer.key, peer.address);
      if (known === null) return request.refuse(closeCodes.unauthenticated, 'HTTP 401');
      attachDevice(own, request, { peer, known });
    } catch (thrown) {
      const isTemporary = thrown instanceof AppError && thrown.temporary;
      request.refuse(isTemporary ? closeCodes.overloaded : 1006, isTemporary ? 'HTTP 503' : 'HTTP 500');
    }
  }

  /** As device-socket.ts. */
  function attachDevice(
    own: Running,
    request: UpgradeRequest,
    { peer, known }: { peer: DevicePeer; known: DeviceIdentity | null },
  ): void {
    const accepted = request.accept();
    if (accepted === null) return;
    const { socket } = accepted;
    const connection = own.gateway.connect(
      {
        address: peer.address,
        sendText(text) {
          if (!socket.isOpen()) return;
          observer.serverSaid(node, peer.node, JSON.parse(text) as ServerMessage, peer.streamKey);
          if (socket.unsentBytes() > UNSENT_BYTES) socket.terminate();
          else socket.sendText(text);
        },
        close: (reason) => socket.close(reason === null ? 1000 : closeCodes[reason], reason ?? ''),
        greeted: () => undefined,
      },
      known,
    );
    accepted.serve({ text: connection.text, binary: connection.binary, gone: connection.gone });
  }

  function upgradeViewer(request: UpgradeRequest, ticket: string): void {
    const viewer = running?.tickets.get(ticket);
    running?.tickets.delete(ticket);
    // A browser does not tell a page why a handshake failed.
    if (running?.phase !== 'listening' || viewer === undefined) return request.refuse(1006, '');
    const { hub } = running;
    const accepted = hub === null ? null : request.accept();
    if (hub === null || accepted === null) return;
    const { socket } = accepted;
    // The welcome is written within `connect`; the socket takes it, behind its own opening.
    let port: ViewerPort | null = null;
    accepted.serve({
      text: (text) => port?.receiveText(text),
      binary: () => port?.receiveBinary(),
      gone: () => port?.ended(),
    });
    port = hub.connect(viewerTransport(socket), testPrincipal({ orgId: viewer.orgId, subject: viewer.name }));
  }

  const node: ServerCore = {
    index,
    clock,
    get process() {
      return running?.process ?? null;
    },
    get gateway() {
      return running?.gateway ?? null;
    },
    get writer() {
      return running?.writer ?? null;
    },
    get hub() {
      return running?.hub ?? null;
    },
    start,
    kill() {
      isWanted = false;
      if (running !== null) end(running);
    },
    stop: () => running?.process.stop(),
    resume: () => running?.process.resume(),
    drain() {
      isWanted = false;
      const own = running;
      if (own === null) return;
      // A process that is stopped hears the signal when it goes on.
      scheduler.after(0, own.process, () => void stopInOrder(own).then(() => end(own)));
    },
    upgradeDevice: (request, peer) => void upgradeDevice(request, peer),
    upgradeViewer,
    issueTicket(viewer) {
      const ticket = `${name}/${++lastTicket}`;
      running?.tickets.set(ticket, viewer);
      return ticket;
    },
  };
  return node;
}

/** As live-socket.ts; one write is as many messages. */
function viewerTransport(socket: ServerSocket): Parameters<Hub['connect']>[0] {
  return {
    write(items, sent) {
      const last = items.length - 1;
      for (const [i, { isText, message }] of items.entries()) {
        const left = i === last ? sent : undefined;
        if (isText) socket.sendText(Buffer.from(message).toString(), left);
        else socket.sendBinary(message, left);
      }
    },
    close: (reason) => socket.close(closeCodes[reason], reason),
  };
}
