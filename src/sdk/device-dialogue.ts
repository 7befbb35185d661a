/**
 * Owns what the device does with each message of the server, and the opening of its streams. Statements of what is
 * settled are taken at their word in both directions: more settles, less is sent again.
 */

import { createAllowance } from '#base/allowance.ts';
import { firstMissing, rangesOfPairs, sizeOf, subtract, union, type RangeSet } from '#base/ranges.ts';
import { errorCodes } from '#protocol/codes.ts';
import type { ServerMessage, WireRange } from '#protocol/messages.ts';
import { backoffMs } from '#sdk/device-backoff.ts';
import { compare } from '#sdk/device-comparison.ts';
import {
  markRegressed,
  markRewound,
  newChannel,
  openMessage,
  unstatedLosses,
  type Channel,
} from '#sdk/device-channel.ts';
import { changeEpoch, EPOCH_INTERVAL_MS, hasDiverged, syncRuns } from '#sdk/device-epoch.ts';
import { giveBack, grant, newSender, type Run } from '#sdk/device-sender.ts';
import { flushWithin, send, type Connection, type MachineState } from '#sdk/device-state.ts';
import { isSettled, storeLimits } from '#sdk/device-store.ts';

type Message<T extends ServerMessage['type']> = Extract<ServerMessage, { type: T }>;

/** Commands whose answers are remembered: a clinician sends a few a minute, a server repeats within one. */
export const COMMANDS = 64;
/** Between checks of silence, stalls, losses and refused streams. */
export const CHECK_MS = 1000;
/** Half of the control messages that docs/protocol.md allows; the rest is for opening and closing streams. */
const TOMBSTONES = { burst: 512, perSecond: 64 } as const;
/** So often an older epoch may be refused for the time being before the one that closes it no longer waits for it. */
const OLDER_FIRST_ATTEMPTS = 5;
/** Between two attempts to open a stream that is refused for the time being. */
const REFUSAL_MIN_MS = 250;
const REFUSAL_BACKOFF = { baseMs: 1000, capMs: 15_000 } as const;

/** Handles a message of an online connection. `welcome` and `bye` are the machine's. */
export function handleMessage(state: MachineState, connection: Connection, message: ServerMessage): void {
  switch (message.type) {
    case 'opened':
      return opened(state, connection, message);
    case 'ack':
      return acked(state, connection, message);
    case 'closed':
      return closed(state, connection, message);
    case 'credit':
      connection.progressMs = nowMs(state);
      grant(connection.sender, message.credit);
      return flushWithin(state, state.timing.flushMs);
    case 'reclaim': {
      const { id, durable } = message;
      return send(state, { type: 'reclaimed', id, durable: giveBack(connection.sender, durable) });
    }
    case 'rewind':
      return rewound(state, connection, message);
    case 'probe':
      return probed(state, connection, message);
    case 'command':
      return commanded(state, message);
    case 'error':
      return failed(state, connection, message);
    case 'heartbeat':
    case 'welcome':
    case 'bye':
      return;
  }
}

function nowMs(state: MachineState): number {
  return state.options.clock.monotonicMs();
}

/** The connection that a welcome begins; every log that has something to say is opened on it. */
export function beginConnection(state: MachineState, welcome: Message<'welcome'>): Connection {
  const now = nowMs(state);
  const connection: Connection = {
    sinceMs: now,
    generation: welcome.generation,
    incarnation: welcome.incarnation,
    heartbeatMs: welcome.heartbeatMs,
    sender: newSender(),
    runsByRef: new Map(),
    nextRef: 0,
    heartbeatAtMs: now + welcome.heartbeatMs,
    checkAtMs: now + Math.min(CHECK_MS, welcome.heartbeatMs),
    probeAtMs: now,
    probesInBurst: 0,
    nextProbeId: 0,
    probes: new Map(),
    tombstones: createAllowance(TOMBSTONES),
    progressMs: now,
  };
  grant(connection.sender, welcome.credit);
  state.connection = connection;
  state.generation = welcome.generation;
  syncRuns(state);
  // A server that was restored may lack anything, so it is asked about everything that is still held.
  const isNewServer = welcome.incarnation !== state.store.incarnation;
  const replacedFirst = state.runList.toSorted((a, b) => rank(a) - rank(b));
  for (const run of replacedFirst) if (isNewServer || hasNews(run)) openRun(state, run);
  noteIncarnation(state, connection);
  return connection;
}

/** Old epochs before the one that closes them. */
function rank(run: Run): number {
  return run.log.phase === 'replaced' ? 0 : 1;
}

function hasNews(run: Run): boolean {
  return run.log.phase === 'recording' || run.log.phase === 'ended' || !isSettled(run.log);
}

export function openRun(state: MachineState, run: Run): void {
  const { connection } = state;
  if (connection === null || run.channel !== null) return;
  while (connection.runsByRef.has(connection.nextRef)) connection.nextRef = (connection.nextRef + 1) % 65_536;
  run.channel = newChannel(connection.nextRef);
  connection.nextRef = (connection.nextRef + 1) % 65_536;
  connection.runsByRef.set(run.channel.ref, run);
  if (waitsForOlder(state, run)) {
    run.channel.state = 'refused';
    run.channel.retryAtMs = nowMs(state);
  } else send(state, openMessage(state.store, run.log, run.channel));
}

/**
 * An epoch that says that the store before it was lost closes the epochs that the server knows by then. Was an older one
 * refused for the time being and opened after it, its lost tail would be a gap that nobody hears of.
 */
function waitsForOlder(state: MachineState, { log }: Run): boolean {
  if (!log.previousStoreLost || log.phase === 'replaced') return false;
  return state.runList.some(({ log: older, channel }) => {
    if (older.phase !== 'replaced' || older.definition.stream !== log.definition.stream) return false;
    const isRefused = isAskedAgain(channel) && channel!.refusals > 0;
    return channel?.state === 'opening' || (isRefused && channel!.refusals < OLDER_FIRST_ATTEMPTS);
  });
}

/** The incarnation counts as known once the server has stated what it has, or will never take, of everything held. */
function noteIncarnation(state: MachineState, connection: Connection): void {
  if (state.store.incarnation === connection.incarnation) return;
  for (const { channel } of connection.runsByRef.values())
    if (channel?.state === 'opening' || isAskedAgain(channel)) return;
  state.store.setIncarnation(connection.incarnation);
}

function settledSet(next: number, ranges: readonly WireRange[]): RangeSet {
  if (ranges.length === 0) return next === 0 ? [] : [{ from: 0, to: next }];
  return rangesOfPairs([[0, next], ...ranges]);
}

function opened(state: MachineState, connection: Connection, message: Message<'opened'>): void {
  const run = connection.runsByRef.get(message.ref);
  if (run === undefined || run.channel === null) return;
  connection.progressMs = nowMs(state);
  if (message.discarded === true) return discard(state, connection, run);
  // Not asked for, or refused: an answer that no server gives, and readings under it would be of nothing.
  if (run.channel.state === 'refused') return;
  const { newest, settled } = message;
  const { ref } = run.channel;
  const found = compare(state.store, run.log, { channel: run.channel, newest });
  if (found.type === 'ask')
    return send(state, openMessage(state.store, run.log, { ref, below: found.below }));
  run.channel.state = 'open';
  run.channel.retryAtMs = Number.POSITIVE_INFINITY;
  if (found.type === 'own' || renumber(state, run, placeFor(state, found.fromSeq), ANOTHERS))
    settle(state, run, { settled: settledSet(settled.next, settled.ranges), isWhole: true });
  if (run.log.phase === 'replaced') for (const other of state.runList) retryRefused(state, other);
  noteIncarnation(state, connection);
  state.effects.report({ type: 'settled' });
  flushWithin(state, 0);
}

const NEVER_SENT = 'the server has numbers that this store never sent';
const ANOTHERS = 'the server has another reading under a number of this store';

/** Below `fromSeq` the numbers are this store's own. Without a place for another log, everything moves. */
function placeFor(state: MachineState, fromSeq: number): number {
  return state.store.logs().length < storeLimits.logs ? fromSeq : 0;
}

/** Goes on in a new epoch with what is not settled from `fromSeq` on. False when nothing of this one is left. */
function renumber(state: MachineState, run: Run, fromSeq: number, reason: string): boolean {
  const next = changeEpoch(state, run, fromSeq, reason);
  if (next === null) {
    refuse(state, run, 'new-epoch-required', 'this epoch diverged again');
    return false;
  }
  openRun(state, next);
  return state.runs.has(run.log.id);
}

/**
 * The stream was erased: every epoch of it goes, but for those whose own answer is still to come. The references are
 * closed, since the server keeps them open to acknowledge what is on its way.
 */
function discard(state: MachineState, connection: Connection, answered: Run): void {
  const { stream, session } = answered.log.definition;
  for (const run of state.runList) {
    const { log, channel } = run;
    if (log.definition.stream !== stream || (run !== answered && channel?.state === 'opening')) continue;
    if (log.phase === 'recording') state.discarded.add(stream);
    // Under a reference that was refused the server has nothing open.
    if (channel !== null && channel.state !== 'refused')
      send(state, { type: 'close', ref: channel.ref, next: log.nextSeq, ended: true });
    state.store.forget(log);
  }
  syncRuns(state);
  noteIncarnation(state, connection);
  state.effects.report({ type: 'discarded', stream, session });
  state.effects.report({ type: 'settled' });
}

function acked(state: MachineState, connection: Connection, message: Message<'ack'>): void {
  connection.progressMs = nowMs(state);
  grant(connection.sender, message.credit);
  for (const { ref, next, ranges } of message.streams) {
    const run = connection.runsByRef.get(ref);
    if (run?.channel?.state !== 'open') continue;
    const stated = settledSet(next, ranges);
    // The ranges of an acknowledgement may leave some out, so only a smaller `next` takes anything back.
    const isWhole = next < firstMissing(run.log.settled);
    settle(state, run, { settled: isWhole ? stated : union(run.log.settled, stated), isWhole });
  }
  state.effects.report({ type: 'settled' });
  flushWithin(state, state.timing.flushMs);
}

interface Statement {
  readonly settled: RangeSet;
  /** It replaces what was known, and may take back. */
  readonly isWhole: boolean;
}

/** Takes over a statement of what is settled, and draws the consequences. */
function settle(state: MachineState, run: Run, { settled, isWhole }: Statement): void {
  const { log } = run;
  const channel = run.channel!;
  if (hasDiverged(run, settled) && !renumber(state, run, run.sentTo, NEVER_SENT)) return;
  const before = log.settled;
  state.store.setSettled(log, settled);
  if (isWhole) {
    declareUnrecoverable(state, run);
    markRegressed(channel, before, firstMissing(settled));
  }
  stateLosses(state, run);
  closeWhenSettled(state, run);
}

/** What the server lacks, was acknowledged once, and is no longer held: it will never come. */
function declareUnrecoverable(state: MachineState, run: Run): void {
  const { log } = run;
  if (log.nextSeq === 0 || isSettled(log)) return;
  const missing = subtract(
    subtract(subtract([{ from: 0, to: log.nextSeq }], log.settled), state.store.held(log)),
    log.losses,
  );
  for (const range of missing) state.store.declareLost(log, { ...range, reason: 'server-restored' });
}

/** Sends the tombstones that this connection has not carried yet; those that are too many now follow with the checks. */
export function stateLosses(state: MachineState, run: Run): void {
  const { channel, log } = run;
  const { connection } = state;
  if (connection === null || channel?.state !== 'open' || log.losses.length === 0) return;
  const mayState = (): boolean => connection.tombstones.take(nowMs(state));
  for (const loss of unstatedLosses(log, channel, mayState)) {
    run.sentTo = Math.max(run.sentTo, loss.to);
    send(state, { type: 'tombstone', ref: channel.ref, ...loss });
  }
}

/** The end of a stream is stated when nothing before it is open any more. */
export function closeWhenSettled(state: MachineState, run: Run): void {
  const { channel, log } = run;
  if (channel?.state !== 'open' || channel.isCloseSent || !isSettled(log)) return;
  if (log.phase !== 'ended' && log.phase !== 'finished') return;
  channel.isCloseSent = true;
  send(state, { type: 'close', ref: channel.ref, next: log.nextSeq, ended: true });
}

function closed(state: MachineState, connection: Connection, message: Message<'closed'>): void {
  const run = connection.runsByRef.get(message.ref);
  if (run?.channel?.isCloseSent !== true) return;
  connection.progressMs = nowMs(state);
  connection.runsByRef.delete(message.ref);
  run.channel = null;
  state.store.finish(run.log);
  state.effects.report({ type: 'settled' });
}

function rewound(state: MachineState, connection: Connection, message: Message<'rewind'>): void {
  const run = connection.runsByRef.get(message.ref);
  if (run?.channel?.state !== 'open') return;
  connection.progressMs = nowMs(state);
  markRewound(run.channel, message.fromSeq);
  flushWithin(state, state.timing.flushMs);
}

function probed(state: MachineState, connection: Connection, message: Message<'probe'>): void {
  const t3Us = state.options.clock.nowUs();
  if (connection.probes.get(message.id) !== message.t0Us) return;
  connection.probes.delete(message.id);
  const isFirst = state.filter.best(t3Us) === null;
  const { t0Us, t1Us, t2Us } = message;
  if (!state.filter.add({ t0Us, t1Us, t2Us, t3Us })) return;
  // At once when nothing is known yet, then when the burst is through, then with every later probe.
  if (!isFirst && connection.probesInBurst < state.timing.probeBurst) return;
  const estimate = state.filter.best(t3Us)!;
  send(state, { type: 'clock', ...estimate });
  state.effects.report({ type: 'clock', estimate });
}

function commanded(state: MachineState, message: Message<'command'>): void {
  const answer = state.commands.get(message.id);
  if (answer !== undefined && answer !== null)
    return send(state, { type: 'commandResult', id: message.id, ...answer });
  send(state, { type: 'commandReceived', id: message.id });
  if (answer === null) return;
  if (state.commands.size >= COMMANDS) state.commands.delete(state.commands.keys().next().value!);
  state.commands.set(message.id, null);
  const { id, name, argument } = message;
  state.effects.report({ type: 'command', id, name, argument: argument ?? null });
}

function failed(state: MachineState, connection: Connection, message: Message<'error'>): void {
  const { code, ref } = message;
  const run = ref === undefined ? undefined : connection.runsByRef.get(ref);
  if (run === undefined || run.channel === null)
    return state.effects.report({ type: 'error', code, message: message.message });
  if (code === 'too-many-fragments') {
    // The oldest gap first. Frames on their way bring the same error again: once a second is enough.
    if (nowMs(state) - run.channel.rewoundAtMs < CHECK_MS) return;
    run.channel.rewoundAtMs = nowMs(state);
    markRewound(run.channel, firstMissing(run.log.settled));
    return flushWithin(state, state.timing.flushMs);
  }
  if (code === 'new-epoch-required') {
    const next = changeEpoch(state, run, 0, message.message);
    if (next !== null) return openRun(state, next);
  }
  refuse(state, run, code, message.message);
  noteIncarnation(state, connection);
}

/** Sends nothing more of this log on this connection, unless the refusal is temporary. */
function refuse(state: MachineState, run: Run, code: string, message: string): void {
  const channel = run.channel!;
  channel.state = 'refused';
  const isTemporary =
    Object.hasOwn(errorCodes, code) && errorCodes[code as keyof typeof errorCodes].temporary;
  if (code === 'new-epoch-required') channel.retryAtMs = nowMs(state) + EPOCH_INTERVAL_MS;
  if (isTemporary) {
    const waitMs = REFUSAL_MIN_MS + backoffMs(REFUSAL_BACKOFF, channel.refusals++, state.options.random);
    channel.retryAtMs = nowMs(state) + waitMs;
  }
  state.effects.report({ type: 'refused', log: run.log, code, message });
}

function isAskedAgain(channel: Channel | null): boolean {
  return channel?.state === 'refused' && channel.retryAtMs < Number.POSITIVE_INFINITY;
}

/** Asks again for a stream that was refused for the time being. */
export function retryRefused(state: MachineState, run: Run): void {
  const { channel } = run;
  if (channel?.state !== 'refused' || channel.retryAtMs > nowMs(state) || waitsForOlder(state, run)) return;
  const { ref, refusals } = channel;
  run.channel = { ...newChannel(ref), refusals };
  send(state, openMessage(state.store, run.log, run.channel));
}

/** Readings that were given a number and are not settled, over all logs. */
export function unsettledReadings(state: MachineState): number {
  let count = 0;
  for (const { log } of state.runList)
    count += sizeOf(subtract(log.nextSeq === 0 ? [] : [{ from: 0, to: log.nextSeq }], log.settled));
  return count;
}
