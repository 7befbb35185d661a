/**
 * Owns the device's view of server time: the offset of the best of its recent clock probes. Best is the smallest
 * half round trip plus what the clocks may have drifted apart since (the clock filter of RFC 5905 section 10).
 * Bound: the last CLOCK_SAMPLES answers.
 */

import { limits } from '#protocol/limits.ts';

/** As many stages as NTP's clock filter has. */
const CLOCK_SAMPLES = 8;
/** RFC 5905's frequency tolerance PHI: 15 us of possible drift per second. */
const DRIFT_PER_US = 15e-6;
/** The wall clock was set when it moved this much against the monotonic one: older answers mean nothing then. */
const STEP_US = 10_000;

export interface ClockEstimate {
  /** Device time at which this was measured. */
  readonly deviceUs: number;
  /** Server time minus device time. */
  readonly offsetUs: number;
  readonly roundTripUs: number;
}

export interface ProbeTimes {
  /** Device: sent, received. Server: received, sent. Microseconds. */
  readonly t0Us: number;
  readonly t1Us: number;
  readonly t2Us: number;
  readonly t3Us: number;
}

export interface ClockFilter {
  /** Takes an answer in; false when it contradicts itself and was ignored. */
  add(times: ProbeTimes): boolean;
  /** The best recent estimate at device time `nowUs`; null before the first answer. */
  best(nowUs: number): ClockEstimate | null;
  /** Compares the device's clocks. True when the wall clock was set since the last call: everything was forgotten. */
  hasStepped(nowUs: number, monotonicMs: number): boolean;
}

export function createClockFilter(): ClockFilter {
  let samples: ClockEstimate[] = [];
  let differenceUs: number | null = null;
  return {
    add({ t0Us, t1Us, t2Us, t3Us }) {
      const roundTripUs = t3Us - t0Us - (t2Us - t1Us);
      if (t3Us < t0Us || t2Us < t1Us || roundTripUs < 0) return false;
      const offsetUs = Math.round((t1Us - t0Us + (t2Us - t3Us)) / 2);
      // Neither could be reported.
      if (Math.abs(offsetUs) >= limits.timeUsExclusive || roundTripUs >= limits.timeUsExclusive) return false;
      samples = [...samples.slice(1 - CLOCK_SAMPLES), { deviceUs: t3Us, offsetUs, roundTripUs }];
      return true;
    },
    best(nowUs) {
      const cost = (s: ClockEstimate): number => s.roundTripUs / 2 + (nowUs - s.deviceUs) * DRIFT_PER_US;
      let best: ClockEstimate | null = null;
      for (const sample of samples) if (best === null || cost(sample) <= cost(best)) best = sample;
      return best;
    },
    hasStepped(nowUs, monotonicMs) {
      const now = nowUs - monotonicMs * 1000;
      const before = differenceUs;
      differenceUs = now;
      if (before === null || Math.abs(now - before) < STEP_US) return false;
      samples = [];
      return true;
    },
  };
}
