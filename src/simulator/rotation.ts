/**
 * Owns the few rotations that the synthetic walker needs. Quaternions are Hamilton, scalar first, and turn a vector of
 * the body frame into the world frame; both frames are right-handed with x forward, y left, z up. Results go into
 * arrays that the caller owns, at an offset, so that nothing is allocated per pose.
 */

/** Writes the quaternion of Rz(yaw) * Ry(pitch) * Rx(roll), angles in radians. Positive pitch turns x downwards. */
export function writeYawPitchRoll(
  angles: { yaw: number; pitch: number; roll: number },
  { out, at }: { out: Float64Array; at: number },
): void {
  const cz = Math.cos(angles.yaw / 2);
  const sz = Math.sin(angles.yaw / 2);
  const cy = Math.cos(angles.pitch / 2);
  const sy = Math.sin(angles.pitch / 2);
  const cx = Math.cos(angles.roll / 2);
  const sx = Math.sin(angles.roll / 2);
  out[at] = cz * cy * cx + sz * sy * sx;
  out[at + 1] = cz * cy * sx - sz * sy * cx;
  out[at + 2] = cz * sy * cx + sz * cy * sx;
  out[at + 3] = sz * cy * cx - cz * sy * sx;
}

/** Writes the quaternion of Rx(roll) * Ry(pitch): a leg whose plane leans by `roll` and that swings by `pitch` in it. */
export function writeRollPitch(roll: number, pitch: number, target: { out: Float64Array; at: number }): void {
  const { out, at } = target;
  const cx = Math.cos(roll / 2);
  const sx = Math.sin(roll / 2);
  const cy = Math.cos(pitch / 2);
  const sy = Math.sin(pitch / 2);
  out[at] = cx * cy;
  out[at + 1] = sx * cy;
  out[at + 2] = cx * sy;
  out[at + 3] = sx * sy;
}

/** Writes the nine elements of the rotation matrix, row by row, of the quaternion at `at`. */
export function writeMatrix(q: Float64Array, at: number, out: Float64Array): void {
  const w = q[at]!;
  const x = q[at + 1]!;
  const y = q[at + 2]!;
  const z = q[at + 3]!;
  out[0] = 1 - 2 * (y * y + z * z);
  out[1] = 2 * (x * y - w * z);
  out[2] = 2 * (x * z + w * y);
  out[3] = 2 * (x * y + w * z);
  out[4] = 1 - 2 * (x * x + z * z);
  out[5] = 2 * (y * z - w * x);
  out[6] = 2 * (x * z - w * y);
  out[7] = 2 * (y * z + w * x);
  out[8] = 1 - 2 * (x * x + y * y);
}

export interface CardanAngles {
  /** About the proximal segment's y axis. */
  readonly flexion: number;
  /** About the floating x axis. */
  readonly lean: number;
  /** About the distal segment's z axis. */
  readonly turn: number;
}

/**
 * The angles of the distal segment relative to the proximal one as Ry(flexion) * Rx(lean) * Rz(turn), in radians: the
 * order of the joint coordinate system (Grood and Suntay 1983; Wu et al. 2002), flexion first.
 */
export function cardanBetween(pose: Float64Array, proximalAt: number, distalAt: number): CardanAngles {
  const p = new Float64Array(9);
  const d = new Float64Array(9);
  writeMatrix(pose, proximalAt, p);
  writeMatrix(pose, distalAt, d);
  // Element (row, column) of transpose(P) * D.
  const at = (row: number, column: number): number =>
    p[row]! * d[column]! + p[row + 3]! * d[column + 3]! + p[row + 6]! * d[column + 6]!;
  return {
    flexion: Math.atan2(at(0, 2), at(2, 2)),
    lean: -Math.asin(Math.max(-1, Math.min(1, at(1, 2)))),
    turn: Math.atan2(at(1, 0), at(1, 1)),
  };
}
