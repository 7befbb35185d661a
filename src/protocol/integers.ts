/**
 * Owns 64-bit integers on the wire as JavaScript numbers: little-endian two's complement whose value must be a safe
 * integer. No BigInt, so nothing is allocated per frame.
 */

/** Reads an i64; null when it is not a safe integer (|value| < 2^53). */
export function readSafeInt(view: DataView, at: number): number | null {
  const value = view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
  return Number.isSafeInteger(value) ? value : null;
}

/** Writes a safe integer as i64. */
export function writeSafeInt(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / 4294967296);
  view.setUint32(at, value - high * 4294967296, true);
  view.setInt32(at + 4, high, true);
}
