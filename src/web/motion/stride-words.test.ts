import { expect, test } from 'vitest';

import type { Stride } from '#web/motion/gait-feed.ts';
import { strideFigure, strideRemark } from '#web/motion/stride-words.ts';

const stride: Stride = {
  side: 'left',
  startUs: 0,
  endUs: 1_080_000,
  finalContactUs: null,
  strideTimeS: 1.08,
  stanceTimeS: null,
  swingTimeS: null,
  doubleSupportPercent: 24.4,
  strideLengthM: 1.3149,
  speedMS: 1.2,
  cadenceStepsPerMin: 111.1,
  clearanceM: 0.124,
  turnDeg: -4,
  heightChangeM: -0.171,
  terrain: 'level',
  bout: 0,
};

test('figures have units and the digits they are worth; what is not known is a dash', () => {
  expect(strideFigure(stride, 'strideLengthM')).toBe('1.31\u202fm');
  expect(strideFigure(stride, 'cadenceStepsPerMin')).toBe('111\u202fsteps/min');
  expect(strideFigure(stride, 'clearanceM')).toBe('12\u202fcm');
  expect(strideFigure(stride, 'heightChangeM')).toBe('\u221217\u202fcm');
  expect(strideFigure(stride, 'stanceTimeS')).toBe('–');
});

test('turns and stairs are marked, plain strides are not', () => {
  expect(strideRemark(stride, null)).toBe(null);
  expect(strideRemark({ ...stride, turnDeg: -95 }, null)).toBe('turn 95° right');
  expect(strideRemark(stride, { startUs: 0, endUs: 1, angleDeg: 178.3 })).toBe('turn 178° left');
  expect(strideRemark({ ...stride, terrain: 'up', turnDeg: null }, null)).toBe('up');
});
