/**
 * Owns the broker in Redis: offset, history, key and delivery of a publication in one script, so that no two instances
 * give the same offset and nobody is told of what was not kept. A publication whose outcome the network hid is sent again
 * under a number of its own, which the script knows, so it is neither lost nor made twice. Another Redis process behind
 * the address (restart, failover) may have lost what the former knew, so it begins a new epoch.
 */

import { ErrorReply } from 'redis';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { Broker, BrokerListener, Published, PublishRequest } from '#bus/broker.ts';
import { historyScript, publishScript } from '#bus/redis-broker-scripts.ts';
import { listOf, LinkLost, unavailable, type RedisLink, type RedisScript } from '#bus/redis-link.ts';
import type { RedisSubscriptions } from '#bus/redis-subscriptions.ts';
import {
  publicationLimits,
  type HistoryPage,
  type HistoryQuery,
  type Publication,
} from '#protocol/publication.ts';

export interface RedisBrokerOptions {
  readonly link: RedisLink;
  readonly subscriptions: RedisSubscriptions;
  readonly clock: Clock;
  readonly prefix: string;
  readonly instanceId: string;
  /** How long a publication waits for a Redis that is away before it is refused. */
  readonly waitMs: number;
  readonly keySeconds: number;
}

export interface RedisBrokerCounters {
  readonly published: number;
  readonly duplicates: number;
  /** Publications that were sent again since the link was lost under them. */
  readonly repeated: number;
  /** Publications and reads that ended in `store-unavailable`. */
  readonly failed: number;
  /** Publications refused since too many were under way. */
  readonly refused: number;
  /** Histories that began a new epoch, since another Redis process was found behind the address. */
  readonly epochChanges: number;
}

export interface RedisBroker extends Broker {
  readonly counters: RedisBrokerCounters;
}

/** Publications under way: what a second of a fast Redis takes away, and half of what the receipts of the script hold. */
const MAX_PENDING = 4_096;
/** Bytes of their payloads. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;
/** Numbers that the script remembers for each instance: more than can be under way, so that none is forgotten early. */
const RECEIPTS = 2 * MAX_PENDING;
/** A refusal that ends by itself (loading, failing over): tried again after so long. */
const REFUSED_PAUSE_MS = 100;

export function createRedisBroker(options: RedisBrokerOptions): RedisBroker {
  const { link, clock, prefix, instanceId, keySeconds } = options;
  const subscriptions = options.subscriptions.scope();
  const counters = {
    published: 0,
    duplicates: 0,
    repeated: 0,
    failed: 0,
    refused: 0,
    epochChanges: 0,
  };
  const attempts = createAttempts(options, counters);
  let isClosed = false;
  let sequence = 0;
  let pending = 0;
  let pendingBytes = 0;

  const send = async (request: PublishRequest): Promise<Published> => {
    const { address, payload, history, key } = request;
    const number = ++sequence;
    const time = Buffer.alloc(8);
    time.writeDoubleBE(clock.nowUs());
    const keys = [
      `${prefix}c:${address}`,
      `${prefix}h:${address}`,
      `${prefix}receipts:${instanceId}`,
      ...(key === null ? [] : [`${prefix}k:${address}\n${key}`]),
    ];
    const reply = await attempts.run(publishScript, keys, () => [
      randomEpoch(),
      link.runId,
      Buffer.concat([time, payload]),
      String(history.messages),
      String(history.seconds),
      `${prefix}e:${address}`,
      String(number),
      String(number % RECEIPTS),
      String(keySeconds),
    ]);
    const [epoch, offset, kind, hasChanged] = listOf(reply);
    if (hasChanged === 1) counters.epochChanges++;
    if (kind === STALE) throw unavailable('the publication was overtaken by later ones');
    const isDuplicate = kind === DUPLICATE;
    counters[isDuplicate ? 'duplicates' : 'published']++;
    return { position: { epoch: String(epoch), offset: Number(offset) }, isDuplicate };
  };
  return {
    counters,
    async publish(request) {
      if (isClosed) throw closed();
      const bytes = request.payload.length;
      if (pending >= MAX_PENDING || (pending > 0 && pendingBytes + bytes > MAX_PENDING_BYTES)) {
        counters.refused++;
        throw new AppError('overloaded', 'too many publications are on their way to Redis', {
          temporary: true,
        });
      }
      pending++;
      pendingBytes += bytes;
      try {
        return await send(request);
      } finally {
        pending--;
        pendingBytes -= bytes;
      }
    },
    async history(address, query) {
      if (isClosed) throw closed();
      const reply = await attempts.run(
        historyScript,
        [`${prefix}c:${address}`, `${prefix}h:${address}`],
        () => [randomEpoch(), link.runId, ...wordsOf(query)],
      );
      return pageOf(reply, counters);
    },
    listen: (address, listener) =>
      subscriptions.add(`${prefix}e:${address}`, {
        message: inOrder(listener),
        resumed: () => listener.resumed(),
      }),
    async close() {
      isClosed = true;
      subscriptions.close();
    },
  };

  function closed(): AppError {
    return unavailable('the broker is closed');
  }
}

const DUPLICATE = 1;
const STALE = 2;

interface Attempts {
  run(script: RedisScript, keys: readonly string[], args: () => (string | Buffer)[]): Promise<unknown>;
}

/** Runs scripts that may be run again, until they answer or the time is over. */
function createAttempts(
  { link, clock, waitMs }: RedisBrokerOptions,
  counters: { repeated: number; failed: number },
): Attempts {
  const pause = (): Promise<void> =>
    new Promise((resolve) => void clock.after(REFUSED_PAUSE_MS, () => resolve()));
  return {
    async run(script, keys, args) {
      const untilMs = clock.monotonicMs() + waitMs;
      try {
        for (let isFirst = true; ; isFirst = false) {
          await link.whenUp(Math.max(0, untilMs - clock.monotonicMs()));
          if (!isFirst) counters.repeated++;
          try {
            return await link.run(script, keys, args());
          } catch (error) {
            const willPass = error instanceof LinkLost || isPassing(error);
            if (!willPass || clock.monotonicMs() >= untilMs)
              throw unavailable(
                'Redis did not keep it, or did not say so: whether it was published is not known',
                error,
              );
            if (isPassing(error)) {
              // A former primary that became a replica: the address may lead to the new one by now.
              if (error.message.startsWith('READONLY')) link.drop('it has become read-only');
              await pause();
            }
          }
        }
      } catch (error) {
        counters.failed++;
        throw error;
      }
    },
  };
}

function isPassing(error: unknown): error is Error {
  return error instanceof ErrorReply && /^(LOADING|READONLY|MASTERDOWN|BUSY|TRYAGAIN) /.test(error.message);
}

function wordsOf(query: HistoryQuery): string[] {
  const limit = String(Math.max(0, Math.min(query.limit, publicationLimits.pageMessages)));
  if ('after' in query) return ['after', String(query.after), limit];
  if ('before' in query) return ['before', String(query.before), limit];
  return ['newest', '0', limit];
}

function pageOf(reply: unknown, counters: { epochChanges: number }): HistoryPage {
  const [epoch, newest, oldest, first, entries, hasChanged] = listOf(reply);
  if (hasChanged === 1) counters.epochChanges++;
  const publications = (listOf(entries) as Buffer[]).map((entry, i) =>
    publicationOf(Number(first) + i, entry.subarray(KEPT_AT_BYTES)),
  );
  return { epoch: String(epoch), newest: Number(newest), oldest: Number(oldest), publications };
}

/** In front of what is kept: when Redis kept it, by its own clock, for the script alone. */
const KEPT_AT_BYTES = 8;

/** `kept` is what was given to the script: 8 bytes of time, then the payload, which is copied. */
function publicationOf(offset: number, kept: Buffer): Publication {
  return { offset, timeUs: kept.readDoubleBE(0), payload: new Uint8Array(kept.subarray(8)) };
}

/** Decodes what the script sends: 16 characters of epoch, 8 bytes of offset, then what it keeps. */
function inOrder(listener: BrokerListener): (message: Buffer) => void {
  let lastEpoch = '';
  let lastOffset = 0;
  return (message) => {
    const epoch = message.toString('latin1', 0, 16);
    const offset = message.readDoubleBE(16);
    // One Redis process sends in order. Two of them at once, for a moment of a failover, must not send us backwards.
    if (epoch === lastEpoch && offset <= lastOffset) return;
    lastEpoch = epoch;
    lastOffset = offset;
    listener.publication(epoch, publicationOf(offset, message.subarray(24)));
  };
}
