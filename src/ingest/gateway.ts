/**
 * Owns all device connections of this process and the buffers of their streams. It joins the session machines to what
 * they ask for: identity and catalogue (the backend), the store, live display and the socket. One turn of the event
 * loop is the unit: acknowledgements and live frames leave at its end. Bounds: `maxBuffers` streams, credit in bytes.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { covers } from '#base/ranges.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Bus } from '#bus/bus.ts';
import type { DeviceIdentity, EpochProgress, StoreSink, StreamHandle } from '#contract/readings.ts';
import { createMessageParser } from '#contract/validation.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import {
  deviceMessageSchemas,
  type DeviceMessage,
  type ServerMessage,
  type StreamDefinition,
} from '#protocol/messages.ts';
import { createCreditLedger, createCreditPool, type CreditLedger, type CreditPool } from '#ingest/credit.ts';
import {
  createGatewaySession,
  type GatewayCounters,
  type GatewayOutput,
  type GatewaySession,
  type Greeting,
  type OpenAnswer,
} from '#ingest/gateway-session.ts';
import { createLivePublisher, type LivePublisher } from '#ingest/live-publisher.ts';
import { createStreamBuffer, type StreamBuffer, type StreamObserver } from '#ingest/stream-buffer.ts';

type Open = Extract<DeviceMessage, { type: 'open' }>;

/** What ingest needs from identity and store; app wires it. Every call may fail with a temporary AppError. */
export interface IngestBackend {
  /** Who holds this key, or null. Does not count as a connection. */
  authenticate(key: string): Promise<DeviceIdentity | null>;
  /** Draws the next generation of the device; null when it was revoked meanwhile. */
  greet(identity: DeviceIdentity): Promise<Greeting | null>;
  openStream(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string; previousStoreLost: boolean },
  ): Promise<Result<{ handle: StreamHandle; progress: EpochProgress }, WireError>>;
  /** CRC-32 of a committed reading's packed axes; null when it is not there (any more). */
  checksumOf(handle: StreamHandle, seq: number): Promise<number | null>;
  endStream(handle: StreamHandle, recordingEnded: boolean): Promise<void>;
  recordClock(
    identity: DeviceIdentity,
    observation: { deviceUs: number; offsetUs: number; roundTripUs: number },
  ): Promise<void>;
}

export interface GatewayConfig {
  /** Received and not settled, over all connections. */
  readonly creditPoolBytes: number;
  /** A connection's window when it opens, and the most it may grow to. */
  readonly windowInitialBytes: number;
  readonly windowMaxBytes: number;
  readonly maxBuffers: number;
  readonly heartbeatMs: number;
  /** Clients come back spread over this time after a drain. */
  readonly drainSpreadMs: number;
}

export const defaultGatewayConfig: GatewayConfig = {
  // Five seconds of 500 sessions with seven nine-axis sensors at 200 Hz are 140 MB.
  creditPoolBytes: 256 * 1024 * 1024,
  // A seven-sensor device sends about 55 kB/s: half a second, and a flush takes a quarter.
  windowInitialBytes: 32 * 1024,
  windowMaxBytes: 1024 * 1024,
  maxBuffers: 65_536,
  heartbeatMs: limits.heartbeatMs,
  drainSpreadMs: 2_000,
};

/** The socket as the gateway sees it. */
export interface DeviceTransport {
  sendText(text: string): void;
  close(reason: CloseReason): void;
  /** The device has said who it is. */
  greeted(): void;
}

/** One connected device as the socket sees it. */
export interface DeviceConnection {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  gone(): void;
}

export interface GatewayStatistics {
  readonly session: Readonly<GatewayCounters>;
  readonly live: LivePublisher['counters'];
  readonly overwrittenFrames: number;
  readonly superseded: number;
  readonly connections: number;
  readonly buffers: number;
  readonly credit: CreditPool;
}

export interface Gateway {
  /** `known` is set when the handshake proved who this is (header or ticket). */
  connect(transport: DeviceTransport, known: DeviceIdentity | null): DeviceConnection;
  /** The buffer of a stream for a path that is not a connection (HTTP). */
  openBuffer(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string },
  ): Promise<Result<OpenAnswer, WireError>>;
  createLedger(): CreditLedger;
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
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly config: GatewayConfig;
}

const parseDeviceMessage = createMessageParser<DeviceMessage>(deviceMessageSchemas, limits.controlBytes);

export function createGateway(options: GatewayOptions): Gateway {
  const { backend, store, clock, log, config } = options;
  const pool = createCreditPool(config.creditPoolBytes);
  const counters: GatewayCounters = {
    messages: 0,
    frames: 0,
    readings: 0,
    bytes: 0,
    liveOnlyFrames: 0,
    historicalFrames: 0,
    errors: {},
  };
  const bufferCounters = { overwrittenFrames: 0 };
  const live = createLivePublisher(options.bus, (callback) => void setImmediate(callback));
  const buffers = new Map<string, StreamBuffer>();
  const observer: StreamObserver = {
    committed: (handle, progress) => live.committed(handle, progress),
    dead: (handle) => void buffers.delete(handle.key),
  };
  const members = new Set<Member>();
  const newest = new Map<string, Member>();
  let superseded = 0;
  let isDraining = false;
  let ackers: GatewaySession[] = [];
  let cancelTick = clock.after(1_000, tick);

  interface Member {
    readonly session: GatewaySession;
    readonly transport: DeviceTransport;
    leave(): void;
  }

  function tick(): void {
    const nowMs = clock.monotonicMs();
    for (const member of members) member.session.tick(nowMs);
    for (const [key, buffer] of buffers) if (buffer.listener === null && buffer.isEmpty) buffers.delete(key);
    cancelTick = clock.after(1_000, tick);
  }

  function sendAcks(): void {
    const due = ackers;
    ackers = [];
    for (const session of due) session.sendAck();
  }

  async function openBuffer(
    identity: DeviceIdentity,
    request: { definition: StreamDefinition; epoch: string; previousStoreLost?: boolean },
  ): Promise<Result<OpenAnswer, WireError>> {
    if (buffers.size >= config.maxBuffers)
      return fail({ code: 'overloaded', message: 'too many open streams' });
    const found = await backend.openStream(identity, { previousStoreLost: false, ...request });
    if (!found.ok) return found;
    const { handle, progress } = found.value;
    let buffer = buffers.get(handle.key);
    if (buffer === undefined) {
      buffer = createStreamBuffer(handle, bufferCounters, observer);
      buffers.set(handle.key, buffer);
    }
    return ok({ buffer, progress });
  }

  /** Opens a stream and, on resume, compares the device's newest acknowledged reading with what is stored. */
  async function openFor(identity: DeviceIdentity, request: Open): Promise<Result<OpenAnswer, WireError>> {
    const { definition, epoch, newest: proof } = request;
    const answer = await openBuffer(identity, {
      definition,
      epoch,
      previousStoreLost: request.previousStoreLost ?? false,
    });
    if (!answer.ok || proof === undefined) return answer;
    const { buffer, progress } = answer.value;
    if (!covers(progress.committed, { from: proof.seq, to: proof.seq + 1 })) return answer;
    const stored = await backend.checksumOf(buffer.handle, proof.seq);
    if (stored === null || stored === proof.crc32) return answer;
    return fail({
      code: 'new-epoch-required',
      message: `reading ${proof.seq} is not the one that was acknowledged: this store is a copy or was restored`,
      field: '/newest/crc32',
    });
  }

  function connect(transport: DeviceTransport, known: DeviceIdentity | null): DeviceConnection {
    const ledger = createCreditLedger(pool, {
      initialBytes: config.windowInitialBytes,
      maxBytes: config.windowMaxBytes,
    });
    const output: GatewayOutput = {
      send: (message: ServerMessage) => transport.sendText(JSON.stringify(message)),
      close(reason) {
        transport.close(reason);
        member.leave();
      },
      authenticate: (key) => void authenticate(key),
      openStream: (request) => void open(request),
      endStream: (buffer, request) => void end(buffer, request.ended),
      recordClock(observation) {
        const { identity } = session;
        if (identity !== null) quietly('clock observation', backend.recordClock(identity, observation));
      },
      commandResult: (result) => log.info('command answered', { id: result.id, ok: result.ok }),
      due: (buffer) => store.due(buffer),
      live: (buffer, frame) => live.frame(buffer.handle, frame),
      ackSoon() {
        if (ackers.length === 0) queueMicrotask(sendAcks);
        ackers.push(session);
      },
    };
    const session = createGatewaySession({
      output,
      ledger,
      counters,
      startedMs: clock.monotonicMs(),
      heartbeatMs: config.heartbeatMs,
    });
    const member: Member = {
      session,
      transport,
      leave() {
        session.disconnected();
        members.delete(member);
        const { identity } = session;
        if (identity !== null && newest.get(identity.deviceId) === member) newest.delete(identity.deviceId);
      },
    };

    async function authenticate(key: string): Promise<void> {
      try {
        const identity = known ?? (key === '' ? null : await backend.authenticate(key));
        const greeting = identity === null ? null : await backend.greet(identity);
        if (greeting !== null) transport.greeted();
        if (greeting !== null && members.has(member)) supersede(greeting.identity.deviceId, member);
        session.authenticated(greeting, clock.nowUs());
      } catch (error) {
        log.warn('a device could not be authenticated', { error: messageOf(error) });
        output.close('overloaded');
      }
    }

    async function open(request: Open): Promise<void> {
      const { identity } = session;
      if (identity === null) return;
      try {
        session.opened(request, await openFor(identity, request));
      } catch (error) {
        session.opened(request, fail(wireErrorOf(error, log)));
      }
    }

    async function end(buffer: StreamBuffer, ended: boolean): Promise<void> {
      try {
        await backend.endStream(buffer.handle, ended);
        session.streamEnded(buffer);
      } catch (error) {
        log.warn('the end of a stream could not be recorded', { error: messageOf(error) });
        output.close('overloaded');
      }
    }

    members.add(member);
    if (isDraining) {
      output.close('draining');
    }
    return {
      text: (text) => session.control(parseDeviceMessage(text), clock.nowUs(), clock.monotonicMs()),
      binary: (bytes) => session.data(bytes, clock.nowUs(), clock.monotonicMs()),
      gone: () => member.leave(),
    };
  }

  function supersede(deviceId: string, member: Member): void {
    const older = newest.get(deviceId);
    newest.set(deviceId, member);
    if (older === undefined || older === member) return;
    superseded++;
    older.transport.close('superseded');
    older.session.disconnected();
    members.delete(older);
  }

  function quietly(what: string, work: Promise<void>): void {
    work.catch((error: unknown) => log.warn(`${what} could not be stored`, { error: messageOf(error) }));
  }

  return {
    connect,
    openBuffer,
    createLedger: () =>
      createCreditLedger(pool, { initialBytes: config.windowInitialBytes, maxBytes: config.windowMaxBytes }),
    live,
    statistics: {
      session: counters,
      live: live.counters,
      get overwrittenFrames() {
        return bufferCounters.overwrittenFrames;
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
      for (const { transport } of members)
        transport.sendText(
          JSON.stringify({
            type: 'bye',
            afterMs: Math.round(options.random() * config.drainSpreadMs),
          } satisfies ServerMessage),
        );
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

/** An operational failure as the device hears it: the code if it has one of ours, never an inner message. */
function wireErrorOf(error: unknown, log: Log): WireError {
  if (error instanceof AppError && error.temporary)
    return { code: 'store-unavailable', message: 'the database cannot be reached now; try again' };
  log.error('a stream could not be opened', { error: messageOf(error) });
  return { code: 'internal', message: 'the stream could not be opened' };
}
