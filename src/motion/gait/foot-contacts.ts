/**
 * Owns where in a swing the foot left the ground and came back, from the pitch of the foot and the shock of landing, to a
 * part of a reading. docs/gait-foot.md says where each constant is from, and which choices had a reference in sight.
 */

import type { FootSegment, Span } from '#motion/gait/foot-strapdown.ts';

/**
 * Half the width of the second difference that finds the end of push-off. The pitch rate collapses within about 25 ms
 * (foot landmarks of the synthetic walker: 0.61 to 0.645 of a stride); a difference over half of that has its
 * extremum at the bend itself, and covers at least one reading at 60 Hz.
 */
const BEND_HALF_S = 0.015;

/** The bend lies at most this before the last peak of the pitch rate: as long as the whole collapse takes. */
const BEND_REACH_S = 0.025;

/** A later peak of the pitch rate of at least this share of the highest is the push-off; it comes last before the swing. */
const PUSH_OFF_SHARE = 0.6;

/** The landing is looked for from where the foot has slowed to this share of its highest speed. */
const LANDING_SPEED_SHARE = 0.7;

/** The shock begins where the specific force first changes by this share of its fastest change. */
const SHOCK_SHARE = 0.25;

/**
 * The shock reaches a sensor on the shoe within this time of contact: heel pad and sole are pressed together first, and the
 * heel strike transient lasts 10 to 20 ms (Whittle 1999, doi:10.1016/S0966-6362(99)00041-7).
 */
const SHOCK_AFTER_CONTACT_S = 0.02;

/** Without a shock that could be seen, the heel may take this long to turn the foot: twice the transient and a reading at 50 Hz. */
const TURNING_AFTER_SHOCK_S = 0.06;

/**
 * A foot with its toes up by this much lands on the heel alone: half of the usual 20 degrees (Perry and Burnfield 2010). One
 * that lands flat is hit at once. Between, the two are mixed in proportion.
 */
const HEEL_LANDING_DEG = 10;

export interface FootFrame {
  /** Unit vectors in the sensor's frame: the direction of walking, the wearer's left, and up while the foot stands. */
  readonly forward: Float64Array;
  readonly left: Float64Array;
  readonly up: Float64Array;
}

export interface SwingContacts {
  /** Readings, with fractions, in the segment; NaN when the swing has none. */
  finalContact: number;
  initialContact: number;
  /** Pitch of the foot there against its stance, toes down positive, degrees. */
  pitchFinal: number;
  pitchInitial: number;
}

/** Finds both contacts of the swing in the span, which integrateSpan must have filled. */
export function findContacts(
  segment: FootSegment,
  span: Span,
  { frame, out }: { frame: FootFrame; out: SwingContacts },
): void {
  const fastest = fastestReading(segment, span);
  writePitchRate(segment, span, frame.left);
  const final = pushOffEnd(segment, span, fastest);
  const initial = landing(segment, span, { frame, fastest });
  out.finalContact = final;
  out.initialContact = initial;
  out.pitchFinal = pitchAt(segment, frame, final);
  out.pitchInitial = pitchAt(segment, frame, initial);
}

function fastestReading({ velocity }: FootSegment, { first, last }: Span): number {
  let fastest = first;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = first; i <= last; i++) {
    const x = velocity[3 * i]!;
    const y = velocity[3 * i + 1]!;
    const square = x * x + y * y;
    if (square > most) {
      most = square;
      fastest = i;
    }
  }
  return fastest;
}

function speedSquare(velocity: Float64Array, i: number): number {
  const x = velocity[3 * i]!;
  const y = velocity[3 * i + 1]!;
  return x * x + y * y;
}

/** Writes the pitch rate once: a function that returned it would allocate a number for every reading until it is compiled. */
function writePitchRate(
  { gyr, pitchRate }: FootSegment,
  { first, last, half }: Span,
  left: Float64Array,
): void {
  const x = left[0]!;
  const y = left[1]!;
  const z = left[2]!;
  for (let i = first - half; i <= last + half; i++)
    pitchRate[i] = gyr[3 * i]! * x + gyr[3 * i + 1]! * y + gyr[3 * i + 2]! * z;
}

/**
 * Final contact. While the toes carry load, the calf turns the foot about them ever faster; when they leave the ground its
 * moment is gone, and the pitch rate collapses. The bend before the collapse is the extremum of the second difference
 * between the last peak and the highest pitch. (Some feet slow down for 80 ms before the toes leave: the peak is no sign.)
 */
function pushOffEnd({ pitchRate }: FootSegment, { first, rateHz }: Span, fastest: number): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = first; i <= fastest; i++) if (pitchRate[i]! > highest) highest = pitchRate[i]!;
  const enough = PUSH_OFF_SHARE * highest;
  let peak = fastest;
  while (
    peak >= first &&
    (pitchRate[peak]! < enough ||
      pitchRate[peak]! < pitchRate[peak - 1]! ||
      pitchRate[peak]! < pitchRate[peak + 1]!)
  )
    peak--;
  if (peak < first || highest <= 0) return Number.NaN;
  const half = Math.max(1, Math.round(BEND_HALF_S * rateHz));
  const reach = Math.max(1, Math.round(BEND_REACH_S * rateHz));
  let to = peak;
  while (to < fastest && pitchRate[to]! > 0) to++;
  let best = -1;
  let sharpest = Number.POSITIVE_INFINITY;
  for (let i = Math.max(peak - reach, first + half); i <= to; i++) {
    const bend = pitchRate[i - half]! - 2 * pitchRate[i]! + pitchRate[i + half]!;
    if (bend < sharpest) {
      sharpest = bend;
      best = i;
    }
  }
  if (best < 0) return peak;
  return best + vertexOffset(bendAt(pitchRate, best - 1, half), sharpest, bendAt(pitchRate, best + 1, half));
}

function bendAt(pitchRate: Float64Array, i: number, half: number): number {
  return pitchRate[i - half]! - 2 * pitchRate[i]! + pitchRate[i + half]!;
}

/** Of the extremum of the parabola through three equally spaced values, from the middle one. */
function vertexOffset(before: number, middle: number, after: number): number {
  const curvature = before - 2 * middle + after;
  if (Math.abs(curvature) < 1e-12) return 0;
  return Math.max(-0.5, Math.min(0.5, (0.5 * (before - after)) / curvature));
}

/**
 * Initial contact. The toes rise until the ground stops them: at contact on the heel the pitch rate turns from toes up to
 * toes down. A foot may turn a little earlier by itself, so the contact is at most SHOCK_AFTER_CONTACT_S before the shock.
 * A foot that lands flat or toes first has no such turning point, and the shock decides.
 */
function landing(
  segment: FootSegment,
  span: Span,
  { frame, fastest }: { frame: FootFrame; fastest: number },
): number {
  const shock = firstShock(segment, span, fastest);
  // The change lies between two readings.
  const onset = shock + 0.5;
  const onHeel = Math.max(0, Math.min(1, -pitchDegOf(segment.quat, shock, frame) / HEEL_LANDING_DEG));
  const { pitchRate } = segment;
  if (pitchRate[shock]! > 0) {
    const earliest = Math.max(fastest, onset - onHeel * SHOCK_AFTER_CONTACT_S * span.rateHz);
    let before = shock;
    while (before > earliest && pitchRate[before]! > 0) before--;
    return pitchRate[before]! > 0 ? earliest : Math.max(earliest, crossing(pitchRate, before));
  }
  const latest = Math.min(span.last - 1, onset + onHeel * TURNING_AFTER_SHOCK_S * span.rateHz);
  let before = shock;
  while (before < latest && pitchRate[before + 1]! <= 0) before++;
  return before < latest ? Math.max(onset, crossing(pitchRate, before)) : onset;
}

/** Where the line through two readings is 0. */
function crossing(values: Float64Array, at: number): number {
  return at + values[at]! / (values[at]! - values[at + 1]!);
}

/** The reading after which the specific force first bends sharply, while the foot slows down. */
function firstShock({ acc, velocity }: FootSegment, { last }: Span, fastest: number): number {
  const slow = LANDING_SPEED_SHARE * LANDING_SPEED_SHARE * speedSquare(velocity, fastest);
  let from = fastest;
  while (from < last && speedSquare(velocity, from) > slow) from++;
  let strongest = Number.NEGATIVE_INFINITY;
  for (let i = from; i < last; i++) {
    const bend = bendSquare(acc, i);
    if (bend > strongest) strongest = bend;
  }
  let shock = from;
  while (shock < last && bendSquare(acc, shock) < SHOCK_SHARE * SHOCK_SHARE * strongest) shock++;
  return shock;
}

/** Squared length of the second difference: what is smooth, as the braking of the swing, leaves little of it at any rate. */
function bendSquare(acc: Float64Array, i: number): number {
  let square = 0;
  for (let axis = 3 * i; axis < 3 * i + 3; axis++) {
    const difference = acc[axis - 3]! - 2 * acc[axis]! + acc[axis + 3]!;
    square += difference * difference;
  }
  return square;
}

/** Pitch between two readings, by linear interpolation, degrees; NaN for a time that is NaN. */
function pitchAt({ quat }: FootSegment, frame: FootFrame, at: number): number {
  if (Number.isNaN(at)) return at;
  const i = Math.floor(at);
  const part = at - i;
  return (1 - part) * pitchDegOf(quat, i, frame) + part * pitchDegOf(quat, i + 1, frame);
}

/** Pitch of the foot, toes down positive, degrees, from its orientation at a reading. */
export function pitchDegOf(quat: Float64Array, i: number, { forward, up }: FootFrame): number {
  const w = quat[4 * i]!;
  const x = quat[4 * i + 1]!;
  const y = quat[4 * i + 2]!;
  const z = quat[4 * i + 3]!;
  // The vertical in the sensor's frame. By both heights, so that a foot that points beyond straight down has its angle.
  const vx = 2 * (x * z - w * y);
  const vy = 2 * (y * z + w * x);
  const vz = 1 - 2 * (x * x + y * y);
  const ahead = vx * forward[0]! + vy * forward[1]! + vz * forward[2]!;
  const over = vx * up[0]! + vy * up[1]! + vz * up[2]!;
  return (Math.atan2(-ahead, over) * 180) / Math.PI;
}
