/**
 * Owns the body model of a session of which nobody has said anything: what the definitions of its streams tell by
 * themselves, by the names of segments and axes and by units. A stream that leaves anything open is left out rather than
 * guessed. Pure; the order of the streams does not matter.
 */

import {
  segments,
  type AxisTriple,
  type BodyModel,
  type Placement,
  type Segment,
} from '#motion/body-model.ts';

/** What is asked of a stream's definition. */
export interface StreamDescription {
  readonly id: string;
  readonly segment: string;
  readonly axes: readonly { readonly name: string; readonly unit: string }[];
  readonly rateHz: number;
  /** `none`: times are those of arrival, which say too little of when a reading was taken. */
  readonly clock?: 'device' | 'none' | undefined;
  /** Of an ideal wearer, whose sensors sit as their segments. */
  readonly synthetic?: boolean | undefined;
}

/** Slower sensors miss the contacts of a foot (25 ms wide), faster ones are not worn. */
const RATE_HZ = { min: 20, max: 2_000 };

const STANDARD_GRAVITY_M_S2 = 9.80665;
const DEG = Math.PI / 180;

/** What a unit is multiplied by to give m/s2, rad/s and uT. */
const scales: Readonly<Record<'acc' | 'gyr' | 'mag', Readonly<Record<string, number>>>> = {
  acc: {
    'm/s2': 1,
    'm/s^2': 1,
    'm/s²': 1,
    g: STANDARD_GRAVITY_M_S2,
    mg: STANDARD_GRAVITY_M_S2 / 1_000,
  },
  gyr: { 'rad/s': 1, 'deg/s': DEG, '°/s': DEG, dps: DEG, mdps: DEG / 1_000 },
  // Both the micro sign and the Greek letter are in use.
  mag: { uT: 1, µT: 1, μT: 1, mT: 1_000, T: 1e6, G: 100, gauss: 100, mG: 0.1 },
};

/** Other names of segments, as makers of sensors and data sets write them. */
const aliases: Readonly<Record<string, Segment>> = {
  lumbar: 'lower-back',
  'lower-back': 'lower-back',
  l5: 'lower-back',
  waist: 'lower-back',
  sacrum: 'pelvis',
  hip: 'pelvis',
  chest: 'thorax',
  sternum: 'thorax',
  trunk: 'thorax',
};

/** The placements that follow from the streams, in the order of their ids; of two on one segment the first. */
export function defaultBodyModel(streams: readonly StreamDescription[]): BodyModel {
  const placements: Placement[] = [];
  const taken = new Set<Segment>();
  for (const stream of [...streams].toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))) {
    const placement = placementOf(stream);
    if (placement === null || taken.has(placement.segment)) continue;
    taken.add(placement.segment);
    placements.push(placement);
  }
  return { heightM: null, placements };
}

function placementOf(stream: StreamDescription): Placement | null {
  const { id, rateHz, clock, synthetic } = stream;
  const segment = segmentOf(stream.segment);
  const acc = tripleOf(stream, 'acc');
  const gyr = tripleOf(stream, 'gyr');
  if (segment === null || acc === null || gyr === null || clock === 'none') return null;
  if (!(rateHz >= RATE_HZ.min && rateHz <= RATE_HZ.max)) return null;
  const kind = synthetic === true ? 'aligned' : 'from-movement';
  return { stream: id, segment, rateHz, acc, gyr, mag: tripleOf(stream, 'mag'), alignment: { kind } };
}

/** `Left foot`, `left_foot` and `foot-left` are one segment. */
function segmentOf(name: string): Segment | null {
  const plain = name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_]+/g, '-');
  const turned = plain.replace(/^(.+)-(left|right)$/, '$2-$1');
  for (const one of [plain, turned, aliases[plain]])
    for (const segment of segments) if (segment === one) return segment;
  return null;
}

/** How a name of an axis begins, without separators: `acc_x`, `Accel-X` and `accx` are one. */
const quantities = {
  acc: ['acc', 'accel', 'accelerometer'],
  gyr: ['gyr', 'gyro', 'gyroscope'],
  mag: ['mag', 'magnetometer'],
} as const;

/** Axes x, y and z with one known unit; null when they are not all there. */
function tripleOf({ axes }: StreamDescription, quantity: keyof typeof quantities): AxisTriple | null {
  const names = axes.map(({ name }) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
  const [x, y, z] = ['x', 'y', 'z'].map((axis) =>
    names.findIndex((name) => quantities[quantity].some((start) => name === start + axis)),
  ) as [number, number, number];
  if (x < 0 || y < 0 || z < 0) return null;
  const unit = axes[x]!.unit;
  if (axes[y]!.unit !== unit || axes[z]!.unit !== unit) return null;
  const known = scales[quantity];
  return Object.hasOwn(known, unit) ? { axes: [x, y, z], scale: known[unit]! } : null;
}
