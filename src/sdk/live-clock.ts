/**
 * Owns the estimate of the server's clock from probes: of the newest MAX_PROBES the one with the smallest round trip
 * wins, since queues can only add delay (D. L. Mills, RFC 5905 section 10). Its error is at most half its round trip.
 */

export interface ClockEstimate {
  /** Add to local time to get server time, microseconds. */
  readonly offsetUs: number;
  /** Of the winning probe, without the server's own time, microseconds. */
  readonly roundTripUs: number;
}

/** The four times of a probe: local sending, server arrival, server answer, local arrival; microseconds. */
export interface ProbeTimes {
  readonly t0Us: number;
  readonly t1Us: number;
  readonly t2Us: number;
  readonly t3Us: number;
}

export interface LiveClock {
  /** Null until the first probe returned. */
  readonly estimate: ClockEstimate | null;
  add(times: ProbeTimes): void;
}

/** At a probe every two seconds: 16 s, in which a bad quartz (50 ppm) drifts by less than 1 ms. The oldest goes. */
export const MAX_PROBES = 8;

export function createLiveClock(): LiveClock {
  const probes: ClockEstimate[] = [];
  let best: ClockEstimate | null = null;
  return {
    get estimate() {
      return best;
    },
    add({ t0Us, t1Us, t2Us, t3Us }) {
      const roundTripUs = t3Us - t0Us - (t2Us - t1Us);
      // A negative round trip means that a clock was set between the stamps: the probe says nothing.
      if (roundTripUs < 0 || t3Us < t0Us || t2Us < t1Us) return;
      probes.push({ offsetUs: Math.round((t1Us - t0Us + (t2Us - t3Us)) / 2), roundTripUs });
      if (probes.length > MAX_PROBES) probes.shift();
      best = probes.reduce((a, b) => (b.roundTripUs <= a.roundTripUs ? b : a));
    },
  };
}
