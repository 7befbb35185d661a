/**
 * Owns what is settled of a stream: the epochs of a stream follow each other in one row of indexes, and each reading
 * of the row is stored, declared lost, or still open. Bound: MAX_EPOCHS epochs; the oldest are forgotten, and their
 * readings count as open.
 */

import type { Progress } from '#contract/live-messages.ts';

/** A device that loses its store more often than this within what is shown is told from its newest epochs. */
export const MAX_EPOCHS = 8;

/** One epoch's place in the row of indexes. */
export interface EpochSegment {
  readonly epoch: string;
  /** Index of a reading minus its sequence number. */
  readonly base: number;
  /** The first index of this epoch, and one more than its last while another follows. */
  readonly start: number;
  end: number;
}

export interface Settlement {
  readonly newest: EpochSegment | null;
  /** The epoch's segment; a new epoch is laid at `end`, the first at its own sequence numbers. */
  segmentFor(epoch: string, firstSeq: number, end: number): EpochSegment;
  segmentOf(epoch: string): EpochSegment | undefined;
  segmentAt(index: number): EpochSegment | undefined;
  progressOf(epoch: string): Progress | undefined;
  /** Remembers what is settled of an epoch, shown or not. */
  takeProgress(progress: Progress): void;
  /** Remembers an epoch's declared losses; true when they are new. */
  takeLost(epoch: string, ranges: readonly (readonly [number, number])[]): boolean;
  isSettled(index: number): boolean;
  isDeclaredLost(index: number): boolean;
  /** True for the first reading of an epoch that follows another. */
  isRestart(index: number): boolean;
  /** Declared lost, and neither stored nor declared below the newest settled reading. */
  losses(): { lost: number; pending: number };
  /** Forgets where epochs lie, not what is settled of them. */
  clearSegments(): void;
}

export function createSettlement(): Settlement {
  const progressByEpoch = new Map<string, Progress>();
  const lostByEpoch = new Map<string, readonly (readonly [number, number])[]>();
  let segments: EpochSegment[] = [];

  const segmentAt = (index: number): EpochSegment | undefined =>
    segments.findLast((segment) => segment.start <= index);
  const segmentOf = (epoch: string): EpochSegment | undefined =>
    segments.findLast((segment) => segment.epoch === epoch);
  const lookUp = (index: number, test: (epoch: string, seq: number) => boolean): boolean => {
    const segment = segmentAt(index);
    return segment !== undefined && test(segment.epoch, index - segment.base);
  };
  return {
    get newest() {
      return segments.at(-1) ?? null;
    },
    segmentFor(epoch, firstSeq, end) {
      const known = segmentOf(epoch);
      if (known !== undefined) return known;
      const before = segments.at(-1);
      if (before !== undefined) before.end = end;
      const start = before === undefined ? firstSeq : end;
      const segment = { epoch, base: start - firstSeq, start, end: Number.POSITIVE_INFINITY };
      segments.push(segment);
      if (segments.length > MAX_EPOCHS) segments.shift();
      return segment;
    },
    segmentOf,
    segmentAt,
    progressOf: (epoch) => progressByEpoch.get(epoch),
    takeProgress(progress) {
      progressByEpoch.set(progress.epoch, progress);
      keepNewest(progressByEpoch);
    },
    takeLost(epoch, ranges) {
      const known = lostByEpoch.get(epoch) ?? [];
      if (JSON.stringify(known) === JSON.stringify(ranges)) return false;
      lostByEpoch.set(epoch, ranges);
      keepNewest(lostByEpoch);
      return true;
    },
    isSettled: (index) =>
      lookUp(index, (epoch, seq) => {
        const progress = progressByEpoch.get(epoch);
        if (progress === undefined) return false;
        return seq < progress.next || isWithin(progress.ranges, seq);
      }),
    isDeclaredLost: (index) => lookUp(index, (epoch, seq) => isWithin(lostByEpoch.get(epoch) ?? [], seq)),
    isRestart: (index) =>
      segments.length > 1 && segmentAt(index)?.start === index && segments[0]?.start !== index,
    losses() {
      let lost = 0;
      let pending = 0;
      for (const progress of progressByEpoch.values()) {
        lost += progress.lost;
        pending += pendingOf(progress);
      }
      return { lost, pending };
    },
    clearSegments() {
      segments = [];
    },
  };
}

/** One more than the newest settled sequence number. */
export function highestSettled(progress: Progress): number {
  return progress.ranges.reduce((highest, [, to]) => Math.max(highest, to), progress.next);
}

function pendingOf(progress: Progress): number {
  let pending = 0;
  let reached = progress.next;
  for (const [from, to] of progress.ranges) {
    pending += Math.max(0, from - reached);
    reached = Math.max(reached, to);
  }
  return pending;
}

function isWithin(ranges: readonly (readonly [number, number])[], seq: number): boolean {
  return ranges.some(([from, to]) => seq >= from && seq < to);
}

/** Maps keep the order of insertion: the first key is the oldest. */
function keepNewest(map: Map<string, unknown>): void {
  if (map.size <= MAX_EPOCHS) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
