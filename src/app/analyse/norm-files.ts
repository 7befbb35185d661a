/** Owns the norms beside an analysis: data/norms of the package, read when first asked for. Data under CC BY-SA 4.0, apart from the code. */

import { readFileSync } from 'node:fs';

import type { Side } from '#motion/body-model.ts';
import { normBand, readJointNorms, type JointNorms, type NormBand } from '#motion/norms.ts';

const file = new URL('../../../data/norms/joint-angles.json', import.meta.url);
let known: JointNorms | undefined;

/** Mean and one standard deviation of healthy adults; null for an angle without a norm. */
export function normCurveOf(curve: string, side: Side): NormBand | null {
  known ??= readJointNorms(JSON.parse(readFileSync(file, 'utf8')) as unknown);
  return normBand(known, { name: curve, side });
}
