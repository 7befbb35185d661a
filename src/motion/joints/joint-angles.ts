/**
 * Owns how two segment orientations become the angles that clinicians name: the joint coordinate system of Grood and Suntay
 * (1983, doi:10.1115/1.3138397) in the orders of the ISB (Wu et al. 2002, doi:10.1016/S0021-9290(01)00222-6; 2005,
 * doi:10.1016/j.jbiomech.2004.05.042), the pelvis by Baker (2001, doi:10.1016/S0966-6362(00)00083-7). Signs and the neutral
 * pose stand in docs/joint-angles.md. Degrees out, quaternions [w, x, y, z] in, nothing allocated.
 */

import type { Segment, Side } from '#motion/body-model.ts';
import { conjugate, multiply, type Values } from '#motion/quaternion.ts';

const DEG = Math.PI / 180;

/** Below this elevation the plane of it is noise, and the rotation about the arm's own axis takes its place. */
const HANGING_DEG = 5;

export type JointName = 'hip' | 'knee' | 'ankle' | 'shoulder' | 'elbow' | 'trunk';

export interface Joint {
  readonly name: JointName;
  readonly side: Side | null;
  /** The first that is worn counts. */
  readonly proximal: readonly Segment[];
  readonly distal: readonly Segment[];
  /** What the three values of `writeJointAngles` are, in its order. */
  readonly motions: readonly [string, string, string];
}

const LEG = {
  hip: ['flexion', 'adduction', 'internal-rotation'],
  knee: ['flexion', 'adduction', 'internal-rotation'],
  ankle: ['dorsiflexion', 'inversion', 'internal-rotation'],
} as const;

function jointsOfSide(side: Side): Joint[] {
  const leg = (name: 'hip' | 'knee' | 'ankle', proximal: readonly Segment[], distal: Segment): Joint => ({
    name,
    side,
    proximal,
    distal: [distal],
    motions: LEG[name],
  });
  return [
    leg('hip', ['pelvis', 'lower-back'], `${side}-thigh`),
    leg('knee', [`${side}-thigh`], `${side}-shank`),
    leg('ankle', [`${side}-shank`], `${side}-foot`),
    {
      name: 'shoulder',
      side,
      proximal: ['thorax'],
      distal: [`${side}-upper-arm`],
      motions: ['plane', 'elevation', 'rotation'],
    },
    {
      name: 'elbow',
      side,
      proximal: [`${side}-upper-arm`],
      distal: [`${side}-forearm`],
      motions: ['flexion', 'carrying', 'pronation'],
    },
  ];
}

/** All joints that angles are given for, those of the left before those of the right. A sensor on the lower back stands for the pelvis. */
export const joints: readonly Joint[] = [
  ...jointsOfSide('left'),
  ...jointsOfSide('right'),
  {
    name: 'trunk',
    side: null,
    proximal: ['pelvis', 'lower-back'],
    distal: ['thorax'],
    motions: ['flexion', 'lateral-flexion', 'rotation'],
  },
];

/** Segment to earth of both, with one earth, to the orientation of the distal segment in the proximal one's frame. */
export function relativeOrientation(proximal: Values, distal: Values, out: Values): void {
  INVERSE[0] = proximal[0]!;
  conjugate(proximal, INVERSE);
  multiply(INVERSE, distal, out);
}
const INVERSE = new Float64Array(4);

/** Of flexion, frontal and transverse angle as the signs of `Ry(a) Rx(b) Rz(c)` of a right limb (docs/joint-angles.md). */
const FLEXION_SIGN: Readonly<Record<JointName, 1 | -1>> = {
  hip: -1,
  knee: 1,
  ankle: -1,
  shoulder: -1,
  elbow: -1,
  trunk: 1,
};

/**
 * The three angles of a joint in degrees, named by `joint.motions`, of the distal segment's orientation in the proximal
 * one's frame. A left limb is mirrored at the sagittal plane, so that its signs mean the same as the right one's. Of the
 * shoulder, `out[0]` on entry is the plane of elevation that counts while the arm hangs (see `writeShoulderAngles`).
 */
export function writeJointAngles(joint: Joint, relative: Values, out: Values): void {
  const mirror = joint.side === 'left' ? -1 : 1;
  if (joint.name === 'shoulder') {
    writeShoulderAngles(relative, mirror, out);
    return;
  }
  writeGroodSuntay(relative, mirror, out);
  out[0] = FLEXION_SIGN[joint.name] * out[0]!;
  if (joint.name === 'elbow') out[1] = -out[1]!;
}

/**
 * `relative` = Ry(a) Rx(b) Rz(c) in degrees: a about the proximal segment's medio-lateral axis, b about the floating axis, c about
 * the distal segment's long axis. At b = +-90 degrees only a sum is known, and all of it is given to a.
 */
function writeGroodSuntay(relative: Values, mirror: 1 | -1, out: Values): void {
  const w = relative[0]!;
  const x = mirror * relative[1]!;
  const y = relative[2]!;
  const z = mirror * relative[3]!;
  const sine = 2 * (w * x - y * z);
  if (Math.abs(sine) > 1 - 1e-12) {
    out[0] = Math.atan2(2 * (w * y - x * z), 1 - 2 * (y * y + z * z)) / DEG;
    out[1] = sine > 0 ? 90 : -90;
    out[2] = 0;
    return;
  }
  out[0] = Math.atan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y)) / DEG;
  out[1] = Math.asin(sine) / DEG;
  out[2] = Math.atan2(2 * (x * y + w * z), 1 - 2 * (x * x + z * z)) / DEG;
}

/**
 * The thoracohumeral angles of the ISB, Y-X-Y in its axes and Rz(plane) Rx(-elevation) Rz(rotation) in ours: plane of elevation
 * (0 abduction, 90 forward flexion), elevation (0 to 180, the ISB counts it negative), axial rotation (internal positive).
 * Gimbal: an arm that hangs (below 5 degrees) or points straight up has no plane; the plane in `out[0]` on entry is kept
 * (0 if it is NaN), and the rotation is what is left of the sum.
 */
function writeShoulderAngles(relative: Values, mirror: 1 | -1, out: Values): void {
  const w = relative[0]!;
  const x = mirror * relative[1]!;
  const y = relative[2]!;
  const z = mirror * relative[3]!;
  // Rz(p) Rx(-e) Rz(r): half of p + r is the argument of (w, z), half of p - r that of (-x, -y).
  const elevation = (2 * Math.atan2(Math.hypot(x, y), Math.hypot(w, z))) / DEG;
  const sum = (2 * Math.atan2(z, w)) / DEG;
  const difference = (2 * Math.atan2(-y, -x)) / DEG;
  const before = out[0]!;
  let plane = (sum + difference) / 2;
  if (elevation < HANGING_DEG || elevation > 180 - HANGING_DEG) plane = Number.isNaN(before) ? 0 : before;
  const rotation = elevation > 90 && elevation > 180 - HANGING_DEG ? plane - difference : sum - plane;
  out[0] = wrapped(plane);
  out[1] = elevation;
  out[2] = wrapped(rotation);
}

/**
 * Tilt (forward positive), obliquity (left side up positive) and rotation (to the left positive) of the pelvis in a frame whose z is up,
 * as Rz(rotation) Rx(obliquity) Ry(tilt): the order of Baker. Degrees.
 */
export function writePelvisAngles(pelvis: Values, out: Values): void {
  const w = pelvis[0]!;
  const x = pelvis[1]!;
  const y = pelvis[2]!;
  const z = pelvis[3]!;
  out[0] = Math.atan2(2 * (w * y - x * z), 1 - 2 * (x * x + y * y)) / DEG;
  out[1] = Math.asin(Math.max(-1, Math.min(1, 2 * (y * z + w * x)))) / DEG;
  out[2] = Math.atan2(-2 * (x * y - w * z), 1 - 2 * (x * x + z * z)) / DEG;
}

/**
 * Inclination of a segment in its sagittal plane, degrees: of a foot positive with the toes up, of thigh and shank positive with the
 * lower end in front of the upper one. Needs no heading.
 */
export function segmentPitch(segment: Values): number {
  const w = segment[0]!;
  const x = segment[1]!;
  const y = segment[2]!;
  const z = segment[3]!;
  return -Math.atan2(2 * (w * y - x * z), 1 - 2 * (x * x + y * y)) / DEG;
}

/** To (-180, 180]. */
function wrapped(deg: number): number {
  const turned = deg - 360 * Math.round(deg / 360);
  return turned <= -180 ? turned + 360 : turned;
}
