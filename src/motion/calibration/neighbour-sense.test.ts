/** Owns the proof that a lower segment tells the sense of the one above it, in any mounting of both. */

import { expect, test } from 'vitest';

import { normal, seededRandom } from '#base/random.ts';
import {
  observeSense,
  SENSE_STATE,
  tellingNeighbour,
  writeSense,
} from '#motion/calibration/neighbour-sense.ts';
import { normalise, rotateInverse } from '#motion/quaternion.ts';

function anyRotation(seed: number): Float64Array {
  const random = seededRandom(seed);
  const q = Float64Array.from({ length: 4 }, () => normal(random));
  normalise(q, q);
  return q;
}

/** How far the told direction goes along the upper axis to the left, when the lower one's rate is `phase` behind. */
function told({ isLeading, phase, size }: { isLeading: boolean; phase: number; size: number }): number {
  const upperAlignment = anyRotation(1);
  const lowerAlignment = anyRotation(2);
  const state = new Float64Array(SENSE_STATE);
  const upper = new Float64Array(3);
  const lower = new Float64Array(3);
  for (let i = 0; i < 1000; i++) {
    rotateInverse(upperAlignment, Float64Array.of(0, size * Math.sin(i / 16), 0), upper);
    rotateInverse(lowerAlignment, Float64Array.of(0, 2 * size * Math.sin(i / 16 - phase), 0), lower);
    observeSense(state, { upper, lower, isLeading });
  }
  const out = new Float64Array(3);
  writeSense(state, lowerAlignment, out);
  const left = new Float64Array(3);
  rotateInverse(upperAlignment, Float64Array.of(0, 1, 0), left);
  return out[0]! * left[0]! + out[1]! * left[1]! + out[2]! * left[2]!;
}

test('a foot that turns with its shank, and a shank that follows its thigh, point to the left of the one above', () => {
  expect(told({ isLeading: false, phase: 0.3, size: 2 })).toBeGreaterThan(0.8);
  expect(told({ isLeading: true, phase: Math.PI / 2, size: 2 })).toBeGreaterThan(0.9);
  expect(told({ isLeading: true, phase: -Math.PI / 2, size: 2 })).toBeLessThan(-0.9);
});

test('who does not move says nothing', () => {
  expect(told({ isLeading: true, phase: 1, size: 0.1 })).toBe(0);
});

test('the foot tells the shank, the shank the thigh, and nobody the others', () => {
  expect(tellingNeighbour('left-thigh')).toBe('left-shank');
  expect(tellingNeighbour('right-shank')).toBe('right-foot');
  expect(tellingNeighbour('right-foot')).toBeNull();
  expect(tellingNeighbour('pelvis')).toBeNull();
});
