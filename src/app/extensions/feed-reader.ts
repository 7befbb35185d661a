/**
 * Owns the following of an external feed over HTTP: one connection, read as fast as its messages are worked on, made
 * again with a growing pause when it breaks, is silent, or answers wrongly. It goes on where it stood by Last-Event-ID.
 * Bound: one message of MESSAGE_CHARACTERS is held, the rest waits in the socket.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { createEventStreamReader, createLineReader } from '#base/event-stream.ts';
import type { Log } from '#base/log.ts';
import type { Random } from '#base/random.ts';
import type { FeedFollowing, FeedMessage } from '#contract/watcher.ts';
import { createBackOff } from '#app/extensions/back-off.ts';
import { callHandler, HandlerFailure } from '#app/extensions/handler-failure.ts';
import type { WatcherCounters } from '#app/extensions/watcher-counters.ts';

/** Sixteen times what a channel's message may be. */
const MESSAGE_CHARACTERS = 256 * 1024;
/** Feeds send a comment every 15 s or so, where they mean to be found alive. */
const SILENCE_MS = 60_000;
/** What a feed may ask for as the pause before the next connection. */
const MOST_RETRY_MS = 60_000;

export interface SourceContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly counters: WatcherCounters;
}

interface Progress {
  lastEventId: string;
  connections: number;
  retryMs: number;
}

/** Resolves when the signal aborts; rejects with what a handler threw. */
export async function followFeed(feed: FeedFollowing, context: SourceContext): Promise<void> {
  const { signal, log, counters } = context;
  const backOff = createBackOff(context);
  const progress: Progress = { lastEventId: feed.lastEventId ?? '', connections: 0, retryMs: 0 };
  while (!signal.aborted) {
    try {
      await readConnection(feed, { ...context, progress, onMessage: backOff.reset });
      log.debug('a feed ended its answer', { feed: originOf(feed.url) });
    } catch (error) {
      if (error instanceof HandlerFailure) throw error.cause;
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have aborted meanwhile
      if (signal.aborted) return;
      log.warn('a feed is connected to again', { feed: originOf(feed.url), error: messageOf(error) });
    }
    counters.disconnects++;
    await backOff.pause(progress.retryMs);
  }
}

async function readConnection(
  feed: FeedFollowing,
  context: SourceContext & { readonly progress: Progress; readonly onMessage: () => void },
): Promise<void> {
  const { signal, clock, counters, progress } = context;
  const silence = new AbortController();
  const silenceMs = feed.silenceMs ?? SILENCE_MS;
  const heard = async <T>(waiting: Promise<T>): Promise<T> => {
    const stop = clock.after(silenceMs, () => silence.abort(new Error(`nothing came for ${silenceMs} ms`)));
    try {
      return await waiting;
    } finally {
      stop();
    }
  };
  const isSse = feed.format !== 'json-lines';
  const response = await heard(
    fetch(feed.url, {
      headers: {
        ...feed.headers,
        accept: isSse ? 'text/event-stream' : 'application/x-ndjson, application/jsonl, application/json',
        ...(progress.lastEventId === '' ? {} : { 'last-event-id': progress.lastEventId }),
      },
      signal: AbortSignal.any([signal, silence.signal]),
    }),
  );
  const { body } = response;
  try {
    if (!response.ok || body === null) throw new Error(`the feed answered ${response.status}`);
    const type = response.headers.get('content-type') ?? '';
    if (isSse && !type.startsWith('text/event-stream'))
      throw new Error(`the feed is ${type}, no event stream`);
    if (progress.connections++ > 0 && progress.lastEventId === '') {
      counters.gaps++;
      await callHandler(feed.onGap);
    }
    const decoder = new TextDecoder();
    const parse = isSse ? readEvents(progress) : readLines();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await heard(reader.read());
      if (done) return;
      for (const message of parse(decoder.decode(value, { stream: true }))) {
        if (signal.aborted) return;
        await callHandler(feed.onMessage, message);
        // Only what was worked on is not asked for again.
        progress.lastEventId = message.id;
        counters.feedMessages++;
        context.onMessage();
      }
    }
  } finally {
    silence.abort();
  }
}

function readEvents(progress: Progress): (text: string) => readonly FeedMessage[] {
  const reader = createEventStreamReader(MESSAGE_CHARACTERS, progress.lastEventId);
  return (text) => {
    const events = reader.push(text);
    if (reader.retryMs !== null) progress.retryMs = Math.min(reader.retryMs, MOST_RETRY_MS);
    return events;
  };
}

function readLines(): (text: string) => readonly FeedMessage[] {
  const reader = createLineReader(MESSAGE_CHARACTERS);
  return (text) =>
    reader
      .push(text)
      .filter((line) => line.trim() !== '')
      .map((data) => ({ event: 'message', data, id: '' }));
}

/** Addresses of feeds may carry a key in their query: none of it goes into the log. */
function originOf(url: string): string {
  return URL.parse(url)?.origin ?? 'no address';
}
