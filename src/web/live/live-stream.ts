/**
 * Owns one stream of the live view: its trace and statistics, and its canvas while there is one. Bound: the frames
 * whose drawing is still to be timed (MAX_UNDRAWN, oldest dropped: their latency is then not counted).
 */

import { createBoundedQueue, type BoundedQueue } from '#base/bounded-queue.ts';
import type { LiveFrame } from '#protocol/live-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { createArrivalStats, type ArrivalStats } from '#web/live/arrival-stats.ts';
import { createLatencyWindow, type LatencyWindow } from '#web/live/latency-window.ts';
import type { ScaleBook } from '#web/live/scale-book.ts';
import { createStreamTrace, seqOf, takeFrame, type StreamTrace } from '#web/live/stream-trace.ts';
import type { CanvasSize } from '#web/live/trace-layout.ts';
import { createTracePainter, type PainterView, type TracePainter } from '#web/live/trace-painter.ts';
import { INSPECTED_READINGS, type LiveInspection, type StreamReport } from '#web/live/worker-messages.ts';

/** One second of 200 frames; they are drawn within half a second. */
const MAX_UNDRAWN = 256;
/** A sensor is called silent after this, and after four of its own periods. */
const SILENT_MS = 500;
const SILENT_PERIODS = 4;

interface Undrawn {
  readonly oldestMs: number;
  readonly receivedMs: number;
  readonly batching: number;
  readonly network: number;
  readonly server: number;
  readonly delivery: number;
}

export interface LiveStream {
  readonly trace: StreamTrace;
  readonly arrivals: ArrivalStats;
  readonly latency: LatencyWindow;
  readonly undrawn: BoundedQueue<Undrawn>;
  readonly silentAfterMs: number;
  painter: TracePainter | null;
  isVisible: boolean;
}

/** What is known when a frame is received; times in milliseconds since the view's base, on the server's clock. */
export interface Receipt {
  readonly nowMs: number;
  readonly publishedUs: number;
  /** False until the server's clock was probed: the last leg's latency is not known then. */
  readonly isClockKnown: boolean;
}

export function createLiveStream(definition: StreamDefinition, baseUs: number): LiveStream {
  return {
    trace: createStreamTrace(definition, baseUs),
    arrivals: createArrivalStats(),
    latency: createLatencyWindow(),
    undrawn: createBoundedQueue(MAX_UNDRAWN),
    silentAfterMs: Math.max(SILENT_MS, (SILENT_PERIODS * 1000) / definition.rateHz),
    painter: null,
    isVisible: false,
  };
}

/** Takes a frame in. Returns how old its oldest reading is, or null when it could not be used. */
export function receiveFrame(stream: LiveStream, frame: LiveFrame, receipt: Receipt): number | null {
  const { trace } = stream;
  const oldestMs = takeFrame(trace, frame);
  if (oldestMs === null) return null;
  const { nowMs, publishedUs, isClockKnown } = receipt;
  stream.arrivals.add(frame, nowMs);
  const publishedMs = (publishedUs - trace.baseUs) / 1000;
  stream.undrawn.push({
    oldestMs,
    receivedMs: nowMs,
    batching: positive((frame.sentUs - frame.firstUs) / 1000),
    network: trace.deviceClock.isMeasured
      ? positive((frame.arrivalUs - frame.sentUs - frame.offsetUs) / 1000)
      : Number.NaN,
    server: positive((publishedUs - frame.arrivalUs) / 1000),
    delivery: isClockKnown ? positive(nowMs - publishedMs) : Number.NaN,
  });
  return nowMs - oldestMs;
}

/** A delay below zero is the error of two clocks, not a delay. */
function positive(ms: number): number {
  return Math.max(0, ms);
}

export function attachCanvas(
  stream: LiveStream,
  { canvas, size }: { canvas: OffscreenCanvas; size: CanvasSize },
  { view, scales }: { view: PainterView; scales: ScaleBook },
): void {
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) return;
  stream.painter = createTracePainter(context, { trace: stream.trace, scales }, view);
  stream.painter.resize(size);
  stream.isVisible = true;
}

/** Draws up to `headMs`; returns whether the canvas changed. */
export function drawStream(
  stream: LiveStream,
  headMs: number,
  isOffline: (timeMs: number) => boolean,
): boolean {
  if (stream.painter === null || !stream.isVisible) return false;
  return stream.painter.paint({ headMs, isOffline, silentSinceMs: silentSinceMs(stream, headMs) });
}

/** After drawing: the frames whose oldest reading is on the screen now have their last part. */
export function timeDrawn(stream: LiveStream, headMs: number, nowMs: number): void {
  const { undrawn } = stream;
  for (let frame = undrawn.peek(); frame !== undefined && frame.oldestMs <= headMs; frame = undrawn.peek()) {
    undrawn.shift();
    // What is not drawn has no latency on the screen.
    if (stream.painter !== null && stream.isVisible)
      stream.latency.add(nowMs, { ...frame, paint: nowMs - frame.receivedMs });
  }
}

/** Since when there are no readings, or null while they come. Null before the first. */
export function silentSinceMs({ trace, silentAfterMs }: LiveStream, atMs: number): number | null {
  const { ring } = trace;
  if (ring.end === ring.start) return null;
  const lastMs = ring.timeOf(ring.end - 1);
  return atMs - lastMs > silentAfterMs ? lastMs : null;
}

export function reportStream(stream: LiveStream, nowMs: number): StreamReport {
  const { trace, arrivals, latency } = stream;
  const { ring, settlement, definition } = trace;
  const isEmpty = ring.end === ring.start;
  const epoch = settlement.newest?.epoch;
  const isProgressKnown = epoch !== undefined && settlement.progressOf(epoch) !== undefined;
  const losses = isProgressKnown ? settlement.losses() : null;
  const isSilent = silentSinceMs(stream, nowMs) !== null;
  // The last value of a silent sensor is not what is now.
  const slot = isEmpty || isSilent ? -1 : ring.slotOf(ring.end - 1);
  return {
    stream: definition.stream,
    rate: arrivals.rate(nowMs),
    jitterMs: arrivals.jitterMs,
    lost: losses?.lost ?? null,
    pending: losses?.pending ?? null,
    latency: latency.summarise(nowMs),
    lastReadingAgeMs: isEmpty ? null : Math.max(0, nowMs - ring.timeOf(ring.end - 1)),
    isSilent,
    latest: definition.axes.map((_, axis) => {
      const value = slot < 0 ? Number.NaN : ring.values[axis]![slot]!;
      return Number.isFinite(value) ? value : null;
    }),
    isClockMeasured: trace.deviceClock.isMeasured,
    clockJumps: trace.clockJumps,
  };
}

/** The readings behind the picture. */
export function inspectStream(
  stream: LiveStream,
  headMs: number,
  nowMs: number,
): LiveInspection['streams'][number] {
  const { trace, latency } = stream;
  const { ring, definition, settlement } = trace;
  let end = ring.start;
  if (stream.painter !== null && stream.isVisible) end = ring.lowerBound(headMs);
  while (end > ring.start && !ring.has(end - 1)) end--;
  let from = end;
  const epochStart = settlement.segmentAt(end - 1)?.start ?? ring.start;
  const oldest = Math.max(ring.start, epochStart, end - INSPECTED_READINGS);
  while (from > oldest && ring.has(from - 1)) from--;
  const values: number[][] = [];
  for (let i = from; i < end; i++) values.push(ring.values.map((axis) => axis[ring.slotOf(i)]!));
  return {
    stream: definition.stream,
    epoch: settlement.segmentAt(end - 1)?.epoch ?? null,
    segment: definition.segment,
    lastSeq: end > from ? seqOf(trace, end - 1) : null,
    axes: definition.axes,
    drawn: end > from ? { firstSeq: seqOf(trace, from), values } : null,
    latency: latency.summarise(nowMs),
    recentLatency: latency.recent(nowMs),
    malformedFrames: trace.malformedFrames,
  };
}
