/**
 * Owns the broker of durable channels: a message is appended to a log in a transaction, and announced on the bus once that
 * has committed. What is waiting for one address goes in one transaction, so that a busy channel neither takes every
 * connection nor waits for the disk once a message. An announcement that never came (a death between commit and bus) is
 * found by whoever asks for the newest offset. Bounds: `durableLimits`.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createAnnouncements, encodeAnnouncement } from '#bus/announcements.ts';
import type { Broker, Published, PublishRequest } from '#bus/broker.ts';
import type { Bus } from '#bus/bus.ts';
import {
  publicationLimits,
  type Appended,
  type HistoryPage,
  type HistoryQuery,
} from '#protocol/publication.ts';

/** Where durable channels are kept (store/channel-log.ts). */
export interface DurableLog {
  /** All in one transaction that has committed when this returns; what it throws holds for all of them. */
  append(
    address: string,
    messages: readonly Pick<PublishRequest, 'payload' | 'key'>[],
  ): Promise<readonly Appended[]>;
  page(address: string, query: HistoryQuery): Promise<HistoryPage>;
}

export const durableLimits = {
  /** Messages of one transaction: half a megabyte at most, well inside its time-out. */
  batch: 32,
  /** Transactions under way: half of the pool's connections, so that reading goes on (store/pools.ts). */
  appends: 3,
  /** Messages that wait here: 64 MiB at worst; then `overloaded`. */
  waiting: 4_096,
  /** An announcement that came before its predecessor waits this long for it: connections finish in any order. */
  holdMs: 100,
  /** Of one address; then the hole is told at once. */
  held: 64,
} as const;

export interface DurableBroker extends Broker {
  /** Tells of a message that was appended in another transaction, once that has committed. */
  announce(address: string, appended: Appended, payload: Uint8Array): void;
  /** The database was away or is another one: all listeners look again. */
  resumed(): void;
  readonly counters: DurableCounters;
}

export interface DurableCounters {
  readonly published: number;
  readonly duplicates: number;
  /** Transactions: less than `published` when messages shared some. */
  readonly appends: number;
  /** Messages sent away because too many waited. */
  readonly refused: number;
  /** Holes that were told to listeners, since no announcement came in time. */
  readonly holes: number;
}

export interface DurableBrokerOptions {
  readonly log: DurableLog;
  readonly bus: Bus;
  readonly clock: Clock;
}

interface Job {
  readonly request: PublishRequest;
  resolve(published: Published): void;
  reject(error: unknown): void;
}

export function createDurableBroker({ log, bus, clock }: DurableBrokerOptions): DurableBroker {
  const counters = { published: 0, duplicates: 0, appends: 0, refused: 0, holes: 0 };
  const announcements = createAnnouncements({ bus, clock, limits: durableLimits, counters });
  /** What waits, by address; the address that has waited longest is first. */
  const lanes = new Map<string, Job[]>();
  const busy = new Set<string>();
  let waiting = 0;
  let isClosed = false;

  const announce = (address: string, appended: Appended, payload: Uint8Array): void => {
    bus.publish(topicOf(address), encodeAnnouncement(appended, payload));
  };

  const startNext = (): void => {
    for (const [address, lane] of lanes) {
      if (busy.size >= durableLimits.appends) return;
      if (busy.has(address)) continue;
      const jobs = lane.splice(0, durableLimits.batch);
      // Behind the others, when something is left.
      lanes.delete(address);
      if (lane.length > 0) lanes.set(address, lane);
      waiting -= jobs.length;
      busy.add(address);
      void append(address, jobs);
    }
  };

  const append = async (address: string, jobs: readonly Job[]): Promise<void> => {
    counters.appends++;
    try {
      const answers = await log.append(
        address,
        jobs.map(({ request }) => request),
      );
      for (const [i, job] of jobs.entries()) {
        const appended = answers[i]!;
        const { position, isDuplicate, isNewest } = appended;
        if (isDuplicate) counters.duplicates++;
        else counters.published++;
        // Who asks again may not have heard the first time, and neither may those who listen.
        if (!isClosed && (!isDuplicate || isNewest)) announce(address, appended, job.request.payload);
        job.resolve({ position, isDuplicate });
      }
    } catch (error) {
      for (const job of jobs) job.reject(error);
    } finally {
      busy.delete(address);
      startNext();
    }
  };

  const refuse = (request: PublishRequest): AppError | null => {
    if (isClosed) return new AppError('store-unavailable', 'the broker is closed', { temporary: true });
    if (request.payload.length > publicationLimits.payloadBytes)
      return new AppError('message-too-large', 'a message exceeds what a channel carries');
    if (waiting < durableLimits.waiting) return null;
    counters.refused++;
    return new AppError('overloaded', 'too many messages wait to be stored', { temporary: true });
  };

  return {
    counters,
    announce,
    resumed: announcements.resumed,
    publish: (request) =>
      new Promise((resolve, reject) => {
        const refusal = refuse(request);
        if (refusal !== null) {
          reject(refusal);
          return;
        }
        const lane = lanes.get(request.address);
        const job = { request, resolve, reject };
        if (lane === undefined) lanes.set(request.address, [job]);
        else lane.push(job);
        waiting++;
        startNext();
      }),
    async history(address, query) {
      if (isClosed) throw new AppError('store-unavailable', 'the broker is closed', { temporary: true });
      return log.page(address, query);
    },
    listen: (address, listener) => announcements.listen(topicOf(address), listener),
    // oxlint-disable-next-line typescript/require-await -- nothing of its own is open
    async close() {
      isClosed = true;
      announcements.close();
    },
  };
}

const topicOf = (address: string): string => `durable/${address}`;
