import { expect, test } from 'vitest';

import { createCycleRecorder, curveColumns } from '#motion/session/cycle-recorder.ts';

const names = ['left-knee-flexion', 'right-knee-flexion', 'pelvis-tilt'];
const STEP_US = 10_000;

function filled(toS: number, leaveOut: (timeUs: number) => boolean = () => false) {
  const recorder = createCycleRecorder(names, { stepUs: STEP_US, keptS: 10 });
  for (let timeUs = 0; timeUs <= toS * 1e6; timeUs += STEP_US)
    if (!leaveOut(timeUs)) recorder.add(timeUs, Float32Array.of(timeUs / 1e4, -timeUs / 1e4, 7));
  return recorder;
}

test('a side has its own joints without its name, and those of the middle', () => {
  expect(curveColumns(names, 'right')).toEqual([
    ['knee-flexion', 1],
    ['pelvis-tilt', 2],
  ]);
});

test('a curve has 101 points from the beginning to the end, between rows by a straight line', () => {
  const cycle = filled(3).cycle({ side: 'right', startUs: 1_003_000, endUs: 2_003_000 })!;
  expect([...cycle.curves['knee-flexion']!]).toHaveLength(101);
  expect(cycle.curves['knee-flexion']![0]).toBeCloseTo(-100.3, 4);
  expect(cycle.curves['knee-flexion']![100]).toBeCloseTo(-200.3, 4);
  expect([...cycle.curves['pelvis-tilt']!].every((value) => value === 7)).toBe(true);
});

test('a stride that the rows do not reach over has no cycle, and a hole in them is a hole in the curve', () => {
  expect(filled(2).cycle({ side: 'left', startUs: 1_500_000, endUs: 2_000_001 })).toBeNull();
  expect(filled(30).cycle({ side: 'left', startUs: 1_000_000, endUs: 2_000_000 })).toBeNull();
  const holed = filled(3, (timeUs) => timeUs > 1_400_000 && timeUs < 1_600_000);
  const curve = holed.cycle({ side: 'left', startUs: 1_000_000, endUs: 2_000_000 })!.curves['knee-flexion']!;
  expect(curve[50]).toBeNaN();
  expect(curve[40]).toBeCloseTo(140, 4);
  expect(curve[60]).toBeCloseTo(160, 4);
});

test('a checkpoint holds what curves are made of', () => {
  const recorder = filled(25);
  const copy = createCycleRecorder(names, { stepUs: STEP_US, keptS: 10 });
  copy.load(recorder.save());
  const stride = { side: 'left', startUs: 23_100_000, endUs: 24_300_000 } as const;
  expect(copy.cycle(stride)).toEqual(recorder.cycle(stride));
});
