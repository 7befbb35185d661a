import { expect, test } from 'vitest';

import type { LiveAngles } from '#contract/motion.ts';
import { createAngleTrace, inspectAngles } from '#web/motion/angle-trace.ts';

const START_US = 1_800_000_000_000_000;
const STEP_US = 10_000;
const block = (
  first: number,
  rows: (number | null)[][],
  columns = ['left-foot-pitch', 'right-foot-pitch'],
): LiveAngles => ({
  columns,
  firstUs: START_US + first * STEP_US,
  stepUs: STEP_US,
  rows,
  computeMs: 1.5,
});

test('rows keep their values and times, and what is not known is a hole', () => {
  const trace = createAngleTrace();
  expect(trace.targetMs(0)).toBe(null);
  expect(
    trace.take(
      block(0, [
        [1, 2],
        [3, null],
      ]),
      100,
    ),
  ).toBe(START_US / 1000);
  const { ring } = trace;
  const at = ring!.lowerBound(START_US / 1000);
  expect(ring!.timeOf(at + 1)).toBe((START_US + STEP_US) / 1000);
  expect([ring!.values[0]![ring!.slotOf(at)], ring!.values[1]![ring!.slotOf(at)]]).toEqual([1, 2]);
  expect(ring!.values[1]![ring!.slotOf(at + 1)]).toBeNaN();
  expect(trace.latest).toEqual([3, null]);
  expect(trace.latestUs).toBe(START_US + STEP_US);
});

test('rows that were left out leave a hole, and late ones do not become the newest', () => {
  const trace = createAngleTrace();
  trace.take(block(0, [[1, 1]]), 0);
  trace.take(block(5, [[5, 5]]), 50);
  const { ring } = trace;
  expect([0, 1, 4, 5].map((i) => ring!.has(ring!.start + i))).toEqual([true, false, false, true]);
  trace.take(block(2, [[2, 2]]), 60);
  expect(ring!.has(ring!.start + 2)).toBe(true);
  expect(trace.latest).toEqual([5, 5]);
});

test('what is drawn can be read, holes left out', () => {
  const trace = createAngleTrace();
  expect(inspectAngles(trace)).toEqual({ columns: [], rows: [] });
  trace.take(block(0, [[1, null]]), 0);
  trace.take(block(3, [[4, 5]]), 10);
  expect(inspectAngles(trace)).toEqual({
    columns: ['left-foot-pitch', 'right-foot-pitch'],
    rows: [
      { timeUs: START_US, values: [1, null] },
      { timeUs: START_US + 3 * STEP_US, values: [4, 5] },
    ],
  });
});

test('other columns, or a time long before, begin anew', () => {
  const trace = createAngleTrace();
  trace.take(block(0, [[1, 1]]), 0);
  const { generation } = trace;
  trace.take(block(1, [[7]], ['pelvis-tilt']), 10);
  expect(trace.generation).toBe(generation + 1);
  expect(trace.columns).toEqual(['pelvis-tilt']);
  trace.take(block(-20_000, [[9]], ['pelvis-tilt']), 20);
  expect(trace.generation).toBe(generation + 2);
  expect(trace.latest).toEqual([9]);
});

test('the head runs evenly behind the newest rows, by at least a batch', () => {
  const trace = createAngleTrace();
  // Ten rows every 100 ms, the odd ones 20 ms late.
  for (let i = 0; i < 100; i++) {
    const rows = Array.from({ length: 10 }, () => [0, 0]);
    trace.take(block(i * 10, rows), 1_000 + i * 100 + (i % 2) * 20);
  }
  const nowMs = 1_000 + 99 * 100 + 20;
  const behindMs = trace.latestUs! / 1000 - trace.targetMs(nowMs)!;
  expect(behindMs).toBeGreaterThan(80);
  expect(behindMs).toBeLessThan(130);
  expect(trace.targetMs(nowMs + 16)! - trace.targetMs(nowMs)!).toBeCloseTo(16);
});
