/**
 * Owns what an analysis of motion looks like to those who ask: the body model of a session, what its live channels carry, and
 * what was found in its committed readings. The records are those of motion/results.ts.
 */

import { Type, type Static } from 'typebox';

import { Id } from '#contract/rest.ts';
import { limits } from '#protocol/limits.ts';

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Us = Type.Integer();
const Value = Nullable(Type.Number());
const Side = Type.Union([Type.Literal('left'), Type.Literal('right')]);

const AxisTriple = Type.Object({
  axes: Type.Tuple([
    Type.Integer({ minimum: 0, maximum: limits.axesPerStream - 1 }),
    Type.Integer({ minimum: 0, maximum: limits.axesPerStream - 1 }),
    Type.Integer({ minimum: 0, maximum: limits.axesPerStream - 1 }),
  ]),
  scale: Type.Number(),
});

const Alignment = Type.Union([
  Type.Object({ kind: Type.Literal('aligned') }),
  Type.Object({ kind: Type.Literal('from-movement') }),
  Type.Object({
    kind: Type.Literal('calibrated'),
    quaternion: Type.Tuple([Type.Number(), Type.Number(), Type.Number(), Type.Number()]),
    method: Type.String({ maxLength: 64 }),
    quality: Type.Number({ minimum: 0, maximum: 1 }),
    reason: Nullable(Type.String({ maxLength: 200 })),
  }),
]);

export const BodyModel = Type.Object({
  heightM: Nullable(Type.Number({ minimum: 0.4, maximum: 2.6 })),
  placements: Type.Array(
    Type.Object({
      stream: Type.String({ minLength: 1, maxLength: limits.nameCharacters }),
      segment: Type.String({ minLength: 1, maxLength: limits.nameCharacters }),
      rateHz: Type.Number({ exclusiveMinimum: 0, maximum: limits.rateHz }),
      acc: AxisTriple,
      gyr: AxisTriple,
      mag: Nullable(AxisTriple),
      alignment: Alignment,
    }),
    { maxItems: 32 },
  ),
});
export type BodyModel = Static<typeof BodyModel>;

export const Contact = Type.Object({
  side: Side,
  kind: Type.Union([Type.Literal('initial'), Type.Literal('final')]),
  timeUs: Us,
});

export const Stride = Type.Object({
  side: Side,
  startUs: Us,
  endUs: Us,
  finalContactUs: Nullable(Us),
  strideTimeS: Type.Number(),
  stanceTimeS: Value,
  swingTimeS: Value,
  doubleSupportPercent: Value,
  strideLengthM: Value,
  speedMS: Value,
  cadenceStepsPerMin: Type.Number(),
  clearanceM: Value,
  turnDeg: Value,
  heightChangeM: Value,
  terrain: Nullable(Type.Union([Type.Literal('level'), Type.Literal('up'), Type.Literal('down')])),
  bout: Type.Integer({ minimum: 0 }),
});

/** Degrees at 0, 1, ... 100 % of the stride; null where unknown. */
export const Cycle = Type.Object({
  side: Side,
  startUs: Us,
  endUs: Us,
  curves: Type.Record(Type.String(), Type.Array(Value, { maxItems: 101 })),
});

export const Metric = Type.Object({
  metric: Type.String(),
  label: Type.String(),
  side: Nullable(Side),
  value: Value,
  spread: Value,
  count: Type.Integer({ minimum: 0 }),
  unit: Type.String(),
  digits: Type.Integer({ minimum: 0 }),
  latencyS: Value,
  error: Nullable(Type.Object({ value: Type.Number(), kind: Type.String(), source: Type.String() })),
  /** Why there is no value. */
  reason: Nullable(Type.String()),
});
export type Metric = Static<typeof Metric>;

export const MotionNotice = Type.Object({
  timeUs: Us,
  code: Type.String(),
  segment: Nullable(Type.String()),
  text: Type.String(),
});

/** `session/{session}/motion`, class live: the newest joint angles, row by row in degrees. Provisional. */
export const LiveAngles = Type.Object({
  columns: Type.Array(Type.String()),
  firstUs: Us,
  stepUs: Us,
  rows: Type.Array(Type.Array(Value)),
  /** Milliseconds from the arrival of the last reading to this. */
  computeMs: Type.Number(),
});
export type LiveAngles = Static<typeof LiveAngles>;

/** `session/{session}/gait`, class event: what was recognised in the readings as they came. Provisional until it is in the analysis. */
export const gaitEvents = {
  stride: Stride,
  cycle: Cycle,
  turn: Type.Object({ startUs: Us, endUs: Us, angleDeg: Type.Number() }),
  notice: MotionNotice,
  /** Figures over the strides so far, again after each that changed them, at most once a second. */
  summary: Type.Object({ metrics: Type.Array(Metric), strides: Type.Integer({ minimum: 0 }), untilUs: Us }),
  /** Windows of the analysis of committed readings that are new or were revised. */
  committed: Type.Object({
    windows: Type.Array(Type.Object({ startUs: Us, endUs: Us, revision: Type.Integer() })),
  }),
};

/** A session as its committed readings tell it. */
export const MotionAnalysis = Type.Object({
  session: Id,
  bodyModel: BodyModel,
  bodyModelRevision: Type.Integer({ minimum: 0 }),
  algorithm: Type.String(),
  version: Type.Integer(),
  /** True while readings wait to be analysed, or a gap before the end may still be filled. */
  isProvisional: Type.Boolean(),
  /** Why, in words; null when it is final. */
  reason: Nullable(Type.String()),
  fromUs: Nullable(Us),
  untilUs: Nullable(Us),
  metrics: Type.Array(Metric),
  contacts: Type.Array(Contact),
  strides: Type.Array(Stride),
  /** Newest last, at most as many as were asked for. */
  cycles: Type.Array(Cycle),
  turns: Type.Array(Type.Object({ startUs: Us, endUs: Us, angleDeg: Type.Number() })),
  notices: Type.Array(MotionNotice),
});
export type MotionAnalysis = Static<typeof MotionAnalysis>;

/** The body model that counts for a session. Revision 0: it follows from the definitions of the streams, nobody edited it. */
export const SessionBodyModel = Type.Object({
  session: Id,
  revision: Type.Integer({ minimum: 0 }),
  bodyModel: BodyModel,
  isDefault: Type.Boolean(),
  /** Whether the key that asks may store another. */
  mayEdit: Type.Boolean(),
});
export type SessionBodyModel = Static<typeof SessionBodyModel>;

export const BodyModelRequest = Type.Object(
  {
    bodyModel: BodyModel,
    revision: Type.Integer({ minimum: 0, description: 'of the model that this one was made from' }),
  },
  { additionalProperties: false },
);

/** A session's analysis from the beginning was asked for. */
export const AnalysisAsked = Type.Object({ session: Id, asked: Type.Integer({ minimum: 1 }) });
export type AnalysisAsked = Static<typeof AnalysisAsked>;
