/**
 * Owns the resources of the REST API: one schema gives validation, static types and OpenAPI. Times are ISO 8601 in
 * UTC, device times integers in microseconds; ids are UUIDs.
 */

import { Type, type Static } from 'typebox';

import { actions } from '#contract/permissions.ts';
import { channelOperations } from '#contract/principal.ts';
import { StreamDefinition } from '#protocol/messages.ts';
import { limits } from '#protocol/limits.ts';

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const Count = Type.Integer({ minimum: 0 });
const Instant = Type.String({ format: 'date-time' });
export const Id = Type.String({ format: 'uuid' });

export const SessionSummary = Type.Object(
  {
    id: Id,
    label: Type.String(),
    /**
     * `planned`: nothing was recorded yet. `live`: some stream has not ended and sent something in the last minute; `idle`: none
     * did. `ended`: all streams have. `sealed`: a person signed it off.
     */
    state: Type.Enum(['planned', 'live', 'idle', 'ended', 'sealed']),
    synthetic: Type.Boolean(),
    /** Whose recording it is; null: nobody's yet, or hidden from the caller. */
    patient: Nullable(Type.Object({ id: Id, code: Type.String() })),
    protocolId: Nullable(Id),
    plannedFor: Nullable(Instant),
    /** Of a planned session the time that it is planned for. */
    startedAt: Instant,
    endedAt: Nullable(Instant),
    sealedAt: Nullable(Instant),
    streamCount: Count,
    storedReadings: Count,
    lostReadings: Count,
    /** Rises when readings come after the recording was ended and compacted. */
    revision: Type.Integer({ minimum: 1 }),
    /** Readings came late (`revision` above 1), or anything changed after it was sealed. */
    amended: Type.Boolean(),
  },
  { $id: 'SessionSummary' },
);
export type SessionSummary = Static<typeof SessionSummary>;

/** One (stream, epoch). Numbers are sequence numbers; ranges half-open. */
export const EpochSummary = Type.Object(
  {
    epoch: Type.String(),
    next: Count,
    /** Committed readings. */
    stored: Count,
    /** Declared lost, with the ranges (at most 256). */
    lost: Type.Array(Type.Tuple([Count, Count])),
    /** Neither committed nor declared, below the highest committed: the device may still send them. */
    pending: Type.Array(Type.Tuple([Count, Count])),
    /** The device lost this epoch's store: how much came after the highest committed reading is not known. */
    tailLost: Type.Boolean(),
  },
  { $id: 'EpochSummary' },
);
export type EpochSummary = Static<typeof EpochSummary>;

export const StreamDetail = Type.Object(
  {
    definition: StreamDefinition,
    deviceId: Id,
    openedAt: Instant,
    endedAt: Nullable(Instant),
    epochs: Type.Array(EpochSummary),
  },
  { $id: 'StreamDetail' },
);
export type StreamDetail = Static<typeof StreamDetail>;

/** While it lasts, the session's readings are neither dropped by retention nor erased. */
export const LegalHold = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500 }), heldAt: Instant },
  { $id: 'LegalHold' },
);
export type LegalHold = Static<typeof LegalHold>;

export const SessionDetail = Type.Object(
  { session: SessionSummary, streams: Type.Array(StreamDetail), hold: Nullable(LegalHold) },
  { $id: 'SessionDetail' },
);
export type SessionDetail = Static<typeof SessionDetail>;

export const SessionPage = Type.Object(
  {
    sessions: Type.Array(SessionSummary),
    next: Nullable(Type.String({ description: 'cursor of the next page' })),
  },
  { $id: 'SessionPage' },
);
export type SessionPage = Static<typeof SessionPage>;

/**
 * Readings of one stream by device time, in (epoch, seq) order; epochs in the order in which they were opened. Each
 * row: [timeUs, axis 0, axis 1, ...]; what is not a finite number is null.
 */
export const ReadingPage = Type.Object(
  {
    stream: Id,
    axes: Type.Array(Type.Object({ name: Type.String(), unit: Type.String() })),
    rows: Type.Array(Type.Array(Nullable(Type.Number()))),
    /** Which readings the rows are: the first `count` rows are `firstSeq`, `firstSeq + 1`, ... of `epoch`, and so on. */
    runs: Type.Array(Type.Object({ epoch: Type.String(), firstSeq: Count, count: Count })),
    next: Nullable(Type.String({ description: 'cursor of the next page; null at the end' })),
  },
  { $id: 'ReadingPage' },
);
export type ReadingPage = Static<typeof ReadingPage>;

/** How long readings are kept; rules of the whole server. Days after the day of their commit; null: for ever. */
export const Retention = Type.Object(
  {
    classes: Type.Array(
      Type.Object({
        retentionClass: Type.Integer({ minimum: 0, maximum: 7 }),
        name: Type.String(),
        rawDays: Nullable(Type.Integer({ minimum: 1 })),
        rollupDays: Nullable(Type.Integer({ minimum: 1 })),
      }),
    ),
    /** Of streams that open from now on. */
    defaultClass: Type.Integer({ minimum: 0, maximum: 7 }),
  },
  { $id: 'Retention' },
);
export type Retention = Static<typeof Retention>;

export const HoldRequest = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500, description: 'why; shown with the session' }) },
  { additionalProperties: false, $id: 'HoldRequest' },
);
export const RetentionRequest = Type.Object(
  { defaultClass: Type.Integer({ minimum: 0, maximum: 7 }) },
  { additionalProperties: false, $id: 'RetentionRequest' },
);

/** What one line of curl sends: readings of one segment, each a map of axis name to value. */
export const ReadingsRequest = Type.Object(
  {
    segment: Type.String({ minLength: 1, maxLength: limits.nameCharacters }),
    sensor: Type.Optional(Type.String({ minLength: 1, maxLength: limits.nameCharacters })),
    /** Unit per axis name; `1` where left out. */
    units: Type.Optional(
      Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: limits.nameCharacters })),
    ),
    rateHz: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: limits.rateHz })),
    readings: Type.Array(
      Type.Object(
        {
          /** Device time in microseconds since 1970; the server's arrival time where left out in all. */
          timeUs: Type.Optional(
            Type.Integer({ minimum: 1 - limits.timeUsExclusive, maximum: limits.timeUsExclusive - 1 }),
          ),
          values: Type.Record(
            Type.String({ minLength: 1, maxLength: limits.nameCharacters }),
            Type.Number(),
            {
              minProperties: 1,
              maxProperties: limits.axesPerStream,
            },
          ),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: limits.readingsPerFrame },
    ),
  },
  { $id: 'ReadingsRequest', additionalProperties: false },
);
export type ReadingsRequest = Static<typeof ReadingsRequest>;

export const ReadingsAccepted = Type.Object(
  { session: Id, stream: Id, epoch: Type.String(), firstSeq: Count, count: Count },
  { $id: 'ReadingsAccepted' },
);
export type ReadingsAccepted = Static<typeof ReadingsAccepted>;

export const DeviceRequest = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: limits.nameCharacters }) },
  { $id: 'DeviceRequest', additionalProperties: false },
);
export type DeviceRequest = Static<typeof DeviceRequest>;

export const DeviceCreated = Type.Object(
  { id: Id, name: Type.String(), key: Type.String({ description: 'shown once; only its hash is kept' }) },
  { $id: 'DeviceCreated' },
);
export type DeviceCreated = Static<typeof DeviceCreated>;

/** A new key for a device; the old one goes on for a time, so that the device can be told. */
export const DeviceRotation = Type.Object(
  {
    graceSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 30 * 86_400,
        description:
          'how long the old key goes on; default a day. 0: it was stolen, and what it has open ends',
      }),
    ),
  },
  { $id: 'DeviceRotation', additionalProperties: false },
);

export const DeviceSummary = Type.Object(
  {
    id: Id,
    name: Type.String(),
    createdAt: Instant,
    revokedAt: Nullable(Instant),
    lastSeenAt: Nullable(Instant),
    /** When the key was last exchanged, and until when the one before is good; null: never, or not any more. */
    rotatedAt: Nullable(Instant),
    previousKeyUntil: Nullable(Instant),
  },
  { $id: 'DeviceSummary' },
);
export type DeviceSummary = Static<typeof DeviceSummary>;

export const DevicePage = Type.Object(
  {
    devices: Type.Array(DeviceSummary),
    next: Nullable(Type.String({ description: 'cursor of the next page; null at the end' })),
  },
  { $id: 'DevicePage' },
);
export type DevicePage = Static<typeof DevicePage>;

/** What the server says about itself to anyone. */
export const About = Type.Object(
  {
    name: Type.Literal('Kymo'),
    version: Type.String(),
    /** True when it runs demo sessions and lets a browser on this machine sign in to them. */
    demo: Type.Boolean(),
  },
  { $id: 'About' },
);
export type About = Static<typeof About>;

export const SignedIn = Type.Object({ key: Type.String() }, { $id: 'SignedIn' });
export type SignedIn = Static<typeof SignedIn>;

/** Answer of `/healthz` and `/readyz`: what was looked at, and what is wrong. */
export const Health = Type.Object(
  {
    ok: Type.Boolean(),
    checks: Type.Record(Type.String(), Type.String({ description: '`ok`, or what is wrong' })),
  },
  { $id: 'Health' },
);
export type Health = Static<typeof Health>;

/** A single-use pass for a WebSocket's query string (`?ticket=`), good for 30 seconds. */
export const Ticket = Type.Object({ ticket: Type.String(), expiresAt: Instant }, { $id: 'Ticket' });
export type Ticket = Static<typeof Ticket>;

const ChannelGrant = Type.Object(
  {
    channels: Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[a-z0-9*][a-z0-9/_*-]*$',
      description: 'a channel name; `*` stands for any one segment, a last `**` for all that follow',
    }),
    operations: Type.Array(Type.Enum([...channelOperations]), { minItems: 1, maxItems: 4 }),
  },
  { additionalProperties: false, $id: 'ChannelGrant' },
);

/** Who a limited ticket is for, and what it may do at most. */
export const LimitedTicketRequest = Type.Object(
  {
    subject: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'shown to others as `user:SUBJECT`',
    }),
    channels: Type.Array(ChannelGrant, { minItems: 1, maxItems: 64 }),
    seconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'the connection ends after this; default 3600',
      }),
    ),
  },
  { additionalProperties: false, $id: 'LimitedTicketRequest' },
);

export const AccessKeyRequest = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: limits.nameCharacters }),
    scope: Type.Enum(['read', 'admin', 'server', 'custom']),
    permissions: Type.Optional(
      Type.Array(Type.Enum([...actions]), {
        minItems: 1,
        maxItems: actions.length,
        uniqueItems: true,
        description: 'with scope `custom`, and only then: what the key may do, and nothing else',
      }),
    ),
    expiresAt: Type.Optional(Instant),
  },
  { additionalProperties: false, $id: 'AccessKeyRequest' },
);

export const AccessKeyCreated = Type.Object(
  { id: Id, key: Type.String({ description: 'shown once; only its hash is kept' }) },
  { $id: 'AccessKeyCreated' },
);
export type AccessKeyCreated = Static<typeof AccessKeyCreated>;

export const AccessKeySummary = Type.Object(
  {
    id: Id,
    name: Type.String(),
    scope: Type.Enum(['read', 'admin', 'server', 'custom']),
    /** Of scope `custom`; null for the others. */
    permissions: Nullable(Type.Array(Type.String())),
    createdAt: Instant,
    expiresAt: Nullable(Instant),
    revokedAt: Nullable(Instant),
  },
  { $id: 'AccessKeySummary' },
);
export type AccessKeySummary = Static<typeof AccessKeySummary>;

export const AccessKeyPage = Type.Object(
  {
    keys: Type.Array(AccessKeySummary),
    next: Nullable(Type.String({ description: 'cursor of the next page; null at the end' })),
  },
  { $id: 'AccessKeyPage' },
);
export type AccessKeyPage = Static<typeof AccessKeyPage>;

/** Whose tokens are refused from now on: one token by its `jti`, or all of a subject (the token's `sub`). */
export const RevocationRequest = Type.Object(
  {
    tokenId: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, $id: 'RevocationRequest' },
);

/** RFC 9457 problem details. `code` is one of protocol/codes.ts. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String(),
    field: Type.Optional(Type.String()),
    requestId: Type.Optional(Type.String()),
  },
  { $id: 'Problem' },
);
export type Problem = Static<typeof Problem>;
