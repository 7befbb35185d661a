/**
 * Owns quaternions over preallocated arrays: [w, x, y, z], Hamilton's product, active rotation of vectors from the frame on
 * the right into the frame on the left (sensor to earth). Nothing here allocates; `out` may be one of the arguments. Unit
 * quaternions are expected where a rotation is meant; `normalise` keeps them so.
 */

/** Values at the beginning of the array: 4 of a quaternion, 3 of a vector, 9 of a matrix (row-major). */
export type Values = Float64Array;

/** Below this length a direction is noise of the last digit: 2^-52. */
const EPSILON = Number.EPSILON;

export function setIdentity(out: Values): void {
  out[0] = 1;
  out[1] = 0;
  out[2] = 0;
  out[3] = 0;
}

/** The rotation `b` followed by the rotation `a`. */
export function multiply(a: Values, b: Values, out: Values): void {
  const aw = a[0]!;
  const ax = a[1]!;
  const ay = a[2]!;
  const az = a[3]!;
  const bw = b[0]!;
  const bx = b[1]!;
  const by = b[2]!;
  const bz = b[3]!;
  out[0] = aw * bw - ax * bx - ay * by - az * bz;
  out[1] = aw * bx + ax * bw + ay * bz - az * by;
  out[2] = aw * by - ax * bz + ay * bw + az * bx;
  out[3] = aw * bz + ax * by - ay * bx + az * bw;
}

/** The inverse of a unit quaternion. */
export function conjugate(q: Values, out: Values): void {
  out[0] = q[0]!;
  out[1] = -q[1]!;
  out[2] = -q[2]!;
  out[3] = -q[3]!;
}

/** To length 1; what has no length stays as it is. */
export function normalise(q: Values, out: Values): void {
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  const length = Math.sqrt(w * w + x * x + y * y + z * z);
  const scale = length < EPSILON ? 1 : 1 / length;
  out[0] = w * scale;
  out[1] = x * scale;
  out[2] = y * scale;
  out[3] = z * scale;
}

/** The vector as seen from the frame that `q` turns into. */
export function rotate(q: Values, v: Values, out: Values): void {
  rotateBy(q[0]!, q, v, out);
}

/** The vector as seen from the frame that `q` turns from: `rotate` by the conjugate. */
export function rotateInverse(q: Values, v: Values, out: Values): void {
  rotateBy(-q[0]!, q, v, out);
}

function rotateBy(w: number, q: Values, v: Values, out: Values): void {
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  const vx = v[0]!;
  const vy = v[1]!;
  const vz = v[2]!;
  // v + 2 w (u x v) + 2 u x (u x v), u being the vector part.
  const tx = 2 * (y * vz - z * vy);
  const ty = 2 * (z * vx - x * vz);
  const tz = 2 * (x * vy - y * vx);
  out[0] = vx + w * tx + y * tz - z * ty;
  out[1] = vy + w * ty + z * tx - x * tz;
  out[2] = vz + w * tz + x * ty - y * tx;
}

/** The shortest turn from the direction of `from` to that of `to`; of opposite ones, half a turn about any normal. */
export function fromTwoVectors(from: Values, to: Values, out: Values): void {
  const lengths = Math.hypot(from[0]!, from[1]!, from[2]!) * Math.hypot(to[0]!, to[1]!, to[2]!);
  if (!(lengths > EPSILON)) {
    setIdentity(out);
    return;
  }
  const x = from[1]! * to[2]! - from[2]! * to[1]!;
  const y = from[2]! * to[0]! - from[0]! * to[2]!;
  const z = from[0]! * to[1]! - from[1]! * to[0]!;
  const w = lengths + from[0]! * to[0]! + from[1]! * to[1]! + from[2]! * to[2]!;
  // Within 1e-6 rad of opposite the cross product says no axis any more.
  if (w < 1e-12 * lengths) {
    const isAlongX = Math.abs(from[0]!) > Math.abs(from[2]!);
    const fx = from[0]!;
    const fy = from[1]!;
    const fz = from[2]!;
    out[0] = 0;
    out[1] = isAlongX ? -fy : 0;
    out[2] = isAlongX ? fx : -fz;
    out[3] = isAlongX ? 0 : fy;
  } else {
    out[0] = w;
    out[1] = x;
    out[2] = y;
    out[3] = z;
  }
  normalise(out, out);
}

/** The turn by `angleRad` about `axis` (of any length but zero) by the right hand. */
export function fromAxisAngle(axis: Values, angleRad: number, out: Values): void {
  const length = Math.hypot(axis[0]!, axis[1]!, axis[2]!);
  const scale = length > EPSILON ? Math.sin(angleRad / 2) / length : 0;
  out[1] = axis[0]! * scale;
  out[2] = axis[1]! * scale;
  out[3] = axis[2]! * scale;
  out[0] = length > EPSILON ? Math.cos(angleRad / 2) : 1;
}

/** The turn about the vector's direction by its length in rad (exponential map): a gyroscope's reading times its period. */
export function fromRotationVector(v: Values, out: Values): void {
  const angle = Math.hypot(v[0]!, v[1]!, v[2]!);
  const scale = angle > EPSILON ? Math.sin(angle / 2) / angle : 0.5;
  out[1] = v[0]! * scale;
  out[2] = v[1]! * scale;
  out[3] = v[2]! * scale;
  out[0] = Math.cos(angle / 2);
}

/** The turn as a vector (logarithm), of length 0 to pi rad. */
export function toRotationVector(q: Values, out: Values): void {
  const sign = q[0]! < 0 ? -1 : 1;
  const sine = Math.hypot(q[1]!, q[2]!, q[3]!);
  const scale = sine > EPSILON ? (sign * 2 * Math.atan2(sine, sign * q[0]!)) / sine : sign * 2;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  out[0] = x * scale;
  out[1] = y * scale;
  out[2] = z * scale;
}

/** The rotation of a proper orthogonal matrix, row-major (Shepperd 1978, doi:10.2514/3.55767b). */
export function fromMatrix(m: Values, out: Values): void {
  const trace = m[0]! + m[4]! + m[8]!;
  const largest = Math.max(trace, m[0]!, m[4]!, m[8]!);
  const a = m[7]! - m[5]!;
  const b = m[2]! - m[6]!;
  const c = m[3]! - m[1]!;
  if (largest === trace) set(out, 1 + trace, a, b, c);
  else if (largest === m[0]) set(out, a, 1 + 2 * m[0] - trace, m[1]! + m[3]!, m[2]! + m[6]!);
  else if (largest === m[4]) set(out, b, m[1]! + m[3]!, 1 + 2 * m[4] - trace, m[5]! + m[7]!);
  else set(out, c, m[2]! + m[6]!, m[5]! + m[7]!, 1 + 2 * m[8]! - trace);
  normalise(out, out);
}

function set(out: Values, w: number, x: number, y: number, z: number): void {
  out[0] = w;
  out[1] = x;
  out[2] = y;
  out[3] = z;
}

/** The rotation as a matrix, row-major: its columns are the turned frame's axes. */
export function toMatrix(q: Values, out: Values): void {
  const w = q[0]!;
  const x = q[1]!;
  const y = q[2]!;
  const z = q[3]!;
  out[0] = 1 - 2 * y * y - 2 * z * z;
  out[1] = 2 * (x * y - w * z);
  out[2] = 2 * (w * y + x * z);
  out[3] = 2 * (w * z + x * y);
  out[4] = 1 - 2 * x * x - 2 * z * z;
  out[5] = 2 * (y * z - w * x);
  out[6] = 2 * (x * z - w * y);
  out[7] = 2 * (w * x + y * z);
  out[8] = 1 - 2 * x * x - 2 * y * y;
}

/** The angle of the turn between two orientations, 0 to pi rad. */
export function angleBetween(a: Values, b: Values): number {
  const w = a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]! + a[3]! * b[3]!;
  const x = a[0]! * b[1]! - a[1]! * b[0]! + a[3]! * b[2]! - a[2]! * b[3]!;
  const y = a[0]! * b[2]! - a[2]! * b[0]! + a[1]! * b[3]! - a[3]! * b[1]!;
  const z = a[0]! * b[3]! - a[3]! * b[0]! + a[2]! * b[1]! - a[1]! * b[2]!;
  return 2 * Math.atan2(Math.hypot(x, y, z), Math.abs(w));
}

/** How far `q` turns about `axis` (of length 1), -pi to pi rad: the twist of its swing-twist decomposition. */
export function twistAngle(q: Values, axis: Values): number {
  const along = q[1]! * axis[0]! + q[2]! * axis[1]! + q[3]! * axis[2]!;
  const angle = 2 * Math.atan2(along, q[0]!);
  return angle > Math.PI ? angle - 2 * Math.PI : angle <= -Math.PI ? angle + 2 * Math.PI : angle;
}

/** Between two orientations by the straight line (share 0 to 1), along the shorter way: cheap, for small steps. */
export function nlerp(a: Values, b: Values, share: number, out: Values): void {
  const dot = a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]! + a[3]! * b[3]!;
  blend(a, b, 1 - share, dot < 0 ? -share : share, out);
}

/** Between two orientations at constant speed (share 0 to 1), along the shorter way (Shoemake 1985, doi:10.1145/325165.325242). */
export function slerp(a: Values, b: Values, share: number, out: Values): void {
  const dot = a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]! + a[3]! * b[3]!;
  const sign = dot < 0 ? -1 : 1;
  const angle = angleBetween(a, b) / 2;
  const sine = Math.sin(angle);
  if (sine < 1e-9) blend(a, b, 1 - share, sign * share, out);
  else blend(a, b, Math.sin((1 - share) * angle) / sine, (sign * Math.sin(share * angle)) / sine, out);
}

function blend(a: Values, b: Values, aShare: number, bShare: number, out: Values): void {
  out[0] = a[0]! * aShare + b[0]! * bShare;
  out[1] = a[1]! * aShare + b[1]! * bShare;
  out[2] = a[2]! * aShare + b[2]! * bShare;
  out[3] = a[3]! * aShare + b[3]! * bShare;
  normalise(out, out);
}
