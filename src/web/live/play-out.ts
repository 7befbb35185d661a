/**
 * Owns how far the sweep runs behind the present: as little as lets 99 of 100 frames arrive before their turn, so
 * that traces grow at constant speed although readings arrive in batches. One delay for all streams: left and right
 * stay aligned. What comes later than that is drawn where it belongs, behind the head.
 */

import { quantile } from '#web/live/latency-window.ts';

export interface PlayOut {
  /** Milliseconds behind the server's present. */
  readonly delayMs: number;
  /** How old a frame's oldest reading was when the frame was received. */
  add(ageMs: number, nowMs: number): void;
  /** Follows what was added within the last WINDOW_MS. */
  update(nowMs: number): void;
}

/** A disturbance is forgotten after this. */
const WINDOW_MS = 8_000;
/** 8 s of 20 frames a second of 25 streams; past it the oldest go, and the window is shorter. */
const MAX_AGES = 4_096;
const QUANTILE = 0.99;
/** For what the clocks of sensor, server and browser disagree on. */
const MARGIN_MS = 3;
/** A sensor with slower batches than this is drawn as they come and does not hold back the others. */
export const MAX_DELAY_MS = 400;
/** A falling need is followed in small steps, so that one quiet second does not make the next one stutter. */
const FALL_MS = 8;
const START_DELAY_MS = 100;

export function createPlayOut(): PlayOut {
  const ages = new Float64Array(MAX_AGES);
  const seenMs = new Float64Array(MAX_AGES);
  const scratch = new Float64Array(MAX_AGES);
  let added = 0;
  let delayMs = START_DELAY_MS;
  return {
    get delayMs() {
      return delayMs;
    },
    add(ageMs, nowMs) {
      if (!(ageMs >= 0 && ageMs <= MAX_DELAY_MS)) return;
      ages[added % MAX_AGES] = ageMs;
      seenMs[added % MAX_AGES] = nowMs;
      added++;
    },
    update(nowMs) {
      let size = 0;
      for (let i = added - 1; i >= Math.max(0, added - MAX_AGES); i--) {
        if (seenMs[i % MAX_AGES]! < nowMs - WINDOW_MS) break;
        scratch[size++] = ages[i % MAX_AGES]!;
      }
      if (size === 0) return;
      const needed = quantile(scratch.subarray(0, size).sort(), QUANTILE) + MARGIN_MS;
      delayMs = Math.max(needed, delayMs - FALL_MS);
    },
  };
}
