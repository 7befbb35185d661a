/**
 * Owns a channel of class event or state while it has viewers: it listens to the broker, keeps the tail that they share, and
 * fills from the history what did not come. A viewer gets every publication after its position once, in order; where the
 * history has none, it is told by `reset`. Of class state there is only ever the newest to give.
 */

import { AppError } from '#base/errors.ts';
import type { Broker } from '#bus/broker.ts';
import type { HistoryPage, HistoryQuery, Position } from '#protocol/publication.ts';
import { publicationLimits } from '#protocol/publication.ts';
import type {
  Batch,
  Channel,
  ChannelContext,
  ChannelSeat,
  Cursor,
  Pulled,
  StartWish,
} from '#live/channel.ts';
import { createChannelSync } from '#live/channel-sync.ts';
import { createHistoryPages } from '#live/history-pages.ts';
import { inTime } from '#live/in-time.ts';
import { createPublicationEncoder, encodeControl } from '#live/outgoing.ts';
import { createPublicationTail } from '#live/publication-tail.ts';
import type { Outgoing } from '#live/transport.ts';

/** Tries to find a beginning while the history is replaced. */
const STARTS = 3;

export interface EventChannelOptions {
  readonly broker: Broker;
  readonly lossClass: 'event' | 'state';
}

export function createEventChannel(
  seat: ChannelSeat,
  context: ChannelContext,
  { broker, lossClass }: EventChannelOptions,
): Channel {
  const { clock, limits, counters } = context;
  const { name, address } = seat;
  const isState = lossClass === 'state';
  const encode = createPublicationEncoder(name);
  const tail = createPublicationTail(limits, counters);
  const history = (query: HistoryQuery): Promise<HistoryPage> => {
    counters.historyReads++;
    return inTime(clock, limits.waitMs, broker.history(address, query));
  };
  const pages = createHistoryPages({ clock, limits, encode, history });
  const sync = createChannelSync(seat, context, { broker, history, isState, sink: { tail, pages, encode } });
  let resetItem: Outgoing | null = null;
  let resetGeneration = 0;

  /** What tells that a gap lies before this position; the same for all whom the channel's own reset concerns. */
  const resetTo = (position: Position): Outgoing => encodeControl({ type: 'reset', channel: name, position });
  const channelReset = (): Outgoing => {
    if (resetItem === null || resetGeneration !== sync.generation)
      resetItem = resetTo({ epoch: sync.epoch, offset: sync.base });
    resetGeneration = sync.generation;
    return resetItem;
  };
  /** Null: it is being read, and the viewer will be told. */
  const missed = (cursor: Cursor, batch: Batch): Outgoing | null => {
    const page = pages.get(cursor.offset + 1, batch.puller);
    if (page === null) return null;
    if (page.epoch !== sync.epoch) {
      sync.request();
      return null;
    }
    return (
      page.items[cursor.offset + 1 - page.first] ?? resetTo({ epoch: page.epoch, offset: page.first - 1 })
    );
  };
  const isSlow = ({ isCaughtUp, offset }: Cursor): boolean => isCaughtUp && offset >= sync.healedTo;
  const pullEvents = (cursor: Cursor, batch: Batch): Pulled => {
    while (cursor.offset < tail.newest) {
      let item = tail.at(cursor.offset + 1);
      if (item === null) {
        if (isSlow(cursor)) return 'behind';
        item = missed(cursor, batch);
        if (item === null) return 'all';
        if (!add(batch, item)) return 'more';
        if (item.type === 'reset') counters.resets++;
        else counters.messagesRecovered++;
      } else if (!add(batch, item)) return 'more';
      cursor.offset = item.position!.offset;
    }
    return 'all';
  };
  const pullState = (cursor: Cursor, batch: Batch): Pulled => {
    const item = tail.at(tail.newest);
    if (cursor.offset < tail.newest && item !== null) {
      if (!add(batch, item)) return 'more';
      counters.statesSkipped += cursor.isCaughtUp ? tail.newest - cursor.offset - 1 : 0;
    }
    cursor.offset = tail.newest;
    return 'all';
  };
  return {
    name,
    number: seat.number,
    lossClass,
    async start(wish) {
      await sync.opened();
      for (let i = 0; i < STARTS; i++) {
        const { generation } = sync;
        const { offset, isRecovered } = isState ? await startOfState(wish) : await startOfEvents(wish);
        // While it was read, the history may have become another one.
        if (generation !== sync.generation) continue;
        const cursor = { offset, revision: 0, generation, isCaughtUp: false };
        return { cursor, position: { epoch: sync.epoch, offset }, isRecovered };
      }
      throw new AppError('overloaded', 'the history changes too fast', { temporary: true });
    },
    positionOf: ({ offset, generation }) =>
      generation === sync.generation ? { epoch: sync.epoch, offset } : null,
    seal: () => undefined,
    pull(cursor, batch) {
      if (cursor.generation !== sync.generation) {
        // A page of history may have led this viewer beyond the gap before the channel itself had found it.
        const isBeyond = cursor.generation >= sync.epochGeneration && cursor.offset >= sync.base;
        if (!isBeyond) {
          const item = channelReset();
          if (!add(batch, item)) return 'more';
          counters.resets++;
          cursor.offset = item.position!.offset;
        }
        cursor.generation = sync.generation;
      }
      const pulled = isState ? pullState(cursor, batch) : pullEvents(cursor, batch);
      if (pulled === 'all' && !cursor.isCaughtUp && cursor.offset === tail.newest) {
        cursor.isCaughtUp = true;
        (batch.caughtUp ??= []).push(name);
      }
      return pulled;
    },
    isBehind: (cursor) =>
      !isState && isSlow(cursor) && cursor.generation === sync.generation && cursor.offset + 1 < tail.first,
    release: tail.rest,
    look(nowMs) {
      pages.look(nowMs);
      sync.look(nowMs);
    },
    stop() {
      sync.stop();
      pages.clear();
      tail.restart(0);
    },
  };

  /** True when the position is one of this channel's history. It may be this instance that has not heard of it yet. */
  async function knows(position: Position): Promise<boolean> {
    const isKnown = (): boolean => position.epoch === sync.epoch && position.offset <= tail.newest;
    if (!isKnown()) await sync.now();
    return isKnown();
  }

  async function startOfState({
    position,
  }: StartWish): Promise<{ offset: number; isRecovered: boolean | null }> {
    const isRecovered = position === null ? null : await knows(position);
    const hasIt = isRecovered === true && position!.offset === tail.newest;
    const isThere = tail.at(tail.newest) !== null;
    return { offset: hasIt || !isThere ? tail.newest : tail.newest - 1, isRecovered };
  }

  async function startOfEvents({
    position,
    last,
  }: StartWish): Promise<{ offset: number; isRecovered: boolean | null }> {
    if (position === null) {
      const offset = Math.max(0, tail.newest - (last ?? 0));
      return { offset: await oldestAfter(offset), isRecovered: null };
    }
    if (await knows(position)) {
      const offset = await oldestAfter(position.offset);
      return { offset, isRecovered: offset === position.offset };
    }
    // Of another history all is new; who wants more than the newest of it asks for it.
    const offset = Math.max(sync.oldest - 1, tail.newest - publicationLimits.pageMessages, 0);
    return { offset, isRecovered: false };
  }

  /** The offset itself, or where the history begins when it does so later. */
  async function oldestAfter(offset: number): Promise<number> {
    if (offset + 1 >= tail.first) return offset;
    const page = await pages.read(offset + 1);
    return Math.max(offset, page.first - 1);
  }
}

/** Only a batch that is still empty may be exceeded. */
function add(batch: Batch, item: Outgoing): boolean {
  if (batch.bytes > 0 && batch.bytes + item.framed.length > batch.maxBytes) return false;
  batch.items.push(item);
  batch.bytes += item.framed.length;
  return true;
}
