/**
 * Owns what is usual in people without a complaint: bands of joint angles over a stride and ranges of the figures of gait, each
 * with the population it was measured on, and how far from it a value or a curve is. The figures are in data/norms, which has a
 * licence of its own and so stays data: whoever has read a file gives its parsed JSON.
 */

import { assert } from '#base/assert.ts';
import type { Side } from '#motion/body-model.ts';
import { CYCLE_POINTS } from '#motion/results.ts';

export type Sex = 'female' | 'male';

/** Null where it is not known. */
export interface Person {
  readonly ageYears: number | null;
  readonly sex: Sex | null;
}

/** Who is of unknown age is taken as an adult of these years. */
const ADULT_FROM = 18;
const ADULT_TO = 69;

export const unknownPerson: Person = { ageYears: null, sex: null };

/** CYCLE_POINTS values each, in degrees from 0 to 100 % of a stride: mean and one standard deviation to both sides. */
export interface NormBand {
  /** In a few words, for beside the curve. */
  readonly population: string;
  /** Who was measured, by whom. */
  readonly about: string;
  readonly mean: Float32Array;
  readonly low: Float32Array;
  readonly high: Float32Array;
}

export interface NormRange {
  readonly population: string;
  readonly about: string;
  readonly low: number;
  readonly high: number;
}

interface Curve {
  /** The angle of the right side is the negative of the left's. */
  readonly mirrored: boolean;
  readonly mean: readonly number[];
  readonly sd: readonly number[];
}

/** data/norms/joint-angles.json. */
export interface JointNorms {
  readonly attribution: string;
  readonly populations: readonly {
    readonly label: string;
    readonly about: string;
    readonly ageMin: number;
    readonly ageMax: number | null;
    readonly curves: Readonly<Record<string, Curve>>;
  }[];
}

/** data/norms/spatio-temporal.json. Bands are in the units of the metric catalogue. */
export interface FigureNorms {
  readonly attribution: string;
  readonly sources: Readonly<Record<string, string>>;
  readonly groups: readonly {
    readonly sex: Sex;
    readonly ageMin: number;
    readonly ageMax: number;
    readonly pace: 'slow' | 'own' | 'fast';
    readonly source: string;
    readonly bands: Readonly<Record<string, readonly [number, number]>>;
  }[];
}

/** Of parsed JSON. A file that is not ours is a bug of whoever packed it. */
export function readJointNorms(json: unknown): JointNorms {
  const norms = json as JointNorms;
  assert(Array.isArray(norms?.populations), 'joint-angles.json has populations');
  for (const { curves } of norms.populations)
    for (const { mean, sd } of Object.values<Curve>(curves))
      assert(mean.length > 1 && mean.length === sd.length, 'a curve has a deviation for each mean');
  return norms;
}

/** Of parsed JSON. */
export function readFigureNorms(json: unknown): FigureNorms {
  const norms = json as FigureNorms;
  assert(Array.isArray(norms?.groups), 'spatio-temporal.json has groups');
  for (const { bands } of norms.groups)
    for (const [low, high] of Object.values<readonly [number, number]>(bands))
      assert(low < high, 'a range has a width');
  return norms;
}

/** Adults where the age is not known. Angles of neither side, as those of the pelvis, change sign with the side of the stride. */
export function normBand(
  norms: JointNorms,
  curve: { readonly name: string; readonly side: Side },
  person: Person = unknownPerson,
): NormBand | null {
  const age = Math.floor(person.ageYears ?? ADULT_FROM);
  const found = norms.populations.find(
    ({ ageMin, ageMax, curves }) =>
      age >= ageMin && (ageMax === null || age <= ageMax) && curves[curve.name] !== undefined,
  );
  if (found === undefined) return null;
  const { mirrored, mean, sd } = found.curves[curve.name]!;
  const sign = mirrored && curve.side === 'right' ? -1 : 1;
  const at = (values: readonly number[], i: number): number => {
    const exact = (i * (values.length - 1)) / (CYCLE_POINTS - 1);
    const before = Math.min(Math.floor(exact), values.length - 2);
    return values[before]! + (exact - before) * (values[before + 1]! - values[before]!);
  };
  const points = (valueOf: (i: number) => number): Float32Array =>
    Float32Array.from({ length: CYCLE_POINTS }, (_, i) => valueOf(i));
  return {
    population: found.label,
    about: found.about,
    mean: points((i) => sign * at(mean, i)),
    low: points((i) => sign * at(mean, i) - at(sd, i)),
    high: points((i) => sign * at(mean, i) + at(sd, i)),
  };
}

/**
 * Mean plus and minus one standard deviation of people of this age and sex at the pace of their choice: the outer limits over
 * all groups that the person may belong to. Null for a metric, an age or a sex without figures.
 */
export function normOf(norms: FigureNorms, metric: string, person: Person = unknownPerson): NormRange | null {
  const groups = norms.groups.filter(
    ({ sex, ageMin, ageMax, pace, bands }) =>
      pace === 'own' &&
      bands[metric] !== undefined &&
      (person.sex === null || person.sex === sex) &&
      (person.ageYears === null
        ? ageMin >= ADULT_FROM && ageMax <= ADULT_TO
        : Math.floor(person.ageYears) >= ageMin && Math.floor(person.ageYears) <= ageMax),
  );
  if (groups.length === 0) return null;
  const from = Math.min(...groups.map(({ ageMin }) => ageMin));
  const to = Math.max(...groups.map(({ ageMax }) => ageMax));
  const who = person.sex === null ? 'men and women' : person.sex === 'male' ? 'men' : 'women';
  const people = to < ADULT_FROM ? 'children' : who;
  const sources = [...new Set(groups.map(({ source }) => norms.sources[source]!))].join('; ');
  return {
    population: `${people} of ${from === to ? from : `${from} to ${to}`} years, own pace`,
    about: sources,
    low: Math.min(...groups.map(({ bands }) => bands[metric]![0])),
    high: Math.max(...groups.map(({ bands }) => bands[metric]![1])),
  };
}

export interface Comparison {
  readonly place: 'below' | 'within' | 'above';
  /** Distance from the middle of the range in half widths: standard deviations where the range is of one group. */
  readonly deviations: number;
}

export function compareToNorm(
  value: number,
  { low, high }: { readonly low: number; readonly high: number },
): Comparison {
  const place = value < low ? 'below' : value > high ? 'above' : 'within';
  return { place, deviations: (2 * value - low - high) / (high - low) };
}

/**
 * Root mean square difference of a curve and the mean of the norm, in degrees: the Gait Variable Score of Baker 2009,
 * doi:10.1016/j.gaitpost.2009.05.020. Healthy people have 3 to 7 degrees, by angle. Null where the curve has a hole.
 */
export function gaitVariableScore(curve: Float32Array, { mean }: Pick<NormBand, 'mean'>): number | null {
  assert(curve.length === mean.length, 'the curve has as many points as the norm');
  let squares = 0;
  for (let i = 0; i < curve.length; i++) squares += (curve[i]! - mean[i]!) ** 2;
  return Number.isFinite(squares) ? Math.sqrt(squares / curve.length) : null;
}

/** Share of the stride, 0 to 1, in which the curve is outside mean plus and minus `deviations` standard deviations. */
export function shareOutside(curve: Float32Array, band: NormBand, deviations: number): number | null {
  let outside = 0;
  for (let i = 0; i < curve.length; i++) {
    if (!Number.isFinite(curve[i]!)) return null;
    const sd = (band.high[i]! - band.low[i]!) / 2;
    if (Math.abs(curve[i]! - band.mean[i]!) > deviations * sd) outside += 1;
  }
  return outside / curve.length;
}
