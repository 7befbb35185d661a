/** Owns the list of all streaming algorithms of motion: what the conformance suite runs over and what can be named. */

import type { AlgorithmDefinition } from '#motion/algorithm.ts';

export const algorithms: readonly AlgorithmDefinition[] = [];
