/**
 * Owns what really happened to every reading of a history: which device took it, which number its store gave it, what
 * became of the store, and where it lies in the database now. Everything else of the oracle compares with this. Bound:
 * the readings of one history.
 */

import { rangesOf, subtract, union, type RangeSet } from '#base/ranges.ts';

/** Why a device no longer has a reading that it had not been told to be settled. */
export type Gone = 'process' | 'power' | 'wipe' | 'corrupt' | 'dropped' | 'full-disk' | 'discarded';

/** One reading, from the moment at which a device's program gave it away. */
export interface Reading {
  readonly id: number;
  readonly stream: StreamTruth;
  readonly timeUs: number;
  readonly pushedMs: number;
  /** The newest number that a store gave it; null while it waits in a frame builder. */
  place: { readonly epoch: EpochTruth; readonly seq: number } | null;
  gone: Gone | null;
  /** Where it is stored now. More than one only after a device was cloned: see `copies`. */
  stored: EpochTruth[];
}

export interface StreamTruth {
  readonly id: string;
  readonly sessionId: string;
  /** Readings that the program gave, in order. */
  readonly readings: Reading[];
  /** The first device that pushed into it. */
  readonly device: string;
  /** Two devices push into it, of which one began as a copy of the other. */
  isForked: boolean;
}

/** What is known of one (stream, epoch). */
export interface EpochTruth {
  readonly key: string;
  readonly streamId: string;
  /** By sequence number: which reading was ever stored under it. */
  readonly everStored: (Reading | undefined)[];
  /** What is committed now, by what the database said at each COMMIT. */
  committed: RangeSet;
  /** The same of declared losses, stored readings included. */
  declared: RangeSet;
  /** What a restore or a promotion took, and what has not come back since. */
  taken: RangeSet;
  /** What was taken ever. */
  everTaken: RangeSet;
  /** What a server has stated as settled since it was taken last. */
  acknowledged: RangeSet;
  /** Numbers of readings that a device sent to be stored, on any connection. */
  sent: RangeSet;
  /** Numbers of readings that a device sent to be shown as live. */
  live: RangeSet;
  /** Numbers that a device gave to readings its sensor failed to give. */
  skipped: RangeSet;
  /** Numbers whose readings a device store dropped or could not keep. */
  dropped: RangeSet;
  /** Numbers that a store had and lost with its medium. */
  damaged: RangeSet;
  /** The device's store said that it had declared more losses than it can tell apart. */
  isBlurred: boolean;
}

export interface Truth {
  readonly readings: ReadonlyMap<number, Reading>;
  readonly streams: ReadonlyMap<string, StreamTruth>;
  readonly epochs: ReadonlyMap<string, EpochTruth>;
  push(id: number, of: { streamId: string; sessionId: string; device: string }, at: At): Reading;
  reading(id: number): Reading | undefined;
  /** Made when it is not known yet. */
  epoch(key: string): EpochTruth;
}

interface At {
  readonly timeUs: number;
  readonly nowMs: number;
}

export function createTruth(): Truth {
  const readings = new Map<number, Reading>();
  const streams = new Map<string, StreamTruth>();
  const epochs = new Map<string, EpochTruth>();

  function stream(streamId: string, sessionId: string, device: string): StreamTruth {
    let found = streams.get(streamId);
    if (found === undefined) {
      found = { id: streamId, sessionId, readings: [], device, isForked: false };
      streams.set(streamId, found);
    }
    return found;
  }

  return {
    readings,
    streams,
    epochs,
    push(id, { streamId, sessionId, device }, { timeUs, nowMs }) {
      const of = stream(streamId, sessionId, device);
      if (of.device !== device) of.isForked = true;
      const reading: Reading = {
        id,
        stream: of,
        timeUs,
        pushedMs: nowMs,
        place: null,
        gone: null,
        stored: [],
      };
      readings.set(id, reading);
      of.readings.push(reading);
      return reading;
    },
    reading: (id) => readings.get(id),
    epoch(key) {
      let found = epochs.get(key);
      if (found === undefined) {
        found = newEpoch(key);
        epochs.set(key, found);
      }
      return found;
    },
  };
}

function newEpoch(key: string): EpochTruth {
  return {
    key,
    streamId: key.slice(0, key.indexOf('/')),
    everStored: [],
    committed: [],
    declared: [],
    taken: [],
    everTaken: [],
    acknowledged: [],
    sent: [],
    live: [],
    skipped: [],
    dropped: [],
    damaged: [],
    isBlurred: false,
  };
}

/** A range added at the end, which is nearly always where it belongs. */
export function extend(set: RangeSet, from: number, to: number): RangeSet {
  const last = set.at(-1);
  if (last !== undefined && from >= last.from && to <= last.to) return set;
  return union(set, [{ from, to }]);
}

/** What two sets do not share, as text; empty when they are equal. */
export function difference(a: RangeSet, b: RangeSet): string {
  const [onlyA, onlyB] = [subtract(a, b), subtract(b, a)];
  if (onlyA.length === 0 && onlyB.length === 0) return '';
  return `only in the first ${rangeText(onlyA)}, only in the second ${rangeText(onlyB)}`;
}

export function rangeText(set: RangeSet): string {
  if (set.length === 0) return 'nothing';
  const shown = set.slice(0, 4).map(({ from, to }) => `${from}..${to - 1}`);
  return `${shown.join(', ')}${set.length > 4 ? ` and ${set.length - 4} more` : ''}`;
}

/** What a statement of the wire says: everything below `next`, and the ranges. */
export function statedSet(next: number, ranges: readonly (readonly [number, number])[]): RangeSet {
  if (ranges.length === 0) return next === 0 ? [] : [{ from: 0, to: next }];
  return rangesOf([{ from: 0, to: next }, ...ranges.map(([from, to]) => ({ from, to }))]);
}
