import fc from 'fast-check';
import { expect, test } from 'vitest';

import { rangesOf, sizeOf, type Range } from '#base/ranges.ts';
import type { Frame, StreamHandle } from '#contract/readings.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { limits } from '#protocol/limits.ts';
import { planStream } from '#store/flush-plan.ts';

const handle: StreamHandle = {
  key: 'a/0000000000000001',
  orgId: 'o',
  deviceId: 'd',
  epoch: '0000000000000001',
  retentionClass: 0,
  readingBytes: 4,
  definition: {
    stream: '01900000-0000-7000-8000-000000000001',
    session: '01900000-0000-7000-8000-000000000002',
    segment: 'left-foot',
    sensor: 'imu',
    axes: [{ name: 'x', unit: '1' }],
    rateHz: 200,
    encoding: 'float32',
    clock: 'device',
  },
};
const nothing = { committed: [], lost: [] };

/** A frame whose reading `seq` holds the number seq and was taken at seq * 5000 + 3 microseconds. */
function frame(firstSeq: number, count: number): Frame {
  const payload = new Uint8Array(count * 4);
  const view = new DataView(payload.buffer);
  for (let i = 0; i < count; i++) view.setFloat32(i * 4, firstSeq + i, true);
  return {
    streamId: handle.definition.stream,
    epoch: handle.epoch,
    firstSeq,
    count,
    firstUs: firstSeq * 5000 + 3,
    periodNs: 5_000_000,
    deltasUs: null,
    payload,
    liveOnly: false,
    historical: false,
    sentUs: 0,
    arrivalUs: 0,
    offsetUs: 0,
  };
}

/** Every reading that the plan writes, as [seq, value, time]. */
function written(plan: ReturnType<typeof planStream>): [number, number, number][] {
  const out: [number, number, number][] = [];
  for (const chunk of plan.chunks) {
    let seq = chunk.firstSeq;
    for (const part of chunk.frames) {
      expect(part.firstSeq).toBe(seq);
      const view = new DataView(part.payload.buffer, part.payload.byteOffset, part.payload.byteLength);
      for (let i = 0; i < part.count; i++)
        out.push([seq++, view.getFloat32(i * 4, true), readingTimeUs(part, i)]);
    }
    expect(seq).toBe(chunk.firstSeq + chunk.count);
  }
  return out;
}

test('consecutive frames become one chunk of one range', () => {
  const plan = planStream({ handle, progress: nothing, frames: [frame(0, 10), frame(10, 10)], losses: [] });
  expect(plan.chunks).toHaveLength(1);
  expect(plan.added).toEqual([{ from: 0, to: 20 }]);
  expect(plan.chunks[0]).toMatchObject({ firstSeq: 0, count: 20, firstUs: 3, lastUs: 19 * 5000 + 3 });
});

test('a chunk holds at most 500 readings', () => {
  const plan = planStream({
    handle,
    progress: nothing,
    frames: [frame(0, 300), frame(300, 300)],
    losses: [],
  });
  expect(plan.chunks.map((chunk) => chunk.count)).toEqual([300, 300]);
});

test('what is committed is not written again, and times of a cut frame stay exact', () => {
  const progress = { committed: [{ from: 0, to: 7 }], lost: [] };
  const plan = planStream({ handle, progress, frames: [frame(0, 10)], losses: [] });
  expect(written(plan)).toEqual([7, 8, 9].map((seq) => [seq, seq, seq * 5000 + 3]));
  expect(plan.duplicateReadings).toBe(7);
});

test('a stored reading wins over a declared loss, whichever comes first', () => {
  const lateData = planStream({
    handle,
    progress: { committed: [], lost: [{ from: 0, to: 20 }] },
    frames: [frame(5, 5)],
    losses: [],
  });
  expect(lateData.progress).toEqual({
    committed: [{ from: 5, to: 10 }],
    lost: [
      { from: 0, to: 5 },
      { from: 10, to: 20 },
    ],
  });
  const lateLoss = planStream({
    handle,
    progress: { committed: [{ from: 5, to: 10 }], lost: [] },
    frames: [],
    losses: [{ from: 0, to: 20, reason: 'device-store-full' }],
  });
  expect(lateLoss.declared).toEqual(lateData.progress.lost);
});

test('a frame that would open one fragment too many is left out, and the oldest gap is asked for', () => {
  const committed: Range[] = Array.from({ length: limits.fragmentsPerEpoch }, (_, i) => ({
    from: i * 10 + 1,
    to: i * 10 + 2,
  }));
  const plan = planStream({
    handle,
    progress: { committed, lost: [] },
    frames: [frame(100_000, 5), frame(2, 1)],
    losses: [],
  });
  expect(plan.refusedFromSeq).toBe(0);
  expect(plan.added).toEqual([{ from: 2, to: 3 }]);
});

test('gaps that were declared do not count as fragments', () => {
  const committed: Range[] = Array.from({ length: 1_000 }, (_, i) => ({ from: i * 2, to: i * 2 + 1 }));
  const lost: Range[] = Array.from({ length: 1_000 }, (_, i) => ({ from: i * 2 + 1, to: i * 2 + 2 }));
  const plan = planStream({
    handle,
    progress: { committed, lost },
    frames: [frame(2_000, 1), frame(2_005, 1)],
    losses: [],
  });
  expect(plan.refusedFromSeq).toBe(null);
  expect(plan.storedReadings).toBe(2);
});

const anyRange = fc.record({ from: fc.nat(80), count: fc.integer({ min: 1, max: 12 }) });

test('any mixture of overlaps, repeats and declarations stores every reading once and agrees with sets', () => {
  fc.assert(
    fc.property(fc.array(anyRange), fc.array(anyRange), fc.array(anyRange), (before, frames, losses) => {
      const committed = rangesOf(before.map((r) => ({ from: r.from, to: r.from + r.count })));
      const plan = planStream({
        handle,
        progress: { committed, lost: [] },
        frames: frames.map((r) => frame(r.from, r.count)),
        losses: losses.map((r) => ({ from: r.from, to: r.from + r.count, reason: 'sensor-fault' })),
      });
      const rows = written(plan);
      const seqs = rows.map(([seq]) => seq);
      expect(new Set(seqs).size).toBe(seqs.length);
      for (const [seq, value, time] of rows) expect([value, time]).toEqual([seq, seq * 5000 + 3]);
      const expected = new Set<number>();
      for (const r of frames) for (let i = 0; i < r.count; i++) expected.add(r.from + i);
      for (const r of committed) for (let i = r.from; i < r.to; i++) expected.delete(i);
      expect(new Set(seqs)).toEqual(expected);
      expect(sizeOf(plan.added)).toBe(expected.size);
      expect(plan.storedReadings + plan.duplicateReadings).toBe(frames.reduce((sum, r) => sum + r.count, 0));
      const lost = new Set<number>();
      for (const r of losses) for (let i = 0; i < r.count; i++) lost.add(r.from + i);
      for (const r of plan.progress.committed) for (let i = r.from; i < r.to; i++) lost.delete(i);
      expect(sizeOf(plan.progress.lost)).toBe(lost.size);
    }),
  );
});

test('a filled gap joins its neighbours into one range', () => {
  const committed = [
    { from: 0, to: 10 },
    { from: 20, to: 30 },
    { from: 50, to: 60 },
  ];
  const frames = [frame(12, 3), frame(10, 2), frame(15, 5)];
  const plan = planStream({ handle, progress: { committed, lost: [] }, frames, losses: [] });
  expect(plan.progress.committed).toEqual([
    { from: 0, to: 30 },
    { from: 50, to: 60 },
  ]);
});
