/** Owns how stored figures become what a plot of progress draws: one column a session, oldest first, gaps as nulls. */

import type { Figure, ProgressPage } from '#contract/clinic.ts';

export type ProgressSession = ProgressPage['sessions'][number];

export const progressSides = ['left', 'right', 'both'] as const;
export type ProgressSide = (typeof progressSides)[number];

export interface ProgressPoint {
  readonly session: string;
  readonly startedAt: string;
  readonly figures: Readonly<Record<ProgressSide, Figure | null>>;
}

export interface ProgressSeries {
  readonly side: ProgressSide;
  readonly values: readonly (number | null)[];
  /** Half the height of a whisker: the known error; null where none is known. */
  readonly errors: readonly (number | null)[];
}

/** Oldest first, as time runs; sessions without the figure stay in, so that a gap is seen. */
export function progressPoints(sessions: readonly ProgressSession[], metric: string): ProgressPoint[] {
  return sessions
    .map(({ session, startedAt, figures }) => {
      const own = figures.filter((figure) => figure.metric === metric);
      const of = (side: Figure['side']): Figure | null => own.find((figure) => figure.side === side) ?? null;
      return { session, startedAt, figures: { left: of('left'), right: of('right'), both: of(null) } };
    })
    .toSorted((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt));
}

/** Only the sides that some session has. */
export function progressSeries(points: readonly ProgressPoint[]): ProgressSeries[] {
  return progressSides
    .map((side) => ({
      side,
      values: points.map(({ figures }) => figures[side]?.value ?? null),
      errors: points.map(({ figures }) => figures[side]?.error ?? null),
    }))
    .filter(({ values }) => values.some((value) => value !== null));
}

/** What has to be seen of the scale: all values with their whiskers, and a tenth of it around. Null without values. */
export function progressRange(series: readonly ProgressSeries[]): [number, number] | null {
  const ends = series.flatMap(({ values, errors }) =>
    values.flatMap((value, i) => {
      const error = errors[i] ?? 0;
      return value === null ? [] : [value - error, value + error];
    }),
  );
  if (ends.length === 0) return null;
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const margin = (most - least) * 0.1 || Math.abs(most) * 0.1 || 1;
  return [least - margin, most + margin];
}
