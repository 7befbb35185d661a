/**
 * Owns the envelope of a stream: what a range of device time looks like at a width in columns, each with the least, the
 * largest and the mean value of every axis, so that a decimated curve never hides a peak. One form for programs (typed
 * arrays), two on the wire: JSON, and little-endian float64 column by column behind a JSON head. At most
 * `envelopeLimits.columnsPerWidth` columns for each of the width.
 */

import { Type, type Static } from 'typebox';

import { assert } from '#base/assert.ts';

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

/** Arrays that every column has, before those of the axes. */
const PLAIN_ARRAYS = 4;
const ARRAYS_AN_AXIS = 3;

/** The JSON form. */
export function envelopeJson(envelope: EnvelopeData): string {
  const { startUs, endUs, count, lateUs, min, max, mean } = envelope;
  const lists = { startUs, endUs, count, lateUs };
  return JSON.stringify({
    ...headOf(envelope),
    ...Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, Array.from(list)])),
    // JSON.stringify writes what is not finite as null, as the schema says.
    min: min.map((list) => Array.from(list)),
    max: max.map((list) => Array.from(list)),
    mean: mean.map((list) => Array.from(list)),
  });
}

/**
 * The binary form: u32 length of the head, the head (JSON with `columns`), padded with spaces to a multiple of 8 bytes
 * from the beginning, then float64 column by column: startUs, endUs, count, lateUs, then of each axis min, max, mean. All
 * little endian, as every platform that Node and browsers run on is.
 */
export function encodeEnvelope(envelope: EnvelopeData): Uint8Array<ArrayBuffer> {
  const columns = envelope.startUs.length;
  const text = new TextEncoder().encode(JSON.stringify({ ...headOf(envelope), columns }));
  const start = Math.ceil((4 + text.length) / 8) * 8;
  const { startUs, endUs, count, lateUs, min, max, mean } = envelope;
  const lists = [startUs, endUs, count, lateUs];
  for (let axis = 0; axis < envelope.axes.length; axis++) lists.push(min[axis]!, max[axis]!, mean[axis]!);
  const bytes = new Uint8Array(start + lists.length * columns * 8);
  new DataView(bytes.buffer).setUint32(0, start - 4, true);
  bytes.fill(0x20, 4, start);
  bytes.set(text, 4);
  lists.forEach((list, i) => {
    assert(list.length === columns, 'every list of an envelope has one entry a column');
    new Float64Array(bytes.buffer, start + i * columns * 8, columns).set(list);
  });
  return bytes;
}

/** Reads the binary form; the arrays share its memory. Asserts its length: it comes from our own server. */
export function decodeEnvelope(bytes: ArrayBuffer): EnvelopeData {
  assert(bytes.byteLength >= 8, 'an envelope has a head');
  const headBytes = new DataView(bytes).getUint32(0, true);
  const start = 4 + headBytes;
  assert(start % 8 === 0 && start <= bytes.byteLength, 'an envelope has its head, padded');
  const { columns, ...rest } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(bytes, 4, headBytes)),
  ) as EnvelopeHead & { columns: number };
  const lists = PLAIN_ARRAYS + rest.axes.length * ARRAYS_AN_AXIS;
  assert(bytes.byteLength === start + lists * columns * 8, 'an envelope has the columns that its head says');
  const list = (index: number): Float64Array => new Float64Array(bytes, start + index * columns * 8, columns);
  const curves = (offset: number): Float64Array[] =>
    rest.axes.map((_, axis) => list(PLAIN_ARRAYS + axis * ARRAYS_AN_AXIS + offset));
  return {
    ...rest,
    startUs: list(0),
    endUs: list(1),
    count: list(2),
    lateUs: list(3),
    min: curves(0),
    max: curves(1),
    mean: curves(2),
  };
}

function headOf(envelope: EnvelopeData): EnvelopeHead {
  const { stream, axes, fromUs, toUs, firstUs, lastUs, bucketUs, rawDropped, unrolled, gaps } = envelope;
  return { stream, axes, fromUs, toUs, firstUs, lastUs, bucketUs, rawDropped, unrolled, gaps };
}
