/**
 * Owns one long poll: what the channels hold after the cursor, at once when there is something, else what comes first
 * within the wait. Nothing is kept between polls, so any instance answers the next. An answer holds at most `limit`
 * messages and `maxBytes` (the first message fits whatever its size); what is left over comes with the next poll.
 */

import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import { encodeCursor, type Cursor } from '#protocol/channel-cursor.ts';
import type { CloseReason } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { Position } from '#protocol/publication.ts';
import { refusalOf, refusalOfClose } from '#live/sse.ts';
import type { ConnectOptions, Outgoing, Transport, ViewerPort } from '#live/transport.ts';

export const pollLimits = {
  waitMs: 30_000,
  messages: 256,
  /** What a browser parses without a pause that a person notices. */
  bytes: 1024 * 1024,
  /** How long the answer waits for permission to all channels, and for what they hold. */
  openMs: 10_000,
} as const;

export interface PollOptions {
  /** Names, each once. */
  readonly channels: readonly string[];
  readonly cursor: Cursor | null;
  /** For channels of which the cursor says nothing: the newest so many. */
  readonly last: number;
  readonly limit: number;
  readonly waitMs: number;
  readonly maxBytes?: number;
  readonly clock: Clock;
}

export interface Poll {
  /** The answer as JSON, `PollAnswer` (api/channel-schemas.ts), or why there is none. */
  readonly answer: Promise<Result<string, WireError>>;
  /** Nobody waits any more. The answer is what there is. */
  abandon(): void;
}

type Subscribed = Extract<HubMessage, { type: 'subscribed' }>;

export function pollChannels(
  connect: (transport: Transport, connection: ConnectOptions) => ViewerPort,
  options: PollOptions,
): Poll {
  const { channels, cursor, clock, waitMs } = options;
  const collected = createCollection(options);
  const { promise, resolve } = Promise.withResolvers<Result<string, WireError>>();
  // Channels that have not told yet what they hold.
  const behind = new Set(channels);
  let port: ViewerPort | null = null;
  let isOver = false;

  const finish = (answer: Result<string, WireError>): void => {
    if (isOver) return;
    isOver = true;
    cancelTimer();
    port?.ended();
    resolve(answer);
  };
  const answerNow = (): void => finish(ok(collected.asText()));
  const answerIfReady = (): void => {
    if (collected.isFull() || (behind.size === 0 && (collected.hasMessages() || waitMs === 0))) answerNow();
    else if (behind.size === 0 && !isWaiting) startWaiting();
  };
  let isWaiting = false;
  let cancelTimer = clock.after(pollLimits.openMs, () =>
    finish(fail({ code: 'timed-out', message: 'the channels could not be asked in time' })),
  );
  const startWaiting = (): void => {
    isWaiting = true;
    cancelTimer();
    cancelTimer = clock.after(waitMs, answerNow);
  };
  const transport: Transport = {
    write(items, sent) {
      if (isOver) return;
      for (const item of items) {
        if (item.type === 'error') return finish(fail(refusalOf(item)));
        // Class live holds nothing: what comes from now on is all there is.
        if (collected.add(item)?.lossClass === 'live') behind.delete(item.channel!);
      }
      sent();
      answerIfReady();
    },
    caughtUp(channel) {
      behind.delete(channel);
      if (!isOver) answerIfReady();
    },
    close: (reason: CloseReason) =>
      collected.hasMessages() ? answerNow() : finish(fail(refusalOfClose(reason))),
  };
  const opened = connect(transport, { isOneWay: true, isVisitor: true, isTextOnly: true });
  port = opened;
  if (isOver) opened.ended();
  for (const [id, channel] of channels.entries()) {
    const position = cursor?.positionOf(channel) ?? null;
    const from = position === null ? { last: options.last } : { position };
    if (!isOver) opened.receive({ type: 'subscribe', id, channel, ...from });
  }
  return { answer: promise, abandon: answerNow };
}

/** Messages of these types are part of an answer; the rest is about the connection, which nobody sees. */
const told: ReadonlySet<Outgoing['type']> = new Set(['message', 'reset', 'unsubscribed']);

function createCollection({ channels, cursor, limit, maxBytes = pollLimits.bytes }: PollOptions) {
  const positions = new Map<string, Position>();
  for (const channel of channels) {
    const position = cursor?.positionOf(channel) ?? null;
    if (position !== null) positions.set(channel, position);
  }
  const subscribed = new Map<string, Subscribed>();
  const messages: string[] = [];
  let bytes = 0;
  let isFull = false;
  return {
    isFull: () => isFull,
    hasMessages: () => messages.length > 0,
    /** What a `subscribed` says; else undefined. */
    add(item: Outgoing): Subscribed | undefined {
      const isTold = told.has(item.type);
      // What does not fit must not move the cursor, nor may anything behind it.
      if (isTold && messages.length > 0 && bytes + item.message.length > maxBytes) isFull = true;
      if (isFull && item.type !== 'subscribed') return undefined;
      if (item.channel !== null && item.position !== null) positions.set(item.channel, item.position);
      if (isTold) {
        messages.push(Buffer.from(item.message).toString());
        bytes += item.message.length;
        isFull = messages.length >= limit;
      }
      if (item.type !== 'subscribed') return undefined;
      const said = JSON.parse(Buffer.from(item.message).toString()) as Subscribed;
      subscribed.set(said.channel, said);
      return said;
    },
    asText(): string {
      const head = {
        cursor: encodeCursor(positions),
        recovered: [...subscribed.values()].every((one) => one.recovered !== false),
        channels: [...subscribed.values()].map(({ channel, lossClass, recovered }) => ({
          channel,
          lossClass,
          ...(recovered === undefined ? {} : { recovered }),
        })),
      };
      return `${JSON.stringify(head).slice(0, -1)},"messages":[${messages.join(',')}]}`;
    },
  };
}
