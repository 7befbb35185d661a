/**
 * Owns how one channel keeps up with its broker: it listens first, then reads the history, and splices both by offset, so
 * that nothing lies between them. A missing offset, `resumed`, another epoch, or ten seconds of silence make it read again. What
 * comes while it reads waits, bounded as the tail is; what does not fit is read.
 */

import { AppError } from '#base/errors.ts';
import type { Broker, Listening } from '#bus/broker.ts';
import { publicationLimits } from '#protocol/publication.ts';
import type { HistoryPage, HistoryQuery, Publication } from '#protocol/publication.ts';
import type { ChannelContext, ChannelSeat } from '#live/channel.ts';
import type { HistoryPages } from '#live/history-pages.ts';
import { inTime } from '#live/in-time.ts';
import type { PublicationEncoder } from '#live/outgoing.ts';
import type { PublicationTail } from '#live/publication-tail.ts';

export interface ChannelSync {
  readonly epoch: string;
  /** Grows by one each time that what follows does not continue what was there. */
  readonly generation: number;
  /** The generation with which the present history began: offsets of it and later ones mean the same. */
  readonly epochGeneration: number;
  /** Offset after which the present generation began. */
  readonly base: number;
  /** The oldest that the history had at the last look. */
  readonly oldest: number;
  /** Up to here it was read from the history, all at once: who is behind it is not slow. */
  readonly healedTo: number;
  /** Resolves when the channel keeps up. Rejects with AppError when it could not begin to; the next call tries again. */
  opened(): Promise<void>;
  /** Reads what is new now. Rejects with AppError. */
  now(): Promise<void>;
  /** The same in its own time, as often as it takes. */
  request(): void;
  look(nowMs: number): void;
  stop(): void;
}

export interface SyncParts {
  readonly broker: Broker;
  readonly history: (query: HistoryQuery) => Promise<HistoryPage>;
  /** Only the newest counts, and what is between does not matter. */
  readonly isState: boolean;
  /** Where it goes. */
  readonly sink: {
    readonly tail: PublicationTail;
    readonly pages: HistoryPages;
    readonly encode: PublicationEncoder;
  };
}

/** How often a read of the history may bring nothing of what was announced, before that is forgotten. */
const FRUITLESS_READS = 3;

export function createChannelSync(seat: ChannelSeat, context: ChannelContext, parts: SyncParts): ChannelSync {
  const { clock, limits, counters } = context;
  const { broker, history, isState } = parts;
  const { tail, pages, encode } = parts.sink;
  let epoch: string | null = null;
  let generation = 0;
  let epochGeneration = 0;
  let base = 0;
  let oldest = 0;
  let healedTo = 0;
  let listening: Listening | null = null;
  let opening: Promise<void> | null = null;
  let reading: Promise<void> | null = null;
  let isStopped = false;
  let heardMs = clock.monotonicMs();
  let retryMs = limits.retryMs;
  let cancelRetry: (() => void) | null = null;
  /** What came while the history was read, and the newest that came at all. */
  let pending: { readonly epoch: string; readonly publication: Publication }[] = [];
  let pendingBytes = 0;
  let announced = 0;

  const append = (publication: Publication): void => {
    tail.push(encode.kept(epoch!, publication));
    seat.changed();
  };
  /** Goes on from another place: what viewers had does not lead there. `isOther`: offsets mean something else now. */
  const restart = (page: HistoryPage, isOther = false): void => {
    const isFirst = epoch === null;
    epoch = page.epoch;
    announced = 0;
    healedTo = 0;
    base = (page.publications[0]?.offset ?? page.newest + 1) - 1;
    tail.restart(base);
    pages.clear();
    if (isFirst) return;
    generation++;
    if (isOther) epochGeneration = generation;
    counters.historiesChanged++;
    seat.changed();
  };
  /** Takes what continues the tail; false when there is a hole before it. */
  const take = (publication: Publication): boolean => {
    if (publication.offset <= tail.newest) return true;
    if (publication.offset > tail.newest + 1) {
      if (!isState) return false;
      tail.restart(publication.offset - 1);
    }
    append(publication);
    return true;
  };
  const takePending = (): void => {
    const waiting = pending;
    pending = [];
    pendingBytes = 0;
    for (const [i, one] of waiting.entries()) {
      if (one.epoch === epoch && take(one.publication)) continue;
      if (one.epoch === epoch) {
        pending = waiting.slice(i);
        pendingBytes = pending.reduce((sum, { publication }) => sum + publication.payload.length, 0);
        return;
      }
    }
  };
  /** One page after what is there; true when the history has more. */
  const readOn = async (): Promise<boolean> => {
    let page: HistoryPage;
    if (epoch === null) {
      page = await history({ newest: true, limit: isState ? 1 : limits.restingMessages });
      if (isStopped) return false;
      restart(page);
    } else {
      page = isState
        ? await history({ newest: true, limit: 1 })
        : await history({ after: tail.newest, limit: publicationLimits.pageMessages });
      if (isStopped) return false;
      if (page.epoch !== epoch || page.newest < tail.newest) {
        page = await history({ newest: true, limit: isState ? 1 : publicationLimits.pageMessages });
        if (isStopped) return false;
        restart(page, true);
      } else if (!isState && page.newest > tail.newest && page.oldest > tail.newest + 1) restart(page);
    }
    oldest = page.oldest;
    for (const publication of page.publications) {
      if (take(publication)) continue;
      restart({ ...page, publications: [publication] });
      take(publication);
    }
    if (page.publications.length > 0) healedTo = tail.newest;
    // The value was missed, and is kept no more.
    else if (isState && page.newest > tail.newest) tail.restart(page.newest);
    return page.newest > tail.newest && page.publications.length > 0;
  };
  const readAll = async (): Promise<void> => {
    let fruitless = 0;
    for (;;) {
      const before = tail.newest;
      const hasMore = await readOn();
      if (isStopped) return;
      if (hasMore) continue;
      takePending();
      if (pending.length === 0 && announced <= tail.newest) return;
      fruitless = tail.newest > before ? 0 : fruitless + 1;
      if (fruitless < FRUITLESS_READS) continue;
      // Announced under this epoch, but not in its history: the next publication or look tells what is true.
      pending = [];
      pendingBytes = 0;
      announced = 0;
      return;
    }
  };
  const retryLater = (cause: unknown): void => {
    counters.historyFailures++;
    if (!(cause instanceof AppError)) context.onFailure(cause);
    // A channel that could not open is asked for again by who wants it.
    if (isStopped || epoch === null || cancelRetry !== null) return;
    cancelRetry = clock.after(retryMs, () => {
      cancelRetry = null;
      request();
    });
    retryMs = Math.min(limits.longestRetryMs, retryMs * 2);
  };
  const read = async (): Promise<void> => {
    try {
      await readAll();
      heardMs = clock.monotonicMs();
      retryMs = limits.retryMs;
    } catch (cause) {
      retryLater(cause);
      throw cause;
    } finally {
      // In the same turn as the last look at what is pending, so that nothing comes between.
      reading = null;
    }
  };
  const now = (): Promise<void> => (reading ??= read());
  const request = (): void => {
    if (isStopped || cancelRetry !== null || reading !== null) return;
    now().catch(() => undefined);
  };
  const heard = (from: string, publication: Publication): void => {
    counters.publicationsHeard++;
    heardMs = clock.monotonicMs();
    if (reading === null && epoch === from && take(publication)) return;
    if (reading === null && epoch !== null) counters.gapsFound++;
    if (epoch === from) announced = Math.max(announced, publication.offset);
    if (
      pending.length >= limits.tailMessages ||
      (pending.length > 0 && pendingBytes + publication.payload.length > limits.tailBytes)
    )
      counters.pendingDropped++;
    else {
      pending.push({ epoch: from, publication });
      pendingBytes += publication.payload.length;
    }
    // Before the channel is open there is nothing to compare with.
    if (epoch !== null) request();
  };
  const open = async (): Promise<void> => {
    listening ??= broker.listen(seat.address, {
      publication: heard,
      resumed: () => {
        counters.resumes++;
        if (epoch !== null) request();
      },
    });
    await inTime(clock, limits.waitMs, listening.ready);
    await now();
    if (isStopped) throw new AppError('conflict', 'the channel was left meanwhile');
  };
  return {
    get epoch() {
      return epoch ?? '';
    },
    get generation() {
      return generation;
    },
    get epochGeneration() {
      return epochGeneration;
    },
    get base() {
      return base;
    },
    get oldest() {
      return oldest;
    },
    get healedTo() {
      return healedTo;
    },
    async opened() {
      if (epoch !== null) return;
      opening ??= open().finally(() => {
        opening = null;
      });
      await opening;
    },
    now,
    request,
    look(nowMs) {
      if (epoch === null || nowMs - heardMs < limits.lookMs) return;
      heardMs = nowMs;
      request();
    },
    stop() {
      isStopped = true;
      listening?.stop();
      cancelRetry?.();
      pending = [];
    },
  };
}
