/** Owns the shift between the clocks of two recordings of one movement, from how fast it is, never from where it is. */

/** Both have to share this much of the shorter one. */
const LEAST_OVERLAP = 0.6;
/** Slower than this on average (in units a step) is standing still, which has no shift. */
const LEAST_MEAN = 1e-2;

/** `ours[i + shift]` goes with `theirs[i]`: the shift (steps) of the best correlation of two speeds; 0 when nothing moves. */
export function bestShift(ours: Float64Array, theirs: Float64Array): number {
  const average = (values: Float64Array): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  if (average(ours) < LEAST_MEAN || average(theirs) < LEAST_MEAN) return 0;
  const least = Math.floor(LEAST_OVERLAP * Math.min(ours.length, theirs.length));
  let best = { shift: 0, correlation: -Infinity };
  for (let shift = least - theirs.length; shift <= ours.length - least; shift++) {
    const from = Math.max(0, -shift);
    const until = Math.min(theirs.length, ours.length - shift);
    if (until - from < least) continue;
    const correlation = correlate(ours.subarray(from + shift, until + shift), theirs.subarray(from, until));
    if (correlation > best.correlation) best = { shift, correlation };
  }
  return best.shift;
}

function correlate(a: Float64Array, b: Float64Array): number {
  let sa = 0;
  let sb = 0;
  let saa = 0;
  let sbb = 0;
  let sab = 0;
  for (let i = 0; i < a.length; i++) {
    sa += a[i]!;
    sb += b[i]!;
    saa += a[i]! * a[i]!;
    sbb += b[i]! * b[i]!;
    sab += a[i]! * b[i]!;
  }
  const n = a.length;
  return (n * sab - sa * sb) / Math.sqrt(Math.max(1e-30, (n * saa - sa * sa) * (n * sbb - sb * sb)));
}
