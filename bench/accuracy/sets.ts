/** Owns the list of sets that `npm run bench -- accuracy` measures, in the order in which docs/accuracy.md shows them. */

import type { AccuracySet } from '#bench/accuracy/accuracy-set.ts';
import { neuraWalk } from '#bench/accuracy/neura-walk.ts';

export const accuracySets: readonly AccuracySet[] = [neuraWalk];
