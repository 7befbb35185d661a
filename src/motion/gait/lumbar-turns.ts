/**
 * Owns turns from the rate of turning about the vertical, as El-Gohary 2014 (doi:10.3390/s140100356) finds them: smoothed below
 * 0.5 Hz, a turn goes on while the rate is over 5 deg/s to one side, and counts when it reached 15 deg/s, 45 deg in all and
 * 0.5 to 10 s. Its angle is the integral of the rate that was not smoothed (Pham 2017, doi:10.3389/fneur.2017.00135).
 */

import { GRID_HZ, type LumbarGrid } from '#motion/gait/lumbar-grid.ts';
import { gaussian, ringAnswer } from '#motion/gait/lumbar-kernels.ts';
import { beginRow, lumbarColumns, lumbarKinds, type RowWriter } from '#motion/gait/lumbar-rows.ts';

const PEAK_RAD_S = (15 * Math.PI) / 180;
const GOING_RAD_S = (5 * Math.PI) / 180;
const LEAST_DEG = 45;
const SHORTEST_S = 0.5;
const LONGEST_S = 10;
/** A Gaussian that passes 71 % at 0.5 Hz has this standard deviation: sqrt(ln 2) / (2 pi 0.5). */
const SIGMA_S = Math.sqrt(Math.LN2) / Math.PI;

/** The smoothed rate is looked at 25 times a second: it passes nothing above 2 Hz. */
const EVERY = 4;

const at = { direction: 0, start: 1, angle: 2, peak: 3 } as const;
export const TURN_STATE = 4;

export interface TurnFinder {
  /** The next value of the grid. `bout` is what the row says. */
  step(place: number, rows: RowWriter, bout: number): void;
}

export function createTurnFinder(grid: LumbarGrid, state: Float64Array): TurnFinder {
  const smooth = gaussian(SIGMA_S * GRID_HZ);
  return {
    step(place, rows, bout) {
      if (state[at.direction] !== 0)
        state[at.angle] = state[at.angle]! + grid.yaw[place & (grid.yaw.length - 1)]! / GRID_HZ;
      if (place % EVERY !== 0) return;
      const rate = ringAnswer(smooth, grid.yaw, place);
      const direction = rate > GOING_RAD_S ? 1 : rate < -GOING_RAD_S ? -1 : 0;
      if (direction !== state[at.direction]) {
        if (state[at.direction] !== 0) end(state, { place, rows, bout });
        state[at.direction] = direction;
        state[at.start] = place;
        state[at.angle] = 0;
        state[at.peak] = 0;
      }
      state[at.peak] = Math.max(state[at.peak]!, Math.abs(rate));
    },
  };
}

function end(state: Float64Array, now: { place: number; rows: RowWriter; bout: number }): void {
  const durationS = (now.place - state[at.start]!) / GRID_HZ;
  const degrees = (state[at.angle]! * 180) / Math.PI;
  if (state[at.peak]! < PEAK_RAD_S || Math.abs(degrees) < LEAST_DEG) return;
  if (durationS < SHORTEST_S || durationS > LONGEST_S) return;
  const row = beginRow(now.rows, lumbarKinds.turn, {
    timeS: now.place / GRID_HZ,
    side: Number.NaN,
    bout: now.bout,
  });
  now.rows.out[row + lumbarColumns.startS] = state[at.start]! / GRID_HZ;
  now.rows.out[row + lumbarColumns.turnDeg] = degrees;
}
