import { expect, test } from 'vitest';

import type { LiveFrame } from '#protocol/live-codec.ts';
import type { StreamDefinition } from '#protocol/messages.ts';
import { gapsIn } from '#web/live/gap-spans.ts';
import {
  createStreamTrace,
  seqOf,
  settledUntilMs,
  takeDirty,
  takeEpochs,
  takeFrame,
  takeProgress,
} from '#web/live/stream-trace.ts';

const STREAM = '0190a0b0-c0d0-7000-8000-000000000001';
const A = '00000000000000aa';
const B = '00000000000000bb';
/** Device clocks are this far behind the server's. */
const OFFSET_US = 7_000_000;

function definition(over: Partial<StreamDefinition> = {}): StreamDefinition {
  return {
    stream: STREAM,
    session: STREAM,
    segment: 'left-foot',
    sensor: 'imu',
    axes: [{ name: 'acc_x', unit: 'm/s2' }],
    rateHz: 100,
    encoding: 'float32',
    clock: 'device',
    ...over,
  };
}

/** Readings every 10 ms whose value is their sequence number. */
function frame(epoch: string, firstSeq: number, count: number, over: Partial<LiveFrame> = {}): LiveFrame {
  const payload = new DataView(new ArrayBuffer(count * 4));
  for (let i = 0; i < count; i++) payload.setFloat32(i * 4, firstSeq + i, true);
  const firstUs = firstSeq * 10_000;
  const sentUs = firstUs + count * 10_000;
  return {
    streamId: STREAM,
    epoch,
    count,
    firstSeq,
    firstUs,
    periodNs: 10_000_000,
    deltasUs: null,
    payload: new Uint8Array(payload.buffer),
    liveOnly: false,
    sentUs,
    arrivalUs: sentUs + OFFSET_US + 2000,
    offsetUs: OFFSET_US,
    ...over,
  };
}

const never = () => false;
const gaps = (trace: ReturnType<typeof createStreamTrace>, isOffline: (ms: number) => boolean = never) =>
  gapsIn({ ...trace, isOffline }, trace.ring.start, trace.ring.end).map(({ fromMs, toMs, cause }) => [
    Math.round(fromMs),
    Math.round(toMs),
    cause,
  ]);

test('readings lie at server time, with their values', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  expect(takeFrame(trace, frame(A, 50, 5))).toBe(500);
  const { ring } = trace;
  expect([ring.start, ring.end]).toEqual([50, 55]);
  expect(ring.timeOf(54)).toBe(540);
  expect(ring.values[0]![ring.slotOf(54)]).toBe(54);
});

test('scaled integers become physical values', () => {
  const trace = createStreamTrace(definition({ encoding: 'int16', scale: [0.5] }), 0);
  const payload = new DataView(new ArrayBuffer(4));
  payload.setInt16(0, -3, true);
  payload.setInt16(2, 32_767, true);
  takeFrame(trace, frame(A, 0, 2, { payload: new Uint8Array(payload.buffer) }));
  expect([...trace.ring.values[0]!.subarray(0, 2)]).toEqual([-1.5, 16_383.5]);
});

test('a frame of the wrong size is counted and not used', () => {
  const trace = createStreamTrace(definition(), 0);
  expect(takeFrame(trace, frame(A, 0, 2, { payload: new Uint8Array(7) }))).toBeNull();
  expect([trace.malformedFrames, trace.ring.end]).toEqual([1, 0]);
});

test('missing readings are a gap whose cause is told, and told anew when it changes', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 0, 10));
  takeFrame(trace, frame(A, 20, 10));
  expect(gaps(trace)).toEqual([[90, 200, 'pending']]);
  expect(gaps(trace, (ms) => ms > 100 && ms < 190)).toContainEqual([90, 110, 'pending']);
  takeEpochs(trace, [{ epoch: A, next: 0, stored: 0, lost: [[10, 15]], pending: [], tailLost: false }]);
  expect(gaps(trace)).toEqual([
    [90, 150, 'lost'],
    [140, 200, 'pending'],
  ]);
  takeProgress(trace, { stream: STREAM, epoch: A, next: 30, ranges: [], lost: 5 });
  expect(gaps(trace)).toEqual([
    [90, 150, 'lost'],
    [140, 200, 'stored'],
  ]);
});

test('a gap that is filled later is a gap no more', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 0, 10));
  takeFrame(trace, frame(A, 20, 10));
  takeDirty(trace);
  takeFrame(trace, frame(A, 10, 10));
  expect(gaps(trace)).toEqual([]);
  expect(takeDirty(trace)).toEqual({ fromMs: 90, toMs: 200 });
});

test('a pause without a missing number is a gap too, never a straight line', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 0, 10));
  takeFrame(trace, frame(A, 10, 10, { firstUs: 500_000, sentUs: 600_000, arrivalUs: OFFSET_US + 601_000 }));
  expect(gaps(trace)).toEqual([[90, 500, 'pause']]);
  expect(gaps(trace, () => true)).toEqual([[90, 500, 'offline']]);
});

test('a new epoch follows the old one, marked as a restart', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 1000, 10));
  takeFrame(
    trace,
    frame(B, 0, 10, { firstUs: 10_300_000, sentUs: 10_400_000, arrivalUs: OFFSET_US + 10_401_000 }),
  );
  expect(trace.settlement.newest?.epoch).toBe(B);
  expect(trace.ring.end - trace.ring.start).toBe(20);
  expect(seqOf(trace, 1009)).toBe(1009);
  expect(seqOf(trace, 1010)).toBe(0);
  expect(gaps(trace)).toEqual([[10_090, 10_300, 'restart']]);
  // A late frame of the old epoch must not run into the new one.
  expect(takeFrame(trace, frame(A, 1010, 5))).toBeNull();
});

test('what is settled is known by reading, in any order of arrival', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeProgress(trace, { stream: STREAM, epoch: A, next: 4, ranges: [[6, 8]], lost: 0 });
  takeFrame(trace, frame(A, 0, 10));
  const settled = Array.from({ length: 10 }, (_, i) => trace.settlement.isSettled(i));
  expect(settled).toEqual([true, true, true, true, false, false, true, true, false, false]);
  expect(settledUntilMs(trace)).toBe(70);
  expect(trace.settlement.losses()).toEqual({ lost: 0, pending: 2 });
});

test('a commit marks only what it settled', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 0, 100));
  takeProgress(trace, { stream: STREAM, epoch: A, next: 50, ranges: [], lost: 0 });
  takeDirty(trace);
  takeProgress(trace, { stream: STREAM, epoch: A, next: 60, ranges: [], lost: 0 });
  expect(takeDirty(trace)).toEqual({ fromMs: 490, toMs: 600 });
  expect(takeDirty(trace)).toBeNull();
});

test('when the device clock is set, earlier readings are given up rather than drawn at wrong times', () => {
  const trace = createStreamTrace(definition(), OFFSET_US);
  takeFrame(trace, frame(A, 0, 10));
  takeFrame(trace, frame(A, 10, 10, { offsetUs: OFFSET_US + 5_000_000, arrivalUs: OFFSET_US + 5_202_000 }));
  expect(trace.clockJumps).toBe(1);
  expect([trace.ring.start, trace.ring.end, trace.ring.timeOf(10)]).toEqual([10, 20, 5100]);
  expect(takeDirty(trace)).toEqual({ fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY });
});

test('the ring is bounded for any rate', () => {
  expect(createStreamTrace(definition({ rateHz: 0.01 }), 0).ring.capacity).toBe(64);
  expect(createStreamTrace(definition({ rateHz: 50_000 }), 0).ring.capacity).toBe(262_144);
  expect(createStreamTrace(definition({ rateHz: 200 }), 0).ring.capacity).toBe(6800);
});

test('only the newest epochs are remembered', () => {
  const trace = createStreamTrace(definition(), 0);
  for (let i = 0; i < 20; i++)
    takeProgress(trace, { stream: STREAM, epoch: String(i), next: 1, ranges: [], lost: 1 });
  expect(trace.settlement.losses().lost).toBe(8);
});
