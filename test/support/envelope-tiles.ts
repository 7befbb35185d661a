/** Owns envelopes for tests: of given values of one axis, at a steady rate, so many readings a column. */

import type { EnvelopeData } from '#contract/envelope.ts';

export interface TileShape {
  readonly periodUs: number;
  readonly perColumn: number;
  readonly fromUs?: number;
}

export function tileOf(
  values: readonly number[],
  { periodUs, perColumn, fromUs = 0 }: TileShape,
): EnvelopeData {
  const columns = Array.from({ length: Math.ceil(values.length / perColumn) }, (_, i) =>
    values.slice(i * perColumn, (i + 1) * perColumn),
  );
  const list = (of: (column: readonly number[], i: number) => number): Float64Array =>
    Float64Array.from(columns, (column, i) => of(column, i));
  const at = (i: number): number => fromUs + i * perColumn * periodUs;
  return {
    stream: 'a',
    axes: [{ name: 'x', unit: '1' }],
    fromUs,
    toUs: fromUs + values.length * periodUs,
    firstUs: fromUs,
    lastUs: fromUs + (values.length - 1) * periodUs,
    bucketUs: 0,
    rawDropped: false,
    unrolled: 0,
    gaps: [],
    startUs: list((_, i) => at(i)),
    endUs: list((column, i) => (column.length === 1 ? at(i) + 1 : at(i) + column.length * periodUs)),
    count: list((column) => column.length),
    lateUs: list(() => 0),
    min: [list((column) => Math.min(...column))],
    max: [list((column) => Math.max(...column))],
    mean: [list((column) => column.reduce((sum, value) => sum + value, 0) / column.length)],
  };
}
