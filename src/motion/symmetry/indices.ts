/**
 * Owns the measures that compare the left with the right value of one quantity. All are signed so that positive means that
 * the right is larger, except the gait asymmetry, which has no sign; all are null where their formula has no answer (a
 * missing side, a zero that it divides by, signs that it cannot compare), never zero or infinite.
 */

/** Right over left: 1 is symmetric. Null without a left value, and where the signs differ. */
export function symmetryRatio(left: number, right: number): number | null {
  if (!areKnown(left, right) || left === 0 || left * right < 0) return null;
  return right / left;
}

/**
 * Difference as a share of the mean of both, in percent: 0 is symmetric, 200 is one side only. Null where the mean is zero;
 * with values of both signs it may be far over 200 (Zifchock 2008), for which the symmetry angle is made.
 * Robinson, Herzog, Nigg 1987, J Manipulative Physiol Ther 10(4):172-176.
 */
export function robinsonIndex(left: number, right: number): number | null {
  const mean = (left + right) / 2;
  if (!areKnown(left, right) || mean === 0) return null;
  return (100 * (right - left)) / mean;
}

/**
 * Angle between the point (right, left) and the line of equality, in percent of a quarter turn: 0 is symmetric, +-50 is one
 * side only, 100 is equal and opposite. Needs no reference value. Null only where both are zero.
 * Zifchock, Davis, Higginson, Royer 2008, doi:10.1016/j.gaitpost.2007.08.006.
 */
export function symmetryAngle(left: number, right: number): number | null {
  if (!areKnown(left, right) || (left === 0 && right === 0)) return null;
  const angle = 45 - (right === 0 ? 90 : (Math.atan(left / right) * 180) / Math.PI);
  return ((angle > 90 ? angle - 180 : angle) * 100) / 90;
}

/**
 * 100 |ln(short / long)|: 0 is symmetric, 69 is twice as long. For durations and lengths; null unless both are positive.
 * Plotnik, Giladi, Balash, Peretz, Hausdorff 2005, doi:10.1002/ana.20452; Yogev, Plotnik, Peretz, Giladi, Hausdorff 2007,
 * doi:10.1007/s00221-006-0676-3.
 */
export function gaitAsymmetry(left: number, right: number): number | null {
  if (!areKnown(left, right) || left <= 0 || right <= 0) return null;
  return 100 * Math.abs(Math.log(right / left));
}

/** The lowest and the highest of all values of both sides. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

/**
 * Difference of the means as a share of the range of all trials of both sides, zero always inside the range, in percent: -100
 * to 100 whatever the signs. Null where all values are zero.
 * Queen, Dickerson, Ranganathan, Schmitt 2020, doi:10.1016/j.jbiomech.2019.109531.
 */
export function normalisedSymmetryIndex(left: number, right: number, range: ValueRange): number | null {
  const width = Math.max(0, range.max) - Math.min(0, range.min);
  if (!areKnown(left, right) || !(width > 0) || width === Infinity) return null;
  return (100 * (right - left)) / width;
}

function areKnown(left: number, right: number): boolean {
  return Number.isFinite(left) && Number.isFinite(right);
}
