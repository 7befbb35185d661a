import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import type { Cycle } from '#motion/results.ts';
import type { SessionMotion } from '#motion/session-motion.ts';
import {
  createLiveSession,
  type LiveSession,
  type SessionPlan,
  type SessionResults,
} from '#pipeline/live-session.ts';
import { readingTimeUs } from '#protocol/data-codec.ts';
import { cutAnyhow, imuFrame, imuHandle, OFFSET_US, ringFrame } from '#test/support/motion-frames.ts';
import { createStandInMotion } from '#test/support/stand-in-motion.ts';

const handles = [imuHandle('left-foot'), imuHandle('right-foot'), imuHandle('pelvis')];
const model = defaultBodyModel(handles.map(({ definition }) => ({ ...definition, id: definition.stream })));
const plan: SessionPlan = {
  session: 1,
  model,
  streams: handles.map(({ definition }) => ({
    placement: model.placements.findIndex(({ stream }) => stream === definition.stream),
    packing: { encoding: 'float32', axisCount: 6 },
  })),
};
const [left, right, pelvis] = handles as [(typeof handles)[0], (typeof handles)[0], (typeof handles)[0]];

/** All that the session tells in the end, and what it told on the way. */
function gather(session: LiveSession) {
  const told: SessionResults[] = [];
  return {
    told,
    flush(nowUs: number, isLast = false) {
      const results = session.flush(nowUs, isLast);
      if (results !== null) told.push(results);
    },
    angles: () => told.flatMap(({ angles }) => angles.map(({ firstUs, rows }) => [firstUs, ...rows])),
    lengths: () => told.flatMap(({ strides }) => strides.map(({ strideLengthM }) => strideLengthM)),
  };
}

/** What the chain gives for the same frames, all at once and without a pipeline. */
function offline(total: number) {
  const chain = createStandInMotion(model);
  for (const [i, handle] of handles.entries()) {
    const frame = imuFrame(handle, 0, total);
    const timesUs = Float64Array.from({ length: total }, (_, at) => readingTimeUs(frame, at));
    const values = new Float32Array(frame.payload.buffer);
    chain.push(plan.streams[i]!.placement, { timesUs, values, axes: 6, count: total });
  }
  chain.finish();
  return chain.take();
}

test('in any pieces and at any moments, live is bit for bit what an offline run gives', () => {
  const total = 3_000;
  const expected = offline(total);
  expect(expected.strides).toHaveLength(14);
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = seededRandom(seed);
    const session = createLiveSession(plan, createStandInMotion);
    session.watched = { angles: true, details: true };
    const all = gather(session);
    for (const { stream, frame } of cutAnyhow(handles, total, seed)) {
      session.frame(ringFrame(stream, frame));
      if (random.next() < 0.3) session.advance(frame.arrivalUs);
      if (random.next() < 0.3) all.flush(frame.arrivalUs);
    }
    session.finish();
    all.flush(OFFSET_US * 2, true);
    expect(all.lengths()).toEqual(expected.strides.map(({ strideLengthM }) => strideLengthM));
    // Every second row of the grid of 10 ms.
    expect(all.angles()).toEqual(
      expected.angles.filter((_, i) => i % 2 === 0).map(({ firstUs, rows }) => [firstUs, ...rows]),
    );
    expect(session.takeLosses()).toEqual({ left: 0, gaps: 0 });
  }
});

test('readings that come again are left out, and those of another epoch are not', () => {
  const seen: number[] = [];
  const chain = (): SessionMotion => ({
    ...createStandInMotion(model),
    push: (_placement, { timesUs, count }) => seen.push(...timesUs.subarray(0, count)),
  });
  const session = createLiveSession(plan, chain);
  for (const [seq, count] of [
    [0, 3],
    [0, 3],
    [1, 4],
  ] as const)
    session.frame(ringFrame(0, imuFrame(left, seq, count)));
  expect(seen).toEqual([0, 5_000, 10_000, 15_000, 20_000]);
  session.frame(ringFrame(0, imuFrame(left, 0, 1, { epoch: '0000000000000002', firstUs: 25_000 })));
  expect(seen.at(-1)).toBe(25_000);
});

/** How far the chain was let go. */
function watchAdvance() {
  const at = { untilUs: Number.NEGATIVE_INFINITY, begun: 0 };
  const session = createLiveSession(plan, (given) => {
    at.begun++;
    const chain = createStandInMotion(given);
    return {
      ...chain,
      take: () => chain.take(),
      advance(untilUs) {
        at.untilUs = untilUs;
        chain.advance(untilUs);
      },
    };
  });
  return { at, session };
}

test('the slowest stream holds the others until it has been silent for a second', () => {
  const { at, session } = watchAdvance();
  const send = (stream: number, seq: number, count: number): void => {
    const frame = imuFrame(handles[stream]!, seq, count);
    session.frame(ringFrame(stream, frame));
    session.advance(frame.arrivalUs);
  };
  send(0, 0, 100);
  send(1, 0, 60);
  expect(at.untilUs).toBe(Number.NEGATIVE_INFINITY);
  send(2, 0, 80);
  expect(at.untilUs).toBe(59 * 5_000);
  // The second stream arrived last at 300 ms, so up to 1.3 s it may still come.
  send(0, 100, 159);
  send(2, 80, 179);
  expect(at.untilUs).toBe(59 * 5_000);
  send(0, 259, 2);
  expect(at.untilUs).toBe(258 * 5_000);
  // Back again, it is waited for again.
  send(1, 261, 9);
  send(0, 261, 30);
  send(2, 259, 30);
  expect(at.untilUs).toBe(269 * 5_000);
});

test('a session that says nothing any more is gone through to its end', () => {
  const { at, session } = watchAdvance();
  const frame = imuFrame(left, 0, 100);
  session.frame(ringFrame(0, frame));
  session.advance(frame.arrivalUs + 2_900_000);
  expect(at.untilUs).toBeLessThan(495_000);
  session.advance(frame.arrivalUs + 3_100_000);
  expect(at.untilUs).toBe(495_001);
});

test('a device clock that is set back begins the chain anew, and says so', () => {
  const { at, session } = watchAdvance();
  for (const [i, handle] of handles.entries())
    session.frame(ringFrame(i, imuFrame(handle, 0, 400, { firstUs: 3_600_000_000 })));
  session.advance(OFFSET_US + 2_000_000);
  expect(at).toEqual({ begun: 1, untilUs: 3_600_000_000 + 399 * 5_000 });
  for (const [i, handle] of handles.entries())
    session.frame(ringFrame(i, imuFrame(handle, 400, 10, { firstUs: 1_000_000 })));
  session.advance(OFFSET_US + 2_050_000);
  expect(at).toEqual({ begun: 2, untilUs: 1_000_000 + 9 * 5_000 });
  expect(session.flush(0)?.notices).toMatchObject([{ code: 'clock-set-back' }]);
});

test('a clock that goes to and fro begins the chain anew once in ten seconds, whatever it says in between', () => {
  const { at, session } = watchAdvance();
  const spanS = 25;
  for (let i = 0; i < 10 * spanS; i++) {
    const arrivalUs = OFFSET_US + i * 100_000;
    const firstUs = (i % 2) * 3_600_000_000 + i * 100_000;
    for (const [stream, handle] of handles.entries())
      session.frame(ringFrame(stream, imuFrame(handle, i * 10, 10, { firstUs, arrivalUs })));
    session.advance(arrivalUs);
  }
  expect(at.begun).toBe(1 + Math.ceil(spanS / 10));
  expect(session.takeLosses().left).toBeGreaterThan(100);
});

test('where nobody looks, no angles are told, and of figures and cycles one in ten seconds', () => {
  const cycle = (side: Cycle['side'], startUs: number): Cycle => ({
    side,
    startUs,
    endUs: startUs + 1,
    curves: {},
  });
  let n = 0;
  const chain = (): SessionMotion => {
    const stand = createStandInMotion(model);
    return {
      ...stand,
      take: () => ({
        ...stand.take(),
        strides: Array.from({ length: 2 }, () => ({ ...offlineStride, startUs: ++n })),
        cycles: [cycle('left', n), cycle('right', n)],
        angles: [{ firstUs: 0, stepUs: 20_000, count: 1, rows: Float32Array.of(1) }],
      }),
    };
  };
  const session = createLiveSession(plan, chain);
  const all = gather(session);
  for (let ms = 0; ms < 20_000; ms += 50) all.flush(ms * 1_000);
  expect(all.told).toHaveLength(200);
  expect(all.lengths()).toHaveLength(400);
  expect(all.angles()).toEqual([]);
  const counts = () => [
    all.told.filter(({ summary }) => summary !== null).length,
    all.told.flatMap(({ cycles }) => cycles).length,
  ];
  expect(counts()).toEqual([2, 4]);
  session.watched = { angles: true, details: true };
  for (let ms = 20_000; ms < 30_000; ms += 50) all.flush(ms * 1_000);
  const [summaries, cycles] = counts();
  expect(summaries).toBe(2 + 10);
  // The two that were kept beside all of a hundred tellings.
  expect(cycles).toBe(4 + 2 + 200);
  expect(all.angles()).toHaveLength(100);
});

const offlineStride = offline(500).strides[0]!;

test('one sensor of several may be missing from the beginning', () => {
  const { at, session } = watchAdvance();
  for (let seq = 0; seq < 400; seq += 20)
    for (const [stream, handle] of [
      [0, left],
      [1, right],
    ] as const) {
      const frame = imuFrame(handle, seq, 20);
      session.frame(ringFrame(stream, frame));
      session.advance(frame.arrivalUs);
    }
  expect(at.untilUs).toBe(399 * 5_000);
  // Late, it is left out where the others have been.
  session.frame(ringFrame(2, imuFrame(pelvis, 0, 500)));
  expect(session.takeLosses().left).toBe(399);
});
