/**
 * Owns how figures of a summary become the rows of a table: left, right or both in one row, each with its unit, as many
 * digits as it is worth, its known error, and why there is none where there is none.
 */

import { metricOf } from '#motion/metric-catalogue.ts';
import { DASH } from '#web/format.ts';
import type { Metric } from '#web/motion/gait-feed.ts';

export interface MetricCell {
  /** `1.31`, or a dash. */
  readonly text: string;
  /** `± 0.02`; null where nothing is known of it or there is no value. */
  readonly error: string | null;
  /** What stands behind it, or why there is nothing. */
  readonly meaning: string;
  /** `n 53, SD 0.07 m/s`; empty where there is no value. */
  readonly behind: string;
  readonly hasValue: boolean;
}

export interface MetricRow {
  readonly metric: string;
  readonly label: string;
  readonly unit: string;
  /** Of the body as a whole, or of each side. */
  readonly both: MetricCell | null;
  readonly left: MetricCell | null;
  readonly right: MetricCell | null;
}

/** In the order in which the metrics first come. */
export function metricRows(metrics: readonly Metric[]): MetricRow[] {
  const rows = new Map<string, { -readonly [K in keyof MetricRow]: MetricRow[K] }>();
  for (const metric of metrics) {
    let row = rows.get(metric.metric);
    if (row === undefined) {
      const unit = unitWords(metric.unit);
      row = { metric: metric.metric, label: metric.label, unit, both: null, left: null, right: null };
      rows.set(metric.metric, row);
    }
    row[metric.side ?? 'both'] = cellOf(metric);
  }
  return [...rows.values()];
}

function cellOf(metric: Metric): MetricCell {
  const { value, digits, reason } = metric;
  if (value === null || !Number.isFinite(value))
    return {
      text: DASH,
      error: null,
      meaning: reason ?? 'Not enough to tell yet',
      behind: '',
      hasValue: false,
    };
  return {
    text: formatFixed(value, digits),
    error: metric.error === null ? null : `±\u202f${formatError(metric.error.value, digits)}`,
    meaning: meaningOf(metric),
    behind: behind(metric),
    hasValue: true,
  };
}

function behind({ metric, count, spread, digits, unit }: Metric): string {
  if (spread === null || !Number.isFinite(spread)) return `n ${count}`;
  const kind = metricOf(metric)?.spread === 'confidence' ? '95 % ±' : 'SD';
  return `n ${count}, ${kind} ${withUnit(formatFixed(spread, digits), unitWords(unit))}`;
}

function meaningOf({ metric, count, spread, digits, unit, error, latencyS }: Metric): string {
  const words = unitWords(unit);
  const parts = [`From ${count} ${count === 1 ? 'stride' : 'strides'}`];
  if (spread !== null && Number.isFinite(spread)) {
    const kind = metricOf(metric)?.spread === 'confidence' ? '95 % confidence ±' : 'standard deviation';
    parts.push(`${kind} ${withUnit(formatFixed(spread, digits), words)}`);
  }
  parts.push(
    error === null
      ? 'its error was never measured against a reference'
      : `known error ${withUnit(formatError(error.value, digits), words)} (${error.kind}, ${error.source})`,
  );
  if (latencyS !== null && latencyS > 0) parts.push(`${formatFixed(latencyS, 1)}\u202fs after the fact`);
  return `${parts.join('; ')}.`;
}

/** With a real minus sign, and no minus before zero. */
export function formatFixed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
}

/** Digits of its number, and one more where it would read as none. */
function formatError(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 && value > 0 ? value.toPrecision(1) : text;
}

export function withUnit(text: string, unit: string): string {
  if (unit === '') return text;
  return unit === '°' ? `${text}°` : `${text}\u202f${unit}`;
}

const unitNames: Readonly<Record<string, string>> = {
  '1': '',
  deg: '°',
  'deg/s': '°/s',
  percent: '%',
  // Of what, the label says.
  '% of stride': '%',
};

export function unitWords(unit: string): string {
  return unitNames[unit] ?? unit;
}
