/**
 * Owns the interface between what makes readings and the devices that send them. A source is a pure function of the
 * reading's number: the same number always gives the same bytes, so that a checker can make them again and compare.
 * It allocates nothing per reading and holds no position; whoever sends keeps count.
 */

import { assert } from '#base/assert.ts';
import type { Axis } from '#protocol/messages.ts';

/** What a source says about itself; a device adds ids, encoding and clock to open a stream. */
export interface SourceDefinition {
  /** Body segment, e.g. `left-foot`. */
  readonly segment: string;
  /** What measures, e.g. `imu`. */
  readonly sensor: string;
  readonly axes: readonly Axis[];
  readonly rateHz: number;
  /** True when the readings come from no person. */
  readonly synthetic: boolean;
}

export interface ReadingSource {
  readonly definition: SourceDefinition;
  /** How many readings there are; Infinity for a source without end. */
  readonly readingCount: number;
  /** readingCount / rateHz; Infinity for a source without end. */
  readonly durationS: number;
  /**
   * Writes readings [firstIndex, firstIndex + count) to the start of `out`, row by row, axes in the order of the
   * definition. The range must lie within the source and fit into `out`.
   */
  fill(firstIndex: number, count: number, out: Float32Array): void;
}

/** When reading `index` was taken. Each is rounded by itself, so the error never adds up. */
export function readingTimeUs(startUs: number, index: number, rateHz: number): number {
  return startUs + Math.round((index * 1e6) / rateHz);
}

/** How many readings of the source have been taken `elapsedUs` after its start: those whose time is not later. */
export function readingsUpTo(source: ReadingSource, elapsedUs: number): number {
  if (elapsedUs < 0) return 0;
  const { rateHz } = source.definition;
  // readingTimeUs rounds by at most half a microsecond, so the count is at most one off from here.
  let count = Math.floor((elapsedUs * rateHz) / 1e6) + 1;
  while (count > 0 && readingTimeUs(0, count - 1, rateHz) > elapsedUs) count--;
  while (readingTimeUs(0, count, rateHz) <= elapsedUs) count++;
  return Math.min(count, source.readingCount);
}

/** The same source over and over, without end. Its readings jump where the last meets the first. */
export function loopedSource(source: ReadingSource): ReadingSource {
  const { readingCount, definition } = source;
  assert(
    Number.isSafeInteger(readingCount) && readingCount > 0,
    'only a finite, not empty source can be looped',
  );
  const axes = definition.axes.length;
  return {
    definition,
    readingCount: Number.POSITIVE_INFINITY,
    durationS: Number.POSITIVE_INFINITY,
    fill(firstIndex, count, out) {
      assertFill(this, { firstIndex, count, out });
      let done = 0;
      while (done < count) {
        const index = (firstIndex + done) % readingCount;
        const part = Math.min(count - done, readingCount - index);
        source.fill(index, part, done === 0 ? out : out.subarray(done * axes));
        done += part;
      }
    },
  };
}

/** The check that every `fill` starts with: a range outside the source or a buffer that is too small is a bug. */
export function assertFill(
  source: ReadingSource,
  range: { firstIndex: number; count: number; out: Float32Array },
): void {
  const { firstIndex, count, out } = range;
  assert(Number.isSafeInteger(firstIndex) && firstIndex >= 0, 'readings are numbered from 0');
  assert(Number.isSafeInteger(count) && count >= 0, 'a count of readings is a whole number');
  assert(firstIndex + count <= source.readingCount, 'the source has no such readings');
  assert(out.length >= count * source.definition.axes.length, 'the buffer is too small for the readings');
}
