/**
 * Owns how the walk of an analysis compares with people without a complaint: its figures with their usual range, its mean
 * curves with the mean of the norm. Who the norm was measured on stands beside each.
 */

import { isSteady } from '#motion/gait/summary-state.ts';
import { metricOf } from '#motion/metric-catalogue.ts';
import { compareToNorm, gaitVariableScore, shareOutside, type Comparison } from '#motion/norms.ts';
import type { Cycle, Stride } from '#motion/results.ts';
import type { AnalysisResult } from '#app/analyse/analysis-run.ts';
import { meanCurve } from '#app/analyse/curve-plot.ts';
import { normCurveOf, normRangeOf } from '#app/analyse/norm-files.ts';
import { fixed } from '#app/analyse/stride-table.ts';

export interface FigureComparison extends Comparison {
  readonly metric: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly population: string;
}

export interface CurveComparison {
  readonly curve: string;
  readonly side: 'left' | 'right';
  /** Gait Variable Score, Baker 2009. */
  readonly scoreDeg: number;
  /** Of the stride, outside of two standard deviations. */
  readonly outsideShare: number;
  readonly population: string;
}

export interface NormComparison {
  readonly figures: readonly FigureComparison[];
  readonly curves: readonly CurveComparison[];
}

/** Cycles of steady strides: means over turns and stairs would be of nothing. */
export function steadyCycles({
  strides,
  cycles,
}: {
  readonly strides: readonly Stride[];
  readonly cycles: readonly Cycle[];
}): readonly Cycle[] {
  const steady = new Set(strides.filter(isSteady).map(({ side, startUs }) => `${side} ${startUs}`));
  return cycles.filter(({ side, startUs }) => steady.has(`${side} ${startUs}`));
}

export function compareWithNorms(
  result: Pick<AnalysisResult, 'metrics' | 'strides' | 'cycles'>,
): NormComparison {
  const figures = result.metrics.flatMap(({ metric, side, value }): FigureComparison[] => {
    const range = side === null && value !== null ? normRangeOf(metric) : null;
    if (range === null || value === null) return [];
    const { low, high, population } = range;
    return [{ metric, value, low, high, population, ...compareToNorm(value, range) }];
  });
  const cycles = steadyCycles(result);
  const names = [...new Set(cycles.flatMap(({ curves }) => Object.keys(curves)))];
  const curves = names.flatMap((curve) =>
    (['left', 'right'] as const).flatMap((side): CurveComparison[] => {
      const band = normCurveOf(curve, side);
      const own = meanCurve(
        cycles.filter((cycle) => cycle.side === side),
        curve,
      );
      if (band === null || own === null) return [];
      const mean = Float32Array.from(own.mean);
      const scoreDeg = gaitVariableScore(mean, band);
      const outsideShare = shareOutside(mean, band, 2);
      if (scoreDeg === null || outsideShare === null) return [];
      return [{ curve, side, scoreDeg, outsideShare, population: band.population }];
    }),
  );
  return { figures, curves };
}

/** For people, below the table of figures; nothing when there is nothing to compare. */
export function comparisonLines({ figures, curves }: NormComparison): string[] {
  const figureLines = figures.map(({ metric, value, low, high, place }) => {
    const { label, digits, unit } = metricOf(metric)!;
    const usual = `${fixed(low, digits)} to ${fixed(high, digits)} ${unit}`;
    return `  ${label.padEnd(24)}${fixed(value, digits).padStart(6)}  ${place.padEnd(6)}  ${usual}`;
  });
  const curveLines = curves.map(({ curve, side, scoreDeg, outsideShare }) => {
    const words = `${curve.replaceAll('-', ' ')}, ${side}`;
    return `  ${words.padEnd(28)}${scoreDeg.toFixed(1).padStart(5)}°  ${Math.round(100 * outsideShare)} % of the stride outside of 2 SD`;
  });
  return [
    ...(figures.length === 0 ? [] : ['', `Usual (mean ± 1 SD): ${figures[0]!.population}`, ...figureLines]),
    ...(curves.length === 0
      ? []
      : ['', `Mean curves, root mean square from the norm: ${curves[0]!.population}`, ...curveLines]),
  ];
}
