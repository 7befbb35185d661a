/**
 * Owns the device client as a state machine without I/O: events in by its functions, effects out by DeviceEffects, time
 * and chance injected. It numbers readings through its store, sends them, and forgets none before it is settled.
 * Invariants, asserted: no number is given twice; no account of credit is overdrawn; readings go to open streams only.
 * Bound: the store's; one timer; at most FRESH_FRAMES frames a stream beside the store.
 */

import { assert } from '#base/assert.ts';
import { sizeOf } from '#base/ranges.ts';
import { closeCodes, mayReconnect } from '#protocol/codes.ts';
import type { ServerMessage, StreamDefinition } from '#protocol/messages.ts';
import { PROTOCOL_VERSION } from '#protocol/version.ts';
import { backoffMs } from '#sdk/device-backoff.ts';
import { createClockFilter, type ClockEstimate } from '#sdk/device-clock.ts';
import {
  beginConnection,
  closeWhenSettled,
  COMMANDS,
  handleMessage,
  openRun,
  unsettledReadings,
} from '#sdk/device-dialogue.ts';
import { syncRuns } from '#sdk/device-epoch.ts';
import { parseServerMessage } from '#sdk/device-parse.ts';
import { addFresh, durableLeft, flush, type Run } from '#sdk/device-sender.ts';
import {
  defaultTiming,
  flushWithin,
  NEVER,
  send,
  type DeviceMachineOptions,
  type DevicePhase,
  type MachineState,
} from '#sdk/device-state.ts';
import { upkeep } from '#sdk/device-upkeep.ts';
import { isSettled, type DeviceLog, type FrameContent, type LossReason } from '#sdk/device-store.ts';

export interface DeviceMachine {
  /** Begins to connect; also after `stopped`, and instead of waiting for the next attempt's time. */
  start(): void;
  /** The transport is open. */
  connected(): void;
  /** The transport closed, or could not be opened. 1006 without a close code. */
  disconnected(closeCode: number, reason?: string): void;
  message(data: string | Uint8Array): void;
  /** The time that was asked for by `setTimer` has come; too early does no harm. */
  timer(): void;
  /** Begins or resumes a stream: see DeviceStore.define, also for what it throws. */
  define(definition: StreamDefinition, isResumed?: boolean): DeviceLog;
  /** Readings have come; `collect` will be called within the flush interval. */
  pending(): void;
  /** Numbers, stores and soon sends the readings of a stream that is recording. */
  append(streamId: string, content: FrameContent): void;
  /** Readings that the sensor failed to give. */
  skip(streamId: string, count: number, reason: LossReason): void;
  /** No more readings will come. What was gathered must have been appended. */
  end(streamId: string): void;
  /** The outcome of a command; kept until it can be sent. */
  answerCommand(id: string, ok: boolean, message?: string): void;
  /** Stores what was gathered, says bye and stays disconnected. */
  stop(): void;
  /** True when every reading is settled and every end confirmed. */
  isDrained(): boolean;
  status(): DeviceStatus;
}

export interface DeviceStatus {
  readonly phase: DevicePhase;
  /** 0 before the first welcome. */
  readonly generation: number;
  readonly streams: number;
  /** Readings that wait for their acknowledgement. */
  readonly bufferedReadings: number;
  /** Readings known to be committed or declared, of the logs that the store still has. */
  readonly settledReadings: number;
  readonly lostReadings: number;
  /** Bytes in the store, acknowledged readings included. */
  readonly storeBytes: number;
  /** Server time minus device time; null before it was measured. */
  readonly clock: ClockEstimate | null;
  readonly durableCreditLeft: number;
  readonly sentMessages: number;
  readonly reconnects: number;
  /** Readings that were given for streams which the server had erased. */
  readonly discardedReadings: number;
}

export function createDeviceMachine(options: DeviceMachineOptions): DeviceMachine {
  const state: MachineState = {
    options,
    timing: { ...defaultTiming, ...options.timing },
    store: options.store,
    effects: options.effects,
    filter: createClockFilter(),
    phase: 'idle',
    connection: null,
    runs: new Map(),
    runList: [],
    currentByStream: new Map(),
    attempt: 0,
    outageFromMs: 0,
    receivedMs: 0,
    flushAtMs: NEVER,
    reconnectAtMs: NEVER,
    handshakeAtMs: NEVER,
    armedAtMs: NEVER,
    generation: 0,
    commands: new Map(),
    answers: [],
    discarded: new Set(),
    counters: { sentMessages: 0, reconnects: 0, ignoredMessages: 0, discardedReadings: 0 },
  };
  options.store.onEvent = (event) => options.effects.report(event);
  syncRuns(state);
  const armed =
    <A extends unknown[], R>(event: (...args: A) => R) =>
    (...args: A): R => {
      const result = event(...args);
      arm(state);
      return result;
    };
  return {
    start: armed(() => start(state)),
    connected: armed(() => greet(state)),
    disconnected: armed((closeCode, reason) => lost(state, closeCode, reason)),
    message: armed((data) => receive(state, data)),
    timer: armed(() => {
      state.armedAtMs = NEVER;
      runDue(state);
    }),
    define: armed((definition, isResumed) => define(state, definition, isResumed)),
    pending: armed(() => flushWithin(state, state.timing.flushMs)),
    append: armed((streamId, content) => append(state, streamId, content)),
    skip: armed((streamId, count, reason) => {
      if (state.discarded.has(streamId)) state.counters.discardedReadings += count;
      else state.store.skip(current(state, streamId).log, count, reason);
    }),
    end: armed((streamId) => end(state, streamId)),
    answerCommand: armed((id, ok, message) =>
      answer(state, id, message === undefined ? { ok } : { ok, message }),
    ),
    stop: armed(() => stop(state)),
    isDrained: () => state.runList.every(({ log }) => log.phase !== 'ended' && isSettled(log)),
    status: () => statusOf(state),
  };
}

function nowMs(state: MachineState): number {
  return state.options.clock.monotonicMs();
}

function enter(
  state: MachineState,
  phase: DevicePhase,
  why: { closeCode?: number; reason?: string } = {},
): void {
  if (state.phase === phase) return;
  state.phase = phase;
  state.effects.report({ type: 'state', phase, ...why });
}

function start(state: MachineState): void {
  if (state.phase !== 'idle' && state.phase !== 'stopped' && state.phase !== 'waiting') return;
  state.attempt = 0;
  state.outageFromMs = nowMs(state);
  connect(state);
}

function connect(state: MachineState): void {
  state.reconnectAtMs = NEVER;
  state.handshakeAtMs = nowMs(state) + state.timing.handshakeMs;
  enter(state, 'connecting');
  state.effects.connect();
}

function greet(state: MachineState): void {
  if (state.phase !== 'connecting') return;
  enter(state, 'greeting');
  const { agent, key } = state.options;
  send(state, { type: 'hello', version: PROTOCOL_VERSION, agent, ...(key === undefined ? {} : { key }) });
}

function receive(state: MachineState, data: string | Uint8Array): void {
  if (state.phase !== 'greeting' && state.phase !== 'online') return;
  state.receivedMs = nowMs(state);
  // Servers of this version send no binary messages to devices; a newer one may, to be ignored.
  const parsed = typeof data === 'string' ? parseServerMessage(data) : null;
  if (parsed === null || (parsed.ok && parsed.value === null)) state.counters.ignoredMessages++;
  else if (!parsed.ok) drop(state, closeCodes.protocol, `server: ${parsed.error}`);
  else handle(state, parsed.value!);
}

function handle(state: MachineState, message: ServerMessage): void {
  if (message.type === 'welcome') return welcomed(state, message);
  if (message.type === 'bye') return movedAway(state, message.afterMs);
  if (state.connection !== null) return handleMessage(state, state.connection, message);
  if (message.type === 'error')
    state.effects.report({ type: 'error', code: message.code, message: message.message });
}

function welcomed(state: MachineState, message: Extract<ServerMessage, { type: 'welcome' }>): void {
  if (state.phase !== 'greeting') return;
  if (message.version !== PROTOCOL_VERSION) {
    state.effects.close(closeCodes.version, 'unsupported version');
    return halt(state, closeCodes.version, 'the server speaks another version');
  }
  state.handshakeAtMs = NEVER;
  beginConnection(state, message);
  for (const text of state.answers) state.effects.sendText(text);
  state.answers = [];
  enter(state, 'online');
}

/** The server drains: come back later, each at its own time. */
function movedAway(state: MachineState, afterMs: number): void {
  state.effects.close(1000, 'bye');
  noteOutage(state);
  disconnect(state);
  const spread = backoffMs(state.timing.backoff, 2, state.options.random);
  waitFor(state, Math.min(afterMs, MAX_BYE_MS) + spread, { closeCode: closeCodes.draining, reason: 'bye' });
}

/** A server that asks for a longer absence is not believed: readings would stay on the device. */
const MAX_BYE_MS = 60_000;

/** Closes the connection from this side and tries again. */
function drop(state: MachineState, closeCode: number, reason: string): void {
  state.effects.close(closeCode, reason);
  // Whatever this side found wrong, another attempt may find right.
  retry(state, { closeCode, reason });
}

function lost(state: MachineState, closeCode: number, reason = ''): void {
  if (state.phase !== 'connecting' && state.phase !== 'greeting' && state.phase !== 'online') return;
  if (mayReconnect(closeCode)) return retry(state, { closeCode, reason });
  halt(state, closeCode, reason);
}

/** A wait is at most so many times the outage before it: what was short ends shortly. */
const MAX_WAIT_OF_OUTAGE = 2;

/** The end of a stable connection begins the count anew; call before `disconnect`. */
function noteOutage(state: MachineState): void {
  const { connection } = state;
  if (connection === null || nowMs(state) - connection.sinceMs < state.timing.stableMs) return;
  state.attempt = 0;
  state.outageFromMs = nowMs(state);
}

function retry(state: MachineState, why: { closeCode: number; reason: string }): void {
  noteOutage(state);
  disconnect(state);
  // Full jitter climbs fast through small draws: after two seconds without a server the next wait could be the longest.
  const { baseMs, capMs } = state.timing.backoff;
  const soFarMs = nowMs(state) - state.outageFromMs;
  const limits = { baseMs, capMs: Math.min(capMs, Math.max(baseMs, MAX_WAIT_OF_OUTAGE * soFarMs)) };
  waitFor(state, backoffMs(limits, state.attempt, state.options.random), why);
  state.attempt++;
}

function waitFor(state: MachineState, delayMs: number, why: { closeCode: number; reason: string }): void {
  state.counters.reconnects++;
  state.reconnectAtMs = nowMs(state) + delayMs;
  enter(state, 'waiting', why);
}

function halt(state: MachineState, closeCode: number, reason: string): void {
  disconnect(state);
  enter(state, 'stopped', { closeCode, reason });
}

function disconnect(state: MachineState): void {
  state.connection = null;
  state.handshakeAtMs = NEVER;
  state.reconnectAtMs = NEVER;
  for (const run of state.runList) run.channel = null;
}

function stop(state: MachineState): void {
  if (state.phase === 'stopped') return;
  state.effects.collect();
  if (state.connection !== null) {
    flushNow(state);
    send(state, { type: 'bye' });
  }
  if (state.phase !== 'idle' && state.phase !== 'waiting') state.effects.close(1000, 'bye');
  halt(state, 1000, 'stopped by its owner');
}

function define(state: MachineState, definition: StreamDefinition, isResumed = false): DeviceLog {
  const log = state.store.define(definition, isResumed);
  // Whether it is erased, the server says anew.
  state.discarded.delete(definition.stream);
  if (state.runs.get(log.id)?.log !== log) syncRuns(state);
  openRun(state, state.runs.get(log.id)!);
  return log;
}

function current(state: MachineState, streamId: string): Run {
  const run = state.currentByStream.get(streamId);
  assert(run !== undefined, 'a stream that is recording');
  return run;
}

function append(state: MachineState, streamId: string, content: FrameContent): void {
  if (state.discarded.has(streamId)) {
    state.counters.discardedReadings += content.count;
    return;
  }
  const run = current(state, streamId);
  const frame = state.store.append(run.log, content);
  if (frame !== null) addFresh(run, frame, nowMs(state));
  if (state.connection !== null) flushWithin(state, state.timing.flushMs);
}

function end(state: MachineState, streamId: string): void {
  if (state.discarded.delete(streamId)) return;
  const run = current(state, streamId);
  state.store.end(run.log);
  state.currentByStream.delete(streamId);
  closeWhenSettled(state, run);
}

function answer(state: MachineState, id: string, result: { ok: boolean; message?: string }): void {
  if (state.commands.has(id)) state.commands.set(id, result);
  const text = JSON.stringify({ type: 'commandResult', id, ...result });
  if (state.phase === 'online') return state.effects.sendText(text);
  state.answers = [...state.answers.slice(1 - COMMANDS), text];
}

/** Everything that is due now. */
function runDue(state: MachineState): void {
  const now = nowMs(state);
  if (now >= state.flushAtMs) flushNow(state);
  if (now >= state.reconnectAtMs) connect(state);
  if (now >= state.handshakeAtMs) drop(state, closeCodes.helloTimeout, 'no welcome in time');
  const reason = state.connection === null ? null : upkeep(state, state.connection, now);
  if (reason !== null) drop(state, closeCodes.silent, reason);
}

/** Stores what was gathered and sends what the credit allows. */
function flushNow(state: MachineState): void {
  state.flushAtMs = NEVER;
  state.effects.collect();
  const { connection, options } = state;
  if (connection === null) return;
  state.flushAtMs = NEVER;
  if (state.effects.bufferedBytes() > (options.maxBufferedBytes ?? 256 * 1024))
    return flushWithin(state, state.timing.flushMs);
  const hasMore = flush(connection.sender, state.runList, {
    store: state.store,
    nowMs: nowMs(state),
    nowUs: options.clock.nowUs(),
    liveShare: options.liveShare ?? 0.5,
    replayBytesPerFlush: options.replayBytesPerFlush ?? 128 * 1024,
    sendBinary: (bytes) => {
      state.counters.sentMessages++;
      state.effects.sendBinary(bytes);
    },
  });
  if (hasMore) flushWithin(state, state.timing.flushMs);
}

/** Asks for the timer when something is due before the time that was asked for last. */
function arm(state: MachineState): void {
  const { connection } = state;
  let atMs = Math.min(state.flushAtMs, state.reconnectAtMs, state.handshakeAtMs);
  if (connection !== null)
    atMs = Math.min(atMs, connection.heartbeatAtMs, connection.checkAtMs, connection.probeAtMs);
  if (atMs >= state.armedAtMs) return;
  state.armedAtMs = atMs;
  state.effects.setTimer(Math.max(0, atMs - nowMs(state)));
}

function statusOf(state: MachineState): DeviceStatus {
  const { connection, runList } = state;
  const given = runList.reduce((sum, { log }) => sum + log.nextSeq, 0);
  const buffered = unsettledReadings(state);
  return {
    phase: state.phase,
    generation: state.generation,
    streams: state.currentByStream.size,
    bufferedReadings: buffered,
    settledReadings: given - buffered,
    lostReadings: runList.reduce((sum, { log }) => sum + sizeOf(log.losses), 0),
    storeBytes: state.store.status().bytes,
    clock: state.filter.best(state.options.clock.nowUs()),
    durableCreditLeft: connection === null ? 0 : durableLeft(connection.sender),
    sentMessages: state.counters.sentMessages,
    reconnects: state.counters.reconnects,
    discardedReadings: state.counters.discardedReadings,
  };
}
