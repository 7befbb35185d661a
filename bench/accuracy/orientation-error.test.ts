import { expect, test } from 'vitest';

import { orientationError } from '#bench/accuracy/orientation-error.ts';
import { fromAxisAngle, multiply } from '#motion/quaternion.ts';

/** Every reading is off by these turns of the earth's frame, in degrees. */
function errorOf(
  turns: readonly { axis: readonly number[]; deg: number }[],
): ReturnType<typeof orientationError> {
  const reference = new Float64Array(4);
  fromAxisAngle(Float64Array.of(1, 2, 3), 2.2, reference);
  return orientationError({
    count: turns.length,
    counts: () => true,
    read(i, estimated, optical) {
      const { axis, deg } = turns[i]!;
      optical.set(reference);
      fromAxisAngle(Float64Array.from(axis), (deg * Math.PI) / 180, estimated);
      multiply(estimated, reference, estimated);
      // The sign of a quaternion says nothing.
      for (let k = 0; k < 4; k++) estimated[k] = -estimated[k]!;
    },
  });
}

test('a turn about the vertical is error of the heading alone, one across it of the inclination', () => {
  const heading = errorOf([{ axis: [0, 0, 1], deg: -7 }]);
  expect(heading.totalDeg).toBeCloseTo(7, 9);
  expect(heading.headingDeg).toBeCloseTo(7, 9);
  expect(heading.inclinationDeg).toBeCloseTo(0, 5);
  const inclination = errorOf([{ axis: [1, 1, 0], deg: 5 }]);
  expect(inclination.totalDeg).toBeCloseTo(5, 9);
  expect(inclination.headingDeg).toBeCloseTo(0, 9);
  expect(inclination.inclinationDeg).toBeCloseTo(5, 9);
});

test('it is the root mean square over the samples that count and were seen', () => {
  expect(
    errorOf([
      { axis: [0, 0, 1], deg: 3 },
      { axis: [0, 0, 1], deg: 4 },
    ]).totalDeg,
  ).toBeCloseTo(Math.sqrt(12.5), 9);
  const lost = [1, 2, 3, 4].map((i) => ({
    counts: i !== 1,
    optical: i === 2 ? 0 : i === 3 ? Number.NaN : 1,
  }));
  const error = orientationError({
    count: 4,
    counts: (i) => lost[i]!.counts,
    read(i, estimated, optical) {
      estimated.set([Math.SQRT1_2, 0, 0, Math.SQRT1_2]);
      optical.set([lost[i]!.optical, 0, 0, 0]);
    },
  });
  expect(error.totalDeg).toBeCloseTo(90, 9);
});
