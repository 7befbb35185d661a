/**
 * Owns what an export says beside the readings: one session with its streams, what of each epoch is stored and what is
 * not and why, and how the devices' clocks stood to the server's. Readings themselves come as CSV or Parquet.
 */

import { Type, type Static } from 'typebox';

import { Id, SessionSummary } from '#contract/rest.ts';
import { StreamDefinition } from '#protocol/messages.ts';

const Seq = Type.Integer({ minimum: 0 });
const Instant = Type.String({ format: 'date-time' });

/** Readings [fromSeq, toSeq) that are not stored. `pending`: the device may still send them. */
export const ExportGap = Type.Object(
  {
    fromSeq: Seq,
    toSeq: Seq,
    state: Type.Union([Type.Literal('pending'), Type.Literal('lost')]),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'of a declared loss, in its words' }),
  },
  { $id: 'ExportGap' },
);
export type ExportGap = Static<typeof ExportGap>;

export const ExportEpoch = Type.Object(
  {
    epoch: Type.String(),
    openedAt: Instant,
    /** Committed readings as ranges [fromSeq, toSeq); retention may have removed some of them since. */
    stored: Type.Array(Type.Tuple([Seq, Seq])),
    gaps: Type.Array(ExportGap),
    /** The device lost this epoch's store: an unknown number of readings after the last stored one is lost. */
    tailLost: Type.Boolean(),
  },
  { $id: 'ExportEpoch' },
);
export type ExportEpoch = Static<typeof ExportEpoch>;

export const ExportStream = Type.Object(
  {
    definition: StreamDefinition,
    deviceId: Id,
    openedAt: Instant,
    endedAt: Type.Union([Instant, Type.Null()]),
    epochs: Type.Array(ExportEpoch),
  },
  { $id: 'ExportStream' },
);
export type ExportStream = Static<typeof ExportStream>;

/** Server time = device time + offsetUs, known to half the round trip. */
export const ClockReading = Type.Object(
  {
    deviceId: Id,
    observedAt: Instant,
    deviceUs: Type.Integer(),
    offsetUs: Type.Integer(),
    roundTripUs: Type.Integer(),
  },
  { $id: 'ClockReading' },
);
export type ClockReading = Static<typeof ClockReading>;

export const SessionRecord = Type.Object(
  {
    kymo: Type.String({ description: 'version of the server' }),
    session: SessionSummary,
    streams: Type.Array(ExportStream),
    /** In the order of time; every `clockEvery`-th of what was observed of each device during the session. */
    clockObservations: Type.Array(ClockReading),
    clockEvery: Type.Integer({ minimum: 1 }),
  },
  { $id: 'SessionRecord' },
);
export type SessionRecord = Static<typeof SessionRecord>;
