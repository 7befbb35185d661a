import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import type { BodyModel, Segment } from '#motion/body-model.ts';
import { createCalibrationGuide, type CalibrationGuide } from '#motion/calibration/guide.ts';
import { standingLean } from '#motion/calibration/posture.ts';
import {
  angleBetween,
  conjugate,
  fromAxisAngle,
  multiply,
  normalise,
  rotateInverse,
} from '#motion/quaternion.ts';

const RATE_HZ = 100;
const GRAVITY = Float64Array.of(0, 0, 9.81);

/** A wearer whose segments turn about the axis to the left, with sensors that sit anyhow. */
function createWearer(segments: readonly Segment[], seed: number) {
  const random = seededRandom(seed);
  const mounts = segments.map(() => {
    const q = Float64Array.from({ length: 4 }, () => normal(random));
    normalise(q, q);
    return q;
  });
  const bias = segments.map(() => [0.02 * normal(random), 0.02 * normal(random), 0.02 * normal(random)]);
  const model: BodyModel = {
    heightM: null,
    placements: segments.map((segment) => ({
      stream: segment,
      segment,
      rateHz: RATE_HZ,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, 5], scale: 1 },
      mag: null,
      alignment: { kind: 'from-movement' },
    })),
  };
  let timeUs = 0;
  const values = new Float64Array(6);
  return {
    model,
    mounts,
    /** Lets the wearer move for a while: lean in radians of a segment, as a function of time. */
    act(
      guide: CalibrationGuide,
      seconds: number,
      lean: (segment: Segment, timeS: number) => number,
      sideways: (timeS: number) => number = () => 0,
    ): void {
      for (let i = 0; i < seconds * RATE_HZ; i++) {
        const timeS = i / RATE_HZ;
        for (const [p, segment] of segments.entries()) {
          const angle = lean(segment, timeS) + standingLean(segment);
          const rate = (lean(segment, timeS + 1e-4) - lean(segment, timeS - 1e-4)) / 2e-4;
          const turned = new Float64Array(4);
          fromAxisAngle(Float64Array.of(0, 1, 0), angle, turned);
          const [acc, inSensor] = [new Float64Array(3), new Float64Array(3)];
          rotateInverse(turned, GRAVITY, acc);
          rotateInverse(mounts[p]!, acc, inSensor);
          const gyr = new Float64Array(3);
          rotateInverse(mounts[p]!, Float64Array.of(sideways(timeS), rate, 0), gyr);
          for (let k = 0; k < 3; k++) {
            values[k] = inSensor[k]! + 0.02 * normal(random);
            values[3 + k] = gyr[k]! + bias[p]![k]! + 0.005 * normal(random);
          }
          guide.update(p, timeUs, values, 0);
        }
        timeUs += 1e6 / RATE_HZ;
      }
    },
  };
}

/** Three times there and back, then rest. */
const lifts = (rad: number) => (_: Segment, timeS: number) =>
  timeS < 6 ? (rad * (1 - Math.cos(Math.PI * timeS))) / 2 : 0;
const still = (): number => 0;

test('standing and one movement a limb find how every sensor sits, whatever the mounting', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const segments = ['pelvis', 'left-thigh', 'left-shank', 'right-thigh', 'right-shank'] as const;
    const wearer = createWearer(segments, seed);
    const guide = createCalibrationGuide(wearer.model);
    expect(guide.state).toMatchObject({ step: { name: 'stand' }, stepNumber: 1, stepCount: 4, progress: 0 });
    wearer.act(guide, 3, still);
    expect(guide.state.step?.name).toBe('bow');
    const moving =
      (...moved: string[]) =>
      (segment: Segment, timeS: number): number =>
        moved.some((one) => segment.startsWith(one))
          ? lifts(moved[0] === 'pelvis' ? 1 : -1)(segment, timeS)
          : 0;
    wearer.act(guide, 8, moving('pelvis'));
    expect(guide.state.step?.name).toBe('left-leg-lift');
    wearer.act(guide, 8, moving('left'));
    wearer.act(guide, 8, moving('right'));
    expect(guide.state).toMatchObject({ step: null, progress: 1, hint: null });
    for (const [p, placement] of guide.bodyModel().placements.entries()) {
      expect(placement.alignment).toMatchObject({ kind: 'calibrated', reason: null });
      const found = Float64Array.from(guide.results.get(p)!.quaternion);
      const [inverse, error] = [new Float64Array(4), new Float64Array(4)];
      conjugate(wearer.mounts[p]!, inverse);
      multiply(found, inverse, error);
      expect((angleBetween(error, Float64Array.of(1, 0, 0, 0)) * 180) / Math.PI).toBeLessThan(1.5);
    }
  }
});

test('who does not stand still, hardly moves, or moves sideways is told what to do, and may go on', () => {
  const wearer = createWearer(['left-thigh', 'left-shank'], 7);
  const guide = createCalibrationGuide(wearer.model);
  wearer.act(guide, 4, (_, timeS) => 0.2 * Math.sin(5 * timeS));
  expect(guide.state).toMatchObject({ step: { name: 'stand' }, hint: 'it moved: stand still' });
  wearer.act(guide, 3, still);
  expect(guide.state.step?.name).toBe('left-leg-lift');
  wearer.act(guide, 21, lifts(-0.1));
  expect(guide.state).toMatchObject({ step: { name: 'left-leg-lift' } });
  expect(guide.state.hint).toMatch(/^it hardly turned/);
  wearer.act(guide, 8, lifts(-1), (timeS) => (timeS < 6 ? 1.5 * Math.sin(2 * Math.PI * timeS) : 0));
  expect(guide.state.hint).toMatch(/sideways|in one plane/);
  wearer.act(guide, 8, lifts(-1));
  expect(guide.state.step).toBeNull();
  guide.restart();
  expect(guide.state).toMatchObject({ step: { name: 'stand' }, progress: 0 });
  expect(guide.results.size).toBe(0);
});

test('a sensor without a calibration movement needs none', () => {
  const guide = createCalibrationGuide({ heightM: null, placements: [] });
  expect(guide.state).toMatchObject({ step: null, stepCount: 0 });
});

test('a sensor whose unit is wrong is told so', () => {
  const wearer = createWearer(['thorax'], 3);
  const guide = createCalibrationGuide(wearer.model);
  for (let i = 0; i < 400; i++) guide.update(0, i * 10_000, Float64Array.of(0, 0, 1, 0, 0, 0), 0);
  expect(guide.state.hint).toMatch(/does not show gravity/);
});
