import { expect, test } from 'vitest';

import type { Cycle } from '#motion/results.ts';
import { curvePlot } from '#app/analyse/curve-plot.ts';
import { plotScale, roundTicks, svgText } from '#app/analyse/svg.ts';

test('ticks are round, and few whatever the range', () => {
  expect(roundTicks(-3, 61, 6)).toEqual([0, 20, 40, 60]);
  for (const [low, high] of [
    [9.81, 9.81],
    [1e30, 1e30],
    [-3e38, 3e38],
    [1e9, 1e9 + 1e-7],
  ] as const) {
    const ticks = roundTicks(low, high, 4);
    expect(ticks.length).toBeLessThan(12);
    const scale = plotScale(
      { left: 0, top: 0, width: 100, height: 100 },
      { x: [0, 1], y: [ticks[0]!, ticks.at(-1)!] },
    );
    expect(scale.y(low)).toBeGreaterThanOrEqual(0);
  }
});

test('curves of an hour of walking are one plot', () => {
  const curves = { 'knee-flexion': new Float32Array(101).fill(30) };
  const cycles = Array.from({ length: 4_000 }, (_, i): Cycle => ({
    side: 'left',
    startUs: i,
    endUs: i + 1,
    curves,
  }));
  expect(curvePlot(cycles, { curve: 'knee-flexion', title: 'Knee', norm: null })).toContain('mean of 4000');
});

test('names cannot leave the text that they are in', () => {
  const text = svgText('</text><script>"&\u0000\u001b\ud800', { x: 0, y: 0 });
  expect(text.match(/</g)).toHaveLength(2);
  expect(text).not.toContain('script>');
  // XML has no such characters, escaped or not.
  expect(text).toContain('&quot;&amp;\ufffd\ufffd\ufffd<');
});
