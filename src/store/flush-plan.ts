/**
 * Owns what one flush does to one (stream, epoch): which of the taken readings are new, how they pack into chunks, and
 * which declared losses still hold. Pure. Invariants: nothing committed is written again, and a stored reading wins over a
 * declaration. Bounds: what is settled has at most `limits.fragmentsPerEpoch` fragments, that is unexplained gaps, and
 * either set of ranges `limits.rangesPerEpoch`, which explained gaps count towards too.
 */

import {
  emptyRanges,
  firstMissing,
  rangesOf,
  sizeOf,
  subtract,
  union,
  type Range,
  type RangeSet,
} from '#base/ranges.ts';
import type { EpochProgress, Frame, LossDeclaration, StreamHandle } from '#contract/readings.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';

/** Readings of one chunk: what a flush of 500 readings makes (REQUIREMENTS S3). */
const CHUNK_READINGS = 500;

/** A run of consecutive readings of one (stream, epoch), to become one row. */
export interface Chunk {
  readonly handle: StreamHandle;
  readonly firstSeq: number;
  readonly count: number;
  /** Smallest and largest device time in it. */
  readonly firstUs: number;
  readonly lastUs: number;
  /** All with explicit times or none. */
  readonly frames: readonly Frame[];
}

export interface StreamInput {
  readonly handle: StreamHandle;
  readonly progress: EpochProgress;
  readonly frames: readonly Frame[];
  readonly losses: readonly LossDeclaration[];
}

export interface StreamPlan {
  readonly chunks: readonly Chunk[];
  /** Ranges to be added to committed (and taken from lost). */
  readonly added: RangeSet;
  /** Ranges to be added to lost. */
  readonly declared: RangeSet;
  /** The declarations that changed something. */
  readonly losses: readonly LossDeclaration[];
  /** What is settled when this plan has committed. */
  readonly progress: EpochProgress;
  readonly storedReadings: number;
  readonly duplicateReadings: number;
  readonly declaredReadings: number;
  /** Readings that would open a fragment too many were left out: the device must first send from here. */
  readonly refusedFromSeq: number | null;
}

export function planStream(input: StreamInput): StreamPlan {
  const { handle, progress } = input;
  // A stored reading wins over a declaration, so only what is committed counts as there already.
  const committed = createGrowingSet(progress.committed);
  const settled = createGrowingSet(
    progress.lost.length === 0 ? progress.committed : union(progress.committed, progress.lost),
  );
  const pieces: Frame[] = [];
  let storedReadings = 0;
  let duplicateReadings = 0;
  let refused = false;
  for (const frame of input.frames) {
    const range = { from: frame.firstSeq, to: frame.firstSeq + frame.count };
    const fresh = committed.missing(range);
    duplicateReadings += frame.count - sizeOf(fresh);
    for (const part of fresh) {
      if (!settled.add(part, limits.fragmentsPerEpoch) || !committed.add(part, limits.rangesPerEpoch)) {
        refused = true;
        continue;
      }
      pieces.push(part.from === range.from && part.to === range.to ? frame : trimFrame(frame, part));
      storedReadings += part.to - part.from;
    }
  }
  const added = pieces.length === 0 ? emptyRanges : rangesOf(pieces.map(rangeOfFrame));
  const stillLost = added.length === 0 ? progress.lost : subtract(progress.lost, added);
  const declaration = declare(input.losses, committed.ranges(), stillLost);
  return {
    chunks: packChunks(handle, pieces),
    added,
    declared: declaration.declared,
    losses: declaration.losses,
    progress: { committed: committed.ranges(), lost: declaration.lost },
    storedReadings,
    duplicateReadings,
    declaredReadings: sizeOf(declaration.declared),
    refusedFromSeq: refused ? firstMissing(union(committed.ranges(), declaration.lost)) : null,
  };
}

function declare(
  losses: readonly LossDeclaration[],
  committed: RangeSet,
  lost: RangeSet,
): { declared: RangeSet; losses: LossDeclaration[]; lost: RangeSet } {
  let now = lost;
  const kept: LossDeclaration[] = [];
  for (const loss of losses) {
    const fresh = subtract(subtract([loss], committed), now);
    const grown = union(now, fresh);
    // Over the cap nothing is dropped either: the device repeats its tombstones until they are settled.
    if (fresh.length === 0 || grown.length > limits.rangesPerEpoch) continue;
    now = grown;
    for (const range of fresh) kept.push({ from: range.from, to: range.to, reason: loss.reason });
  }
  return { declared: rangesOf(kept), losses: kept, lost: now };
}

/** Consecutive pieces become chunks of at most CHUNK_READINGS readings; a larger single frame stays whole. */
function packChunks(handle: StreamHandle, pieces: Frame[]): Chunk[] {
  for (let i = 1; i < pieces.length; i++)
    if (pieces[i]!.firstSeq < pieces[i - 1]!.firstSeq) {
      pieces.sort((a, b) => a.firstSeq - b.firstSeq);
      break;
    }
  const chunks: Chunk[] = [];
  let start = 0;
  let count = 0;
  for (let i = 0; i <= pieces.length; i++) {
    const piece = pieces[i];
    const first = pieces[start];
    if (piece !== undefined && first !== undefined) {
      const continues =
        i === start ||
        (piece.firstSeq === first.firstSeq + count &&
          count + piece.count <= CHUNK_READINGS &&
          (piece.deltasUs === null) === (first.deltasUs === null));
      if (continues) {
        count += piece.count;
        continue;
      }
    }
    if (first !== undefined && count > 0) chunks.push(chunkOf(handle, pieces.slice(start, i), count));
    start = i;
    count = piece?.count ?? 0;
  }
  return chunks;
}

function chunkOf(handle: StreamHandle, frames: Frame[], count: number): Chunk {
  let firstUs = Number.POSITIVE_INFINITY;
  let lastUs = Number.NEGATIVE_INFINITY;
  for (const frame of frames) {
    // Times within a frame never decrease: they are the first time plus an unsigned, rising difference, or, when
    // explicit, whatever the device said; then every one is looked at.
    const step = frame.deltasUs === null ? Math.max(1, frame.count - 1) : 1;
    for (let i = 0; i < frame.count; i += step) {
      const timeUs = readingTimeUs(frame, i);
      if (timeUs < firstUs) firstUs = timeUs;
      if (timeUs > lastUs) lastUs = timeUs;
    }
  }
  return { handle, firstSeq: frames[0]!.firstSeq, count, firstUs, lastUs, frames };
}

/** The readings of `frame` in `range`. Times become explicit, since rounding from another start could differ. */
function trimFrame(frame: Frame, range: Range): Frame {
  const skip = range.from - frame.firstSeq;
  const count = range.to - range.from;
  const bytesEach = frame.payload.length / frame.count;
  const deltasUs = new Uint8Array(count * 4);
  const view = new DataView(deltasUs.buffer);
  for (let i = 0; i < count; i++) view.setUint32(i * 4, readingTimeUs(frame, skip + i) - frame.firstUs, true);
  return {
    ...frame,
    firstSeq: range.from,
    count,
    deltasUs,
    payload: frame.payload.subarray(skip * bytesEach, (skip + count) * bytesEach),
  };
}

function rangeOfFrame(frame: Frame): Range {
  return { from: frame.firstSeq, to: frame.firstSeq + frame.count };
}

/** A range set that grows in place: by appending at once, elsewhere by binary search. */
interface GrowingSet {
  /** The parts of `range` that are not in the set. */
  missing(range: Range): RangeSet;
  /** Adds a range; false, and nothing changes, when that would make more than `maxRanges` of them. */
  add(range: Range, maxRanges: number): boolean;
  ranges(): RangeSet;
}

function createGrowingSet(initial: RangeSet): GrowingSet {
  const list = [...initial];

  /** The first range that ends at or after `from`. */
  function indexAt(from: number): number {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (list[middle]!.to < from) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    missing(range) {
      const last = list.at(-1);
      if (last === undefined || range.from >= last.to) return [range];
      const start = indexAt(range.from);
      let end = start;
      while (end < list.length && list[end]!.from < range.to) end++;
      return subtract([range], list.slice(start, end));
    },
    add(range, maxRanges) {
      const start = indexAt(range.from);
      let { from, to } = range;
      let end = start;
      for (; end < list.length && list[end]!.from <= range.to; end++) {
        from = Math.min(from, list[end]!.from);
        to = Math.max(to, list[end]!.to);
      }
      if (end === start && list.length + 1 > maxRanges) return false;
      list.splice(start, end - start, { from, to });
      return true;
    },
    ranges: () => list,
  };
}
