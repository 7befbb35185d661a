/**
 * Owns the device API over any transport: streams to push readings into, waiting until all is acknowledged, hooks. It
 * gives the machine a timer, a socket and the gathered readings. Bound: the store's, and one frame builder a stream;
 * `push` never waits.
 */

import { assert } from '#base/assert.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { systemRandom, type Random } from '#base/random.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Axis, StreamDefinition } from '#protocol/messages.ts';
import { createFrameBuilder, type FrameBuilder } from '#sdk/device-frame.ts';
import { createDeviceMachine, type DeviceMachine, type DeviceStatus } from '#sdk/device-machine.ts';
import type { DeviceEvent, DeviceTiming } from '#sdk/device-state.ts';
import type { DeviceStore, LossReason } from '#sdk/device-store.ts';

/** An open or opening connection. After `close` it calls no handler any more. */
export interface DeviceSocket {
  sendText(text: string): void;
  sendBinary(bytes: Uint8Array): void;
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

export interface DeviceSocketHandlers {
  opened(): void;
  message(data: string | Uint8Array): void;
  /** Also when opening failed. 1006 when no close code came. */
  closed(code: number, reason: string): void;
}

export interface DeviceCommand {
  readonly id: string;
  readonly name: string;
  readonly argument: string | null;
}

export interface DeviceRuntimeOptions {
  readonly store: DeviceStore;
  /** Opens a connection; must not call a handler before it returns. */
  readonly openSocket: (handlers: DeviceSocketHandlers) => DeviceSocket;
  /** Program and version, for the server's log. Default `kymo-sdk`. */
  readonly agent?: string;
  /** The device key, when `openSocket` cannot put it into a header. */
  readonly key?: string;
  readonly timing?: Partial<DeviceTiming>;
  readonly clock?: Clock;
  readonly random?: Random;
  /** What it returns is the answer's message; what it throws is answered as a failure. */
  readonly onCommand?: (command: DeviceCommand) => string | undefined | Promise<string | undefined>;
  /** Everything that happens: states, losses, refusals, clock estimates. */
  readonly onEvent?: (event: DeviceEvent) => void;
}

export interface StreamOptions {
  /** Body segment or machine part, e.g. `left-foot`. */
  readonly segment: string;
  /** What measures, e.g. `imu`. */
  readonly sensor: string;
  readonly axes: readonly Axis[];
  readonly rateHz: number;
  /** Default `float32`. */
  readonly encoding?: StreamDefinition['encoding'];
  /** int16: the physical value of one count, per axis. */
  readonly scale?: readonly number[];
  /** `none`: this device has no clock. Default `device`. */
  readonly clock?: StreamDefinition['clock'];
  readonly synthetic?: boolean;
  /** A code for people to recognise the session by; never a person's name. */
  readonly label?: string;
  /** UUIDv7 of the session. Default: one session for all streams of this Device. */
  readonly session?: string;
  /** UUIDv7 of the stream, to resume one of an earlier process. Default: a new stream. */
  readonly stream?: string;
}

export interface DeviceStream {
  readonly definition: StreamDefinition;
  /**
   * Adds one or more readings, row by row. `timeUs` is the device time of the first (default: the last one is taken
   * now). Never waits; when the store is full the oldest readings are dropped and declared. Throws AppError:
   * `invalid-field`, or `stream-closed` after `end`.
   */
  push(values: ArrayLike<number>, timeUs?: number): void;
  /** Declares `count` readings that the sensor failed to give, after those pushed so far. */
  lose(count: number, reason?: LossReason): void;
  /** No more readings. Resolves when that is in the store; `drained` waits for the server. */
  end(): Promise<void>;
}

export interface Device {
  /** The session of streams that name none. */
  readonly session: string;
  stream(options: StreamOptions): DeviceStream;
  /** Streams of earlier processes that were not ended: resume one by `stream`, or end it by `endUnfinished`. */
  unfinished(): readonly StreamDefinition[];
  /** Ends the streams of `unfinished` that were not resumed. */
  endUnfinished(): void;
  /** Waits until the server has confirmed everything. False when `timeoutMs` passed before. */
  drained(options?: { readonly timeoutMs?: number }): Promise<boolean>;
  status(): DeviceStatus & { readonly clippedReadings: number };
  /** Connects now: after the server closed for good (`stopped`), or without waiting for the next attempt's time. */
  reconnect(): void;
  /** Hands what was pushed to the store now. Resolves when it would survive the death of the process. */
  flush(): Promise<void>;
  /** Waits up to `drainMs` (default 5000) for what is on its way, then disconnects and closes the store. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}

interface OpenStream {
  readonly definition: StreamDefinition;
  readonly builder: FrameBuilder;
  isEnded: boolean;
}

interface RuntimeState {
  readonly options: DeviceRuntimeOptions;
  readonly clock: Clock;
  readonly session: string;
  /** By stream id; at most storeLimits.logs. */
  readonly streams: Map<string, OpenStream>;
  readonly waiters: Set<() => void>;
  machine: DeviceMachine;
  socket: DeviceSocket | null;
  cancelTimer: () => void;
  /** Bytes that wait until the store is durable. */
  withheldBytes: number;
  /** Readings wait in a builder, and the machine knows. */
  isGathering: boolean;
  clippedReadings: number;
  isClosed: boolean;
}

/** A device over `openSocket`; it connects at once and stays connected until closed. */
export function createDevice(options: DeviceRuntimeOptions): Device {
  const clock = options.clock ?? systemClock;
  const state: RuntimeState = {
    options,
    clock,
    session: uuidv7(clock),
    streams: new Map(),
    waiters: new Set(),
    machine: undefined as never,
    socket: null,
    cancelTimer: () => undefined,
    withheldBytes: 0,
    isGathering: false,
    clippedReadings: 0,
    isClosed: false,
  };
  state.machine = machineOf(state);
  state.machine.start();
  return {
    session: state.session,
    stream: (streamOptions) => openStream(state, streamOptions),
    unfinished: () => unfinished(state),
    endUnfinished: () => {
      for (const definition of unfinished(state)) {
        state.machine.define(definition);
        state.machine.end(definition.stream);
      }
    },
    drained: ({ timeoutMs = 30_000 } = {}) => drained(state, timeoutMs),
    status: () => ({ ...state.machine.status(), clippedReadings: clipped(state) }),
    reconnect: () => state.machine.start(),
    flush: () => {
      collect(state);
      return durable(state);
    },
    close: ({ drainMs = 5000 } = {}) => close(state, drainMs),
  };
}

function machineOf(state: RuntimeState): DeviceMachine {
  const { options, clock } = state;
  return createDeviceMachine({
    store: options.store,
    clock,
    random: options.random ?? systemRandom,
    agent: options.agent ?? 'kymo-sdk',
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.timing === undefined ? {} : { timing: options.timing }),
    effects: {
      connect: () => connect(state),
      sendText: (text, isTimed) => {
        if (isTimed === true) state.socket?.sendText(text);
        else sendWhenDurable(state, text.length, (socket) => socket.sendText(text));
      },
      sendBinary: (bytes) => sendWhenDurable(state, bytes.length, (socket) => socket.sendBinary(bytes)),
      bufferedBytes: () => (state.socket?.bufferedBytes() ?? 0) + state.withheldBytes,
      close: (code, reason) => {
        const { socket } = state;
        state.socket = null;
        socket?.close(code, reason);
      },
      setTimer: (delayMs) => {
        state.cancelTimer();
        state.cancelTimer = clock.after(delayMs, () => state.machine.timer());
      },
      collect: () => collect(state),
      report: (event) => report(state, event),
    },
  });
}

/**
 * Shows nothing to the server that the store could still forget (the output commit problem of rollback recovery, E. N.
 * Elnozahy et al., ACM Computing Surveys 2002). Bound: the machine sends no readings while bufferedBytes is high.
 */
function sendWhenDurable(state: RuntimeState, bytes: number, send: (socket: DeviceSocket) => void): void {
  const { socket } = state;
  const { whenDurable } = state.options.store;
  if (socket === null) return;
  if (whenDurable === undefined) return send(socket);
  state.withheldBytes += bytes;
  whenDurable(() => {
    state.withheldBytes -= bytes;
    // What was meant for a connection that is gone is said anew on the next.
    if (state.socket === socket) send(socket);
  });
}

function connect(state: RuntimeState): void {
  let mine: DeviceSocket | null = null;
  const isCurrent = (): boolean => mine !== null && state.socket === mine;
  mine = state.options.openSocket({
    opened: () => {
      if (isCurrent()) state.machine.connected();
    },
    message: (data) => {
      if (isCurrent()) state.machine.message(data);
    },
    closed: (code, reason) => {
      if (!isCurrent()) return;
      state.socket = null;
      state.machine.disconnected(code, reason);
    },
  });
  state.socket = mine;
}

function collect(state: RuntimeState): void {
  state.isGathering = false;
  for (const stream of state.streams.values()) {
    const content = stream.builder.take();
    if (content !== null) state.machine.append(stream.definition.stream, content);
  }
}

function report(state: RuntimeState, event: DeviceEvent): void {
  state.options.onEvent?.(event);
  if (event.type === 'command') void answerCommand(state, event);
  if (event.type === 'settled' || event.type === 'state') for (const wake of state.waiters) wake();
}

async function answerCommand(state: RuntimeState, command: DeviceCommand): Promise<void> {
  const { onCommand } = state.options;
  const { id, name, argument } = command;
  try {
    if (onCommand === undefined) throw new AppError('not-found', 'this device takes no commands');
    const message = await onCommand({ id, name, argument });
    state.machine.answerCommand(id, true, message?.slice(0, 1024));
  } catch (thrown) {
    state.machine.answerCommand(id, false, messageOf(thrown).slice(0, 1024));
  }
}

function openStream(state: RuntimeState, options: StreamOptions): DeviceStream {
  assert(!state.isClosed, 'the device is open');
  const definition: StreamDefinition = {
    stream: options.stream ?? uuidv7(state.clock),
    session: options.session ?? state.session,
    segment: options.segment,
    sensor: options.sensor,
    axes: options.axes.map(({ name, unit }) => ({ name, unit })),
    rateHz: options.rateHz,
    encoding: options.encoding ?? 'float32',
    clock: options.clock ?? 'device',
    ...(options.scale === undefined ? {} : { scale: [...options.scale] }),
    ...(options.synthetic === undefined ? {} : { synthetic: options.synthetic }),
    ...(options.label === undefined ? {} : { label: options.label }),
  };
  if (state.streams.has(definition.stream)) throw new AppError('conflict', 'this stream is open already');
  // Who names a stream has, or may have, recorded it before: a store without it was emptied since.
  const log = state.machine.define(definition, options.stream !== undefined);
  const stream: OpenStream = {
    definition: log.definition,
    builder: createFrameBuilder(log.definition),
    isEnded: false,
  };
  state.streams.set(definition.stream, stream);
  const periodUs = 1e6 / definition.rateHz;
  const appendFull = (content: Parameters<DeviceMachine['append']>[1]): void =>
    state.machine.append(definition.stream, content);
  return {
    definition: log.definition,
    push: (values, timeUs) => {
      assertRecording(stream);
      const spanUs = (values.length / definition.axes.length - 1) * periodUs;
      stream.builder.push(values, timeUs ?? Math.round(state.clock.nowUs() - spanUs), appendFull);
      if (state.isGathering) return;
      state.isGathering = true;
      state.machine.pending();
    },
    lose: (count, reason = 'sensor-fault') => {
      assertRecording(stream);
      const content = stream.builder.take();
      if (content !== null) appendFull(content);
      state.machine.skip(definition.stream, count, reason);
    },
    end: () => {
      endStream(state, stream);
      return durable(state);
    },
  };
}

function assertRecording(stream: OpenStream): void {
  if (stream.isEnded) throw new AppError('stream-closed', `stream ${stream.definition.stream} has ended`);
}

function endStream(state: RuntimeState, stream: OpenStream): void {
  if (stream.isEnded) return;
  stream.isEnded = true;
  const content = stream.builder.take();
  if (content !== null) state.machine.append(stream.definition.stream, content);
  state.clippedReadings += stream.builder.clippedReadings;
  state.streams.delete(stream.definition.stream);
  state.machine.end(stream.definition.stream);
}

function durable(state: RuntimeState): Promise<void> {
  const { whenDurable } = state.options.store;
  return new Promise((resolve) => (whenDurable === undefined ? resolve() : whenDurable(resolve)));
}

function clipped(state: RuntimeState): number {
  let count = state.clippedReadings;
  for (const stream of state.streams.values()) count += stream.builder.clippedReadings;
  return count;
}

function unfinished(state: RuntimeState): readonly StreamDefinition[] {
  return state.options.store
    .logs()
    .filter((log) => log.phase === 'recording' && !state.streams.has(log.definition.stream))
    .map((log) => log.definition);
}

function drained(state: RuntimeState, timeoutMs: number): Promise<boolean> {
  collect(state);
  const isDone = (): boolean => !state.isGathering && state.machine.isDrained();
  if (isDone()) return Promise.resolve(true);
  return new Promise((resolve) => {
    const finish = (outcome: boolean): void => {
      state.waiters.delete(wake);
      cancel();
      resolve(outcome);
    };
    const wake = (): void => {
      if (isDone()) finish(true);
    };
    const cancel = state.clock.after(timeoutMs, () => finish(isDone()));
    state.waiters.add(wake);
  });
}

async function close(state: RuntimeState, drainMs: number): Promise<void> {
  if (state.isClosed) return;
  state.isClosed = true;
  if (state.machine.status().phase === 'online') await drained(state, drainMs);
  for (const stream of state.streams.values()) stream.isEnded = true;
  state.machine.stop();
  state.cancelTimer();
  state.options.store.close();
  await state.options.store.closed;
}
