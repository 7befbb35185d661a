import { expect, test } from 'vitest';

import { createFrameMeter } from '#web/live/frame-meter.ts';

test('a steady display has its rate, and one slow frame is seen', () => {
  const meter = createFrameMeter();
  for (let i = 1; i <= 120; i++) meter.add(i * 20, i === 100 ? 9 : 2);
  expect(meter.summarise(2400)).toEqual({ fps: 50, longestFrameMs: 20, longestDrawMs: 9 });
  expect(meter.summarise(2700)).toMatchObject({ fps: 35, longestFrameMs: 300 });
});

test('a display that stopped has no frames', () => {
  const meter = createFrameMeter();
  meter.add(0, 1);
  expect(meter.summarise(5000)).toEqual({ fps: 0, longestFrameMs: 0, longestDrawMs: 0 });
});

test('more frames than are kept are not counted twice', () => {
  const meter = createFrameMeter();
  for (let i = 0; i < 2000; i++) meter.add(i, 0);
  expect(meter.summarise(2000).fps).toBe(256);
});
