/**
 * Owns the subscriber's connection as a state machine without I/O: events in, effects out, time and chance given.
 * It keeps the wished channels subscribed over any number of connections and transports, comes back with full jitter
 * (M. Brooker, "Exponential Backoff and Jitter", AWS 2015), finds a dead peer by silence, shows a new token before the old
 * one ends, and probes the server's clock. Events of a connection that is no longer the current one change nothing.
 */

import type { Random } from '#base/random.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { closeCodes, mayReconnect } from '#protocol/codes.ts';
import { decodeLive } from '#protocol/live-codec.ts';
import { backoffMs } from '#sdk/device-backoff.ts';
import { createAsks, type Asks } from '#sdk/live-asks.ts';
import { createFollowedChannels, type FollowedChannels } from '#sdk/live-channels.ts';
import type { LiveClock } from '#sdk/live-clock.ts';
import type {
  Ask,
  LiveCounters,
  LiveEffect,
  LiveEvent,
  LiveMachineOptions,
  LiveState,
  LiveTime,
} from '#sdk/live-events.ts';
import { parseHubMessage } from '#sdk/live-parse.ts';
import { createLivePulse, type LivePulse } from '#sdk/live-pulse.ts';
import { createRefresh, type Refresh } from '#sdk/live-refresh.ts';
import {
  allTransports,
  createTransportChoice,
  isOfNetwork,
  TRANSPORT_UNUSABLE,
  type TransportChoice,
} from '#sdk/live-transports.ts';

/** Ticket, handshake and welcome together; a phone on a bad network needs about five seconds. */
const CONNECT_MS = 10_000;
/**
 * The mean of the first wait is 250 ms: a restarted server is found again at once. And a person watches: nobody should
 * wait longer than the last for a picture that could be there.
 */
const BACKOFF = { baseMs: 500, capMs: 10_000 };
/** A connection that lived this long was a success; the next wait starts small again. */
const STABLE_MS = 5_000;
/**
 * A ticket may have expired on the way, or its server may have restarted: a new one is worth a try. Whether the key
 * still holds is answered where tickets are made, and that answer is final.
 */
const MAX_REFUSED_TICKETS = 3;
/** A server that asks for a longer absence is not believed; and a timer beyond 24 days would fire at once. */
const MAX_BYE_MS = 60_000;
/** Answers that are under way may still come before a server that stops is left; it waits that long itself. */
const LEAVE_MS = 2_000;
/** Where a server that stops did not say when to come back, its viewers spread over this (its own default). */
const RESTART_SPREAD_MS = 5_000;

export interface LiveMachine {
  readonly state: LiveState;
  readonly clock: LiveClock;
  readonly counters: LiveCounters;
  readonly channels: Pick<FollowedChannels, 'positionOf' | 'positions'>;
  /** When `wake` is next due on the monotonic clock; infinity when nothing is. */
  readonly wakeAtMs: number;
  handle(event: LiveEvent, now: LiveTime): LiveEffect[];
}

const NEVER = Number.POSITIVE_INFINITY;

interface Model {
  readonly random: Random;
  readonly channels: FollowedChannels;
  readonly asks: Asks;
  readonly choice: TransportChoice;
  readonly refresh: Refresh;
  readonly pulse: LivePulse;
  state: LiveState;
  /** Numbers the attempts; what an older one still says is not heard. */
  connection: number;
  attempt: number;
  ticketsRefused: number;
  nextRequest: number;
  connectDeadlineMs: number;
  openedAtMs: number;
  /** What is left to do before the server is left: set by `bye`, and when a better transport works. */
  leave: { readonly atMs: number; readonly code: number; readonly comeBackAtMs: number } | null;
  now: LiveTime;
  effects: LiveEffect[];
}

export function createLiveMachine(options: LiveMachineOptions): LiveMachine {
  const m: Model = {
    random: options.random,
    channels: createFollowedChannels({
      subscribe: (wish) => request(m, (id) => ({ type: 'subscribe', id, ...wish })),
      unsubscribe: (channel) => void request(m, (id) => ({ type: 'unsubscribe', id, channel })),
      effect: (effect) => m.effects.push(effect),
    }),
    asks: createAsks({
      send: (body) => request(m, (id) => ({ ...body, id })),
      effect: (effect) => m.effects.push(effect),
    }),
    choice: createTransportChoice(options.transports ?? allTransports),
    refresh: createRefresh(options.random, options.canRefresh ?? false),
    pulse: createLivePulse(),
    state: { name: 'closed', code: 'not-started', message: '' },
    connection: 0,
    attempt: 0,
    ticketsRefused: 0,
    nextRequest: 1,
    connectDeadlineMs: NEVER,
    openedAtMs: 0,
    leave: null,
    now: { ms: 0, us: 0 },
    effects: [],
  };
  return {
    get state() {
      return m.state;
    },
    get clock() {
      return m.pulse.clock;
    },
    get counters() {
      return { ...m.channels.counters, refusedAsks: m.asks.refused };
    },
    get wakeAtMs() {
      return wakeAtMs(m);
    },
    channels: m.channels,
    handle(event, now) {
      m.effects = [];
      m.now = now;
      dispatch(m, event);
      if (m.leave !== null && m.asks.underWay === 0) leaveNow(m);
      return m.effects;
    },
  };
}

function dispatch(m: Model, event: LiveEvent): void {
  if ('connection' in event && event.connection !== m.connection) return;
  const isOpen = m.state.name === 'open';
  switch (event.type) {
    case 'start':
      return m.state.name === 'closed' ? begin(m) : undefined;
    case 'ticket':
      return onTicket(m, event.ticket);
    case 'ticketFailed':
      if (isOpen) return m.refresh.failed(event.temporary, m.now.ms);
      return event.temporary ? retreat(m, event.code) : close(m, event.code, event.message);
    case 'text':
    case 'binary':
      onHeard(m, event);
      beat(m);
      return;
    case 'closed':
      return onClosed(m, event.code, event.reason);
    case 'tried':
      m.choice.looked(event.isOpen, m.now.ms);
      if (event.isOpen && isOpen) planLeave(m, 1000, 0);
      return;
    case 'subscribe':
      return m.channels.follow(event.channel, event.options ?? {}, isOpen);
    case 'unsubscribe':
      return m.channels.forget(event.channel, isOpen);
    case 'ask':
      return onAsk(m, event.ask);
    case 'refresh':
      if (isOpen) m.refresh.now(m.now.ms);
      return onWake(m);
    case 'wake':
      return onWake(m);
    case 'stop':
      if (m.state.name === 'closed') return;
      m.effects.push({ type: 'disconnect', code: 1000 });
      close(m, 'stopped', 'stopped by the caller');
  }
}

function onTicket(m: Model, ticket: string): void {
  if (m.state.name === 'open') {
    m.refresh.sent(request(m, (id) => ({ type: 'refresh', id, key: ticket })));
    return;
  }
  if (m.state.name !== 'connecting') return;
  const { transport } = m.state;
  m.effects.push({ type: 'connect', connection: m.connection, transport, ticket });
}

function onClosed(m: Model, code: number, reason: string): void {
  const { leave } = m;
  if (code === closeCodes.unauthenticated && m.ticketsRefused < MAX_REFUSED_TICKETS) {
    m.ticketsRefused++;
    retreat(m, code);
  } else if (!mayReconnect(code)) close(m, code, reason);
  else if (leave !== null) retreat(m, leave.code, Math.max(0, leave.comeBackAtMs - m.now.ms));
  else {
    judgeTransport(m, code);
    retreat(m, code, 0, code === closeCodes.restarting ? RESTART_SPREAD_MS : 0);
  }
}

/** `slow`: it took all its time. */
function judgeTransport(m: Model, code: number | 'slow'): void {
  const isShort = m.state.name === 'connecting' || m.now.ms - m.openedAtMs < STABLE_MS;
  if (code === TRANSPORT_UNUSABLE) m.choice.unusable(m.now.ms);
  else if (code === 'slow') m.choice.failed('slow');
  else if (isShort && isOfNetwork(code)) m.choice.failed('soon');
}

function onAsk(m: Model, ask: Ask): void {
  if (m.state.name === 'closed') {
    const message = 'the client is closed';
    m.effects.push({ type: 'failed', ref: ask.ref, code: 'stopped', message, temporary: false });
    return;
  }
  if (ask.body.type === 'state') m.channels.setState(ask.body.channel, ask.body.state);
  m.asks.add(ask);
  pump(m);
}

function pump(m: Model): void {
  if (m.state.name === 'open' && m.leave === null) m.asks.pump();
}

function enter(m: Model, state: LiveState): void {
  m.state = state;
  m.effects.push({ type: 'state', state });
}

function send(m: Model, message: ViewerMessage): void {
  m.pulse.sent(m.now.ms);
  m.effects.push({ type: 'send', text: JSON.stringify(message) });
}

/** Sends under the next number, which it returns. */
function request(m: Model, make: (id: number) => ViewerMessage): number {
  const id = m.nextRequest++;
  send(m, make(id));
  return id;
}

function begin(m: Model): void {
  m.connection++;
  m.connectDeadlineMs = m.now.ms + CONNECT_MS;
  m.choice.begin(m.now.ms);
  enter(m, { name: 'connecting', transport: m.choice.current });
  m.effects.push({ type: 'fetchTicket', connection: m.connection });
}

/** Gives the connection up and waits: the server's wish first, then a random part of a growing span. */
function retreat(m: Model, code: number | string, wishMs = 0, leastSpreadMs = 0): void {
  if (m.state.name === 'open' && m.now.ms - m.openedAtMs >= STABLE_MS) {
    m.attempt = 0;
    m.choice.lasted();
  }
  forgetConnection(m);
  const waitMs = backoffMs({ ...BACKOFF, leastMs: leastSpreadMs }, m.attempt++, m.random);
  const retryAtMs = m.now.ms + wishMs + waitMs;
  enter(m, { name: 'waiting', retryAtMs, attempt: m.attempt, code });
}

function close(m: Model, code: number | string, message: string): void {
  forgetConnection(m);
  enter(m, { name: 'closed', code, message });
  m.asks.end('stopped', message);
}

function forgetConnection(m: Model): void {
  m.connection++;
  m.connectDeadlineMs = NEVER;
  m.pulse.forget();
  m.leave = null;
  m.refresh.forget();
  m.channels.detachAll();
  m.asks.lost();
}

/** Leaves as soon as nothing is under way, and LEAVE_MS from now at the latest. */
function planLeave(m: Model, code: number, wishMs: number): void {
  if (m.leave !== null) return;
  m.leave = { atMs: m.now.ms + LEAVE_MS, code, comeBackAtMs: m.now.ms + wishMs };
}

function leaveNow(m: Model): void {
  if (m.leave === null) return;
  const { code, comeBackAtMs } = m.leave;
  m.effects.push({ type: 'disconnect', code: 1000 });
  retreat(m, code, Math.max(0, comeBackAtMs - m.now.ms));
}

function onHeard(m: Model, event: Extract<LiveEvent, { type: 'text' | 'binary' }>): void {
  m.pulse.heard(m.now.ms);
  const parsed = event.type === 'text' ? parseHubMessage(event.text) : decodeLive(event.bytes);
  if (!parsed.ok) m.effects.push({ type: 'problem', ...parsed.error });
  else if (parsed.value === null) return;
  else if ('frames' in parsed.value) m.channels.readings(parsed.value);
  else onMessage(m, parsed.value);
}

function onMessage(m: Model, message: HubMessage): void {
  switch (message.type) {
    case 'welcome':
      if (m.state.name === 'connecting') onWelcome(m, message);
      return;
    case 'published':
    case 'response':
    case 'history':
    case 'members':
    case 'stated':
      if (m.asks.answer(message)) pump(m);
      return;
    case 'refreshed':
      m.refresh.refreshed(message, m.now, m.pulse.clock.estimate);
      return;
    case 'probe': {
      const estimate = m.pulse.probed(message, m.now);
      if (estimate !== null) m.effects.push({ type: 'clock', estimate });
      return;
    }
    case 'error':
      return onError(m, message);
    case 'bye':
      return planLeave(m, closeCodes.draining, Math.min(message.afterMs, MAX_BYE_MS));
    case 'heartbeat':
      return;
    default:
      m.channels.hear(message, m.now.ms);
  }
}

function onWelcome(m: Model, welcome: Extract<HubMessage, { type: 'welcome' }>): void {
  m.pulse.welcome(welcome.heartbeatMs, m.now.ms);
  m.connectDeadlineMs = NEVER;
  m.openedAtMs = m.now.ms;
  m.ticketsRefused = 0;
  m.refresh.welcome(welcome, m.now);
  m.choice.opened(m.now.ms);
  enter(m, { name: 'open', transport: m.choice.current });
  m.channels.attachAll();
  pump(m);
  onWake(m);
}

function onError(m: Model, { code, message, id }: Extract<HubMessage, { type: 'error' }>): void {
  if (id !== undefined) {
    if (m.channels.error(id, { code, message }, m.now.ms)) return;
    if (m.asks.error(id, code, message)) return pump(m);
    if (m.refresh.error(id, code, m.now.ms)) return;
  }
  m.effects.push({ type: 'problem', code, message });
}

function wakeAtMs(m: Model): number {
  const asks = m.asks.nextDeadlineMs;
  if (m.state.name === 'waiting') return Math.min(asks, m.state.retryAtMs);
  if (m.state.name === 'connecting') return Math.min(asks, m.connectDeadlineMs);
  if (m.state.name === 'closed') return NEVER;
  return Math.min(
    asks,
    m.pulse.nextAtMs,
    m.channels.retryAtMs,
    m.choice.lookAtMs,
    m.refresh.atMs,
    m.leave?.atMs ?? NEVER,
  );
}

function onWake(m: Model): void {
  const nowMs = m.now.ms;
  m.asks.expire(nowMs);
  if (m.state.name === 'waiting') {
    if (nowMs >= m.state.retryAtMs) begin(m);
    return;
  }
  const isConnectTooSlow = m.state.name === 'connecting' && nowMs >= m.connectDeadlineMs;
  const isSilent = m.state.name === 'open' && m.pulse.isSilent(nowMs);
  if (isConnectTooSlow || isSilent) {
    m.effects.push({ type: 'disconnect', code: closeCodes.silent });
    judgeTransport(m, isConnectTooSlow ? 'slow' : 1006);
    retreat(m, closeCodes.silent);
    return;
  }
  if (m.state.name !== 'open') return;
  if (m.leave !== null && nowMs >= m.leave.atMs) return leaveNow(m);
  m.channels.retry(nowMs);
  const probe = m.pulse.takeProbe(nowMs);
  if (probe !== null) send(m, { type: 'probe', id: probe, t0Us: m.now.us });
  if (nowMs >= m.choice.lookAtMs) {
    m.choice.looks();
    m.effects.push({ type: 'try', connection: m.connection, transport: m.choice.first });
  }
  if (m.refresh.isDue(nowMs)) m.effects.push({ type: 'fetchTicket', connection: m.connection });
  beat(m);
}

/** Also called on receipt: a browser slows the timers of a hidden page, but not its messages. */
function beat(m: Model): void {
  if (m.state.name === 'open' && m.pulse.isBeatDue(m.now.ms)) send(m, { type: 'heartbeat' });
}
