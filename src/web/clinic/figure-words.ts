/** Owns how a stored figure reads: its digits and unit from the catalogue, its known error where one was measured. */

import type { Figure } from '#contract/clinic.ts';
import { metricOf } from '#motion/metric-catalogue.ts';
import { DASH } from '#web/format.ts';
import { formatFixed, unitWords, withUnit } from '#web/motion/metric-rows.ts';

export interface FigureWords {
  readonly label: string;
  /** `1.31 m/s`, or a dash. */
  readonly text: string;
  /** `± 0.02`; null where it was never measured, or there is no value. */
  readonly error: string | null;
}

export function figureWords(figure: Figure): FigureWords {
  const known = metricOf(figure.metric);
  const digits = known?.digits ?? 2;
  const unit = unitWords(known?.unit ?? '');
  const label = known?.label ?? figure.metric;
  if (figure.value === null) return { label, text: DASH, error: null };
  const error = figure.error ?? null;
  return {
    label,
    text: withUnit(formatFixed(figure.value, digits), unit),
    error: error === null ? null : `±\u202f${error.toFixed(Math.max(digits, 2))}`,
  };
}
