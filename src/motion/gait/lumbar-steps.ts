/**
 * Owns how steps are found in the vertical acceleration of the lower back. The length of a step is known from the
 * autocorrelation; the trough of the body's path (middle of double support) is the peak of the acceleration in a band
 * around that frequency; the initial contact is the steepest rise of the acceleration where half a double support
 * before the trough has it. No state of its own but in the array that it is given.
 */

import { gaussianBand, gaussianSlope, ringAnswer, type Kernel } from '#motion/gait/lumbar-kernels.ts';
import { GRID_HZ } from '#motion/gait/lumbar-grid.ts';

/** Steps of adults from 43 to 200 a minute: slowest and fastest walking in Perry and Burnfield 2010, and some more. */
export const SHORTEST_STEP_S = 0.3;
export const LONGEST_STEP_S = 1.4;
/** 109 steps a minute, an adult's own pace (Perry and Burnfield 2010: 113; Hollman 2011, over 70 years: 105). */
const USUAL_STEP_S = 0.55;
/**
 * Of the logarithm of the step's length against the usual one: it decides between a step, its half and a stride. Of 0.9, 0.6, 0.5 and 0.4
 * the one with which synthetic walkers with and without a limp (asymmetry to 0.2), from 60 to 150 steps a minute, lose least.
 */
const STEP_SPREAD = 0.5;
/** Autocorrelation that walking has at a step's distance: regularity of healthy and impaired walking is above (Moe-Nilssen 2004). */
const LEAST_CORRELATION = 0.2;

/** Window of the autocorrelation: 4 s before to 1 s after; every fourth value of 100 a second, every 0.2 s. */
const WINDOW = 100;
const THINNED = 4;
export const PERIOD_EVERY = 20;
const MOST_LAGS = Math.ceil((LONGEST_STEP_S * GRID_HZ) / THINNED) + 2;

/** The bank of band-passes: neighbours differ by 6 %, which changes a gain near the top of the band by less than 1 %. */
const BANK_RATIO = 1.06;
const BANK = Math.ceil(Math.log(LONGEST_STEP_S / SHORTEST_STEP_S) / Math.log(BANK_RATIO)) + 1;

/**
 * The band lies a little above the usual step, because steps of a turn or a pause are shorter than those around them and must
 * not melt into one. On synthetic walkers from 60 to 150 steps a minute it loses half as many contacts as 1 does.
 */
const BAND_OF_STEP = 0.8;

/** How far the slowest band-pass looks ahead, in values of the grid. */
export const LOOK_AHEAD = 115;

/**
 * Of one step: where the initial contact is expected before the trough, half of a double support of 10 to 20 % of the
 * stride (Perry and Burnfield 2010; slow and impaired walking: Smith and Lemaire 2018), and how freely it lies there.
 */
const CONTACT_BEFORE_TROUGH = 0.15;
const CONTACT_SPREAD = 0.12;
const EARLIEST_BEFORE_TROUGH = 0.4;
const LATEST_BEFORE_TROUGH = -0.05;

/**
 * The final contact is where the acceleration falls steepest (McCamley 2012), seen at the scale of the step: the Gaussian of the band
 * that finds the trough. A quarter of a step after the trough where nothing falls, and no later than half a step.
 */
const FALL_SIGMA_OF_STEP = Math.SQRT2 / (2 * Math.PI);
const FINAL_AFTER_TROUGH = 0.25;
const FINAL_LATEST_AFTER_TROUGH = 0.5;

/** Gaussian of the slope: an impact rises within about 30 ms; half of that smoothes noise and leaves its place. */
const SLOPE_SIGMA_S = 0.02;

export interface StepFinder {
  /** Step length in time, s, around place `at` of the ring; `before` where nothing periodic is found. */
  periodAt(ring: Float64Array, at: number, before: number): number;
  /** Acceleration of the step's frequency at `at`, m/s2. */
  bandAt(ring: Float64Array, at: number, periodS: number): number;
  /** Place (with a fraction) of the initial contact that belongs to the trough at `trough`. */
  contactBefore(ring: Float64Array, trough: number, periodS: number): number;
  /** Place of the final contact of the foot behind, after the trough. */
  finalAfter(ring: Float64Array, trough: number, periodS: number): number;
}

export function createStepFinder(): StepFinder {
  const bank: Kernel[] = Array.from({ length: BANK }, (_, i) =>
    gaussianBand(BAND_OF_STEP * SHORTEST_STEP_S * BANK_RATIO ** i * GRID_HZ),
  );
  const falls: Kernel[] = Array.from({ length: BANK }, (_, i) =>
    gaussianSlope(FALL_SIGMA_OF_STEP * SHORTEST_STEP_S * BANK_RATIO ** i * GRID_HZ),
  );
  const slope = gaussianSlope(SLOPE_SIGMA_S * GRID_HZ);
  const window = new Float64Array(WINDOW + 25);
  const correlation = new Float64Array(MOST_LAGS + 1);
  return {
    periodAt(ring, at, before) {
      const first = at - WINDOW * THINNED;
      thin(ring, first, window);
      correlate(window, correlation);
      return bestPeriod(correlation, before);
    },
    bandAt(ring, at, periodS) {
      return ringAnswer(bank[placeInBank(periodS)]!, ring, at);
    },
    finalAfter(ring, trough, periodS) {
      const kernel = falls[placeInBank(periodS)]!;
      const step = periodS * GRID_HZ;
      let steepest = 0;
      let place = trough + FINAL_AFTER_TROUGH * step;
      for (let i = trough; i <= trough + FINAL_LATEST_AFTER_TROUGH * step; i++) {
        const fall = -ringAnswer(kernel, ring, i);
        if (fall > steepest) {
          steepest = fall;
          place = i;
        }
      }
      return place;
    },
    contactBefore(ring, trough, periodS) {
      const step = periodS * GRID_HZ;
      const expected = trough - CONTACT_BEFORE_TROUGH * step;
      const from = Math.ceil(trough - EARLIEST_BEFORE_TROUGH * step);
      const to = Math.floor(trough - LATEST_BEFORE_TROUGH * step);
      let best = 0;
      let place = expected;
      let before = ringAnswer(slope, ring, from - 1);
      let here = ringAnswer(slope, ring, from);
      for (let i = from; i <= to; i++) {
        const after = ringAnswer(slope, ring, i + 1);
        if (here > 0 && here > before && here >= after) {
          const away = (i - expected) / (CONTACT_SPREAD * step);
          const score = here * Math.exp(-0.5 * away * away);
          if (score > best) {
            best = score;
            place = i + vertexOf(before, here, after);
          }
        }
        before = here;
        here = after;
      }
      return place;
    },
  };
}

function placeInBank(periodS: number): number {
  const place = Math.round(Math.log(periodS / SHORTEST_STEP_S) / Math.log(BANK_RATIO));
  return Math.min(BANK - 1, Math.max(0, place));
}

/** Means of four, so that nothing above 12 Hz folds down. */
function thin(ring: Float64Array, first: number, into: Float64Array): void {
  const mask = ring.length - 1;
  let mean = 0;
  for (let i = 0; i < into.length; i++) {
    let sum = 0;
    for (let k = 0; k < THINNED; k++) sum += ring[(first + i * THINNED + k) & mask]!;
    into[i] = sum / THINNED;
    mean += sum / THINNED;
  }
  mean /= into.length;
  for (let i = 0; i < into.length; i++) into[i] = into[i]! - mean;
}

/** Autocorrelation by lag, without the bias of the shorter overlap; 1 at lag 0. */
function correlate(values: Float64Array, into: Float64Array): void {
  const { length } = values;
  for (let lag = 0; lag < into.length; lag++) {
    let sum = 0;
    for (let i = lag; i < length; i++) sum += values[i]! * values[i - lag]!;
    into[lag] = sum / (length - lag);
  }
  const power = into[0]!;
  for (let lag = 0; lag < into.length; lag++) into[lag] = power > 1e-12 ? into[lag]! / power : 0;
}

function bestPeriod(correlation: Float64Array, before: number): number {
  const lagS = THINNED / GRID_HZ;
  let best = 0;
  let period = before;
  for (let lag = Math.floor(SHORTEST_STEP_S / lagS); lag * lagS <= LONGEST_STEP_S; lag++) {
    const here = correlation[lag]!;
    const earlier = correlation[lag - 1]!;
    const later = correlation[lag + 1]!;
    if (here < LEAST_CORRELATION || here <= earlier || here < later) continue;
    const found = (lag + vertexOf(earlier, here, later)) * lagS;
    const away = Math.log(found / USUAL_STEP_S) / STEP_SPREAD;
    const score = here * Math.exp(-0.5 * away * away);
    if (score > best) {
      best = score;
      period = found;
    }
  }
  return Math.min(LONGEST_STEP_S, Math.max(SHORTEST_STEP_S, period));
}

/** Where between its neighbours the vertex of the parabola through three values is, -0.5 to 0.5. */
export function vertexOf(before: number, here: number, after: number): number {
  const bend = before - 2 * here + after;
  return bend === 0 ? 0 : Math.min(0.5, Math.max(-0.5, (0.5 * (before - after)) / bend));
}

export const USUAL_PERIOD_S = USUAL_STEP_S;
