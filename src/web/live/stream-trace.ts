/**
 * Owns what the page knows of one stream: its newest readings in a ring, which of them are settled, how their times
 * map to the server's clock, and which stretch of time must be drawn anew. Times are milliseconds of the server's
 * clock since a base that the session's view fixed. Bound: the ring.
 */

import type { Progress } from '#contract/live-messages.ts';
import type { EpochSummary } from '#contract/rest.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createDeviceClock, type DeviceClock } from '#web/live/device-clock.ts';
import { createReadingRing, type ReadingRing } from '#web/live/reading-ring.ts';
import { createSettlement, highestSettled, MAX_EPOCHS, type Settlement } from '#web/live/settlement.ts';

/** The longest window of the page and what still has to arrive while it is shown. */
const KEPT_SECONDS = 34;
/** Memory, not time, bounds very fast sensors: 1 MiB an axis, 5 s at the fastest rate that is allowed. */
const MAX_RING_READINGS = 262_144;
const MIN_RING_READINGS = 64;
/** Without a reading for so many periods the line ends: an irregular sensor is not drawn as if it were steady. */
const BREAK_PERIODS = 4;
const BREAK_MIN_MS = 40;

/** A stretch of time whose picture is out of date. */
export interface DirtySpan {
  fromMs: number;
  toMs: number;
}

export interface StreamTrace {
  readonly definition: StreamDefinition;
  readonly baseUs: number;
  readonly ring: ReadingRing;
  readonly deviceClock: DeviceClock;
  readonly settlement: Settlement;
  readonly breakMs: number;
  /** Merged until the painter takes it. */
  dirty: DirtySpan | null;
  /** Frames that did not fit the stream's definition. */
  malformedFrames: number;
  /** How often earlier readings were given up because the device's clock was set. */
  clockJumps: number;
}

export function createStreamTrace(definition: StreamDefinition, baseUs: number): StreamTrace {
  const { axes, rateHz } = definition;
  const wanted = Math.ceil(rateHz * KEPT_SECONDS);
  const capacity = Math.min(MAX_RING_READINGS, Math.max(MIN_RING_READINGS, wanted));
  return {
    definition,
    baseUs,
    ring: createReadingRing(axes.length, capacity),
    deviceClock: createDeviceClock(),
    settlement: createSettlement(),
    breakMs: Math.max(BREAK_MIN_MS, (BREAK_PERIODS * 1000) / rateHz),
    dirty: null,
    malformedFrames: 0,
    clockJumps: 0,
  };
}

/** The stretch to be drawn anew since the last call; null for nothing. */
export function takeDirty(trace: StreamTrace): DirtySpan | null {
  const { dirty } = trace;
  trace.dirty = null;
  return dirty;
}

export function markDirty(trace: StreamTrace, fromMs: number, toMs: number): void {
  const { dirty } = trace;
  if (dirty === null) trace.dirty = { fromMs, toMs };
  else {
    dirty.fromMs = Math.min(dirty.fromMs, fromMs);
    dirty.toMs = Math.max(dirty.toMs, toMs);
  }
}

const EVER = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

/** Puts a frame's readings in. Returns the time of the oldest one, or null when none could be used. */
export function takeFrame(trace: StreamTrace, frame: LiveFrame): number | null {
  const { ring, settlement, deviceClock } = trace;
  const { axes, encoding } = trace.definition;
  if (frame.payload.length !== frame.count * axes.length * (encoding === 'float32' ? 4 : 2)) {
    trace.malformedFrames++;
    return null;
  }
  if (deviceClock.observe(frame) && ring.end > ring.start) {
    ring.clear();
    settlement.clearSegments();
    trace.clockJumps++;
    markDirty(trace, ...EVER);
  }
  const offsetUs = (deviceClock.offsetUs ?? 0) - trace.baseUs;
  const segment = settlement.segmentFor(frame.epoch, frame.firstSeq, ring.end);
  const firstIndex = segment.base + frame.firstSeq;
  const endBefore = ring.end;
  let oldest = -1;
  for (let i = 0; i < frame.count; i++) {
    const index = firstIndex + i;
    if (index < segment.start || index >= segment.end) continue;
    const slot = ring.claim(index, (readingTimeUs(frame, i) + offsetUs) / 1000);
    if (slot < 0) continue;
    if (oldest < 0) oldest = index;
    readInto(trace, frame.payload, i, slot);
  }
  if (oldest < 0) return null;
  // The line that leads to the new readings, or the gap before them, begins at a reading before.
  const before = oldest >= endBefore && endBefore > 0 ? endBefore - 1 : oldest - 1;
  const after = Math.min(ring.end - 1, firstIndex + frame.count);
  markDirty(trace, ring.timeOf(Math.max(ring.start, before)), ring.timeOf(after));
  return ring.timeOf(oldest);
}

/** Unpacks reading `row` of a payload into a slot of the ring. */
function readInto({ definition, ring }: StreamTrace, payload: Uint8Array, row: number, slot: number): void {
  const { axes, encoding, scale } = definition;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let axis = 0; axis < axes.length; axis++) {
    const at = row * axes.length + axis;
    ring.values[axis]![slot] =
      encoding === 'float32'
        ? view.getFloat32(at * 4, true)
        : view.getInt16(at * 2, true) * (scale?.[axis] ?? 1);
  }
}

/** What the server says is settled: drawn full from now on. */
export function takeProgress(trace: StreamTrace, progress: Progress): void {
  const { ring, settlement } = trace;
  const before = settlement.progressOf(progress.epoch);
  settlement.takeProgress(progress);
  const segment = settlement.segmentOf(progress.epoch);
  if (segment === undefined || ring.end === ring.start) return;
  const from = Math.max(ring.start, segment.base + Math.min(before?.next ?? 0, progress.next) - 1);
  const to = Math.min(ring.end - 1, segment.base + highestSettled(progress));
  if (from <= to) markDirty(trace, ring.timeOf(from), ring.timeOf(to));
}

/** What the REST API says of declared losses. */
export function takeEpochs(trace: StreamTrace, epochs: readonly EpochSummary[]): void {
  for (const { epoch, lost } of epochs.slice(-MAX_EPOCHS))
    if (trace.settlement.takeLost(epoch, lost)) markDirty(trace, ...EVER);
}

/** Time of the newest settled reading that the ring still holds. */
export function settledUntilMs({ ring, settlement }: StreamTrace): number | null {
  const segment = settlement.newest;
  const progress = segment === null ? undefined : settlement.progressOf(segment.epoch);
  if (segment === null || progress === undefined) return null;
  const index = Math.min(ring.end, segment.base + highestSettled(progress)) - 1;
  return index >= Math.max(ring.start, segment.start) ? ring.timeOf(index) : null;
}

/** Sequence number of the reading at an index of the ring. */
export function seqOf({ settlement }: StreamTrace, index: number): number {
  return index - (settlement.segmentAt(index)?.base ?? 0);
}
