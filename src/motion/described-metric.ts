/** Owns a figure as it is shown: its value with the words, unit, digits, latency and known error of its metric beside it. */

import { metricOf, type KnownError } from '#motion/metric-catalogue.ts';
import type { MetricValue } from '#motion/results.ts';

/** The record `Metric` of contract/motion.ts. */
export interface DescribedMetric extends MetricValue {
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  readonly latencyS: number | null;
  readonly error: KnownError | null;
}

/** Null: the catalogue does not have it. What is not finite is not known. */
export function describeMetric(given: MetricValue): DescribedMetric | null {
  const metric = metricOf(given.metric, given.sensors);
  if (metric === null) return null;
  const { label, unit, digits, latencyS, error } = metric;
  const value = finite(given.value);
  const spread = finite(given.spread);
  return { ...given, value, spread, label, unit, digits, latencyS, error };
}

const finite = (value: number | null): number | null =>
  value !== null && Number.isFinite(value) ? value : null;
