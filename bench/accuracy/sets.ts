/** Owns the list of sets that `npm run bench -- accuracy` measures, in the order in which docs/accuracy.md shows them. */

import type { AccuracySet } from '#bench/accuracy/accuracy-set.ts';
import { broad } from '#bench/accuracy/broad.ts';
import { gaitmapSet } from '#bench/accuracy/gaitmap.ts';
import { ipolGait } from '#bench/accuracy/ipol-gait.ts';
import { mobgapSet } from '#bench/accuracy/mobgap.ts';
import { neuraWalk } from '#bench/accuracy/neura-walk.ts';
import { ur10Robot } from '#bench/accuracy/ur10-robot.ts';
import { vqfGolden } from '#bench/accuracy/vqf-golden.ts';

export const accuracySets: readonly AccuracySet[] = [
  vqfGolden,
  broad,
  neuraWalk,
  ur10Robot,
  gaitmapSet,
  mobgapSet,
  ipolGait,
];
