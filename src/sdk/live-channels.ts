/**
 * Owns the channels that a subscriber follows: what it wished for (names, and patterns that became names), and for each
 * channel where in its history it is. A publication is delivered once and in the order of its offset: one that was there
 * already is dropped and counted, a hole is told as a gap before what comes after it. Positions outlive connections and
 * are given when the channel is subscribed again. At most MAX_CHANNELS wishes; the server bounds what patterns become.
 */

import type { HubMessage } from '#contract/live-messages.ts';
import { matchesPattern } from '#contract/principal.ts';
import { encodeCursor } from '#protocol/channel-cursor.ts';
import type { LiveMessage } from '#protocol/live-codec.ts';
import type { Position } from '#protocol/publication.ts';
import { isTemporary } from '#sdk/live-asks.ts';
import type { FollowOptions, LiveEffect } from '#sdk/live-events.ts';

/** Channels of one connection (DESIGN section 4: a cursor names at most 64). */
export const MAX_CHANNELS = 64;
/** A subscription that failed for a passing reason is tried again after this. */
const RESUBSCRIBE_MS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;

/** What the server says of a channel. */
type AboutChannel = Told<'subscribed' | 'unsubscribed' | 'message' | 'reset' | 'presence' | 'committed'>;
type Told<T extends HubMessage['type']> = Extract<HubMessage, { type: T }>;

/** A channel or a pattern, as it was asked for. */
interface Wish {
  readonly name: string;
  options: FollowOptions;
  /** Of the newest request for it on this connection; a pattern has several answers. */
  request: number | null;
  isAnswered: boolean;
  retryAtMs: number;
}

interface Channel {
  readonly name: string;
  readonly wishes: Set<Wish>;
  /** Null: not subscribed on this connection. */
  number: number | null;
  lossClass: Told<'subscribed'>['lossClass'];
  position: Position | null;
  /** Of the binary messages. */
  lastOffset: number;
}

export interface ChannelLine {
  subscribe(wish: FollowOptions & { readonly channel: string; readonly cursor?: string }): number;
  unsubscribe(channel: string): void;
  effect(effect: LiveEffect): void;
}

export interface FollowedChannels {
  readonly counters: { readonly duplicates: number; readonly gaps: number };
  /** When `retry` is next due. */
  readonly retryAtMs: number;
  positionOf(name: string): Position | null;
  /** Of all channels that have one. */
  positions(): [name: string, position: Position][];
  /** Follows a name or a pattern; `isOpen`: asks the server at once. */
  follow(name: string, options: FollowOptions, isOpen: boolean): void;
  forget(name: string, isOpen: boolean): void;
  /** Remembered for the next time it is subscribed. */
  setState(name: string, state: unknown): void;
  /** Asks for all: the connection is new. */
  attachAll(): void;
  retry(nowMs: number): void;
  /** The connection is gone. */
  detachAll(): void;
  hear(told: AboutChannel, nowMs: number): void;
  readings(message: LiveMessage): void;
  /** False when it answers none of these. */
  error(id: number, failure: { readonly code: string; readonly message: string }, nowMs: number): boolean;
}

interface Book {
  readonly line: ChannelLine;
  readonly wishes: Map<string, Wish>;
  readonly channels: Map<string, Channel>;
  readonly byNumber: Map<number, Channel>;
  /** Requests for patterns that were given up before their answers came. */
  readonly unwanted: Set<number>;
  readonly counters: { duplicates: number; gaps: number };
}

export function createFollowedChannels(line: ChannelLine): FollowedChannels {
  const book: Book = {
    line,
    wishes: new Map(),
    channels: new Map(),
    byNumber: new Map(),
    unwanted: new Set(),
    counters: { duplicates: 0, gaps: 0 },
  };
  return {
    counters: book.counters,
    get retryAtMs() {
      let at = NEVER;
      for (const wish of book.wishes.values()) at = Math.min(at, wish.retryAtMs);
      return at;
    },
    positionOf: (name) => book.channels.get(name)?.position ?? null,
    positions: () =>
      [...book.channels.values()].flatMap(({ name, position }) =>
        position === null ? [] : [[name, position]],
      ),
    follow: (name, options, isOpen) => follow(book, name, { options, isOpen }),
    forget: (name, isOpen) => forget(book, name, isOpen),
    setState(name, state) {
      const wish = book.wishes.get(name);
      if (wish !== undefined) wish.options = { ...wish.options, state };
    },
    attachAll() {
      for (const wish of book.wishes.values()) attach(book, wish);
    },
    retry(nowMs) {
      for (const wish of book.wishes.values()) if (nowMs >= wish.retryAtMs) attach(book, wish);
    },
    detachAll: () => detachAll(book),
    hear: (told, nowMs) => hear(book, told, nowMs),
    readings: (message) => onReadings(book, message),
    error: (id, failure, nowMs) => onError(book, { id, ...failure }, nowMs),
  };
}

function hear(book: Book, told: AboutChannel, nowMs: number): void {
  if (told.type === 'subscribed') return onSubscribed(book, told);
  if (told.type === 'committed') {
    const channel = book.byNumber.get(told.channel);
    if (channel !== undefined)
      book.line.effect({ type: 'committed', channel: channel.name, streams: told.streams });
    return;
  }
  const channel = book.channels.get(told.channel);
  if (channel === undefined || channel.number === null) return;
  if (told.type === 'message') onMessage(book, channel, told);
  else if (told.type === 'reset') leap(book, channel, told.position);
  else if (told.type === 'presence') book.line.effect({ type: 'presence', presence: told });
  // With an id it answers a request of our own.
  else if (told.id === undefined) onUnsubscribed(book, channel, { code: told.code ?? 'internal', nowMs });
}

function isPattern(name: string): boolean {
  return name.includes('*');
}

function openChannel(book: Book, name: string): Channel {
  let channel = book.channels.get(name);
  if (channel === undefined) {
    channel = { name, wishes: new Set(), number: null, lossClass: 'live', position: null, lastOffset: -1 };
    book.channels.set(name, channel);
  }
  return channel;
}

function follow(
  book: Book,
  name: string,
  { options, isOpen }: { readonly options: FollowOptions; readonly isOpen: boolean },
): void {
  const known = book.wishes.get(name);
  if (known !== undefined) return extend(book, known, { options, isOpen });
  if (book.wishes.size >= MAX_CHANNELS) {
    const message = `a connection follows at most ${MAX_CHANNELS} channels`;
    book.line.effect({ type: 'refused', channel: name, code: 'limit-exceeded', message });
    return;
  }
  const wish: Wish = { name, options, request: null, isAnswered: false, retryAtMs: NEVER };
  book.wishes.set(name, wish);
  if (!isPattern(name)) {
    const channel = openChannel(book, name);
    channel.wishes.add(wish);
    channel.position ??= options.position ?? null;
  }
  if (isOpen) attach(book, wish);
}

/** Another part of the page follows the same, and wants more of it: who is there. */
function extend(
  book: Book,
  wish: Wish,
  { options, isOpen }: { readonly options: FollowOptions; readonly isOpen: boolean },
): void {
  if (options.presence !== true || wish.options.presence === true) return;
  wish.options = { ...wish.options, presence: true };
  if (!isOpen) return;
  for (const channel of book.channels.values())
    if (channel.wishes.has(wish)) book.line.unsubscribe(channel.name);
  attach(book, wish);
}

function attach(book: Book, wish: Wish): void {
  const { position: _, last, ...options } = wish.options;
  const known = [...book.channels.values()].flatMap(({ name, wishes, position }) =>
    wishes.has(wish) && position !== null ? [[name, position] as const] : [],
  );
  const [first] = known;
  wish.retryAtMs = NEVER;
  wish.isAnswered = false;
  wish.request = book.line.subscribe({
    ...options,
    channel: wish.name,
    ...(first === undefined
      ? last === undefined
        ? {}
        : { last }
      : isPattern(wish.name)
        ? { cursor: encodeCursor(known) }
        : { position: first[1] }),
  });
}

function forget(book: Book, name: string, isOpen: boolean): void {
  const wish = book.wishes.get(name);
  if (wish === undefined) return;
  book.wishes.delete(name);
  if (isOpen && wish.request !== null && isPattern(name) && book.unwanted.size < MAX_CHANNELS)
    book.unwanted.add(wish.request);
  for (const channel of book.channels.values()) {
    if (!channel.wishes.delete(wish) || channel.wishes.size > 0) continue;
    removeChannel(book, channel);
    if (isOpen) book.line.unsubscribe(channel.name);
  }
}

function removeChannel(book: Book, channel: Channel): void {
  book.channels.delete(channel.name);
  detach(book, channel);
}

function detach(book: Book, channel: Channel): void {
  if (channel.number !== null && book.byNumber.get(channel.number) === channel)
    book.byNumber.delete(channel.number);
  channel.number = null;
}

function detachAll(book: Book): void {
  for (const channel of book.channels.values()) channel.number = null;
  for (const wish of book.wishes.values()) {
    wish.request = null;
    wish.retryAtMs = NEVER;
  }
  book.byNumber.clear();
  book.unwanted.clear();
}

function onSubscribed(book: Book, told: Told<'subscribed'>): void {
  const wish = [...book.wishes.values()].find(({ request }) => request === told.id);
  if (wish === undefined) {
    if (book.unwanted.has(told.id) && !book.channels.has(told.channel)) book.line.unsubscribe(told.channel);
    return;
  }
  if (isPattern(wish.name)) {
    if (!matchesPattern(wish.name, told.channel)) return;
  } else if (wish.name !== told.channel) return;
  wish.isAnswered = true;
  const channel = openChannel(book, told.channel);
  channel.wishes.add(wish);
  detach(book, channel);
  channel.number = told.number;
  channel.lastOffset = -1;
  channel.lossClass = told.lossClass;
  book.byNumber.set(told.number, channel);
  const { position: known } = channel;
  const { position } = told;
  if (position === undefined || known === null) {
    channel.position = position ?? (told.lossClass === 'live' ? null : known);
    book.line.effect({ type: 'subscribed', channel: channel.name, recovered: null });
    return;
  }
  // What the server says is not trusted to be a recovery when its own position denies it.
  const isReached = position.epoch === known.epoch && position.offset <= known.offset;
  const recovered = isReached && (told.recovered !== false || position.offset === known.offset);
  book.line.effect({ type: 'subscribed', channel: channel.name, recovered });
  if (!recovered) leap(book, channel, position);
}

/** What lies between where the channel is and `to` will not come. */
function leap(book: Book, channel: Channel, to: Position): void {
  const { position: from } = channel;
  // Between a position and itself there is nothing to lose.
  if (from?.epoch === to.epoch && from.offset === to.offset) return;
  channel.position = to;
  book.counters.gaps++;
  book.line.effect({ type: 'gap', gap: { channel: channel.name, from, to } });
}

function onMessage(book: Book, channel: Channel, told: Told<'message'>): void {
  const { position } = channel;
  const { offset } = told;
  if (offset !== undefined && position !== null) {
    if (offset <= position.offset) {
      book.counters.duplicates++;
      return;
    }
    // Of class state only the last value counts: those before it are not missed.
    if (offset > position.offset + 1 && channel.lossClass !== 'state')
      leap(book, channel, { ...position, offset: offset - 1 });
    channel.position = { ...position, offset };
  }
  book.line.effect({ type: 'message', message: told });
}

function onReadings(book: Book, message: LiveMessage): void {
  const channel = book.byNumber.get(message.channel);
  if (channel === undefined) return;
  // A smaller offset is another publishing instance, which counts for itself.
  const skipped = channel.lastOffset < 0 ? 0 : Math.max(0, message.offset - channel.lastOffset - 1);
  channel.lastOffset = message.offset;
  book.line.effect({ type: 'readings', channel: channel.name, message, skipped });
}

/** The server ended it: for now, or for good. */
function onUnsubscribed(
  book: Book,
  channel: Channel,
  { code, nowMs }: { readonly code: string; readonly nowMs: number },
): void {
  detach(book, channel);
  const message = 'the server ended the subscription';
  for (const wish of channel.wishes) refuseOrRetry(book, wish, { code, message, nowMs, channel });
}

function refuseOrRetry(
  book: Book,
  wish: Wish,
  failure: {
    readonly code: string;
    readonly message: string;
    readonly nowMs: number;
    /** One of those that a pattern became. */
    readonly channel?: Channel;
  },
): void {
  const { code, message, nowMs, channel } = failure;
  if (isTemporary(code)) {
    wish.retryAtMs = nowMs + RESUBSCRIBE_MS;
    return;
  }
  if (channel !== undefined && isPattern(wish.name)) {
    channel.wishes.delete(wish);
    if (channel.wishes.size === 0) removeChannel(book, channel);
    book.line.effect({ type: 'refused', channel: channel.name, code, message });
    return;
  }
  forget(book, wish.name, false);
  book.line.effect({ type: 'refused', channel: wish.name, code, message });
}

function onError(
  book: Book,
  error: { readonly id: number; readonly code: string; readonly message: string },
  nowMs: number,
): boolean {
  if (book.unwanted.delete(error.id)) return true;
  const wish = [...book.wishes.values()].find(({ request }) => request === error.id);
  if (wish === undefined || wish.isAnswered) return false;
  wish.request = null;
  refuseOrRetry(book, wish, { ...error, nowMs });
  return true;
}
