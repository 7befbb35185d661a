import { expect, test } from 'vitest';

import { layoutPlots, yOf } from '#web/live/trace-layout.ts';

test('panels share the height, below each other, in whole device pixels', () => {
  const plots = layoutPlots({ width: 1301, height: 503, scale: 1.5 }, 2);
  expect(plots).toHaveLength(2);
  for (const plot of plots) for (const n of Object.values(plot)) expect(Number.isInteger(n)).toBe(true);
  expect(plots[1]!.y).toBeGreaterThanOrEqual(plots[0]!.y + plots[0]!.height);
  expect(plots[1]!.y + plots[1]!.height).toBeLessThanOrEqual(503);
});

test('a canvas without room still has a plot', () => {
  expect(layoutPlots({ width: 3, height: 3, scale: 2 }, 1)[0]).toMatchObject({ width: 1, height: 1 });
});

test('high values lie above low ones, and the ends lie inside the plot', () => {
  const plot = { x: 0, y: 100, width: 10, height: 50 };
  const range = { low: -20, high: 20 };
  expect(yOf(plot, range, 20)).toBe(101);
  expect(yOf(plot, range, 0)).toBe(125);
  expect(yOf(plot, range, -20)).toBe(149);
});
