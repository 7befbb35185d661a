/**
 * Owns the envelope of a stream: what a range of device time looks like at a width in columns, each with the least, the
 * largest and the mean value of every axis, so that a decimated curve never hides a peak. Its forms on the wire are
 * envelope-codec.ts's. At most `envelopeLimits.columnsPerWidth` columns for each of the width.
 */

import { Type, type Static } from 'typebox';

export const envelopeLimits = {
  minWidth: 16,
  /** Screens end at 4,096 dots or show two of theirs as one of ours. */
  maxWidth: 4096,
  defaultWidth: 1000,
  /** A curve of one column a dot would step; two let it be drawn anywhere between. */
  columnsPerWidth: 2,
  /** Gaps told of one range, the largest ones: more than one for every other dot cannot be seen apart. */
  gaps: 1_000,
} as const;

const TimeUs = Type.Integer({ description: 'device time in microseconds' });
const NullableTime = Type.Union([TimeUs, Type.Null()]);
const Columns = Type.Array(Type.Number());
const Curves = Type.Array(Type.Array(Type.Union([Type.Number(), Type.Null()])));

/** Missing readings between two that are there, by the device times of these two. */
export const EnvelopeGap = Type.Object(
  {
    fromUs: TimeUs,
    toUs: TimeUs,
    readings: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'how many are missing; null: not known',
    }),
    state: Type.Union([Type.Literal('pending'), Type.Literal('lost'), Type.Literal('tail-lost')], {
      description:
        '`pending`: the device may still send them; `lost`: it said that they will not come; `tail-lost`: its store was lost, with an unknown number of readings',
    }),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'of what was declared lost' }),
  },
  { $id: 'EnvelopeGap' },
);
export type EnvelopeGap = Static<typeof EnvelopeGap>;

const head = {
  stream: Type.String({ format: 'uuid' }),
  axes: Type.Array(Type.Object({ name: Type.String(), unit: Type.String() })),
  fromUs: TimeUs,
  toUs: Type.Integer({ description: 'exclusive; the range that is answered' }),
  firstUs: NullableTime,
  lastUs: NullableTime,
  bucketUs: Type.Integer({
    minimum: 0,
    description: 'columns are made of roll-ups of this many microseconds; 0: of single readings',
  }),
  rawDropped: Type.Boolean({
    description:
      'single readings of this range, or of part of it, were dropped by retention: roll-ups are shown',
  }),
  unrolled: Type.Integer({
    minimum: 0,
    description:
      'stored readings that touch this range and are not in it yet, because roll-ups have not caught up; nearly always 0',
  }),
  gaps: Type.Array(EnvelopeGap),
};

export const Envelope = Type.Object(
  {
    ...head,
    startUs: Columns,
    /** Exclusive. */
    endUs: Columns,
    count: Columns,
    /** The largest lag (arrival minus device time) above the stream's smallest one. */
    lateUs: Columns,
    min: Curves,
    max: Curves,
    mean: Curves,
  },
  {
    $id: 'Envelope',
    description:
      'Columns in the order of time; `min`, `max` and `mean` have one list an axis, null where no value is finite.',
  },
);

const Head = Type.Object(head);
export type EnvelopeHead = Static<typeof Head>;

/** An envelope as programs have it: one entry a column, and for curves one array an axis. NaN: no finite value. */
export interface EnvelopeData extends EnvelopeHead {
  readonly startUs: Float64Array;
  /** Exclusive. */
  readonly endUs: Float64Array;
  readonly count: Float64Array;
  readonly lateUs: Float64Array;
  readonly min: readonly Float64Array[];
  readonly max: readonly Float64Array[];
  readonly mean: readonly Float64Array[];
}
