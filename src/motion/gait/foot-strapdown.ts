/**
 * Owns the path of a foot between two moments at which it stands: orientation by integrating the gyroscope from gravity to
 * gravity, velocity from zero to zero, position from the first stance on. Works on a workspace that is allocated once.
 *
 * Drift is taken out where it arises. The velocity error at the end is shared out in proportion to the variance that each
 * reading may have added: the fixed-interval smoother of a random walk whose steps are not equally uncertain. Nearly all
 * of it lies in the shock of landing, where a reading can change by ten g from one to the next.
 *
 * Source of zero-velocity strapdown: Skog, Handel, Nilsson and Rantakokko 2010, doi:10.1109/TBME.2010.2060723; of stride by
 * stride correction: Mariani et al. 2010, doi:10.1016/j.jbiomech.2010.07.003; Rampp et al. 2015,
 * doi:10.1109/TBME.2014.2368211. The variance-weighted sharing is ours.
 */

/**
 * Part of a reading's second difference that may be missing from its integral. The error of the trapezoid rule is 1/12 of
 * it for a smooth signal; a shock is not smooth between readings, and three times as much is allowed. Anything from 0.05
 * to 1 gives the same lengths to a millimetre or two, since only its ratio to the next constant matters.
 */
const UNSEEN_OF_SECOND_DIFFERENCE = 0.25;

/** Random walk of the velocity without any shock, m/s per root s: what 0.3 degrees of tilt leave of gravity in a second. */
const QUIET_WALK = 0.05;

export interface FootSegment {
  /** Readings that fit. */
  readonly capacity: number;
  /** Specific force, m/s2, and angular velocity, rad/s, both in the sensor frame, three values a reading. */
  readonly acc: Float64Array;
  readonly gyr: Float64Array;
  /** Sensor to level earth (z up; the sensor's heading at the first stance is 0), w x y z a reading. */
  readonly quat: Float64Array;
  /** In that earth frame, m/s and m, three values a reading. */
  readonly velocity: Float64Array;
  readonly position: Float64Array;
  /** Angular velocity about the wearer's left, toes down positive, rad/s; written with the contacts. */
  readonly pitchRate: Float64Array;
  /** Share of the drift that has come in until here, 0 to 1. */
  readonly share: Float64Array;
  /** Velocity that was left at the second stance, before its correction, and the highest until there, m/s. */
  drift: number;
  highestSpeed: number;
}

export function createFootSegment(capacity: number): FootSegment {
  return {
    capacity,
    acc: new Float64Array(3 * capacity),
    gyr: new Float64Array(3 * capacity),
    quat: new Float64Array(4 * capacity),
    velocity: new Float64Array(3 * capacity),
    position: new Float64Array(3 * capacity),
    pitchRate: new Float64Array(capacity),
    share: new Float64Array(capacity),
    drift: 0,
    highestSpeed: 0,
  };
}

/** The two stances between which the foot moved: readings `first` and `last`, gravity averaged over `half` readings around. */
export interface Span {
  readonly first: number;
  readonly last: number;
  readonly half: number;
  readonly rateHz: number;
}

/** Fills orientation, velocity and position of readings span.first to span.last from acc and gyr. */
export function integrateSpan(segment: FootSegment, span: Span): void {
  orient(segment, span);
  shareDrift(segment, span);
  travel(segment, span);
}

/** Direction of the specific force that gravityAt found last; a unit vector in the sensor frame. */
export const gravity = new Float64Array(3);

/** Mean specific force around a reading into `gravity`; its length is returned, m/s2. */
export function gravityAt(segment: FootSegment, at: number, half: number): number {
  const { acc } = segment;
  let x = 0;
  let y = 0;
  let z = 0;
  for (let i = at - half; i <= at + half; i++) {
    x += acc[3 * i]!;
    y += acc[3 * i + 1]!;
    z += acc[3 * i + 2]!;
  }
  const length = Math.sqrt(x * x + y * y + z * z);
  gravity[0] = x / length;
  gravity[1] = y / length;
  gravity[2] = z / length;
  return length / (2 * half + 1);
}

/** Integrates the gyroscope from the tilt at the first stance and leads it evenly to the tilt at the second. */
function orient(segment: FootSegment, { first, last, half, rateHz }: Span): void {
  const { gyr, quat } = segment;
  gravityAt(segment, first, half);
  // The shortest turn that brings the measured up to z; upside down it is half a turn about x.
  let w = 1 + gravity[2]!;
  let x = gravity[1]!;
  let y = -gravity[0]!;
  let z = 0;
  if (w < 1e-9) {
    w = 0;
    x = 1;
    y = 0;
  }
  let norm = 1 / Math.sqrt(w * w + x * x + y * y);
  w *= norm;
  x *= norm;
  y *= norm;
  const halfStep = 0.25 / rateHz;
  for (let i = first; ; i++) {
    quat[4 * i] = w;
    quat[4 * i + 1] = x;
    quat[4 * i + 2] = y;
    quat[4 * i + 3] = z;
    if (i === last) break;
    // The mean of two readings over one period, as a rotation by its own angle.
    const a = (gyr[3 * i]! + gyr[3 * i + 3]!) * halfStep;
    const b = (gyr[3 * i + 1]! + gyr[3 * i + 4]!) * halfStep;
    const c = (gyr[3 * i + 2]! + gyr[3 * i + 5]!) * halfStep;
    const angle = Math.sqrt(a * a + b * b + c * c);
    const s = angle > 1e-9 ? Math.sin(angle) / angle : 1;
    const dw = Math.cos(angle);
    const dx = a * s;
    const dy = b * s;
    const dz = c * s;
    const nw = w * dw - x * dx - y * dy - z * dz;
    const nx = w * dx + x * dw + y * dz - z * dy;
    const ny = w * dy - x * dz + y * dw + z * dx;
    const nz = w * dz + x * dy - y * dx + z * dw;
    norm = 1 / Math.sqrt(nw * nw + nx * nx + ny * ny + nz * nz);
    w = nw * norm;
    x = nx * norm;
    y = ny * norm;
    z = nz * norm;
  }
  gravityAt(segment, last, half);
  levelEnd(segment, first, last);
}

/** Turns the orientations, growing evenly from the first to the last, so that the last one has gravity straight up. */
function levelEnd({ quat }: FootSegment, first: number, last: number): void {
  const w = quat[4 * last]!;
  const x = quat[4 * last + 1]!;
  const y = quat[4 * last + 2]!;
  const z = quat[4 * last + 3]!;
  const gx = gravity[0]!;
  const gy = gravity[1]!;
  const gz = gravity[2]!;
  const upX = (1 - 2 * (y * y + z * z)) * gx + 2 * (x * y - w * z) * gy + 2 * (x * z + w * y) * gz;
  const upY = 2 * (x * y + w * z) * gx + (1 - 2 * (x * x + z * z)) * gy + 2 * (y * z - w * x) * gz;
  const upZ = 2 * (x * z - w * y) * gx + 2 * (y * z + w * x) * gy + (1 - 2 * (x * x + y * y)) * gz;
  // Cross product of the measured up with z: the axis of the turn, with the sine of its angle as length.
  const sine = Math.sqrt(upX * upX + upY * upY);
  if (sine < 1e-12) return;
  const angle = Math.atan2(sine, upZ);
  for (let i = first + 1; i <= last; i++) {
    const part = (0.5 * angle * (i - first)) / (last - first);
    const c = Math.cos(part);
    const s = Math.sin(part) / sine;
    const cx = upY * s;
    const cy = -upX * s;
    const qw = quat[4 * i]!;
    const qx = quat[4 * i + 1]!;
    const qy = quat[4 * i + 2]!;
    const qz = quat[4 * i + 3]!;
    quat[4 * i] = c * qw - cx * qx - cy * qy;
    quat[4 * i + 1] = c * qx + cx * qw + cy * qz;
    quat[4 * i + 2] = c * qy + cy * qw - cx * qz;
    quat[4 * i + 3] = c * qz + cx * qy - cy * qx;
  }
}

/** Cumulative variance of the velocity's random walk, as a share of its end. */
function shareDrift({ acc, share }: FootSegment, { first, last, rateHz }: Span): void {
  const quiet = (QUIET_WALK * QUIET_WALK) / rateHz;
  const unseen = UNSEEN_OF_SECOND_DIFFERENCE / rateHz;
  let total = 0;
  for (let i = first; i <= last; i++) {
    let square = 0;
    for (let axis = 3 * i; axis < 3 * i + 3; axis++) {
      const second = acc[axis - 3]! - 2 * acc[axis]! + acc[axis + 3]!;
      square += second * second;
    }
    total += quiet + unseen * unseen * square;
    share[i] = total;
  }
  const start = share[first]!;
  for (let i = first; i <= last; i++) share[i] = (share[i]! - start) / (total - start);
}

/** Velocity from zero to zero, and position. Gravity's length goes evenly from that at one stance to that at the other. */
function travel(segment: FootSegment, { first, last, half, rateHz }: Span): void {
  const { acc, quat, velocity, position, share } = segment;
  const g0 = gravityAt(segment, first, half);
  const g1 = gravityAt(segment, last, half);
  const step = 0.5 / rateHz;
  let highest = Number.NEGATIVE_INFINITY;
  let vx = 0;
  let vy = 0;
  let vz = 0;
  let beforeX = 0;
  let beforeY = 0;
  let beforeZ = 0;
  for (let i = first; i <= last; i++) {
    const w = quat[4 * i]!;
    const x = quat[4 * i + 1]!;
    const y = quat[4 * i + 2]!;
    const z = quat[4 * i + 3]!;
    const a = acc[3 * i]!;
    const b = acc[3 * i + 1]!;
    const c = acc[3 * i + 2]!;
    const ax = (1 - 2 * (y * y + z * z)) * a + 2 * (x * y - w * z) * b + 2 * (x * z + w * y) * c;
    const ay = 2 * (x * y + w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z - w * x) * c;
    const g = g0 + ((g1 - g0) * (i - first)) / (last - first);
    const az = 2 * (x * z - w * y) * a + 2 * (y * z + w * x) * b + (1 - 2 * (x * x + y * y)) * c - g;
    if (i > first) {
      vx += step * (beforeX + ax);
      vy += step * (beforeY + ay);
      vz += step * (beforeZ + az);
    }
    velocity[3 * i] = vx;
    velocity[3 * i + 1] = vy;
    velocity[3 * i + 2] = vz;
    const square = vx * vx + vy * vy + vz * vz;
    if (square > highest) highest = square;
    beforeX = ax;
    beforeY = ay;
    beforeZ = az;
  }
  segment.highestSpeed = Math.sqrt(highest);
  segment.drift = Math.sqrt(vx * vx + vy * vy + vz * vz);
  for (let axis = 0; axis < 3; axis++) {
    const end = velocity[3 * last + axis]!;
    let at = 0;
    let before = 0;
    for (let i = first; i <= last; i++) {
      const v = velocity[3 * i + axis]! - share[i]! * end;
      velocity[3 * i + axis] = v;
      at += step * (before + v);
      position[3 * i + axis] = at;
      before = v;
    }
  }
}
