/** Owns the proof of what the live tracker does with time: its grid, silence, late readings, bounds, and what was never moved. */

import { expect, test } from 'vitest';

import type { Alignment, BodyModel, Segment } from '#motion/body-model.ts';
import { trackBodyOffline } from '#motion/joints/body-offline.ts';
import { createBodyTracker, type BodyTracker } from '#motion/joints/body-tracker.ts';

function modelOf(worn: readonly Segment[], alignment: Alignment = { kind: 'aligned' }): BodyModel {
  return {
    heightM: null,
    placements: worn.map((segment) => ({
      stream: segment,
      segment,
      rateHz: 100,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, 5], scale: 1 },
      mag: null,
      alignment,
    })),
  };
}

const STILL = Float64Array.of(0, 0, 9.81, 0, 0, 0);

function takeAll(tracker: BodyTracker): { timesUs: number[]; rows: number[][] } {
  const row = new Float32Array(tracker.angleNames.length);
  const timesUs: number[] = [];
  const rows: number[][] = [];
  for (let timeUs = tracker.takeRow(row); !Number.isNaN(timeUs); timeUs = tracker.takeRow(row)) {
    timesUs.push(timeUs);
    rows.push([...row]);
  }
  return { timesUs, rows };
}

test('the worn segments say which angles there are', () => {
  const namesOf = (...worn: Segment[]): readonly string[] => createBodyTracker(modelOf(worn)).angleNames;
  expect(namesOf('left-foot', 'right-foot')).toEqual(['left-foot-pitch', 'right-foot-pitch']);
  expect(namesOf('right-thigh')).toEqual(['right-thigh-pitch']);
  expect(namesOf('lower-back')).toEqual(['pelvis-tilt', 'pelvis-obliquity', 'pelvis-rotation']);
  expect(namesOf('right-shank', 'right-thigh')).toEqual([
    'right-knee-flexion',
    'right-knee-adduction',
    'right-knee-internal-rotation',
  ]);
  expect(namesOf('thorax', 'left-upper-arm', 'left-forearm')).toContain('left-elbow-pronation');
  expect(namesOf('head')).toEqual([]);
});

test('rows stand on whole steps, before the reading that makes them due, and a sensor that falls silent is unknown', () => {
  const tracker = createBodyTracker(modelOf(['left-thigh', 'left-shank']));
  const times: number[] = [];
  let before: number[][] = [];
  let last: number[][] = [];
  for (let i = 0; i < 100; i++) {
    const timeUs = 1_234_567 + i * 10_000;
    tracker.update(0, timeUs, STILL, 0);
    if (i < 50) tracker.update(1, timeUs, STILL, 0);
    const { timesUs, rows } = takeAll(tracker);
    times.push(...timesUs);
    if (i === 49) before = rows;
    last = rows;
  }
  expect(times[0]).toBe(1_240_000);
  expect(times.every((timeUs, i) => timeUs === 1_240_000 + i * 10_000)).toBe(true);
  expect(before[0]![0]).toBeCloseTo(0, 9);
  expect(last[0]![0]).toBeNaN();
});

test('a long silence is jumped over, late readings are counted, and rows that nobody takes are dropped', () => {
  const tracker = createBodyTracker(modelOf(['left-foot']));
  tracker.update(0, 0, STILL, 0);
  tracker.update(0, 10_000, STILL, 0);
  takeAll(tracker);
  tracker.update(0, 3_600_000_000, STILL, 0);
  const { timesUs } = takeAll(tracker);
  expect(timesUs.length).toBeLessThanOrEqual(64);
  expect(timesUs.at(-1)).toBe(3_599_990_000);
  tracker.update(0, 3_600_000_000, STILL, 0);
  expect(tracker.counters.late).toBe(1);
  for (let i = 1; i <= 100; i++) tracker.update(0, 3_600_000_000 + i * 10_000, STILL, 0);
  expect(tracker.counters.dropped).toBe(36);
  expect(takeAll(tracker).timesUs.length).toBe(64);
});

test('a sensor that has to be aligned by movement and never moves gives no angle, and says why', () => {
  const model = modelOf(['left-foot'], { kind: 'from-movement' });
  const tracker = createBodyTracker(model);
  const count = 500;
  for (let i = 0; i < count; i++) tracker.update(0, i * 10_000, STILL, 0);
  expect(takeAll(tracker).rows.every(([pitch]) => Number.isNaN(pitch))).toBe(true);
  expect(tracker.alignments()[0]).toMatchObject({
    quality: 0,
    isFixed: false,
    reason: 'it did not move yet',
  });
  const timesUs = Float64Array.from({ length: count }, (_, i) => i * 10_000);
  const values = new Float64Array(6 * count);
  for (let i = 0; i < count; i++) values.set(STILL, 6 * i);
  const offline = trackBodyOffline(model, [{ timesUs, values }]);
  expect(offline.rows.every((pitch) => Number.isNaN(pitch))).toBe(true);
  expect(trackBodyOffline(model, [{ timesUs: new Float64Array(0), values }]).count).toBe(0);
});

test('orientations can come instead of readings, and missing ones are unknown', () => {
  const tracker = createBodyTracker(modelOf(['right-thigh', 'right-shank']));
  const half = (30 * Math.PI) / 180;
  const bent = Float64Array.of(Math.cos(half), 0, Math.sin(half), 0);
  const straight = Float64Array.of(1, 0, 0, 0);
  for (let i = 0; i < 60; i++) {
    tracker.updateOrientation(0, i * 10_000, straight, 0);
    tracker.updateOrientation(1, i * 10_000, bent, 0);
  }
  expect(takeAll(tracker).rows.at(-1)![0]).toBeCloseTo(60, 4);
  tracker.updateOrientation(1, 600_000, new Float64Array(4).fill(Number.NaN), 0);
  tracker.updateOrientation(1, 620_000, bent, 0);
  expect(takeAll(tracker).rows.at(-1)![0]).toBeNaN();
});

test('a reset tracker gives the same as a new one', () => {
  const model = modelOf(['left-thigh', 'left-shank']);
  const run = (tracker: BodyTracker): number[][] => {
    const rows: number[][] = [];
    for (let i = 0; i < 60; i++) {
      tracker.update(0, i * 10_000, Float64Array.of(0, 0, 9.81, 0, Math.sin(i / 9), 0), 0);
      tracker.update(1, i * 10_000, Float64Array.of(0, 0.1, 9.8, 0, -Math.sin(i / 9), 0), 0);
      rows.push(...takeAll(tracker).rows);
    }
    return rows;
  };
  const tracker = createBodyTracker(model);
  const first = run(tracker);
  tracker.reset();
  expect(run(tracker)).toEqual(first);
  expect(first.at(-1)!.every(Number.isFinite)).toBe(true);
});
