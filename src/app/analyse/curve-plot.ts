/**
 * Owns the plot of one joint angle over the stride, 0 to 100 %: the mean of each side with its spread, the single strides
 * behind it, and the band of the norm with its population.
 */

import { CYCLE_POINTS, type Cycle } from '#motion/results.ts';
import {
  plotColours,
  plotScale,
  roundTicks,
  svgAxes,
  svgBand,
  svgDocument,
  svgLine,
  svgText,
} from '#app/analyse/svg.ts';

export interface NormCurve {
  readonly population: string;
  readonly low: ArrayLike<number>;
  readonly high: ArrayLike<number>;
}

/** Single strides are drawn faintly, the newest so many. */
const SHOWN_STRIDES = 20;

export interface MeanCurve {
  readonly mean: Float64Array;
  /** Standard deviation; NaN of a single stride. */
  readonly spread: Float64Array;
  readonly count: number;
}

/** Mean and spread of the curve over the cycles that have it. Null when none does. */
export function meanCurve(cycles: readonly Cycle[], curve: string): MeanCurve | null {
  const curves = cycles.flatMap(({ curves: all }) => all[curve] ?? []);
  if (curves.length === 0) return null;
  const mean = new Float64Array(CYCLE_POINTS);
  const spread = new Float64Array(CYCLE_POINTS);
  for (let i = 0; i < CYCLE_POINTS; i++) {
    const values = curves.map((one) => one[i]!).filter(Number.isFinite);
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    mean[i] = middle;
    spread[i] = Math.sqrt(
      values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1),
    );
  }
  return { mean, spread, count: curves.length };
}

export function curvePlot(
  cycles: readonly Cycle[],
  { curve, title, norm }: { curve: string; title: string; norm: NormCurve | null },
): string {
  const sides = (['left', 'right'] as const).flatMap((side) => {
    const own = cycles.filter((cycle) => cycle.side === side);
    const mean = meanCurve(own, curve);
    return mean === null ? [] : [{ side, own, mean }];
  });
  const extremes = [
    ...sides.flatMap(({ own }) => own.flatMap(({ curves }) => [...(curves[curve] ?? [])])),
    ...(norm === null ? [] : [...Array.from(norm.low), ...Array.from(norm.high)]),
  ].filter(Number.isFinite);
  // Of hours of walking there are more than a call takes as arguments.
  const least = extremes.reduce((a, b) => Math.min(a, b), 0);
  const largest = extremes.reduce((a, b) => Math.max(a, b), 0);
  const yTicks = roundTicks(least - 2, largest + 2, 6);
  const area = { left: 52, top: 64, width: 520, height: 260 };
  const range = [Math.min(yTicks[0]!, least), Math.max(yTicks.at(-1)!, largest)] as const;
  const scale = plotScale(area, { x: [0, 100], y: range });
  const over = (values: ArrayLike<number>): [number, number][] =>
    Array.from({ length: CYCLE_POINTS }, (_, i) => [scale.x(i), scale.y(values[i]!)]);
  const legend = [
    ...sides.map(({ side, mean }) => ({
      colour: plotColours[side] as string,
      text: `${side}, mean of ${mean.count}`,
    })),
    ...(norm === null ? [] : [{ colour: plotColours.band as string, text: norm.population }]),
  ];
  let legendX = area.left;
  const body = [
    svgText(title, { x: area.left, y: 22, size: 15, weight: 600 }),
    ...legend.flatMap(({ colour, text }) => {
      const x = legendX;
      legendX += 26 + text.length * 6.4;
      return [
        `<rect x="${x}" y="34" width="14" height="4" fill="${colour}"/>`,
        svgText(text, { x: x + 18, y: 40, size: 11 }),
      ];
    }),
    ...(norm === null ? [] : [svgBand(over(norm.low), over(norm.high), plotColours.band)]),
    ...svgAxes(area, scale, {
      xTicks: [0, 20, 40, 60, 80, 100],
      yTicks,
      xLabel: 'stride, % from initial contact',
      yLabel: 'degrees',
    }),
    ...sides.flatMap(({ side, own }) =>
      own
        .slice(-SHOWN_STRIDES)
        .flatMap(({ curves }) => curves[curve] ?? [])
        .map((one) => svgLine(over(one), { stroke: plotColours[side], width: 0.6, opacity: 0.35 })),
    ),
    ...sides.map(({ side, mean }) =>
      svgLine(over(mean.mean), {
        stroke: plotColours[side],
        width: 2.5,
        // Left and right are told apart without colour too.
        dash: side === 'right' ? '7 3' : '',
      }),
    ),
  ];
  const described = sides.map(({ side, mean }) => {
    const values = [...mean.mean];
    return `${side}: ${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)} degrees, mean of ${mean.count} strides`;
  });
  return svgDocument({ width: 600, height: 370, title, description: `${described.join('; ')}.` }, body);
}
