/**
 * Owns what normal walking looks like over one gait cycle, initial contact at 0, final contact at STANCE_FRACTION: the
 * angles of thigh, knee and foot as landmarks with a smooth curve through them.
 *
 * Source of thigh and knee: the phase by phase values of Perry and Burnfield, Gait Analysis: Normal and Pathological
 * Function, 2nd edition 2010, chapters 4 to 6 (healthy adults walking on level ground at their own pace), with knee
 * extension stopping at 5 degrees. The foot angle follows from their ankle values and from the recorded feet in
 * data/gaitmap (flat for about a quarter of the cycle, 60 degrees at final contact).
 */

import { assert } from '#base/assert.ts';

/** Part of the cycle with the foot on the ground, healthy adults at their own pace (Perry and Burnfield 2010: 62 %). */
export const STANCE_FRACTION = 0.62;

/** (fraction of the cycle, degrees), by growing fraction, the first at 0. */
type Landmarks = readonly (readonly [number, number])[];

/** Thigh against the vertical, positive when the knee is ahead of the hip. */
const thighLandmarks: Landmarks = [
  [0, 22],
  [0.12, 19],
  [0.31, 2],
  [0.5, -17],
  [0.62, -8],
  [0.75, 16],
  [0.86, 26],
  [0.94, 24],
];

/** Knee flexion. */
const kneeLandmarks: Landmarks = [
  [0, 6],
  [0.06, 13],
  [0.14, 18],
  [0.31, 9],
  [0.4, 7],
  [0.5, 12],
  [0.62, 42],
  [0.72, 65],
  [0.87, 27],
  [0.96, 6],
];

/** Foot against the ground, positive with the toes down. Exactly 0 between 0.09 and 0.32: the foot is flat. */
const footLandmarks: Landmarks = [
  [0, -18],
  [0.02, -14],
  [0.09, 0],
  [0.32, 0],
  [0.5, 17],
  [0.57, 36],
  [0.61, 58],
  [0.63, 69],
  [0.645, 71],
  [0.7, 58],
  [0.76, 39],
  [0.83, 9],
  [0.9, -11],
  [0.96, -20],
];

export type GaitCurve = (phase: number) => number;

/** Winter, Sidwall and Hobson 1974: 99.7 % of the power of walking is in its first seven harmonics. */
export const thighFlexionDeg: GaitCurve = harmonicCurve(thighLandmarks, 5);
export const kneeFlexionDeg: GaitCurve = harmonicCurve(kneeLandmarks, 7);
export const footPitchDeg: GaitCurve = monotoneCurve(footLandmarks);

/**
 * A periodic curve through landmarks that never overshoots them: piecewise cubic with the slopes of Fritsch and Butland
 * (1984). Between two equal landmarks it is constant.
 */
export function monotoneCurve(landmarks: Landmarks): GaitCurve {
  const count = landmarks.length;
  assert(count >= 3 && landmarks[0]![0] === 0, 'a curve needs three landmarks, the first at 0');
  const phases = landmarks.map(([phase]) => phase);
  phases.push(1);
  const values = landmarks.map(([, value]) => value);
  values.push(values[0]!);
  const widths = values.slice(1).map((_, i) => phases[i + 1]! - phases[i]!);
  assert(
    widths.every((width) => width > 0),
    'landmarks are in the order of the cycle and below 1',
  );
  const rises = widths.map((width, i) => (values[i + 1]! - values[i]!) / width);
  const slopes = rises.map((rise, i) => {
    const before = (i + count - 1) % count;
    const riseBefore = rises[before]!;
    if (rise * riseBefore <= 0) return 0;
    const [h0, h1] = [widths[before]!, widths[i]!];
    return (3 * (h0 + h1)) / ((2 * h1 + h0) / riseBefore + (h1 + 2 * h0) / rise);
  });
  slopes.push(slopes[0]!);
  return (phase) => {
    const p = phase - Math.floor(phase);
    let i = count - 1;
    while (phases[i]! > p) i--;
    const h = widths[i]!;
    const s = (p - phases[i]!) / h;
    const fromEnd = 1 - s;
    return (
      values[i]! * (1 + 2 * s) * fromEnd * fromEnd +
      values[i + 1]! * s * s * (3 - 2 * s) +
      h * s * fromEnd * (slopes[i]! * fromEnd - slopes[i + 1]! * s)
    );
  };
}

/** The Fourier series, cut after `harmonics`, of the monotone curve through the landmarks. */
export function harmonicCurve(landmarks: Landmarks, harmonics: number): GaitCurve {
  const curve = monotoneCurve(landmarks);
  const samples = Array.from({ length: 256 }, (_, i) => curve(i / 256));
  const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  const terms = Array.from({ length: harmonics }, (_, k) => {
    const turn = 2 * Math.PI * (k + 1);
    let cos = 0;
    let sin = 0;
    for (const [i, value] of samples.entries()) {
      cos += (2 / 256) * value * Math.cos((turn * i) / 256);
      sin += (2 / 256) * value * Math.sin((turn * i) / 256);
    }
    return { turn, cos, sin };
  });
  return (phase) => {
    let sum = mean;
    for (const { turn, cos, sin } of terms)
      sum += cos * Math.cos(turn * phase) + sin * Math.sin(turn * phase);
    return sum;
  };
}

/** 0 below `from`, 1 above `to`, with continuous second derivative (Perlin 2002). */
export function smoothStep(value: number, from: number, to: number): number {
  const s = Math.max(0, Math.min(1, (value - from) / (to - from)));
  return s * s * s * (10 + s * (6 * s - 15));
}
