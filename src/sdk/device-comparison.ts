/**
 * Owns the comparison of this store with what the server has under the same numbers. A copy of a store, or an old one that
 * was put back, gives numbers anew that the server has from another life of it, and after a restart nobody knows from which
 * on. Both lives agree up to where the copy was made and differ from there, so the newest reading that both have tells
 * whether any differs, and halving finds the newest that is the same. The other life may store meanwhile: the search ends
 * only with an answer about all that lies below what differs. Bound: as many questions as the count of unsettled readings
 * has bits and one, and again for every time that the other life stored below.
 */

import { intersect, sizeOf, subtract, type RangeSet } from '#base/ranges.ts';
import { crc32 } from '#protocol/crc32.ts';
import { limits } from '#protocol/limits.ts';
import type { WireRange } from '#protocol/messages.ts';
import type { Channel } from '#sdk/device-channel.ts';
import { cutFrame } from '#sdk/device-frame.ts';
import type { DeviceLog, DeviceStore } from '#sdk/device-store.ts';

/** A reading of the server, as `opened` gives it. */
interface ServerReading {
  readonly seq: number;
  readonly timeUs?: number;
  readonly crc32: number;
}

/** Between these the first stored number is looked for under which the server has another reading. */
export interface Search {
  /** Below, everything was this store's own when that was asked. */
  own: number;
  /** The lowest number known to be another's. */
  anothers: number;
  /** Only what lies below was asked about last. */
  below: number;
}

/**
 * `own`: nothing that is compared differs. `ask`: open again with what is held below. `anothers`: the lives parted at
 * `fromSeq` or later, and of what is held from there on the server has nothing that is the same.
 */
export type Comparison =
  | { readonly type: 'own' }
  | { readonly type: 'ask'; readonly below: number }
  | { readonly type: 'anothers'; readonly fromSeq: number };

/** Held readings below a number that the server has not settled, as far as is known. */
function uncertain(store: DeviceStore, log: DeviceLog, below: number): RangeSet {
  const to = Math.min(log.nextSeq, below);
  return to === 0 ? [] : intersect(store.held(log), subtract([{ from: 0, to }], log.settled));
}

/** What `open` says of it: the newest ranges, as many as a message takes. */
export function heldStatement(store: DeviceStore, log: DeviceLog, below: number): WireRange[] {
  return uncertain(store, log, below)
    .slice(-limits.rangesPerAck)
    .map(({ from, to }) => [from, to]);
}

/** Takes an answer of the server into the channel's search, and says what follows from it. */
export function compare(
  store: DeviceStore,
  log: DeviceLog,
  { channel, newest }: { channel: Channel; newest: ServerReading | undefined },
): Comparison {
  const isOther = newest !== undefined && isAnothers(store, log, newest);
  let { search } = channel;
  if (search === null) {
    if (!isOther) return { type: 'own' };
    search = { own: 0, anothers: newest.seq, below: newest.seq };
  } else if (isOther && newest.seq < search.below) search.anothers = newest.seq;
  else if (search.below < search.anothers) search.own = search.below;
  else return found(store, log, { channel, same: newest === undefined ? 0 : newest.seq + 1 });
  channel.search = search;
  const compared = uncertain(store, log, search.anothers);
  if (compared.length === 0) return found(store, log, { channel, same: 0 });
  const left = subtract(compared, [{ from: 0, to: search.own }]);
  if (left.length === 0) search.own = 0;
  search.below = left.length === 0 ? search.anothers : middleOf(left) + 1;
  return { type: 'ask', below: search.below };
}

/** Below `same` the lives agree. What neither has stored above may be either's, and this one gives it new numbers. */
function found(
  store: DeviceStore,
  log: DeviceLog,
  { channel, same }: { channel: Channel; same: number },
): Comparison {
  const { anothers } = channel.search!;
  channel.search = null;
  const unsure = subtract(uncertain(store, log, anothers), [{ from: 0, to: same }]);
  return { type: 'anothers', fromSeq: unsure[0]?.from ?? anothers };
}

/** The number in the middle of a set that is not empty. */
function middleOf(set: RangeSet): number {
  let left = Math.floor(sizeOf(set) / 2);
  for (const { from, to } of set) {
    if (left < to - from) return from + left;
    left -= to - from;
  }
  return set.at(-1)!.to - 1;
}

/** True when the server has another reading under a number that this store gave. */
function isAnothers(store: DeviceStore, log: DeviceLog, reading: ServerReading): boolean {
  const frame = reading.seq < log.nextSeq ? store.read(log, reading.seq, 0)[0] : undefined;
  // What is no longer held cannot be compared: it was acknowledged, or is declared lost.
  if (frame === undefined || reading.seq < frame.firstSeq) return false;
  const own = cutFrame(frame, reading.seq, reading.seq + 1);
  const hasOtherTime = reading.timeUs !== undefined && reading.timeUs !== own.firstUs;
  return hasOtherTime || crc32(own.payload) !== reading.crc32;
}
