import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import { runBatch } from '#motion/algorithm.ts';
import { footActivity, footActivityOffline } from '#motion/gait/foot-activity.ts';

const GAITMAP_RATE_HZ = 204.8;

interface Walk {
  readonly rateHz: number;
  readonly steps: number;
  /** Peak of the pitch rate. */
  readonly peakRadS: number;
  readonly swingS?: number;
  readonly stanceS?: number;
  /** Gravity along z, rotated away with the pitch. */
  readonly withGravity?: boolean;
}

interface Made {
  readonly readings: Float64Array;
  readonly count: number;
  /** Seconds. */
  readonly footfalls: readonly (readonly [number, number])[];
}

/** A foot that pitches forth and back in each swing and accelerates and brakes; two seconds of standing around. */
function walk({ rateHz, steps, peakRadS, swingS = 0.7, stanceS = 0.5, withGravity = false }: Walk): Made {
  const random = seededRandom(3);
  const strideS = swingS + stanceS;
  const count = Math.round((4 + steps * strideS) * rateHz);
  const readings = new Float64Array(6 * count);
  const footfalls = Array.from(
    { length: steps },
    (_, i) => [2 + i * strideS, 2 + i * strideS + swingS] as const,
  );
  for (let i = 0; i < count; i++) {
    const walkedS = i / rateHz - 2;
    const stride = Math.floor(walkedS / strideS);
    const phase = stride >= 0 && stride < steps ? (walkedS - stride * strideS) / swingS : 2;
    const rate = phase < 1 ? peakRadS * Math.sin(2 * Math.PI * phase) : 0;
    const pitch = phase < 1 ? ((peakRadS * swingS) / (2 * Math.PI)) * (1 - Math.cos(2 * Math.PI * phase)) : 0;
    const push =
      phase < 1 ? 2 * peakRadS * Math.cos(Math.PI * phase) * Math.sin(2 * Math.PI * phase) ** 2 : 0;
    const gravity = withGravity ? 9.81 : 0;
    const values = [push + gravity * Math.sin(pitch), 0, gravity * Math.cos(pitch), 0, rate, 0];
    for (let k = 0; k < 6; k++) readings[6 * i + k] = values[k]! + (k < 3 ? 0.05 : 0.01) * normal(random);
  }
  return { readings, count, footfalls };
}

function intervals(rows: Float64Array): [number, number][] {
  return Array.from({ length: rows.length / 4 }, (_, i) => [rows[4 * i]!, rows[4 * i + 1]!]);
}

for (const rateHz of [50, 100, 204.8, 400])
  test(`finds every footfall at ${rateHz} readings a second, within 0.1 s`, () => {
    const { readings, count, footfalls } = walk({ rateHz, steps: 12, peakRadS: 6 });
    const found = intervals(footActivityOffline(readings, count, rateHz));
    expect(found).toHaveLength(12);
    for (const [i, [start, end]] of found.entries()) {
      expect(Math.abs(start - footfalls[i]![0])).toBeLessThan(0.1);
      expect(Math.abs(end - footfalls[i]![1])).toBeLessThan(0.1);
    }
  });

test('finds those of a foot that moves little', () => {
  const { readings, count } = walk({ rateHz: 100, steps: 12, peakRadS: 1.2 });
  expect(intervals(footActivityOffline(readings, count, 100))).toHaveLength(12);
});

test('does not mind whether gravity is in the accelerations, nor the mounting', () => {
  const { readings, count } = walk({ rateHz: 100, steps: 12, peakRadS: 6, withGravity: true });
  const turned = readings.map((_, i) => readings[i - (i % 3) + ((i + 1) % 3)]!);
  const found = intervals(footActivityOffline(readings, count, 100));
  expect(found).toHaveLength(12);
  expect(intervals(footActivityOffline(turned, count, 100))).toEqual(found);
});

test('live finds them too, each within its latency', () => {
  const { readings, count } = walk({ rateHz: 100, steps: 12, peakRadS: 6 });
  const algorithm = footActivity.create(100);
  const out = new Float64Array(4);
  const latenciesS: number[] = [];
  for (let i = 0; i < count; i++)
    if (algorithm.update(readings, 6 * i, out) === 1) latenciesS.push(i / 100 - out[1]!);
  expect(latenciesS).toHaveLength(12);
  expect(Math.max(...latenciesS)).toBeLessThanOrEqual(footActivity.latencyS);
});

test('a foot that shifts in place once has not stepped', () => {
  const { readings, count } = walk({ rateHz: 100, steps: 12, peakRadS: 6 });
  // After the last footfall the foot turns by 30 degrees without being carried anywhere.
  const at = count - 100;
  for (let i = 0; i < 50; i++) readings[6 * (at + i) + 5]! += 1.6 * Math.sin((Math.PI * i) / 50);
  expect(intervals(footActivityOffline(readings, count, 100))).toHaveLength(12);
});

test('a moment of rest within the swing does not make two footfalls of one', () => {
  const { readings, count, footfalls } = walk({ rateHz: 100, steps: 12, peakRadS: 6, swingS: 0.9 });
  const middle = Math.round(100 * (footfalls[8]![0] + 0.45));
  readings.fill(0, 6 * (middle - 10), 6 * (middle + 10));
  const found = intervals(footActivityOffline(readings, count, 100));
  expect(found).toHaveLength(12);
});

test('ends a movement that readings are missing of, and goes on after the hole', () => {
  const { readings, count, footfalls } = walk({ rateHz: 100, steps: 12, peakRadS: 6 });
  const from = Math.round(100 * (footfalls[5]![0] + 0.3));
  readings.fill(Number.NaN, 6 * from, 6 * (from + 150));
  const found = intervals(runBatch(footActivity.create(100), readings, count));
  expect(found.length).toBeGreaterThanOrEqual(10);
  expect(found.every(([start, end]) => end - start < 1.2)).toBe(true);
});

test('finds the swings that motion capture saw, in a recording of another kind of sensor', () => {
  const folder = new URL('../../../data/gaitmap/', import.meta.url);
  const bytes = readFileSync(new URL('healthy_2x20m_left.f32', folder));
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  // Columns acc (m/s2) and gyr (deg/s).
  const readings = Float64Array.from(values, (value, i) => (i % 6 < 3 ? value : (value * Math.PI) / 180));
  const found = intervals(footActivityOffline(readings, readings.length / 6, GAITMAP_RATE_HZ));
  const swings = JSON.parse(readFileSync(new URL('events_2x20m_left.json', folder), 'utf8')) as readonly {
    readonly tc: number;
    readonly ic: number;
  }[];
  // In the turn the reference lacks a step and has one long swing over two.
  const whole = swings.filter(({ tc, ic }) => ic - tc < GAITMAP_RATE_HZ);
  expect(whole).toHaveLength(swings.length - 1);
  for (const { tc, ic } of whole) {
    const from = tc / GAITMAP_RATE_HZ;
    const to = ic / GAITMAP_RATE_HZ;
    expect(found.filter(([start, end]) => start < from && to < end)).toHaveLength(1);
  }
  // With the first and last steps and those of the turn.
  expect(found).toHaveLength(32);
});
