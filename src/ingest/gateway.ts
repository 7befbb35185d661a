/**
 * Owns all device connections of this process and the buffers of their streams. It joins the session machines to what
 * they ask for: identity and catalogue (the backend), the store, live display and the socket. One turn of the event
 * loop is the unit: acknowledgements and live frames leave at its end. Bounds: `maxBuffers` streams, credit in bytes.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { fail, type Result } from '#base/result.ts';
import type { Bus } from '#bus/bus.ts';
import type { DeviceIdentity, FrameTap, StoreSink } from '#contract/readings.ts';
import { createMessageParser } from '#contract/validation.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import {
  deviceMessageSchemas,
  type DeviceMessage,
  type ServerMessage,
  type StreamDefinition,
} from '#protocol/messages.ts';
import type { IngestBackend } from '#ingest/ingest-backend.ts';
import { createCreditLedger, createCreditPool, createSpotCredit, type SpotCredit } from '#ingest/credit.ts';
import { createReclaimAllowance } from '#ingest/credit-reclaim.ts';
import {
  newGatewayCounters,
  type CommandLine,
  type CommandSource,
  type DeviceConnection,
  type DeviceTransport,
  type GatewayOutput,
  type GatewayStatistics,
  type Open,
  type OpenAnswer,
} from '#ingest/gateway-output.ts';
import { createGatewaySession, type GatewaySession } from '#ingest/gateway-session.ts';
import { createGreetings } from '#ingest/greetings.ts';
import { createIncarnationWatch } from '#ingest/incarnation-watch.ts';
import { createLivePublisher, type LivePublisher } from '#ingest/live-publisher.ts';
import { openingError } from '#ingest/opening-error.ts';
import { createOpeningOrder } from '#ingest/opening-order.ts';
import { createResumeCheck } from '#ingest/resume-check.ts';
import type { StreamBuffer } from '#ingest/stream-buffer.ts';
import { createStreamBuffers } from '#ingest/stream-buffers.ts';

export interface GatewayConfig {
  /** Received and not settled, over all connections. */
  readonly creditPoolBytes: number;
  /** A connection's window while it sends nothing and credit is scarce, when it opens, and the most it may grow to. */
  readonly windowQuietBytes: number;
  readonly windowInitialBytes: number;
  readonly windowMaxBytes: number;
  /** A connection that sent no readings for so long is quiet. */
  readonly quietAfterMs: number;
  readonly maxBuffers: number;
  readonly heartbeatMs: number;
  /** Clients come back spread over this time after a drain. */
  readonly drainSpreadMs: number;
}

export const defaultGatewayConfig: GatewayConfig = {
  // Five seconds of 500 sessions with seven nine-axis sensors at 200 Hz are 140 MB.
  creditPoolBytes: 256 * 1024 * 1024,
  // 10,000 of them take 40 MB of the pool, and a device can cut its frames to that.
  windowQuietBytes: 4 * 1024,
  // A seven-sensor device sends about 55 kB/s: half a second, and a flush takes a quarter.
  windowInitialBytes: 32 * 1024,
  windowMaxBytes: 1024 * 1024,
  // Who sends once in ten seconds hardly minds the round trip that it takes to get a window again.
  quietAfterMs: 10_000,
  maxBuffers: 65_536,
  heartbeatMs: limits.heartbeatMs,
  drainSpreadMs: 2_000,
};

export interface Gateway {
  /** `known` is set when the handshake proved who this is (header or ticket). */
  connect(transport: DeviceTransport, known: DeviceIdentity | null): DeviceConnection;
  /** The buffer of a stream for a path that is not a connection (HTTP). */
  openBuffer(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string },
  ): Promise<Result<OpenAnswer, WireError>>;
  /** Credit of a stream of that path: what it may have here unsettled. */
  createSpotCredit(maxBytes: number): SpotCredit;
  readonly live: LivePublisher;
  readonly statistics: GatewayStatistics;
  /** Closes the connection of a device that was just revoked. */
  disconnect(deviceId: string): void;
  /** Asks every device to come back later; new connections are refused from now on. */
  drain(): void;
  /** Closes what is left. */
  stop(): void;
}

export interface GatewayOptions {
  readonly backend: IngestBackend;
  readonly store: StoreSink;
  readonly bus: Bus;
  /** Without one no device is told anything. */
  readonly commands?: CommandSource;
  /** Sees every frame that is shown live. */
  readonly tap?: FrameTap;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly config: GatewayConfig;
  /** Calls back when the current turn of the event loop ends (setImmediate). */
  readonly endOfTurn?: (callback: () => void) => void;
}

/** About 3 ms of writing to sockets. */
const ACKS_PER_TURN = 64;

const parseDeviceMessage = createMessageParser<DeviceMessage>(deviceMessageSchemas, limits.controlBytes);

export function createGateway(options: GatewayOptions): Gateway {
  const { backend, store, clock, log, config, endOfTurn = afterThisTurn } = options;
  const pool = createCreditPool(config.creditPoolBytes);
  const counters = newGatewayCounters();
  const reclaims = createReclaimAllowance();
  const greetings = createGreetings((identity) => backend.greet(identity));
  /** Heartbeats must not wait longer than half of their time. */
  const tickMs = Math.min(1_000, config.heartbeatMs / 2);
  const live = createLivePublisher(options.bus, endOfTurn, options.tap);
  const buffers = createStreamBuffers({
    backend,
    clock,
    maxBuffers: config.maxBuffers,
    committed: (handle, progress) => live.committed(handle, progress),
  });
  const watch = createIncarnationWatch({ ask: (gone) => backend.incarnation(gone), onChange: renew, log });
  const members = new Set<Member>();
  const newest = new Map<string, Member>();
  let superseded = 0;
  let connected = 0;
  let isDraining = false;
  const ackers: GatewaySession[] = [];
  let cancelTick = clock.after(tickMs, tick);

  interface Member {
    readonly session: GatewaySession;
    readonly transport: DeviceTransport;
    /** Connections are counted as they come. */
    readonly order: number;
    /** 0 until the device is greeted. */
    generation: number;
    /** `isLost`: nobody meant the connection to end. */
    leave(isLost?: boolean): void;
  }

  function tick(): void {
    const nowMs = clock.monotonicMs();
    watch.tick(nowMs);
    for (const member of members) member.session.tick(nowMs);
    buffers.sweep();
    cancelTick = clock.after(tickMs, tick);
  }

  /** In lots, so that live frames pass between them: a flush may settle streams of every connection. */
  function sendAcks(): void {
    const due = ackers.splice(0, ACKS_PER_TURN);
    if (ackers.length > 0) endOfTurn(sendAcks);
    for (const session of due) session.sendAck();
  }

  function connect(transport: DeviceTransport, known: DeviceIdentity | null): DeviceConnection {
    let commands: CommandLine | null = null;
    const inOrder = createOpeningOrder();
    const output: GatewayOutput = {
      send: (message: ServerMessage) => transport.sendText(JSON.stringify(message)),
      close(reason) {
        if (members.has(member)) transport.close(reason);
        member.leave(reason === 'silent');
      },
      authenticate: (key) => void authenticate(key),
      openStream: (request) => inOrder(request.definition.stream, () => open(request)),
      endStream: (buffer, request) => void end(buffer, request.ended),
      lostStream: (buffer, wasSettled) => void lose(buffer, wasSettled),
      wentBack: () => watch.doubt(),
      recordClock(observation) {
        const { identity } = session;
        if (identity !== null) backend.recordClock(identity, observation);
      },
      commandReceived: (id) => commands?.received(id),
      commandResult: (result) => commands?.answered(result),
      due: (buffer) => store.due(buffer),
      live: (buffer, frame) => live.frame(buffer.handle, frame),
      ackSoon() {
        if (ackers.length === 0) queueMicrotask(sendAcks);
        ackers.push(session);
      },
    };
    const session = createGatewaySession({
      output,
      openLedger: () =>
        createCreditLedger(pool, {
          quietBytes: config.windowQuietBytes,
          initialBytes: config.windowInitialBytes,
          maxBytes: config.windowMaxBytes,
        }),
      reclaim: { quietAfterMs: config.quietAfterMs, mayAsk: (nowMs) => reclaims.take(nowMs) },
      counters,
      startedMs: clock.monotonicMs(),
      heartbeatMs: config.heartbeatMs,
    });
    const member: Member = {
      session,
      transport,
      order: ++connected,
      generation: 0,
      leave(isLost = false) {
        commands?.stop(isLost);
        commands = null;
        session.disconnected();
        members.delete(member);
        const { identity } = session;
        if (identity !== null && newest.get(identity.deviceId) === member) newest.delete(identity.deviceId);
      },
    };

    async function authenticate(key: string): Promise<void> {
      try {
        const identity = known ?? (key === '' ? null : await backend.authenticate(key, transport.address));
        const greeting = identity === null ? null : await greetings.greet(identity);
        if (greeting !== null && !(await watch.confirm(greeting.incarnation))) output.close('overloaded');
        if (!members.has(member)) return;
        if (greeting !== null) {
          transport.greeted();
          member.generation = greeting.generation;
          if (!isNewest(greeting.identity.deviceId, member)) return;
        }
        session.authenticated(greeting, clock.nowUs());
        if (greeting !== null && session.isReady)
          commands = options.commands?.connected(greeting, (command) => session.command(command)) ?? null;
      } catch (error) {
        log.warn('a device could not be authenticated', { error: messageOf(error) });
        output.close('overloaded');
      }
    }

    async function open(request: Open): Promise<void> {
      const { identity } = session;
      if (identity === null) return;
      try {
        const check = createResumeCheck(request, backend.checksumOf);
        const { generation } = member;
        session.opened(request, await buffers.open(identity, request, { generation, check }));
      } catch (error) {
        session.opened(request, fail(openingError(error, log)));
      }
    }

    async function lose(buffer: StreamBuffer, wasSettled: boolean): Promise<void> {
      const isErased = await backend.isErased(buffer.handle).catch((error: unknown) => {
        log.warn('it could not be asked whether a stream was erased', { error: messageOf(error) });
        return null;
      });
      if (isErased === true) return session.erased(buffer);
      if (isErased === false && wasSettled) watch.doubt();
      session.lost();
    }

    async function end(buffer: StreamBuffer, ended: boolean): Promise<void> {
      try {
        await backend.endStream(buffer.handle, ended);
        // A standby that has just taken over may have recorded the end, and lack readings before it that were settled.
        if (await watch.isUnchanged()) session.streamEnded(buffer);
      } catch (error) {
        log.warn('the end of a stream could not be recorded and is tried again', { error: messageOf(error) });
        session.endFailed(buffer);
      }
    }

    members.add(member);
    if (isDraining) output.close('draining');
    return {
      text: (text) => session.control(parseDeviceMessage(text), clock.nowUs(), clock.monotonicMs()),
      binary: (bytes) => session.data(bytes, clock.nowUs(), clock.monotonicMs()),
      gone: () => member.leave(true),
    };
  }

  /**
   * Closes the older connection of the device: the one that came first, whichever was greeted first. It may be this one,
   * when its hello was long under way: whoever sent it has given it up, and made another connection meanwhile.
   */
  function isNewest(deviceId: string, member: Member): boolean {
    const other = newest.get(deviceId);
    const older = other !== undefined && other.order > member.order ? member : other;
    if (older !== member) newest.set(deviceId, member);
    if (older !== undefined) {
      superseded++;
      older.transport.close('superseded');
      older.leave();
    }
    return older !== member;
  }

  /**
   * What was told to devices may be settled no longer. All are asked to come back, each at its own time, and nothing more
   * is acknowledged to them until they have; frames that wait here go to the new database, whose guard decides.
   */
  function renew(incarnation: string): void {
    log.warn('the database was restored, or a standby took over: devices state anew what they hold', {
      incarnation,
      devices: members.size,
    });
    store.renew();
    for (const member of members) {
      if (member.generation === 0) continue;
      member.transport.sendText(goodbye());
      member.transport.close('draining');
      member.leave();
    }
    buffers.renew();
  }

  function goodbye(): string {
    const afterMs = Math.round(options.random() * config.drainSpreadMs);
    return JSON.stringify({ type: 'bye', afterMs } satisfies ServerMessage);
  }

  return {
    connect,
    openBuffer: (identity, request) => buffers.open(identity, request, null),
    createSpotCredit: (maxBytes) => createSpotCredit(pool, maxBytes),
    live,
    statistics: {
      session: counters,
      live: live.counters,
      get overwrittenFrames() {
        return buffers.counters.overwrittenFrames;
      },
      get droppedLosses() {
        return buffers.counters.droppedLosses;
      },
      get refusedGreetings() {
        return greetings.counters.refused;
      },
      get databaseChanges() {
        return watch.counters.changes;
      },
      get superseded() {
        return superseded;
      },
      get connections() {
        return members.size;
      },
      get buffers() {
        return buffers.size;
      },
      get takenBuffers() {
        return buffers.taken;
      },
      get fullestBuffer() {
        return buffers.fullest;
      },
      credit: pool,
    },
    disconnect(deviceId) {
      const member = newest.get(deviceId);
      if (member === undefined) return;
      member.transport.close('unauthenticated');
      member.leave();
    },
    drain() {
      isDraining = true;
      for (const { transport } of members) transport.sendText(goodbye());
    },
    stop() {
      cancelTick();
      for (const member of members) {
        member.transport.close('draining');
        member.leave();
      }
    },
  };
}

const afterThisTurn = (callback: () => void): void => void setImmediate(callback);
