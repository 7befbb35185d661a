/**
 * Owns the subscriber's socket: it runs the live machine on a real WebSocket and a real timer, in a browser, a worker
 * or Node. One socket and one timer at a time; callbacks run in the order of the messages.
 */

import { AppError, messageOf } from '#base/errors.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { systemRandom, type Random } from '#base/random.ts';
import type { Progress } from '#contract/live-messages.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import { LIVE_SUBPROTOCOL } from '#protocol/version.ts';
import type { ClockEstimate } from '#sdk/live-clock.ts';
import type { LiveEffect, LiveEvent, LiveState } from '#sdk/live-events.ts';
import { createLiveMachine, type LiveMachine } from '#sdk/live-machine.ts';

export interface LiveOptions {
  /** Address of the endpoint, e.g. `wss://kymo.example/v1/live`. */
  readonly url: string;
  /** A new single-use ticket for every attempt. An AppError that is not temporary ends the client. */
  readonly ticket: () => Promise<string>;
  /** Frames of `message` are views into the received bytes; `skipped` ticks were left out for this viewer. */
  readonly onReadings?: (channel: string, message: LiveMessage, skipped: number) => void;
  readonly onCommitted?: (channel: string, streams: readonly Progress[]) => void;
  readonly onState?: (state: LiveState) => void;
  /** After every (re)subscription: what was published before is not sent again. */
  readonly onSubscribed?: (channel: string) => void;
  /** The channel may not be followed and is given up. */
  readonly onRefused?: (channel: string, code: string, message: string) => void;
  readonly onClock?: (estimate: ClockEstimate) => void;
  /** A message that could not be used; the connection goes on. */
  readonly onProblem?: (code: string, message: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Opens the socket; the platform's WebSocket unless a test brings its own. */
  readonly openSocket?: (url: string, protocol: string) => WebSocket;
}

export interface LiveClient {
  readonly state: LiveState;
  /** The server's clock, null before the first probe. */
  readonly serverClock: ClockEstimate | null;
  /** Follows a channel until `unsubscribe`, over reconnects. At most 64; refusal is told to `onRefused`. */
  subscribe(channel: string): void;
  unsubscribe(channel: string): void;
  /** Ends for good; later callbacks are not called. */
  close(): void;
}

interface Run {
  readonly options: LiveOptions;
  readonly clock: Clock;
  readonly machine: LiveMachine;
  socket: WebSocket | null;
  cancelTimer: () => void;
  timerAtMs: number;
}

/** Connects and stays connected until closed or refused. */
export function connectLive(options: LiveOptions): LiveClient {
  const run: Run = {
    options,
    clock: options.clock ?? systemClock,
    machine: createLiveMachine(options.random ?? systemRandom),
    socket: null,
    cancelTimer: () => {},
    timerAtMs: Number.POSITIVE_INFINITY,
  };
  handle(run, { type: 'start' });
  return {
    get state() {
      return run.machine.state;
    },
    get serverClock() {
      return run.machine.clock.estimate;
    },
    subscribe: (channel) => handle(run, { type: 'subscribe', channel }),
    unsubscribe: (channel) => handle(run, { type: 'unsubscribe', channel }),
    close: () => handle(run, { type: 'stop' }),
  };
}

function handle(run: Run, event: LiveEvent): void {
  const now = { ms: run.clock.monotonicMs(), us: run.clock.nowUs() };
  for (const effect of run.machine.handle(event, now)) perform(run, effect);
  schedule(run);
}

/** Keeps the one timer that wakes the machine. */
function schedule(run: Run): void {
  const { clock, machine } = run;
  const atMs = machine.wakeAtMs;
  const isNever = atMs === Number.POSITIVE_INFINITY;
  // A deadline that only moved later is met when the old timer fires: one timer a heartbeat, not one a message.
  if (atMs >= run.timerAtMs && !isNever) return;
  run.cancelTimer();
  run.timerAtMs = atMs;
  if (isNever) return;
  run.cancelTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
    run.timerAtMs = Number.POSITIVE_INFINITY;
    handle(run, { type: 'wake' });
  });
}

function perform(run: Run, effect: LiveEffect): void {
  const { options } = run;
  switch (effect.type) {
    case 'fetchTicket':
      void fetchTicket(run, effect.connection);
      return;
    case 'connect':
      connect(run, effect.connection, effect.ticket);
      return;
    case 'send':
      if (run.socket?.readyState === 1) run.socket.send(effect.text);
      return;
    case 'disconnect':
      run.socket?.close(effect.code);
      run.socket = null;
      return;
    case 'state':
      options.onState?.(effect.state);
      return;
    case 'subscribed':
      options.onSubscribed?.(effect.channel);
      return;
    case 'readings':
      options.onReadings?.(effect.channel, effect.message, effect.skipped);
      return;
    case 'committed':
      options.onCommitted?.(effect.channel, effect.streams);
      return;
    case 'clock':
      options.onClock?.(effect.estimate);
      return;
    case 'refused':
      options.onRefused?.(effect.channel, effect.code, effect.message);
      return;
    case 'problem':
      options.onProblem?.(effect.code, effect.message);
  }
}

async function fetchTicket(run: Run, connection: number): Promise<void> {
  let ticket: string;
  try {
    ticket = await run.options.ticket();
  } catch (thrown) {
    const error = thrown instanceof AppError ? thrown : null;
    const { code = 'unreachable', temporary = true } = error ?? {};
    handle(run, { type: 'ticketFailed', connection, code, message: messageOf(thrown), temporary });
    return;
  }
  handle(run, { type: 'ticket', connection, ticket });
}

function connect(run: Run, connection: number, ticket: string): void {
  const { url, openSocket = (address, protocol) => new WebSocket(address, protocol) } = run.options;
  const socket = openSocket(`${url}?ticket=${encodeURIComponent(ticket)}`, LIVE_SUBPROTOCOL);
  run.socket = socket;
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    if (typeof data === 'string') handle(run, { type: 'text', connection, text: data });
    else if (data instanceof ArrayBuffer)
      handle(run, { type: 'binary', connection, bytes: new Uint8Array(data) });
  });
  // A failed handshake is followed by close as well (WHATWG WebSockets, "fail the WebSocket connection").
  socket.addEventListener('close', ({ code, reason }) => {
    if (run.socket === socket) run.socket = null;
    handle(run, { type: 'closed', connection, code, reason });
  });
}
