/**
 * Owns how many of the computed angles are shown live: about 50 rows a second, which is what a screen and a person tell
 * apart. Rows are chosen by their place on the chain's grid of time, so that the same ones are, wherever blocks begin.
 */

import type { AngleBlock } from '#motion/session-motion.ts';

const SHOWN_STEP_US = 20_000;

/** The blocks with each n-th row only, in the same order; blocks without such a row are left out. */
export function thinAngles(blocks: readonly AngleBlock[], columns: number): readonly AngleBlock[] {
  return blocks.flatMap((block) => {
    const every = Math.max(1, Math.round(SHOWN_STEP_US / block.stepUs));
    if (every === 1) return block.count === 0 ? [] : [block];
    const place = Math.round(block.firstUs / block.stepUs) % every;
    const first = place === 0 ? 0 : (every - place) % every;
    const count = Math.ceil((block.count - first) / every);
    if (count <= 0) return [];
    const rows = new Float32Array(count * columns);
    for (let i = 0; i < count; i++) {
      const from = (first + i * every) * columns;
      rows.set(block.rows.subarray(from, from + columns), i * columns);
    }
    return [{ firstUs: block.firstUs + first * block.stepUs, stepUs: block.stepUs * every, count, rows }];
  });
}
