/** Owns the list of all streaming algorithms of motion: what the conformance suite runs over and what can be named. */

import type { AlgorithmDefinition } from '#motion/algorithm.ts';
import { footActivity } from '#motion/gait/foot-activity.ts';
import { footGait } from '#motion/gait/foot-gait.ts';
import { lumbarGait } from '#motion/gait/lumbar-gait.ts';
import { madgwick } from '#motion/orientation/madgwick.ts';
import { mahony } from '#motion/orientation/mahony.ts';
import { vqf, vqf9, vqf9Basic, vqfBasic } from '#motion/orientation/vqf.ts';

export const algorithms: readonly AlgorithmDefinition[] = [
  vqf,
  vqf9,
  vqfBasic,
  vqf9Basic,
  madgwick,
  mahony,
  footGait,
  lumbarGait,
  footActivity,
];
