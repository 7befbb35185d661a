/**
 * Owns how far an orientation is from an optical one, by the measure of BROAD's authors (broad_utils.py of
 * github.com/dlaidig/broad, commit 7e2f818): root mean square over the samples that are marked as movement and were seen by
 * the cameras, of the whole turn between the two and of its parts about and across the vertical. Both are sensor to east,
 * north, up, and nothing is aligned.
 */

export interface OrientationError {
  readonly totalDeg: number;
  readonly headingDeg: number;
  readonly inclinationDeg: number;
}

export interface OrientationPair {
  readonly count: number;
  /** Writes what was estimated and the reference, as [w, x, y, z]. */
  read(i: number, estimated: Float64Array, reference: Float64Array): void;
  counts(i: number): boolean;
}

const DEG = 180 / Math.PI;

export function orientationError(pair: OrientationPair): OrientationError {
  const a = new Float64Array(4);
  const b = new Float64Array(4);
  const sums = { total: 0, heading: 0, inclination: 0, count: 0 };
  for (let i = 0; i < pair.count; i++) {
    if (!pair.counts(i)) continue;
    pair.read(i, a, b);
    const lengths = Math.hypot(...a) * Math.hypot(...b);
    // The w and z of estimated times the inverse of the reference, in the frame of the earth.
    const w = Math.abs(a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]! + a[3]! * b[3]!) / lengths;
    const z = Math.abs(a[3]! * b[0]! - a[0]! * b[3]! - a[1]! * b[2]! + a[2]! * b[1]!) / lengths;
    if (Number.isNaN(w)) continue;
    sums.total += (2 * Math.acos(Math.min(1, w))) ** 2;
    sums.heading += (2 * Math.atan(z / w)) ** 2;
    sums.inclination += (2 * Math.acos(Math.min(1, Math.hypot(w, z)))) ** 2;
    sums.count++;
  }
  const rms = (sum: number): number => Math.sqrt(sum / sums.count) * DEG;
  return {
    totalDeg: rms(sums.total),
    headingDeg: rms(sums.heading),
    inclinationDeg: rms(sums.inclination),
  };
}
