/**
 * Owns the transports that need nothing but HTTP: server-sent events, read by `fetch` so that a token goes in a header, and
 * long poll; what is asked goes beside them. One stream or poll carries all channels under one cursor, which is where the
 * program is; when what is followed changes, it is opened anew from there. Where one channel is refused, they are asked one
 * by one, since a refusal names none. A failure closes the link, as it would a WebSocket.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { HubMessage, ViewerMessage } from '#contract/live-messages.ts';
import { matchesPattern } from '#contract/principal.ts';
import { encodeCursor } from '#protocol/channel-cursor.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { Position } from '#protocol/publication.ts';
import { createEventStreamReader, type StreamEvent } from '#sdk/event-stream.ts';
import { createHttpAsker, createLiveHttp, type Fetch, type LiveHttp } from '#sdk/live-http.ts';
import type { Credential, Link, LinkAddress, LinkEvents } from '#sdk/live-link.ts';
import { messagesOfPoll, readPollAnswer } from '#sdk/live-poll.ts';
import { TRANSPORT_UNUSABLE } from '#sdk/live-transports.ts';

/** Of both: the server's comments, and the end of a poll, come at least this often. */
const HEARTBEAT_MS = 15_000;
const POLL_WAIT_S = 20;
const POLL_MESSAGES = 256;
/** Permission for all channels may take ten seconds; a stream of which nothing comes by then is held back somewhere. */
const OPEN_MS = 12_000;
/** A poll that comes back at once with nothing is not repeated faster. */
const LEAST_POLL_MS = 1_000;

export interface HttpLinkOptions extends LinkAddress {
  readonly kind: 'sse' | 'poll';
  /** Tickets are for one opening each. */
  readonly renew: () => Promise<Credential>;
  /** Where the program is in each channel. */
  readonly positions: () => Iterable<readonly [channel: string, position: Position]>;
  readonly clock: Clock;
  readonly fetch: Fetch;
}

interface Wish {
  readonly id: number;
  readonly name: string;
  readonly last: number;
  readonly hasPresence: boolean;
  /** The server allowed it on this link. */
  isGood: boolean;
}

interface Run {
  readonly options: HttpLinkOptions;
  readonly events: LinkEvents;
  readonly http: LiveHttp;
  /** Ends with the link. */
  readonly life: AbortController;
  readonly wishes: Map<string, Wish>;
  /** Of the stream or poll under way; null while there is none. */
  opening: AbortController | null;
  /** The credential of the link has opened a stream. */
  isSpent: boolean;
  /** One by one, since one was refused. */
  isCareful: boolean;
  isPlanned: boolean;
}

export function openHttpLink(options: HttpLinkOptions, events: LinkEvents): Link {
  const run: Run = {
    options,
    events,
    http: createLiveHttp(options.url, options.credential, options.fetch),
    life: new AbortController(),
    wishes: new Map(),
    opening: null,
    isSpent: false,
    isCareful: false,
    isPlanned: false,
  };
  const asker = createHttpAsker({
    http: run.http,
    signal: run.life.signal,
    answered: (message) => say(run, message),
    lost: () => end(run, 1006, 'a request was lost'),
  });
  void greet(run);
  return {
    send(text) {
      if (run.life.signal.aborted) return;
      const message = JSON.parse(text) as ViewerMessage;
      switch (message.type) {
        case 'subscribe':
        case 'unsubscribe':
          changeWishes(run, message);
          return;
        case 'refresh':
          run.http.setToken(message.key);
          say(run, { type: 'refreshed', id: message.id });
          plan(run);
          return;
        case 'probe':
        case 'heartbeat':
          // Where nothing is followed there is nothing to hear, and nothing wrong.
          if (run.wishes.size === 0) say(run, { type: 'heartbeat' });
          return;
        case 'hello':
          return;
        default:
          asker.ask(message);
      }
    },
    close: () => run.life.abort(),
  };
}

function say(run: Run, message: HubMessage): void {
  // In a turn of its own, as from a socket.
  queueMicrotask(() => {
    if (!run.life.signal.aborted) run.events.text(JSON.stringify(message));
  });
}

function end(run: Run, code: number, reason: string): void {
  if (run.life.signal.aborted) return;
  run.life.abort();
  run.events.closed(code, reason);
}

/** Whether the server is there at all: what is followed is known only after the welcome. */
async function greet(run: Run): Promise<void> {
  const result = await run.http.call({ method: 'GET', path: '/about' }, run.life.signal);
  if (result === null) return end(run, 1006, 'the server does not answer');
  if (!result.ok) return endBy(run, result.error);
  const about: unknown = await result.value.json().catch(() => null);
  // A network that wants to be signed in to answers everything.
  if (about === null) return end(run, TRANSPORT_UNUSABLE, 'what answers is not the server');
  say(run, { type: 'welcome', serverUs: 0, heartbeatMs: HEARTBEAT_MS });
}

/** Closes as the server would have closed a WebSocket. */
function endBy(run: Run, { code, message, temporary }: AppError): void {
  if (code === 'unauthenticated') end(run, closeCodes.unauthenticated, message);
  else end(run, temporary ? closeCodes.overloaded : TRANSPORT_UNUSABLE, message);
}

function changeWishes(
  run: Run,
  message: Extract<ViewerMessage, { type: 'subscribe' | 'unsubscribe' }>,
): void {
  const { id, channel: name } = message;
  if (message.type === 'unsubscribe') run.wishes.delete(name);
  else {
    const { last = 0, presence = false } = message;
    run.wishes.set(name, { id, name, last, hasPresence: presence, isGood: false });
  }
  plan(run);
}

/** Opens what is followed now, once for all changes of this turn. */
function plan(run: Run): void {
  if (run.isPlanned) return;
  run.isPlanned = true;
  queueMicrotask(() => {
    run.isPlanned = false;
    run.opening?.abort();
    run.opening = null;
    if (run.life.signal.aborted || run.wishes.size === 0) return;
    const opening = new AbortController();
    run.opening = opening;
    const signal = AbortSignal.any([opening.signal, run.life.signal]);
    void follow(run, nextBatch(run), signal);
  });
}

interface Batch {
  readonly wishes: readonly Wish[];
  readonly fresh: readonly Wish[];
  readonly known: ReadonlyMap<string, Position>;
}

/** What is allowed, and of the rest those that may be asked together: `last` counts for all without a position. */
function nextBatch({ wishes, options, isCareful }: Run): Batch {
  const known = new Map(options.positions());
  const fresh = [...wishes.values()].filter(({ isGood }) => !isGood);
  const isAlone = ({ name, last }: Wish): boolean => !known.has(name) && last !== fresh[0]?.last;
  const together = isCareful ? fresh.slice(0, 1) : fresh.filter((wish) => !isAlone(wish));
  const good = [...wishes.values()].filter(({ isGood }) => isGood);
  return { wishes: [...good, ...together], fresh: together, known };
}

async function follow(run: Run, batch: Batch, signal: AbortSignal): Promise<void> {
  const query = new URLSearchParams();
  for (const { name } of batch.wishes) query.append('channel', name);
  if (batch.known.size > 0) query.set('cursor', encodeCursor(batch.known));
  const last = Math.max(0, ...batch.fresh.map((wish) => wish.last));
  if (last > 0) query.set('last', String(last));
  await (run.options.kind === 'sse' ? stream : poll)(run, { ...batch, query, signal });
}

interface Opening extends Batch {
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

async function stream(run: Run, opening: Opening): Promise<void> {
  const { query, signal, wishes } = opening;
  if (wishes.some(({ hasPresence }) => hasPresence)) query.set('presence', 'true');
  const ticket = await ticketOf(run);
  if (signal.aborted) return;
  if (ticket !== null) query.set('ticket', ticket);
  const cancel = run.options.clock.after(OPEN_MS, () => end(run, TRANSPORT_UNUSABLE, 'nothing comes'));
  signal.addEventListener('abort', cancel, { once: true });
  const result = await run.http.call(
    { method: 'GET', path: '/events', query, accept: 'text/event-stream' },
    signal,
  );
  if (signal.aborted) return;
  if (result === null || !result.ok) {
    cancel();
    return refused(run, opening, result?.error ?? null);
  }
  const { body } = result.value;
  if (body === null || !isEventStream(result.value))
    return end(run, TRANSPORT_UNUSABLE, 'what came is no event stream');
  const unseen = new Set(opening.fresh);
  const decoder = new TextDecoder();
  const reader = createEventStreamReader({
    event: (event) => signal.aborted || onEvent(run, { event, opening, unseen }),
    comment: () => run.events.text('{"type":"heartbeat"}'),
  });
  const parts = body.getReader();
  try {
    for (;;) {
      const { done, value } = await parts.read();
      cancel();
      if (signal.aborted) return;
      if (done) return end(run, 1006, 'the stream ended');
      if (!reader.read(decoder.decode(value, { stream: true })))
        return end(run, 1009, 'an event is too long');
    }
  } catch {
    if (!signal.aborted) end(run, 1006, 'the stream was lost');
  }
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') === true;
}

/** Null: there is a token. */
async function ticketOf(run: Run): Promise<string | null> {
  const { credential, renew } = run.options;
  if (credential.kind === 'token') return null;
  if (!run.isSpent) {
    run.isSpent = true;
    return credential.text;
  }
  try {
    return (await renew()).text;
  } catch {
    end(run, closeCodes.expired, 'a new ticket is needed');
    return null;
  }
}

function onEvent(
  run: Run,
  {
    event,
    opening,
    unseen,
  }: { readonly event: StreamEvent; readonly opening: Opening; readonly unseen: Set<Wish> },
): void {
  const { name, data } = event;
  if (name === 'binary') return run.events.binary(Uint8Array.from(atob(data), (one) => one.charCodeAt(0)));
  if (name !== 'subscribed' && name !== 'closed' && name !== 'welcome' && name !== 'problem')
    return run.events.text(data);
  const told = JSON.parse(data) as Record<string, unknown>;
  if (name === 'closed') end(run, Number(told['code']), String(told['reason']));
  // Its number is the stream's own.
  else if (name === 'problem') run.events.text(JSON.stringify({ ...told, id: undefined }));
  else if (name === 'subscribed') {
    const channel = String(told['channel']);
    for (const wish of opening.wishes) {
      if (!isFor(wish, channel)) continue;
      wish.isGood = true;
      unseen.delete(wish);
      run.events.text(JSON.stringify({ ...told, id: wish.id }));
    }
    if (unseen.size === 0 && [...run.wishes.values()].some(({ isGood }) => !isGood)) plan(run);
  }
}

function isFor({ name }: Wish, channel: string): boolean {
  return name === channel || (name.includes('*') && matchesPattern(name, channel));
}

async function poll(run: Run, opening: Opening): Promise<void> {
  const { query, signal, fresh, known } = opening;
  const { clock } = run.options;
  query.set('limit', String(POLL_MESSAGES));
  // What is new is answered at once, so that it is known to be followed.
  query.set('wait', String(fresh.length > 0 ? 0 : POLL_WAIT_S));
  const startedMs = clock.monotonicMs();
  const patience = AbortSignal.any([signal, AbortSignal.timeout(POLL_WAIT_S * 1000 + OPEN_MS)]);
  const result = await run.http.call({ method: 'GET', path: '/poll', query }, patience);
  if (signal.aborted) return;
  if (result === null || !result.ok) return refused(run, opening, result?.error ?? null);
  const answer = readPollAnswer(await result.value.json().catch(() => null));
  if (signal.aborted) return;
  if (answer === null) return end(run, TRANSPORT_UNUSABLE, 'what came is no answer to a poll');
  const told = messagesOfPoll(answer, known, (channel, isRecovered) =>
    opening.wishes
      .filter((wish) => isFor(wish, channel) && (!isRecovered || !wish.isGood))
      .map(({ id }) => id),
  );
  for (const wish of fresh) wish.isGood = true;
  run.events.text('{"type":"heartbeat"}');
  for (const message of told) if (!signal.aborted) run.events.text(JSON.stringify(message));
  const isIdle = fresh.length === 0 && answer.messages.length === 0;
  const restMs = isIdle ? Math.max(0, startedMs + LEAST_POLL_MS - clock.monotonicMs()) : 0;
  if (signal.aborted) return;
  if (restMs === 0) return plan(run);
  const cancel = clock.after(restMs, () => plan(run));
  signal.addEventListener('abort', cancel, { once: true });
}

/** `error`: null when no answer came. */
function refused(run: Run, { fresh }: Opening, error: AppError | null): void {
  if (error === null) return end(run, 1006, 'the connection was lost');
  const isOfOne = ['forbidden', 'not-found', 'invalid-field', 'limit-exceeded'].includes(error.code);
  if (!isOfOne || error.temporary) return endBy(run, error);
  const [only, ...others] = fresh;
  // One of those that were allowed is so no more: a new link asks for all of them anew.
  if (only === undefined) return end(run, closeCodes.internal, error.message);
  if (others.length === 0) {
    run.wishes.delete(only.name);
    say(run, { type: 'error', id: only.id, code: error.code, message: error.message });
  }
  run.isCareful = true;
  plan(run);
}
