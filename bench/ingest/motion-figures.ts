/** Owns what the server's motion pipeline did beside a run, from its own metrics over the whole life of the server. */

import { rounded } from '#bench/support/report.ts';

export interface MotionFigures {
  readonly workers: number;
  readonly readings: number;
  /** Of those that arrived live, left out since the workers were behind. */
  readonly dropped: number;
  readonly computeUsPerReading: number | null;
}

export async function readMotion(port: number, workers: number): Promise<MotionFigures> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const sum = (name: string): number => {
    let total = 0;
    for (const [, value] of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm')))
      total += Number(value);
    return total;
  };
  const readings = sum('kymo_motion_readings_total');
  const computeUs = 1e6 * sum('kymo_motion_compute_seconds_total');
  return {
    workers,
    readings,
    dropped: sum('kymo_motion_dropped_readings_total'),
    computeUsPerReading: readings === 0 ? null : rounded(computeUs / readings, 3),
  };
}

export function describeMotion({ workers, readings, dropped, computeUsPerReading }: MotionFigures): string {
  if (workers === 0) return 'motion was not recognised (--motion-workers 0)';
  return `motion: ${workers} worker, ${readings} readings, ${dropped} left out, ${computeUsPerReading ?? '-'} us a reading`;
}
