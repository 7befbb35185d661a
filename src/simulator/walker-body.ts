/**
 * Owns the body of a synthetic walker: segment lengths as fractions of the standing height (Drillis and Contini 1966,
 * as given by Winter 2009, figure 4.1) and where each sensor sits. Lengths in metres, frames with x forward, y left, z up.
 */

export const walkerSegments = [
  'pelvis',
  'left-thigh',
  'left-shank',
  'left-foot',
  'right-thigh',
  'right-shank',
  'right-foot',
] as const;

export type WalkerSegment = (typeof walkerSegments)[number];

export interface Vector {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export interface WalkerBody {
  readonly thighM: number;
  readonly shankM: number;
  /** Height of the ankle joint above the ground when the foot is flat. */
  readonly ankleHeightM: number;
  /** From below the ankle: how far back the heel touches the ground, and how far ahead the balls of the toes do. */
  readonly heelM: number;
  readonly ballM: number;
  /** From the balls to the tip of the toes. */
  readonly toesM: number;
  /** Between the hip joints. */
  readonly hipWidthM: number;
  /** Between the lines on which the feet are placed. */
  readonly stepWidthM: number;
  /** From the segment's upper joint (pelvis: the middle between the hip joints), in the segment's frame. */
  readonly sensorOffsets: Readonly<Record<WalkerSegment, Vector>>;
}

export function walkerBody(heightM: number): WalkerBody {
  const thighM = 0.245 * heightM;
  const shankM = 0.246 * heightM;
  const footM = 0.152 * heightM;
  const heelM = 0.25 * footM;
  // Straps hold the sensors at the outer side, in the middle of the segment; the shoe carries one on the instep.
  const thigh = (side: number): Vector => ({ x: 0.01 * heightM, y: side * 0.045 * heightM, z: -thighM / 2 });
  const shank = (side: number): Vector => ({ x: 0.01 * heightM, y: side * 0.03 * heightM, z: -shankM / 2 });
  const foot: Vector = { x: 0.035 * heightM, y: 0, z: -0.01 * heightM };
  return {
    thighM,
    shankM,
    ankleHeightM: 0.039 * heightM,
    heelM,
    // The balls of the toes are at 0.7 of the foot's length from the heel.
    ballM: 0.7 * footM - heelM,
    toesM: 0.3 * footM,
    // Hip joint centres of adults are about 0.17 m apart (0.191 of the height is the breadth of the pelvis).
    hipWidthM: 0.098 * heightM,
    stepWidthM: 0.055 * heightM,
    sensorOffsets: {
      pelvis: { x: -0.055 * heightM, y: 0, z: 0.02 * heightM },
      'left-thigh': thigh(1),
      'left-shank': shank(1),
      'left-foot': foot,
      'right-thigh': thigh(-1),
      'right-shank': shank(-1),
      'right-foot': foot,
    },
  };
}

/** Where the ankle is while the sole rolls on the ground without slipping, relative to where it is with the foot flat. */
export interface AnkleOverGround {
  readonly forwardM: number;
  readonly heightM: number;
}

/** The toes bend by up to this much while the heel rises; beyond it the foot turns about their tip. */
const TOE_ROCKER_RAD = (50 * Math.PI) / 180;

/**
 * The foot is a rigid plate that turns about its heel while the toes point up, and rolls over the forefoot when they
 * point down: an arc from the ball to the tip of the toes, then the tip (heel, forefoot and toe rocker of Perry and
 * Burnfield 2010). `pitchRad` is positive with the toes down.
 */
export function ankleOverGround(body: WalkerBody, pitchRad: number): AnkleOverGround {
  const { heelM, ballM, toesM, ankleHeightM } = body;
  if (pitchRad <= 0) return turnedAbout({ x: -heelM, z: -ankleHeightM }, -heelM, pitchRad);
  const radiusM = toesM / TOE_ROCKER_RAD;
  if (pitchRad <= TOE_ROCKER_RAD) {
    const over = turnedAbout({ x: ballM, z: radiusM - ankleHeightM }, ballM + radiusM * pitchRad, pitchRad);
    return { forwardM: over.forwardM, heightM: radiusM + over.heightM };
  }
  const tip = {
    x: ballM + radiusM * Math.sin(TOE_ROCKER_RAD),
    z: radiusM * (1 - Math.cos(TOE_ROCKER_RAD)) - ankleHeightM,
  };
  return turnedAbout(tip, ballM + toesM, pitchRad);
}

/** The ankle when the foot has turned about a point that is at `point` in its frame and above `groundM` on the ground. */
function turnedAbout(point: { x: number; z: number }, groundM: number, pitchRad: number): AnkleOverGround {
  const cos = Math.cos(pitchRad);
  const sin = Math.sin(pitchRad);
  // Ry(pitch) of the point: x' = x cos + z sin, z' = -x sin + z cos.
  return { forwardM: groundM - (point.x * cos + point.z * sin), heightM: point.x * sin - point.z * cos };
}

/** Hip to ankle when the knee is bent by `kneeRad`. */
export function legLength({ thighM, shankM }: WalkerBody, kneeRad: number): number {
  return Math.sqrt(thighM * thighM + shankM * shankM + 2 * thighM * shankM * Math.cos(kneeRad));
}

/** Knee flexion that puts the ankle `forwardM` ahead of and `downM` below the hip; 0 when it is out of reach. */
export function kneeFor({ thighM, shankM }: WalkerBody, forwardM: number, downM: number): number {
  const cos =
    (forwardM * forwardM + downM * downM - thighM * thighM - shankM * shankM) / (2 * thighM * shankM);
  return cos >= 1 ? 0 : Math.acos(cos);
}

/** Flexion of the thigh against the vertical for the same ankle, with the knee that `kneeFor` gave. */
export function thighFor(
  { thighM, shankM }: WalkerBody,
  ankle: { forwardM: number; downM: number },
  kneeRad: number,
): number {
  return (
    Math.atan2(ankle.forwardM, ankle.downM) +
    Math.atan2(shankM * Math.sin(kneeRad), thighM + shankM * Math.cos(kneeRad))
  );
}
