/** The whole chain on a recorded walk and on a synthetic one whose truth is known, in pieces, with holes, and continued. */

import { beforeAll, describe, expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { seededRandom } from '#base/random.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createSessionMotion, type MotionBatch, type SessionMotion } from '#motion/session-motion.ts';
import type { BodyModel } from '#motion/body-model.ts';
import { loadRecording } from '#simulator/recording.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';

interface Stream {
  readonly axes: number;
  readonly timesUs: Float64Array;
  readonly values: Float32Array;
}

interface Walk {
  readonly model: BodyModel;
  readonly streams: readonly Stream[];
  readonly untilUs: number;
}

const START_US = 1_750_000_000_000_000;
const WINDOW_US = 10_000_000;

async function recordedWalk(name = 'healthy_2x20m'): Promise<Walk> {
  const recording = await loadRecording('data/gaitmap', name);
  const streams = recording.streams.map(({ definition, readings, readingCount }) => ({
    axes: definition.axes.length,
    values: readings,
    timesUs: Float64Array.from(
      { length: readingCount },
      (_, i) => START_US + Math.round((i * 1e6) / definition.rateHz),
    ),
  }));
  const model = defaultBodyModel(
    recording.streams.map(({ definition }) => ({ id: definition.segment, ...definition })),
  );
  return { model, streams, untilUs: streams[0]!.timesUs.at(-1)! + 1 };
}

function syntheticWalk(seconds: number): Walk {
  const walker = createSyntheticWalker(walkerOfSeed(11));
  const table = createWalkerTable(walker);
  const count = seconds * walker.parameters.rateHz;
  const sources = walkerSegments.map((segment, i) =>
    walkerSource(table, { segment, firstRow: 0, errors: { model: typicalErrors, seed: 100 + i } }),
  );
  const model = defaultBodyModel(
    sources.map(({ definition }) => ({ id: definition.segment, ...definition, synthetic: true })),
  );
  const streams = model.placements.map(({ segment }) => {
    const source = sources.find(({ definition }) => definition.segment === segment)!;
    const axes = source.definition.axes.length;
    const values = new Float32Array(count * axes);
    source.fill(0, count, values);
    return {
      axes,
      values,
      timesUs: Float64Array.from({ length: count }, (_, i) => START_US + i * 5_000),
    };
  });
  return { model, streams, untilUs: START_US + count * 5_000 };
}

function pushRange(chain: SessionMotion, walk: Walk, placement: number, from: number, to: number): void {
  const { axes, timesUs, values } = walk.streams[placement]!;
  chain.push(placement, {
    timesUs: timesUs.subarray(from, to),
    values: values.subarray(from * axes, to * axes),
    axes,
    count: to - from,
  });
}

/** A window of 10 s after the other, as re-analysis goes. */
function wholeRun(walk: Walk, chain = createSessionMotion(walk.model)): MotionBatch[] {
  const batches: MotionBatch[] = [];
  const at = walk.streams.map(() => 0);
  for (let untilUs = START_US + WINDOW_US; at[0]! < walk.streams[0]!.timesUs.length; untilUs += WINDOW_US) {
    for (const [p, { timesUs }] of walk.streams.entries()) {
      const next = timesUs.findIndex((timeUs) => timeUs >= untilUs);
      const to = next === -1 ? timesUs.length : next;
      pushRange(chain, walk, p, at[p]!, to);
      at[p] = to;
    }
    chain.advance(untilUs);
    batches.push(chain.take());
  }
  chain.finish();
  batches.push(chain.take());
  return batches;
}

/** Results of all batches in one, angles as one list of rows. */
function joined(batches: readonly MotionBatch[]) {
  return {
    contacts: batches.flatMap(({ contacts }) => contacts),
    strides: batches.flatMap(({ strides }) => strides),
    cycles: batches.flatMap(({ cycles }) => cycles),
    turns: batches.flatMap(({ turns }) => turns),
    rows: batches.flatMap(({ angles }) =>
      angles.flatMap(({ firstUs, stepUs, count, rows }) =>
        Array.from({ length: count }, (_, i) => [
          firstUs + i * stepUs,
          ...rows.subarray((i * rows.length) / count, ((i + 1) * rows.length) / count),
        ]),
      ),
    ),
  };
}

describe('the recorded walk of both feet', () => {
  let walk: Walk;
  let whole: ReturnType<typeof joined>;
  beforeAll(async () => {
    walk = await recordedWalk();
    whole = joined(wholeRun(walk));
  });

  test('strides alternate between the feet, at the pace of a healthy adult', () => {
    expect(whole.strides.length).toBeGreaterThan(40);
    for (const side of ['left', 'right'] as const)
      expect(whole.strides.filter((stride) => stride.side === side).length).toBeGreaterThan(20);
    const steady = whole.strides.filter(({ turnDeg }) => turnDeg !== null && Math.abs(turnDeg) < 20);
    for (const stride of steady) {
      expect(stride.strideTimeS).toBeGreaterThan(0.9);
      expect(stride.strideTimeS).toBeLessThan(1.4);
      expect((stride.stanceTimeS ?? 1) / stride.strideTimeS).toBeGreaterThan(0.5);
      expect(stride.strideLengthM ?? 0).toBeLessThan(1.7);
      expect(stride.doubleSupportPercent ?? 0).toBeLessThan(40);
    }
    expect(steady.filter(({ doubleSupportPercent }) => doubleSupportPercent === null).length).toBeLessThan(3);
  });

  test('the curves of a stride are of the foot that made it', () => {
    expect(whole.cycles.length).toBeGreaterThan(40);
    expect(whole.cycles.every(({ curves }) => curves['foot-pitch'] !== undefined)).toBe(true);
  });

  test('whatever the pieces, the results are the same bits', () => {
    const random = seededRandom(5);
    const chain = createSessionMotion(walk.model);
    const batches: MotionBatch[] = [];
    const at = walk.streams.map(() => 0);
    while (at.some((from, p) => from < walk.streams[p]!.timesUs.length)) {
      const p = Math.floor(random.next() * walk.streams.length);
      const { timesUs } = walk.streams[p]!;
      const to = Math.min(timesUs.length, at[p]! + 1 + Math.floor(random.next() * 300));
      pushRange(chain, walk, p, at[p]!, to);
      at[p] = to;
      // What no stream will go behind any more.
      chain.advance(Math.min(...walk.streams.map((one, i) => one.timesUs[at[i]!] ?? Infinity)));
      if (random.next() < 0.3) batches.push(chain.take());
    }
    chain.finish();
    batches.push(chain.take());
    expect(chain.counters).toMatchObject({ late: 0, dropped: 0, gaps: 0 });
    expect(joined(batches)).toEqual(whole);
  });

  test('continued from a checkpoint anywhere, the results and the summary are the same bits', () => {
    let chain = createSessionMotion(walk.model);
    const batches: MotionBatch[] = [];
    const total = walk.streams[0]!.timesUs.length;
    for (let from = 0; from < total; from += 977) {
      for (const p of walk.streams.keys()) pushRange(chain, walk, p, from, Math.min(total, from + 977));
      // Some readings wait in the checkpoint.
      chain.advance(walk.streams[0]!.timesUs[Math.min(total - 1, from + 800)]!);
      batches.push(chain.take());
      chain = createSessionMotion(walk.model, chain.save());
    }
    chain.finish();
    batches.push(chain.take());
    expect(joined(batches)).toEqual(whole);
    const once = createSessionMotion(walk.model);
    wholeRun(walk, once);
    expect(chain.summary()).toEqual(once.summary());
  });

  test('a checkpoint of another body model is refused', () => {
    const chain = createSessionMotion({ ...walk.model, placements: walk.model.placements.slice(0, 1) });
    expect(() => createSessionMotion(walk.model, chain.save())).toThrow(AppError);
    expect(() => createSessionMotion(walk.model, new Uint8Array(40))).toThrow(AppError);
  });

  test('a hole costs the strides in it and nothing else, and is told', () => {
    const [first, second] = walk.streams as [Stream, Stream];
    const without = (all: Float32Array | Float64Array, width: number): number[] => [
      ...all.subarray(0, 2_000 * width),
      ...all.subarray(2_400 * width),
    ];
    const holedStream = {
      axes: first.axes,
      timesUs: Float64Array.from(without(first.timesUs, 1)),
      values: Float32Array.from(without(first.values, first.axes)),
    };
    const chain = createSessionMotion(walk.model);
    const batches = wholeRun({ ...walk, streams: [holedStream, second] }, chain);
    const batch = joined(batches);
    const notices = batches.flatMap((one) => one.notices);
    expect(chain.counters.gaps).toBe(1);
    expect(notices.map(({ code, segment }) => ({ code, segment }))).toContainEqual({
      code: 'gap',
      segment: walk.model.placements[0]!.segment,
    });
    const holed = batch.strides.filter(({ side }) => walk.model.placements[0]!.segment.startsWith(side));
    const all = whole.strides.filter(({ side }) => walk.model.placements[0]!.segment.startsWith(side));
    expect(holed.length).toBeLessThan(all.length);
    expect(holed.length).toBeGreaterThan(all.length - 8);
    const other = (strides: typeof batch.strides) =>
      strides.filter(({ side }) => !walk.model.placements[0]!.segment.startsWith(side)).length;
    expect(other(batch.strides)).toBe(other(whole.strides));
  });
});

test('readings that are no numbers, saturated or out of order break nothing', () => {
  const walk = syntheticWalk(12);
  const random = seededRandom(8);
  for (const { values } of walk.streams)
    for (let i = 0; i < 400; i++) {
      const at = Math.floor(random.next() * values.length);
      values[at] = [Number.NaN, Infinity, -Infinity, 1e30, -2_000][i % 5]!;
    }
  const chain = createSessionMotion(walk.model);
  wholeRun(walk, chain);
  pushRange(chain, walk, 0, 0, 100);
  chain.finish();
  expect(chain.counters.late).toBe(100);
  expect(chain.summary().filter(({ value }) => value !== null && !Number.isFinite(value))).toEqual([]);
});

test('the synthetic walker walks as its truth says: contacts, stride length and time of both feet', () => {
  const walker = createSyntheticWalker(walkerOfSeed(11));
  const { strides } = joined(wholeRun(syntheticWalk(25)));
  const truth = walker.contactsBetween(0, 25).filter(({ kind }) => kind === 'initial');
  expect(strides.length).toBeGreaterThan(30);
  let lengthError = 0;
  for (const stride of strides) {
    const endS = (stride.endUs - START_US) / 1e6;
    const own = truth.filter(({ side }) => side === stride.side);
    const nearest = own.reduce((best, one) =>
      Math.abs(one.timeS - endS) < Math.abs(best.timeS - endS) ? one : best,
    );
    expect(Math.abs(nearest.timeS - endS)).toBeLessThan(0.05);
    if (stride.strideLengthM !== null) lengthError += Math.abs(stride.strideLengthM - walker.strideLengthM);
  }
  expect(lengthError / strides.length).toBeLessThan(0.08);
});

test('the trunk of the synthetic walker is regular, and continued from a checkpoint as regular', () => {
  const walk = syntheticWalk(25);
  const once = createSessionMotion(walk.model);
  wholeRun(walk, once);
  const figures = Object.fromEntries(once.summary().map(({ metric, value }) => [metric, value]));
  expect(figures['stride-regularity']).toBeGreaterThan(0.7);
  expect(figures['step-regularity']).toBeGreaterThan(0.7);
  const [first, rest] = [0, 1].map((half) => ({
    ...walk,
    streams: walk.streams.map(({ axes, timesUs, values }) => ({
      axes,
      timesUs: timesUs.subarray(half * 2_500, half === 0 ? 2_500 : timesUs.length),
      values: values.subarray(half * 2_500 * axes, half === 0 ? 2_500 * axes : values.length),
    })),
  }));
  const before = createSessionMotion(walk.model);
  for (const [p, { timesUs }] of first!.streams.entries()) pushRange(before, first!, p, 0, timesUs.length);
  before.advance(first!.streams[0]!.timesUs.at(-1)! + 1);
  const after = createSessionMotion(walk.model, before.save());
  wholeRun(rest!, after);
  expect(after.summary()).toEqual(once.summary());
});

test.each([
  [{ segment: 'nose' }, '/placements/1/segment'],
  [{ segment: 'left-foot' }, '/placements/1/segment'],
  [{ stream: 'left-foot' }, '/placements/1/stream'],
  [{ rateHz: 5 }, '/placements/1/rateHz'],
  [{ acc: { axes: [0, 1, 1], scale: 1 } }, '/placements/1/acc/axes/2'],
  [{ gyr: { axes: [3, 4, 5], scale: 0 } }, '/placements/1/gyr/scale'],
])('a body model with %j is refused at %s', async (change, field) => {
  const { model } = await recordedWalk();
  const [first, second] = model.placements;
  const wrong = { ...model, placements: [first, { ...second, ...change }] } as BodyModel;
  expect(() => createSessionMotion(wrong)).toThrow(expect.objectContaining({ code: 'invalid-field', field }));
});
