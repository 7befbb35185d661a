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
import { createLiveMachine, type LiveEffect, type LiveEvent, type LiveState } from '#sdk/live-machine.ts';

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

/** Connects and stays connected until closed or refused. */
export function connectLive(options: LiveOptions): LiveClient {
  const clock = options.clock ?? systemClock;
  const machine = createLiveMachine(options.random ?? systemRandom);
  const openSocket = options.openSocket ?? ((url, protocol) => new WebSocket(url, protocol));
  let socket: WebSocket | null = null;
  let cancelTimer = (): void => {};
  let timerAtMs = Number.POSITIVE_INFINITY;

  const handle = (event: LiveEvent): void => {
    const now = { ms: clock.monotonicMs(), us: clock.nowUs() };
    for (const effect of machine.handle(event, now)) perform(effect);
    schedule();
  };
  const schedule = (): void => {
    const atMs = machine.wakeAtMs;
    // A deadline that only moved later is met when the old timer fires: one timer a heartbeat, not one a message.
    if (atMs >= timerAtMs && atMs !== Number.POSITIVE_INFINITY) return;
    cancelTimer();
    timerAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    cancelTimer = clock.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      timerAtMs = Number.POSITIVE_INFINITY;
      handle({ type: 'wake' });
    });
  };
  const perform = (effect: LiveEffect): void => {
    switch (effect.type) {
      case 'fetchTicket':
        void fetchTicket(effect.connection);
        return;
      case 'connect':
        connect(effect.connection, effect.ticket);
        return;
      case 'send':
        if (socket?.readyState === 1) socket.send(effect.text);
        return;
      case 'disconnect':
        socket?.close(effect.code);
        socket = null;
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
  };
  const fetchTicket = async (connection: number): Promise<void> => {
    try {
      handle({ type: 'ticket', connection, ticket: await options.ticket() });
    } catch (thrown) {
      const error = thrown instanceof AppError ? thrown : null;
      handle({
        type: 'ticketFailed',
        connection,
        code: error?.code ?? 'unreachable',
        message: messageOf(thrown),
        temporary: error?.temporary ?? true,
      });
    }
  };
  const connect = (connection: number, ticket: string): void => {
    const opened = openSocket(`${options.url}?ticket=${encodeURIComponent(ticket)}`, LIVE_SUBPROTOCOL);
    socket = opened;
    opened.binaryType = 'arraybuffer';
    opened.onmessage = ({ data }: { data: unknown }) => {
      if (typeof data === 'string') handle({ type: 'text', connection, text: data });
      else if (data instanceof ArrayBuffer)
        handle({ type: 'binary', connection, bytes: new Uint8Array(data) });
    };
    opened.onclose = ({ code, reason }) => {
      if (socket === opened) socket = null;
      handle({ type: 'closed', connection, code, reason });
    };
    // A failed handshake is also followed by close (WHATWG WebSockets, "fail the WebSocket connection").
    opened.onerror = null;
  };

  handle({ type: 'start' });
  return {
    get state() {
      return machine.state;
    },
    get serverClock() {
      return machine.clock.estimate;
    },
    subscribe: (channel) => handle({ type: 'subscribe', channel }),
    unsubscribe: (channel) => handle({ type: 'unsubscribe', channel }),
    close() {
      handle({ type: 'stop' });
      cancelTimer();
    },
  };
}
