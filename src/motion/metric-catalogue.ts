/**
 * Owns the metrics that people read: name, words, unit, digits, how late the live value is, and the error that we measured
 * against a reference, which stands beside the number wherever it is shown. Formulas and references: docs/gait-metrics.md.
 */

import type { GaitSensors } from '#motion/results.ts';

export interface KnownError {
  /** In the metric's unit: mean absolute error, or standard deviation where `kind` says so. */
  readonly value: number;
  readonly kind: 'mean absolute' | 'standard deviation' | 'root mean square';
  /** On what it was measured, as docs/accuracy.md says it. */
  readonly source: string;
}

/** Where a page puts a metric, in this order. */
export const metricGroups = [
  'pace',
  'time',
  'distance',
  'symmetry',
  'variability',
  'trend',
  'regularity',
  'angles',
  'amount',
] as const;
export type MetricGroup = (typeof metricGroups)[number];

export interface Metric {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  readonly group: MetricGroup;
  /** What `count` of its values counts. */
  readonly counted: 'strides' | 'stretches' | 'turns';
  /** How to read a value of a measure that does not explain itself. */
  readonly hint: string | null;
  /** What `spread` of its values is: a trend has half the width of its 95 % confidence interval there. */
  readonly spread: 'standard deviation' | 'confidence' | 'none';
  /** Seconds after the end of what it is about; null where it is not given live. */
  readonly latencyS: number | null;
  /** Null: never measured against a reference with the sensors in question, and the page says so. */
  readonly error: KnownError | null;
}

/**
 * Measured against references by `npm run bench -- accuracy`, by where the sensors sat and the name of the metric, in its unit.
 * A figure here is one that docs/accuracy.md has; what is not here was never measured.
 */
const knownErrors: Readonly<Record<GaitSensors, Readonly<Record<string, KnownError>>>> = {
  feet: {
    'stride-length': footError(0.0145),
    speed: footError(0.0135),
    'stride-time': footError(0.0075),
    'stance-time': footError(0.0087),
    'swing-time': footError(0.0088),
  },
  'lower-back': {
    'stride-length': backError(0.11),
    speed: backError(0.085),
    cadence: backError(5.3),
  },
};

/** Mean absolute error of bouts of everyday walking, recognised live. */
function backError(value: number): KnownError {
  return {
    value,
    kind: 'mean absolute',
    source: 'bouts of one healthy older walker, INDIP (mobgap HA001)',
  };
}

/** Mean absolute error of single strides, which a mean over strides has less of. */
function footError(value: number): KnownError {
  return {
    value,
    kind: 'mean absolute',
    source: 'single strides of one healthy walker, motion capture (gaitmap)',
  };
}

/** Contacts are told 0.3 s late at the feet and 1.8 s at the lower back, as a rule; summaries are a second apart. */
const STRIDE_LATENCY_S = 3;

type Row = readonly [name: string, label: string, unit: string, digits: number, hint?: string | undefined];

/** Means over strides: their spread is the standard deviation. */
const strideRows: Readonly<Record<'pace' | 'time' | 'distance', readonly Row[]>> = {
  pace: [
    ['speed', 'Walking speed', 'm/s', 2],
    ['cadence', 'Cadence', 'steps/min', 0],
    ['stride-length', 'Stride length', 'm', 2],
    ['step-length', 'Step length', 'm', 2],
  ],
  time: [
    ['stride-time', 'Stride time', 's', 2],
    ['step-time', 'Step time', 's', 2],
    ['stance-time', 'Stance time', 's', 2],
    ['swing-time', 'Swing time', 's', 2],
    ['stance-share', 'Stance', '% of stride', 0],
    ['swing-share', 'Swing', '% of stride', 0],
    ['double-support', 'Double support', '% of stride', 0],
  ],
  distance: [['clearance', 'Foot clearance', 'cm', 0]],
};

/** Quantities of both sides that are compared, and how the words about them begin. */
export const comparedQuantities = ['step-time', 'stance-time', 'swing-time', 'stride-length'] as const;

function readSigned(oneSideOnly: number): string {
  return `0 is symmetric, ${oneSideOnly} one side only; positive means that the right is larger`;
}

const symmetryMeasures: readonly Row[] = [
  ['ratio', 'right to left', '1', 2, '1 is symmetric; above 1 the right is larger'],
  ['robinson-index', 'Robinson index', '%', 0, readSigned(200)],
  ['symmetry-angle', 'symmetry angle', '%', 1, readSigned(50)],
  ['asymmetry', 'gait asymmetry', '%', 0, '0 is symmetric; it does not say which side is larger'],
  ['normalised-index', 'normalised symmetry index', '%', 0, readSigned(100)],
];

const variationHint = 'standard deviation as a share of the mean';

/** Quantities whose coefficient of variation is given. */
export const variableQuantities = [
  'stride-time',
  'step-time',
  'swing-time',
  'stride-length',
  'speed',
] as const;

const trendHint = 'no change is seen while the interval holds 0';

/** Quantities whose trend over the session is given, with the digits of a change per minute. */
const trends: readonly Row[] = [
  ['speed', 'Walking speed', 'm/s per min', 3],
  ['cadence', 'Cadence', 'steps/min per min', 1],
  ['stride-time', 'Stride time', 's per min', 3],
  ['stride-length', 'Stride length', 'm per min', 3],
  ['swing-time-robinson-index', 'Swing time, Robinson index', '% per min', 1],
];

const regularityRows: readonly Row[] = [
  ['step-regularity', 'Step regularity of the trunk', '1', 2, '1 when each step is like the next'],
  ['stride-regularity', 'Stride regularity of the trunk', '1', 2, '1 when each stride is like the next'],
  [
    'trunk-symmetry',
    'Step to stride regularity of the trunk',
    '1',
    2,
    '1 when left and right steps are alike',
  ],
];

const amountRows: readonly Row[] = [
  ['strides', 'Strides', '1', 0],
  ['steady-strides', 'Strides straight ahead on the level', '1', 0],
  ['bouts', 'Bouts of walking', '1', 0],
  ['walking-time', 'Time walking', 's', 0],
  ['walking-distance', 'Distance', 'm', 0],
  ['turns', 'Turns', '1', 0],
  ['turn-angle', 'Angle of turns', 'deg', 0],
  ['turn-time', 'Time of turns', 's', 1],
];

/** Metrics with a fixed name, in the order of pages. Those of angles are made of the names of the angles: `metricOf`. */
export const metricCatalogue: readonly Metric[] = [
  ...(['pace', 'time', 'distance'] as const).flatMap((group) =>
    strideRows[group].map((row) => metric(row, group, 'standard deviation')),
  ),
  ...comparedQuantities.flatMap((quantity) =>
    symmetryMeasures.map(([name, label, unit, digits, hint]) =>
      metric(
        [`${quantity}-${name}`, `${labelOf(quantity)}, ${label}`, unit, digits, hint],
        'symmetry',
        'none',
      ),
    ),
  ),
  ...variableQuantities.map((quantity) =>
    metric(
      [`${quantity}-cv`, `${labelOf(quantity)}, variation`, '%', 1, variationHint],
      'variability',
      'none',
    ),
  ),
  ...trends.map(([name, label, unit, digits]) =>
    metric([`${name}-trend`, `${label}, trend`, unit, digits, trendHint], 'trend', 'confidence'),
  ),
  ...regularityRows.map((row) => metric(row, 'regularity', 'standard deviation')),
  ...amountRows.map((row) =>
    metric(row, 'amount', row[0].startsWith('turn-') ? 'standard deviation' : 'none'),
  ),
];

const byName = new Map(metricCatalogue.map((entry) => [entry.name, entry]));

/** Of ranges of motion, sensors on both segments of the joint, as live: set neura_walk of the same bench. */
const rangeErrors: Readonly<Record<string, KnownError>> = {
  'knee-flexion': rangeError(5.2),
  'hip-flexion': rangeError(2.2),
  'ankle-dorsiflexion': rangeError(1.9),
};

function rangeError(value: number): KnownError {
  return {
    value,
    kind: 'mean absolute',
    source: 'one walk of one healthy person against optical motion capture',
  };
}

/**
 * The metric of this name. `knee-flexion-range` and its like, the range of motion over a stride of any angle, and their
 * symmetry (`knee-flexion-range-robinson-index`) are made on the spot. Its error is that with `sensors`, none when they are not given. Null for a name that is no metric.
 */
export function metricOf(name: string, sensors?: GaitSensors): Metric | null {
  const known = byName.get(name);
  if (known !== undefined)
    return sensors === undefined ? known : { ...known, error: knownErrors[sensors][name] ?? null };
  const match = /^([a-z]+(?:-[a-z]+)*?)-range(-robinson-index)?$/.exec(name);
  if (match === null) return null;
  const words = match[1]!.replaceAll('-', ' ');
  const label = `${words[0]!.toUpperCase()}${words.slice(1)}, range of motion`;
  if (match[2] !== undefined)
    return metric([name, `${label}, Robinson index`, '%', 0, readSigned(200)], 'angles', 'none');
  return {
    ...metric([name, label, 'deg', 0], 'angles', 'standard deviation'),
    error: rangeErrors[match[1]!] ?? null,
  };
}

function metric(
  [name, label, unit, digits, hint]: Row,
  group: MetricGroup,
  spread: Metric['spread'],
): Metric {
  return {
    name,
    label,
    unit,
    digits,
    group,
    counted: group === 'regularity' ? 'stretches' : name.startsWith('turn') ? 'turns' : 'strides',
    hint: hint ?? null,
    spread,
    latencyS: STRIDE_LATENCY_S,
    error: null,
  };
}

function labelOf(quantity: string): string {
  for (const rows of Object.values(strideRows))
    for (const [name, label] of rows) if (name === quantity) return label;
  return quantity;
}
