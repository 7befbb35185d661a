/**
 * Owns how many readings that never came are made up for: each costs an algorithm as much as one that came, and a stream
 * that claims 2,000 readings a second and sends two would cost a thousand times what it sends. Bound: a second of them at
 * once, and BRIDGED_PER_READING for each reading that came; of a hole beyond that nothing is known.
 */

/** Of ten readings eight may be lost for ever. */
const BRIDGED_PER_READING = 4;

/** A reading came after `missing` that did not. False: there are too many, and the hole is not to be bridged. `debts[at]`: 0 at first. */
export function mayBridge(
  debts: Float64Array,
  at: number,
  hole: { missing: number; rateHz: number },
): boolean {
  const debt = Math.max(0, debts[at]! - BRIDGED_PER_READING);
  const isBridged = debt + hole.missing <= hole.rateHz;
  debts[at] = isBridged ? debt + hole.missing : debt;
  return isBridged;
}
