/** Owns the norms beside an analysis: data/norms of the package, read when first asked for. Data under CC BY-SA 4.0, apart from the code. */

import { readFileSync } from 'node:fs';

import type { Side } from '#motion/body-model.ts';
import {
  normBand,
  normOf,
  readFigureNorms,
  readJointNorms,
  type FigureNorms,
  type JointNorms,
  type NormBand,
  type NormRange,
} from '#motion/norms.ts';

const folder = new URL('../../../data/norms/', import.meta.url);
let joints: JointNorms | undefined;
let figures: FigureNorms | undefined;

export function packagedNorms(): { readonly joints: JointNorms; readonly figures: FigureNorms } {
  joints ??= readJointNorms(read('joint-angles.json'));
  figures ??= readFigureNorms(read('spatio-temporal.json'));
  return { joints, figures };
}

/** Mean and one standard deviation of healthy adults; null for an angle without a norm. */
export function normCurveOf(curve: string, side: Side): NormBand | null {
  return normBand(packagedNorms().joints, { name: curve, side });
}

/** Usual range of healthy adults of unknown age and sex; null for a metric without one. */
export function normRangeOf(metric: string): NormRange | null {
  return normOf(packagedNorms().figures, metric);
}

function read(file: string): unknown {
  return JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
}
