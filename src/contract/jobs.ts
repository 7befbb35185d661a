/**
 * Owns jobs as people and programs see them: what may be asked for, and how far it has come. Ids and choices only: no
 * job, file name or stage names a person.
 */

import { Type, type Static } from 'typebox';

import { Id } from '#contract/rest.ts';

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Instant = Type.String({ format: 'date-time' });

/** Inputs of the kinds that a person or program may ask for. */
export const SessionExportInput = Type.Object(
  {
    session: Id,
    format: Type.Union([Type.Literal('csv'), Type.Literal('parquet')]),
    /** Only these streams; default: all. */
    streams: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 64 })),
  },
  { additionalProperties: false },
);
export const SessionInput = Type.Object({ session: Id }, { additionalProperties: false });
export const PatientInput = Type.Object({ patient: Id }, { additionalProperties: false });

const key = {
  idempotencyKey: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'asked for again under the same key, it is the same job',
    }),
  ),
};

/** What `POST /v1/jobs` takes. */
export const JobRequest = Type.Union(
  [
    Type.Object(
      { kind: Type.Literal('session-export'), input: SessionExportInput, ...key },
      {
        additionalProperties: false,
        description: 'every stream of a session in a file of its own, in a zip',
      },
    ),
    Type.Object(
      { kind: Type.Literal('session-report'), input: SessionInput, ...key },
      { additionalProperties: false, description: 'the report of a session as PDF' },
    ),
    Type.Object(
      { kind: Type.Literal('session-summary'), input: SessionInput, ...key },
      { additionalProperties: false, description: 'the figures of an ended session, computed again' },
    ),
    Type.Object(
      { kind: Type.Literal('patient-export'), input: PatientInput, ...key },
      { additionalProperties: false, description: 'everything about a patient, in a zip' },
    ),
    Type.Object(
      { kind: Type.Literal('patient-erasure'), input: PatientInput, ...key },
      {
        additionalProperties: false,
        description: 'everything about a patient is destroyed; nothing brings it back',
      },
    ),
  ],
  { $id: 'JobRequest' },
);
export type JobRequest = Static<typeof JobRequest>;

/**
 * `queued`: not begun, or waiting for its next attempt. `failed`: given up; it may be asked for again (retry).
 */
export const JobState = Type.Union([
  Type.Literal('queued'),
  Type.Literal('running'),
  Type.Literal('done'),
  Type.Literal('failed'),
  Type.Literal('cancelled'),
]);
export type JobState = Static<typeof JobState>;

export const JobFile = Type.Object({
  name: Type.String(),
  type: Type.String({ description: 'media type' }),
  bytes: Type.Integer({ minimum: 0 }),
  /** Afterwards it is gone. */
  expiresAt: Instant,
});
export type JobFile = Static<typeof JobFile>;

export const Job = Type.Object(
  {
    id: Id,
    kind: Type.String(),
    state: JobState,
    /** 0 to 1. */
    progress: Type.Number({ minimum: 0, maximum: 1 }),
    /** What is being done, in words. */
    stage: Type.String(),
    input: Type.Record(Type.String(), Type.Unknown()),
    patient: Nullable(Id),
    session: Nullable(Id),
    /** Who asked: a person's or key's id; empty: Kymo itself. */
    requestedBy: Type.String(),
    /** Attempts begun, and how many there may be. */
    attempts: Type.Integer({ minimum: 0 }),
    maxAttempts: Type.Integer({ minimum: 1 }),
    createdAt: Instant,
    startedAt: Nullable(Instant),
    finishedAt: Nullable(Instant),
    /** When the next attempt begins; null: it has ended or is under way. */
    runsAt: Nullable(Instant),
    /** It was asked to stop, and has not yet. */
    isStopping: Type.Boolean(),
    /** Why the last attempt failed. */
    error: Nullable(Type.Object({ code: Type.String(), detail: Type.String() })),
    /** What came of it beside a file. */
    result: Nullable(Type.Record(Type.String(), Type.Unknown())),
    file: Nullable(JobFile),
  },
  { $id: 'Job' },
);
export type Job = Static<typeof Job>;

export const JobPage = Type.Object(
  { jobs: Type.Array(Job), next: Nullable(Type.String({ description: 'cursor of the next page' })) },
  { $id: 'JobPage' },
);
export type JobPage = Static<typeof JobPage>;

/** On the channel `organisation/jobs`: every change of a job, and its progress about twice a second. */
export const JobNews = Type.Object({
  id: Id,
  kind: Type.String(),
  state: JobState,
  progress: Type.Number({ minimum: 0, maximum: 1 }),
  stage: Type.String(),
});
export type JobNews = Static<typeof JobNews>;
