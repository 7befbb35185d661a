/**
 * Owns the synthetic person: walks straight ahead for ever in a loop of strides that differ a little, and tells the
 * truth about it: what ideal sensors on seven segments measure, joint angles, contacts, speed. Pure: everything is a
 * function of parameters and time. People are generated from a seed and carry codes, never names.
 *
 * Accelerometers measure specific force, transpose(R) * (a - g); gyroscopes the angular velocity in the sensor's frame.
 * Both come from fourth-order differences of the pose, so that they belong to exactly this motion.
 */

import { assert } from '#base/assert.ts';
import { normal, seededRandom } from '#base/random.ts';
import { cardanBetween, writeMatrix } from '#simulator/rotation.ts';
import { walkerBody, walkerSegments } from '#simulator/walker-body.ts';
import { createPoser, POSE_LENGTH, POSE_STRIDE } from '#simulator/walker-pose.ts';
import { contactsBetween, createWalkTiming, LOOP_STRIDES, type Contact } from '#simulator/walk-timing.ts';

export interface WalkerParameters {
  readonly seed: number;
  /** The loop is fitted to a whole number of readings, which moves the cadence by at most 0.02 % at 200 Hz. */
  readonly rateHz: number;
  readonly heightM: number;
  readonly cadenceStepsPerMin: number;
  readonly stepLengthM: number;
  /** (left - right) / mean of the stance times; the steps follow. 0 is a symmetric walk. */
  readonly asymmetry: number;
  /** Standard deviation over mean of stride times and of stride lengths. */
  readonly strideTimeVariability: number;
  readonly strideLengthVariability: number;
  /** Walking direction clockwise from magnetic north, for the magnetometer. */
  readonly headingDeg: number;
}

/** What a walker may be: an adult or a child of school age who walks unaided, from a slow limp to a brisk pace. */
export const walkerLimits = {
  rateHz: { min: 20, max: 2000 },
  heightM: { min: 1.1, max: 2.2 },
  cadenceStepsPerMin: { min: 60, max: 150 },
  /** Of the height; beyond it the legs would be over-stretched or the feet shuffle. */
  stepLengthOfHeight: { min: 0.25, max: 0.43 },
  asymmetry: { min: -0.2, max: 0.2 },
  variability: { min: 0, max: 0.05 },
} as const;

export interface LegAngles {
  /** Degrees, positive in the direction of the name; thigh against pelvis, so about 10 above the thigh's own angle. */
  readonly hipFlexion: number;
  readonly hipAdduction: number;
  readonly hipInternalRotation: number;
  readonly kneeFlexion: number;
  readonly ankleDorsiflexion: number;
}

export interface JointAngles {
  readonly left: LegAngles;
  readonly right: LegAngles;
}

export interface SyntheticWalker {
  readonly parameters: WalkerParameters;
  /** e.g. `walker-7f3a`. */
  readonly code: string;
  /** After this time, which is a whole number of readings, everything but the place repeats exactly. */
  readonly loopS: number;
  readonly loopReadings: number;
  readonly strideTimeS: number;
  readonly strideLengthM: number;
  /** Mean over the loop. */
  readonly speedMS: number;
  /** Positions (m) and orientations of the sensors, see walker-pose.ts; x grows by speedMS * loopS every loop. */
  poseAt(timeS: number, out: Float64Array): void;
  /** What ideal sensors measure: for each segment acc (m/s2), gyr (deg/s), mag (uT), nine values a segment. */
  sensorsAt(timeS: number, out: Float64Array): void;
  jointAnglesAt(timeS: number): JointAngles;
  /** Contacts in [fromS, toS), in the order of time. */
  contactsBetween(fromS: number, toS: number): Contact[];
}

/** Sea level in middle latitudes. */
export const GRAVITY_M_S2 = 9.81;

/** Earth's field in Central Europe, horizontal and downwards (World Magnetic Model 2025, 49 N 11 E, rounded). */
const FIELD_HORIZONTAL_UT = 21;
const FIELD_DOWN_UT = 44;

/** Step of the differences: the error of the fourth-order stencil at 30 Hz motion is then 3e-6 of the value. */
const DIFFERENCE_STEP_S = 0.0005;

const DEG = Math.PI / 180;
export const SENSOR_STRIDE = 9;
export const SENSORS_LENGTH = walkerSegments.length * SENSOR_STRIDE;

/**
 * A healthy adult drawn from the seed, walking at the own pace: height 1.70 +- 0.09 m, cadence 111 +- 7 steps/min
 * (Perry and Burnfield 2010: 113), step length by a walk ratio of 0.0061 m/(steps/min) at 1.72 m height (0.006 to 0.0065,
 * Sekiya and Nagasaki 1998), strides that vary by 1 to 2.5 % (Hausdorff 2007: below 3 %). `given` overrides.
 */
export function walkerOfSeed(seed: number, given: Partial<WalkerParameters> = {}): WalkerParameters {
  const random = seededRandom(seed);
  const heightM = given.heightM ?? clamp(1.7 + 0.09 * normal(random), 1.5, 1.95);
  const cadence = given.cadenceStepsPerMin ?? clamp(111 + 7 * normal(random), 95, 127);
  const walkRatio = 0.0061 * (heightM / 1.72) * (1 + 0.04 * normal(random));
  const { min, max } = walkerLimits.stepLengthOfHeight;
  return {
    seed,
    rateHz: 200,
    heightM,
    cadenceStepsPerMin: cadence,
    stepLengthM: clamp(walkRatio * cadence, min * heightM, max * heightM),
    asymmetry: clamp(0.015 * normal(random), -0.05, 0.05),
    strideTimeVariability: 0.01 + 0.015 * random.next(),
    strideLengthVariability: 0.01 + 0.015 * random.next(),
    headingDeg: 360 * random.next(),
    ...given,
  };
}

/** The code of a seed: its low 16 bits, so that a fleet with consecutive seeds has 65,536 different ones. */
export function walkerCode(seed: number): string {
  return `walker-${(seed & 0xffff).toString(16).padStart(4, '0')}`;
}

export function createSyntheticWalker(parameters: WalkerParameters): SyntheticWalker {
  assertParameters(parameters);
  const timing = createWalkTiming(parameters);
  const { loopS, loopReadings, strideTimeS, strideLengthM, distanceAt, left, right } = timing;
  const body = walkerBody(parameters.heightM);
  const poser = createPoser({ body, strides: LOOP_STRIDES, strideLengthM, left, right, distanceAt });
  const heading = parameters.headingDeg * DEG;
  const target = {
    matrix: new Float64Array(9),
    // Walking clockwise from north, north is to the left of the direction of walking.
    fieldWorld: [
      FIELD_HORIZONTAL_UT * Math.cos(heading),
      FIELD_HORIZONTAL_UT * Math.sin(heading),
      -FIELD_DOWN_UT,
    ] as const,
  };
  const stencil = Array.from({ length: 5 }, () => new Float64Array(POSE_LENGTH));
  const pose = new Float64Array(POSE_LENGTH);
  const loopOf = (timeS: number): number => Math.floor(timeS / loopS);
  return {
    parameters,
    code: walkerCode(parameters.seed),
    loopS,
    loopReadings,
    strideTimeS,
    strideLengthM,
    speedMS: strideLengthM / strideTimeS,
    poseAt(timeS, out) {
      const loop = loopOf(timeS);
      poser.pose(timing.phaseAt(timeS - loop * loopS), out);
      for (let s = 0; s < walkerSegments.length; s++)
        out[s * POSE_STRIDE] = out[s * POSE_STRIDE]! + loop * LOOP_STRIDES * strideLengthM;
    },
    sensorsAt(timeS, out) {
      const inLoopS = timeS - loopOf(timeS) * loopS;
      for (const [i, posed] of stencil.entries())
        poser.pose(timing.phaseAt(inLoopS + (i - 2) * DIFFERENCE_STEP_S), posed);
      for (let s = 0; s < walkerSegments.length; s++) writeSensor(stencil, s, { ...target, out });
    },
    jointAnglesAt(timeS) {
      poser.pose(timing.phaseAt(timeS - loopOf(timeS) * loopS), pose);
      return { left: legAngles(pose, 1, 1), right: legAngles(pose, 4, -1) };
    },
    contactsBetween: (fromS, toS) => contactsBetween(timing, fromS, toS),
  };
}

/** Specific force, angular velocity and field of one segment from five poses, equally spaced around the moment. */
function writeSensor(
  stencil: readonly Float64Array[],
  segment: number,
  target: { matrix: Float64Array; fieldWorld: readonly [number, number, number]; out: Float64Array },
): void {
  const [p0, p1, p2, p3, p4] = stencil as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const { matrix, fieldWorld, out } = target;
  const at = segment * POSE_STRIDE;
  const second = (i: number): number =>
    (-p0[i]! + 16 * p1[i]! - 30 * p2[i]! + 16 * p3[i]! - p4[i]!) /
    (12 * DIFFERENCE_STEP_S * DIFFERENCE_STEP_S);
  const first = (i: number): number => (p0[i]! - 8 * p1[i]! + 8 * p3[i]! - p4[i]!) / (12 * DIFFERENCE_STEP_S);
  writeMatrix(p2, at + 3, matrix);
  const fx = second(at);
  const fy = second(at + 1);
  const fz = second(at + 2) + GRAVITY_M_S2;
  const [bx, by, bz] = fieldWorld;
  const o = segment * SENSOR_STRIDE;
  for (let axis = 0; axis < 3; axis++) {
    const [cx, cy, cz] = [matrix[axis]!, matrix[axis + 3]!, matrix[axis + 6]!];
    out[o + axis] = cx * fx + cy * fy + cz * fz;
    out[o + 6 + axis] = cx * bx + cy * by + cz * bz;
  }
  // Angular velocity in the body frame: twice the vector part of conjugate(q) * dq/dt.
  const q = at + 3;
  const [w, x, y, z] = [p2[q]!, p2[q + 1]!, p2[q + 2]!, p2[q + 3]!];
  const [dw, dx, dy, dz] = [first(q), first(q + 1), first(q + 2), first(q + 3)];
  out[o + 3] = (2 * (w * dx - x * dw - y * dz + z * dy)) / DEG;
  out[o + 4] = (2 * (w * dy + x * dz - y * dw - z * dx)) / DEG;
  out[o + 5] = (2 * (w * dz - x * dy + y * dx - z * dw)) / DEG;
}

function legAngles(pose: Float64Array, firstSegment: number, sign: 1 | -1): LegAngles {
  const quaternion = (segment: number): number => segment * POSE_STRIDE + 3;
  const hip = cardanBetween(pose, quaternion(0), quaternion(firstSegment));
  const knee = cardanBetween(pose, quaternion(firstSegment), quaternion(firstSegment + 1));
  const ankle = cardanBetween(pose, quaternion(firstSegment + 1), quaternion(firstSegment + 2));
  return {
    hipFlexion: -hip.flexion / DEG,
    // A positive lean moves the lower end to the left, which is away from the middle for the left leg.
    hipAdduction: (-sign * hip.lean) / DEG,
    hipInternalRotation: (-sign * hip.turn) / DEG,
    kneeFlexion: knee.flexion / DEG,
    ankleDorsiflexion: -ankle.flexion / DEG,
  };
}

function assertParameters(parameters: WalkerParameters): void {
  const within = (value: number, { min, max }: { min: number; max: number }, name: string): void =>
    assert(value >= min && value <= max, `${name} of a walker is from ${min} to ${max}, not ${value}`);
  within(parameters.rateHz, walkerLimits.rateHz, 'rateHz');
  within(parameters.heightM, walkerLimits.heightM, 'heightM');
  within(parameters.cadenceStepsPerMin, walkerLimits.cadenceStepsPerMin, 'cadenceStepsPerMin');
  const { min, max } = walkerLimits.stepLengthOfHeight;
  const { heightM } = parameters;
  within(parameters.stepLengthM, { min: min * heightM, max: max * heightM }, 'stepLengthM');
  within(parameters.asymmetry, walkerLimits.asymmetry, 'asymmetry');
  within(parameters.strideTimeVariability, walkerLimits.variability, 'strideTimeVariability');
  within(parameters.strideLengthVariability, walkerLimits.variability, 'strideLengthVariability');
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
