/**
 * Owns what processors of any language work with: windows of committed readings in the order in which they changed, the
 * readings of one, and the results that are stored for it. Device times are integers in microseconds since 1970.
 */

import { Type, type Static } from 'typebox';

import { Id } from '#contract/rest.ts';

const Count = Type.Integer({ minimum: 0 });
const Us = Type.Integer();
const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const windowLimits = {
  /** Windows of one page: 20 kB. */
  pageWindows: 200,
  /** Results of one page, of 1 MiB each at worst and some kB as a rule. */
  pageResults: 50,
  /** How long a request may wait for the next window: shorter than what proxies cut. */
  waitS: 25,
  /**
   * Values of a window's readings, times among them, in one answer: 20 MB of JSON at worst, made while everybody else waits;
   * seven sensors of nine axes at 200 Hz have 140,000.
   */
  readingValues: 1_000_000,
  /** A result as JSON. Results go into the answers of lists, and pages of many must stay readable. */
  resultBytes: 64 * 1024,
  resultDepth: 64,
} as const;

export const algorithmName = '^[a-z][a-z0-9-]{0,39}(\\.[a-z][a-z0-9-]{0,39})?$';

export const SessionWindow = Type.Object(
  {
    session: Id,
    startUs: Us,
    endUs: Us,
    revision: Type.Integer({
      minimum: 1,
      description: 'rises whenever the committed readings of the window change',
    }),
    isSettled: Type.Boolean({
      description: 'nothing that is known to be missing belongs to it or to a time before it',
    }),
    readings: Count,
  },
  { $id: 'SessionWindow' },
);
export type SessionWindow = Static<typeof SessionWindow>;

export const WindowPage = Type.Object(
  {
    windows: Type.Array(SessionWindow),
    next: Type.String({ description: 'cursor of the next page: `after` of the next request' }),
    isReset: Type.Boolean({
      description: 'the database is another one than the cursor is of, so this begins at the first window',
    }),
  },
  { $id: 'WindowPage' },
);
export type WindowPage = Static<typeof WindowPage>;

/** All streams of a session in one window. Rows are [timeUs, axis 0, axis 1, ...]; what is not a finite number is null. */
export const WindowReadings = Type.Object(
  {
    window: SessionWindow,
    streams: Type.Array(
      Type.Object({
        stream: Id,
        segment: Type.String(),
        sensor: Type.String(),
        rateHz: Type.Number(),
        axes: Type.Array(Type.Object({ name: Type.String(), unit: Type.String() })),
        rows: Type.Array(Type.Array(Nullable(Type.Number()))),
      }),
    ),
  },
  { $id: 'WindowReadings' },
);
export type WindowReadings = Static<typeof WindowReadings>;

export const ResultRequest = Type.Object(
  {
    version: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'of the algorithm: grows whenever the same readings may give another result',
    }),
    revision: Type.Integer({ minimum: 1, description: 'of the window that the result was made from' }),
    result: Type.Unknown({ description: `any JSON of at most ${windowLimits.resultBytes} bytes` }),
  },
  { additionalProperties: false, $id: 'ResultRequest' },
);

export const WindowResult = Type.Object(
  {
    session: Id,
    startUs: Us,
    endUs: Us,
    algorithm: Type.String(),
    version: Type.Integer({ minimum: 1 }),
    revision: Type.Integer({ minimum: 1 }),
    isCurrent: Type.Boolean({ description: 'the window has this revision still' }),
    isSettled: Type.Boolean(),
    result: Type.Unknown(),
  },
  { $id: 'WindowResult' },
);
export type WindowResult = Static<typeof WindowResult>;

export const ResultPage = Type.Object(
  {
    results: Type.Array(WindowResult),
    next: Nullable(Type.String({ description: 'cursor of the next page; null at the end' })),
  },
  { $id: 'ResultPage' },
);
export type ResultPage = Static<typeof ResultPage>;
