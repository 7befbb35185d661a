/**
 * Owns the subscriber's connection: it runs the live machine on real links and a real timer, in a browser, a worker or
 * Node. One link and one timer at a time; callbacks run in the order of the messages.
 */

import { assert } from '#base/assert.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { systemRandom } from '#base/random.ts';
import type { LiveClient, LiveOptions, Subscription } from '#sdk/live-api.ts';
import type { Answer, AskBody, LiveEffect, LiveEvent, LiveState } from '#sdk/live-events.ts';
import { openHttpLink } from '#sdk/live-http-link.ts';
import {
  lookForSocket,
  openPlatformSocket,
  openSocketLink,
  type Credential,
  type Link,
} from '#sdk/live-link.ts';
import { createLiveMachine, type LiveMachine } from '#sdk/live-machine.ts';
import { createSubscribers, type SubscribeOptions, type Subscribers } from '#sdk/live-subscribers.ts';
import { allTransports, type TransportName } from '#sdk/live-transports.ts';

/** A person waits no longer for a button. */
const ASK_MS = 10_000;

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: AppError): void;
}

interface Run {
  readonly options: LiveOptions;
  readonly clock: Clock;
  readonly machine: LiveMachine;
  readonly subscribers: Subscribers;
  /** What was asked, by its number: bounded by MAX_ASKS of live-asks.ts. */
  readonly waiters: Map<number, Waiter>;
  /** Parts of the program, as many as it has. */
  readonly watchers: Set<(state: LiveState) => void>;
  nextRef: number;
  link: Link | null;
  cancelTimer: () => void;
  timerAtMs: number;
}

/** Connects and stays connected until closed or refused. */
export function connectLive(options: LiveOptions): LiveClient {
  const run: Run = {
    options,
    clock: options.clock ?? systemClock,
    machine: createLiveMachine({
      random: options.random ?? systemRandom,
      transports: options.transports ?? transportsFor(options),
      canRefresh: options.token !== undefined,
    }),
    subscribers: createSubscribers(),
    waiters: new Map(),
    watchers: new Set(),
    nextRef: 1,
    link: null,
    cancelTimer: () => {},
    timerAtMs: Number.POSITIVE_INFINITY,
  };
  handle(run, { type: 'start' });
  const asking = createAsking(run);
  return {
    get state() {
      return run.machine.state;
    },
    get counters() {
      return run.machine.counters;
    },
    get serverClock() {
      return run.machine.clock.estimate;
    },
    subscribe: (channel, wish = {}) => subscribe(run, asking, { channel, wish }),
    unsubscribe(channel) {
      run.subscribers.removeAll(channel);
      handle(run, { type: 'unsubscribe', channel });
    },
    ...asking,
    watchState(watcher) {
      // Its own function, so that the same watcher can watch twice.
      const own = (state: LiveState): void => watcher(state);
      run.watchers.add(own);
      return () => void run.watchers.delete(own);
    },
    refresh: () => handle(run, { type: 'refresh' }),
    close: () => handle(run, { type: 'stop' }),
  };
}

function transportsFor({ token }: LiveOptions): readonly TransportName[] {
  return token === undefined ? ['websocket', 'sse'] : allTransports;
}

type Asking = Pick<LiveClient, 'publish' | 'request' | 'history' | 'members' | 'setState'>;

function createAsking(run: Run): Asking {
  return {
    async publish(channel, event, data, { key, timeoutMs } = {}) {
      const body = { type: 'publish', channel, event, data, ...(key === undefined ? {} : { key }) } as const;
      const answer = await ask(run, body, { timeoutMs, isRepeatable: key !== undefined });
      const { position = null, isDuplicate = false } = answer as Extract<Answer, { type: 'published' }>;
      return { position, isDuplicate };
    },
    async request(channel, name, data, { timeoutMs, isRepeatable = false } = {}) {
      const answer = await ask(run, { type: 'request', channel, name, data }, { timeoutMs, isRepeatable });
      return (answer as Extract<Answer, { type: 'response' }>).data;
    },
    async history(channel, range = {}) {
      const answer = await ask(run, { type: 'history', channel, ...range }, { isRepeatable: true });
      const { position, oldest, messages } = answer as Extract<Answer, { type: 'history' }>;
      return {
        position,
        oldest,
        messages: messages.map(({ by = null, ...rest }) => ({ ...rest, channel, by, skipped: 0 })),
      };
    },
    async members(channel) {
      const answer = await ask(run, { type: 'members', channel }, { isRepeatable: true });
      const { count, members } = answer as Extract<Answer, { type: 'members' }>;
      return { count, members };
    },
    async setState(channel, state) {
      await ask(run, { type: 'state', channel, state }, { isRepeatable: true });
    },
  };
}

function ask(
  run: Run,
  body: AskBody,
  options: { readonly timeoutMs?: number | undefined; readonly isRepeatable: boolean },
): Promise<Answer> {
  const { timeoutMs = ASK_MS, isRepeatable } = options;
  return new Promise((resolve, reject) => {
    const ref = run.nextRef++;
    run.waiters.set(ref, { resolve, reject });
    const deadlineMs = run.clock.monotonicMs() + timeoutMs;
    handle(run, { type: 'ask', ask: { ref, body, deadlineMs, isRepeatable } });
  });
}

function subscribe(
  run: Run,
  asking: Asking,
  { channel, wish }: { readonly channel: string; readonly wish: SubscribeOptions },
): Subscription {
  const { position, last, presence, state, token } = wish;
  // Its own object, so that the same options can be used twice.
  const subscriber = { ...wish };
  run.subscribers.add(channel, subscriber);
  const options = {
    ...(position === undefined ? {} : { position }),
    ...(last === undefined ? {} : { last }),
    ...(presence === undefined ? {} : { presence }),
    ...(state === undefined ? {} : { state }),
    ...(token === undefined ? {} : { token }),
  };
  handle(run, { type: 'subscribe', channel, options });
  return {
    channel,
    get position() {
      return run.machine.channels.positionOf(channel);
    },
    unsubscribe() {
      if (run.subscribers.remove(channel, subscriber)) handle(run, { type: 'unsubscribe', channel });
    },
    publish: (...args) => asking.publish(channel, ...args),
    request: (...args) => asking.request(channel, ...args),
    history: (...args) => asking.history(channel, ...args),
    members: () => asking.members(channel),
    setState: (next) => asking.setState(channel, next),
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
      connect(run, effect);
      return;
    case 'try':
      look(run, effect.connection);
      return;
    case 'send':
      run.link?.send(effect.text);
      return;
    case 'disconnect':
      run.link?.close(effect.code);
      run.link = null;
      return;
    case 'state':
      options.onState?.(effect.state);
      for (const watcher of Array.from(run.watchers)) watcher(effect.state);
      return;
    case 'clock':
      options.onClock?.(effect.estimate);
      return;
    case 'problem':
      options.onProblem?.(effect.code, effect.message);
      return;
    case 'answered':
      take(run, effect.ref)?.resolve(effect.answer);
      return;
    case 'failed': {
      const { code, message, temporary } = effect;
      take(run, effect.ref)?.reject(new AppError(code, message, { temporary }));
      return;
    }
    default:
      tellAll(options, effect);
      run.subscribers.tell(effect);
  }
}

/** The callbacks for every channel. */
function tellAll(options: LiveOptions, effect: LiveEffect): void {
  if (effect.type === 'readings') options.onReadings?.(effect.channel, effect.message, effect.skipped);
  else if (effect.type === 'committed') options.onCommitted?.(effect.channel, effect.streams);
  else if (effect.type === 'subscribed') options.onSubscribed?.(effect.channel);
  else if (effect.type === 'gap') options.onReset?.(effect.gap);
  else if (effect.type === 'refused') options.onRefused?.(effect.channel, effect.code, effect.message);
}

function take(run: Run, ref: number): Waiter | undefined {
  const waiter = run.waiters.get(ref);
  run.waiters.delete(ref);
  return waiter;
}

async function fetchTicket(run: Run, connection: number): Promise<void> {
  let ticket: string;
  try {
    ticket = (await credentialOf(run)).text;
  } catch (thrown) {
    const error = thrown instanceof AppError ? thrown : null;
    const { code = 'unreachable', temporary = true } = error ?? {};
    handle(run, { type: 'ticketFailed', connection, code, message: messageOf(thrown), temporary });
    return;
  }
  handle(run, { type: 'ticket', connection, ticket });
}

async function credentialOf({ options: { ticket, token } }: Run): Promise<Credential> {
  if (token !== undefined) return { kind: 'token', text: await token() };
  assert(ticket !== undefined, 'connectLive needs a ticket or a token');
  return { kind: 'ticket', text: await ticket() };
}

function connect(
  run: Run,
  { connection, ticket, transport }: Extract<LiveEffect, { type: 'connect' }>,
): void {
  const { url, token, openSocket = openPlatformSocket } = run.options;
  const credential: Credential = { kind: token === undefined ? 'ticket' : 'token', text: ticket };
  const events = {
    text: (text: string) => handle(run, { type: 'text', connection, text }),
    binary: (bytes: Uint8Array) => handle(run, { type: 'binary', connection, bytes }),
    closed: (code: number, reason: string) => {
      run.link = null;
      handle(run, { type: 'closed', connection, code, reason });
    },
  };
  if (transport === 'websocket') run.link = openSocketLink({ url, credential, openSocket }, events);
  else {
    const { clock, options, machine } = run;
    const { fetch = (address, init) => globalThis.fetch(address, init) } = options;
    run.link = openHttpLink(
      {
        kind: transport,
        url,
        credential,
        renew: () => credentialOf(run),
        positions: () => machine.channels.positions(),
        clock,
        fetch,
      },
      events,
    );
  }
}

/** Whether a WebSocket can be opened by now; nobody says who they are on it. */
function look(run: Run, connection: number): void {
  const { url, openSocket = openPlatformSocket } = run.options;
  lookForSocket({ url, openSocket, clock: run.clock }, (isOpen) =>
    handle(run, { type: 'tried', connection, isOpen }),
  );
}
