/**
 * Owns the subscriber's connection as a state machine without I/O: events in, effects out, time and chance given.
 * It keeps the wished channels subscribed over any number of connections, comes back with full jitter (M. Brooker,
 * "Exponential Backoff and Jitter", AWS 2015), finds a dead peer by silence, and probes the server's clock.
 * Events of a connection that is no longer the current one change nothing. At most MAX_CHANNELS channels.
 */

import type { Random } from '#base/random.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { closeCodes, errorCodes, mayReconnect, type ErrorCode } from '#protocol/codes.ts';
import { decodeLive } from '#protocol/live-codec.ts';
import { createLiveClock, type LiveClock } from '#sdk/live-clock.ts';
import type { LiveEffect, LiveEvent, LiveState, LiveTime } from '#sdk/live-events.ts';
import { parseHubMessage } from '#sdk/live-parse.ts';

/** Channels of one connection (DESIGN section 4: a cursor names at most 64). */
export const MAX_CHANNELS = 64;
/** Ticket, handshake and welcome together; a phone on a bad network needs about five seconds. */
const CONNECT_MS = 10_000;
/** The mean of the first wait is half of it: a restarted server is found again at once. */
const BACKOFF_BASE_MS = 500;
/** A person watches: nobody should wait longer for a picture that could be there. */
const BACKOFF_CAP_MS = 10_000;
/** A connection that lived this long was a success; the next wait starts small again. */
const STABLE_MS = 5_000;
/** A peer silent for three heartbeats is dead (protocol/limits.ts). */
const SILENT_HEARTBEATS = 3;
const FIRST_PROBES = 5;
const FIRST_PROBE_MS = 200;
const PROBE_MS = 2_000;
/**
 * A ticket may have expired on the way, or its server may have restarted: a new one is worth a try. Whether the key
 * still holds is answered where tickets are made, and that answer is final.
 */
const MAX_REFUSED_TICKETS = 3;
/** A server that asks for a longer absence is not believed; and a timer beyond 24 days would fire at once. */
const MAX_BYE_MS = 60_000;
/** A subscription that failed for a passing reason is tried again after this. */
const RESUBSCRIBE_MS = 2_000;

export interface LiveMachine {
  readonly state: LiveState;
  readonly clock: LiveClock;
  /** When `wake` is next due on the monotonic clock; infinity when nothing is. */
  readonly wakeAtMs: number;
  handle(event: LiveEvent, now: LiveTime): LiveEffect[];
}

interface Channel {
  /** Id of the request that waits for an answer. */
  request: number | null;
  number: number | null;
  lastOffset: number;
  retryAtMs: number;
}

const NEVER = Number.POSITIVE_INFINITY;

interface Model {
  readonly random: Random;
  readonly channels: Map<string, Channel>;
  readonly byNumber: Map<number, string>;
  clock: LiveClock;
  state: LiveState;
  /** Numbers the attempts; what an older one still says is not heard. */
  connection: number;
  attempt: number;
  ticketsRefused: number;
  nextRequest: number;
  heartbeatMs: number;
  connectDeadlineMs: number;
  openedAtMs: number;
  heardAtMs: number;
  sentAtMs: number;
  probeAtMs: number;
  probesSent: number;
  effects: LiveEffect[];
}

export function createLiveMachine(random: Random): LiveMachine {
  const m: Model = {
    random,
    channels: new Map(),
    byNumber: new Map(),
    clock: createLiveClock(),
    state: { name: 'closed', code: 'not-started', message: '' },
    connection: 0,
    attempt: 0,
    ticketsRefused: 0,
    nextRequest: 1,
    heartbeatMs: NEVER,
    connectDeadlineMs: NEVER,
    openedAtMs: 0,
    heardAtMs: 0,
    sentAtMs: 0,
    probeAtMs: NEVER,
    probesSent: 0,
    effects: [],
  };
  return {
    get state() {
      return m.state;
    },
    get clock() {
      return m.clock;
    },
    get wakeAtMs() {
      return wakeAtMs(m);
    },
    handle(event, now) {
      m.effects = [];
      dispatch(m, event, now);
      return m.effects;
    },
  };
}

function dispatch(m: Model, event: LiveEvent, now: LiveTime): void {
  if ('connection' in event && event.connection !== m.connection) return;
  switch (event.type) {
    case 'start':
      if (m.state.name === 'closed') begin(m, now);
      return;
    case 'ticket':
      m.effects.push({ type: 'connect', connection: m.connection, ticket: event.ticket });
      return;
    case 'ticketFailed':
      if (event.temporary) retreat(m, event.code, now);
      else close(m, event.code, event.message);
      return;
    case 'text':
      m.heardAtMs = now.ms;
      onText(m, event.text, now);
      beat(m, now);
      return;
    case 'binary':
      m.heardAtMs = now.ms;
      onBinary(m, event.bytes);
      beat(m, now);
      return;
    case 'closed':
      onClosed(m, event.code, event.reason, now);
      return;
    case 'subscribe':
      onSubscribe(m, event.channel, now);
      return;
    case 'unsubscribe':
      onUnsubscribe(m, event.channel, now);
      return;
    case 'wake':
      onWake(m, now);
      return;
    case 'stop':
      if (m.state.name === 'closed') return;
      m.effects.push({ type: 'disconnect', code: 1000 });
      close(m, 'stopped', 'stopped by the caller');
  }
}

function onClosed(m: Model, code: number, reason: string, now: LiveTime): void {
  if (code === closeCodes.unauthenticated && m.ticketsRefused < MAX_REFUSED_TICKETS) {
    m.ticketsRefused++;
    retreat(m, code, now);
  } else if (mayReconnect(code)) retreat(m, code, now);
  else close(m, code, reason);
}

function enter(m: Model, state: LiveState): void {
  m.state = state;
  m.effects.push({ type: 'state', state });
}

function send(m: Model, message: ViewerMessage, now: LiveTime): void {
  m.sentAtMs = now.ms;
  m.effects.push({ type: 'send', text: JSON.stringify(message) });
}

function begin(m: Model, now: LiveTime): void {
  m.connection++;
  m.connectDeadlineMs = now.ms + CONNECT_MS;
  enter(m, { name: 'connecting' });
  m.effects.push({ type: 'fetchTicket', connection: m.connection });
}

/** Gives the connection up and waits: the server's wish first, then a random part of a growing span. */
function retreat(m: Model, code: number | string, now: LiveTime, wishMs = 0): void {
  if (m.state.name === 'open' && now.ms - m.openedAtMs >= STABLE_MS) m.attempt = 0;
  forgetConnection(m);
  const spreadMs = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** m.attempt);
  m.attempt = Math.min(m.attempt + 1, 16);
  const retryAtMs = now.ms + wishMs + m.random.next() * spreadMs;
  enter(m, { name: 'waiting', retryAtMs, attempt: m.attempt, code });
}

function close(m: Model, code: number | string, message: string): void {
  forgetConnection(m);
  enter(m, { name: 'closed', code, message });
}

function forgetConnection(m: Model): void {
  m.connection++;
  m.connectDeadlineMs = NEVER;
  m.heartbeatMs = NEVER;
  m.probeAtMs = NEVER;
  m.byNumber.clear();
  for (const channel of m.channels.values()) {
    channel.request = null;
    channel.number = null;
    channel.retryAtMs = NEVER;
  }
}

function attach(m: Model, name: string, channel: Channel, now: LiveTime): void {
  channel.request = m.nextRequest++;
  channel.retryAtMs = NEVER;
  send(m, { type: 'subscribe', id: channel.request, channel: name }, now);
}

function onSubscribe(m: Model, name: string, now: LiveTime): void {
  if (m.channels.has(name)) return;
  if (m.channels.size >= MAX_CHANNELS) {
    const message = `a connection follows at most ${MAX_CHANNELS} channels`;
    m.effects.push({ type: 'refused', channel: name, code: 'limit-exceeded', message });
    return;
  }
  const channel = { request: null, number: null, lastOffset: -1, retryAtMs: NEVER };
  m.channels.set(name, channel);
  if (m.state.name === 'open') attach(m, name, channel, now);
}

function onUnsubscribe(m: Model, name: string, now: LiveTime): void {
  const channel = m.channels.get(name);
  if (channel === undefined) return;
  m.channels.delete(name);
  if (channel.number !== null) m.byNumber.delete(channel.number);
  if (m.state.name === 'open') send(m, { type: 'unsubscribe', id: m.nextRequest++, channel: name }, now);
}

function onText(m: Model, text: string, now: LiveTime): void {
  const parsed = parseHubMessage(text);
  if (!parsed.ok) {
    m.effects.push({ type: 'problem', code: parsed.error.code, message: parsed.error.message });
    return;
  }
  if (parsed.value !== null) onMessage(m, parsed.value, now);
}

function onMessage(m: Model, message: HubMessage, now: LiveTime): void {
  switch (message.type) {
    case 'welcome':
      if (m.state.name !== 'open') onWelcome(m, message.heartbeatMs, now);
      return;
    case 'subscribed': {
      const channel = m.channels.get(message.channel);
      if (channel === undefined || channel.request !== message.id) return;
      channel.request = null;
      channel.number = message.number;
      channel.lastOffset = -1;
      m.byNumber.set(message.number, message.channel);
      m.effects.push({ type: 'subscribed', channel: message.channel });
      return;
    }
    case 'committed': {
      const channel = m.byNumber.get(message.channel);
      if (channel !== undefined) m.effects.push({ type: 'committed', channel, streams: message.streams });
      return;
    }
    case 'probe':
      if (message.id > m.probesSent) return;
      m.clock.add({ t0Us: message.t0Us, t1Us: message.t1Us, t2Us: message.t2Us, t3Us: now.us });
      if (m.clock.estimate !== null) m.effects.push({ type: 'clock', estimate: m.clock.estimate });
      return;
    case 'error':
      onError(m, message, now);
      return;
    case 'bye':
      m.effects.push({ type: 'disconnect', code: 1000 });
      retreat(m, closeCodes.draining, now, Math.min(message.afterMs, MAX_BYE_MS));
      return;
    case 'unsubscribed':
    case 'heartbeat':
  }
}

function onWelcome(m: Model, heartbeatMs: number, now: LiveTime): void {
  m.heartbeatMs = heartbeatMs;
  m.connectDeadlineMs = NEVER;
  m.openedAtMs = now.ms;
  m.ticketsRefused = 0;
  m.sentAtMs = now.ms;
  // Another server, or another network path: what was measured before may not hold.
  m.clock = createLiveClock();
  m.probesSent = 0;
  m.probeAtMs = now.ms;
  enter(m, { name: 'open' });
  for (const [name, channel] of m.channels) attach(m, name, channel, now);
  onWake(m, now);
}

function onError(m: Model, error: Extract<HubMessage, { type: 'error' }>, now: LiveTime): void {
  const { code, message, id } = error;
  const entry = [...m.channels].find(([, channel]) => id !== undefined && channel.request === id);
  if (entry === undefined) {
    m.effects.push({ type: 'problem', code, message });
    return;
  }
  const [name, channel] = entry;
  channel.request = null;
  const isTemporary = Object.hasOwn(errorCodes, code) && errorCodes[code as ErrorCode].temporary;
  if (isTemporary) channel.retryAtMs = now.ms + RESUBSCRIBE_MS;
  else {
    m.channels.delete(name);
    m.effects.push({ type: 'refused', channel: name, code, message });
  }
}

function onBinary(m: Model, bytes: Uint8Array): void {
  const decoded = decodeLive(bytes);
  if (!decoded.ok) {
    m.effects.push({ type: 'problem', code: decoded.error.code, message: decoded.error.message });
    return;
  }
  const message = decoded.value;
  const name = m.byNumber.get(message.channel);
  const channel = name === undefined ? undefined : m.channels.get(name);
  if (name === undefined || channel === undefined) return;
  // A smaller offset is another publishing instance, which counts for itself.
  const skipped = channel.lastOffset < 0 ? 0 : Math.max(0, message.offset - channel.lastOffset - 1);
  channel.lastOffset = message.offset;
  m.effects.push({ type: 'readings', channel: name, message, skipped });
}

function wakeAtMs(m: Model): number {
  if (m.state.name === 'waiting') return m.state.retryAtMs;
  if (m.state.name === 'connecting') return m.connectDeadlineMs;
  if (m.state.name === 'closed') return NEVER;
  let at = Math.min(m.heardAtMs + m.heartbeatMs * SILENT_HEARTBEATS, m.sentAtMs + m.heartbeatMs, m.probeAtMs);
  for (const channel of m.channels.values()) at = Math.min(at, channel.retryAtMs);
  return at;
}

function onWake(m: Model, now: LiveTime): void {
  if (m.state.name === 'waiting') {
    if (now.ms >= m.state.retryAtMs) begin(m, now);
    return;
  }
  const isConnectTooSlow = m.state.name === 'connecting' && now.ms >= m.connectDeadlineMs;
  const isSilent = m.state.name === 'open' && now.ms - m.heardAtMs >= m.heartbeatMs * SILENT_HEARTBEATS;
  if (isConnectTooSlow || isSilent) {
    m.effects.push({ type: 'disconnect', code: closeCodes.silent });
    retreat(m, closeCodes.silent, now);
    return;
  }
  if (m.state.name !== 'open') return;
  for (const [name, channel] of m.channels) if (now.ms >= channel.retryAtMs) attach(m, name, channel, now);
  if (now.ms >= m.probeAtMs) {
    m.probesSent++;
    m.probeAtMs = now.ms + (m.probesSent < FIRST_PROBES ? FIRST_PROBE_MS : PROBE_MS);
    send(m, { type: 'probe', id: m.probesSent, t0Us: now.us }, now);
  }
  beat(m, now);
}

/** Also called on receipt: a browser slows the timers of a hidden page, but not its messages. */
function beat(m: Model, now: LiveTime): void {
  if (m.state.name === 'open' && now.ms - m.sentAtMs >= m.heartbeatMs) send(m, { type: 'heartbeat' }, now);
}
