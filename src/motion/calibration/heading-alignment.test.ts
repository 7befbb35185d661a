/** Owns the proof that headings of two sensors are brought together by the line that their joint keeps. */

import { expect, test } from 'vitest';

import {
  addHeading,
  HEADING_STATE,
  resetHeading,
  smoothHeadings,
  writeHeading,
  type HeadingSums,
} from '#motion/calibration/heading-alignment.ts';

const STEP_S = 0.01;
const DEG = Math.PI / 180;

function sums(): HeadingSums {
  return { state: new Float64Array(HEADING_STATE), at: 0, stepS: STEP_S };
}

/** The body's line at a moment as both see it: walking in a circle, hip rotation of 8 degrees, the distal earth turned by `offset`. */
function linesAt(i: number, offsetDeg: number): { proximal: Float64Array; distal: Float64Array } {
  const course = 0.2 * i * STEP_S;
  const rotation = 8 * DEG * Math.sin(2 * Math.PI * 0.9 * i * STEP_S);
  const line = (heading: number): Float64Array => Float64Array.of(Math.cos(heading), Math.sin(heading), 0.1);
  return { proximal: line(course), distal: line(course + rotation - offsetDeg * DEG) };
}

function headingOf(of: HeadingSums): number {
  const out = new Float64Array(1);
  writeHeading(of, out, 0);
  return out[0]! / DEG;
}

test('the heading is known after a quarter of a second and right after some strides, across half a turn too', () => {
  for (const offset of [70, 179, -179]) {
    const own = sums();
    expect(headingOf(own)).toBeNaN();
    for (let i = 0; i < 1000; i++) addHeading(own, linesAt(i, offset));
    const error = headingOf(own) - offset;
    expect(Math.abs(error - 360 * Math.round(error / 360))).toBeLessThan(0.5);
  }
});

test('it follows a slow drift with a lag of twenty seconds of it', () => {
  const own = sums();
  const driftDegS = 0.02;
  for (let i = 0; i < 20_000; i++) addHeading(own, linesAt(i, 30 + driftDegS * i * STEP_S));
  const error = headingOf(own) - (30 + driftDegS * 200);
  expect(error).toBeGreaterThan(-0.7);
  expect(error).toBeLessThan(0);
});

test('steep lines and missing ones say nothing', () => {
  const own = sums();
  for (let i = 0; i < 100; i++) {
    addHeading(own, { proximal: Float64Array.of(0.3, 0, 0.95), distal: Float64Array.of(0, 1, 0) });
    addHeading(own, { proximal: Float64Array.of(1, 0, 0), distal: new Float64Array(3).fill(Number.NaN) });
  }
  expect(headingOf(own)).toBeNaN();
  addHeading(own, linesAt(0, 0));
  resetHeading(own);
  expect([...own.state]).toEqual([0, 0, 0]);
});

test('of a whole recording, the drift is followed without a lag', () => {
  const count = 20_000;
  const driftDegS = 0.02;
  const lines = { proximal: new Float64Array(3 * count), distal: new Float64Array(3 * count) };
  for (let i = 0; i < count; i++) {
    const { proximal, distal } = linesAt(i, 30 + driftDegS * i * STEP_S);
    lines.proximal.set(proximal, 3 * i);
    lines.distal.set(distal, 3 * i);
  }
  const headings = smoothHeadings(lines, STEP_S);
  for (const i of [5000, 10_000, 15_000])
    expect(Math.abs(headings[i]! / DEG - (30 + driftDegS * i * STEP_S))).toBeLessThan(0.3);
  expect(smoothHeadings({ proximal: new Float64Array(3), distal: new Float64Array(3) }, STEP_S)[0]).toBeNaN();
});
