/**
 * Owns the control messages of the device protocol: JSON in text frames, told apart by `type`. Schemas are the single
 * source for validation, static types and documentation. Data travels in binary frames (data-codec.ts).
 * Numbers are safe integers; 64-bit epochs are 16 lower-case hex digits; stream and session ids are UUIDv7.
 */

import { Type, type Static, type TSchema } from 'typebox';

import { limits } from '#protocol/limits.ts';

const strict = { additionalProperties: false } as const;
const Name = Type.String({ minLength: 1, maxLength: limits.nameCharacters });
const Uuid = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' });
const Epoch = Type.String({ pattern: '^[0-9a-f]{16}$', description: 'random 64-bit id, hexadecimal' });
const Seq = Type.Integer({ minimum: 0, maximum: limits.seqExclusive - 1 });
const TimeUs = Type.Integer({ minimum: -(limits.timeUsExclusive - 1), maximum: limits.timeUsExclusive - 1 });
const Bytes = Type.Integer({ minimum: 0, maximum: limits.seqExclusive - 1 });
const Ref = Type.Integer({
  minimum: 0,
  maximum: 65_535,
  description: "the device's number for a (stream, epoch) on this connection",
});
const Ranges = Type.Array(Type.Tuple([Seq, Seq]), {
  maxItems: limits.rangesPerAck,
  description: 'half-open [from, to), ascending, disjoint',
});

export const Axis = Type.Object({ name: Name, unit: Name }, strict);
export type Axis = Static<typeof Axis>;

/** How a reading's axes are packed: float32 as they are, int16 to be multiplied by the axis scale. Little endian. */
export const Encoding = Type.Union([Type.Literal('float32'), Type.Literal('int16')]);
export type Encoding = Static<typeof Encoding>;

/** What a stream is; fixed by its first `open`, and compared with every later one. */
export const StreamDefinition = Type.Object(
  {
    stream: Uuid,
    session: Uuid,
    /** Body segment or machine part, e.g. `left-foot`. */
    segment: Name,
    /** What measures, e.g. `imu`. */
    sensor: Name,
    axes: Type.Array(Axis, { minItems: 1, maxItems: limits.axesPerStream }),
    rateHz: Type.Number({ exclusiveMinimum: 0, maximum: limits.rateHz }),
    encoding: Encoding,
    /** int16 only: the physical value of one count, per axis. */
    scale: Type.Optional(
      Type.Array(Type.Number(), { minItems: 1, maxItems: limits.axesPerStream, description: 'one an axis' }),
    ),
    /** `none`: the device has no clock, readings carry the server's arrival time and the stream says so. */
    clock: Type.Union([Type.Literal('device'), Type.Literal('none')]),
    /** Marked on every page and export: these data come from no person. */
    synthetic: Type.Optional(Type.Boolean()),
    /** A code for people to recognise the session by; never a person's name. */
    label: Type.Optional(Type.String({ maxLength: limits.nameCharacters })),
  },
  strict,
);
export type StreamDefinition = Static<typeof StreamDefinition>;

const deviceMessages = {
  hello: Type.Object(
    {
      type: Type.Literal('hello'),
      version: Type.Integer({ minimum: 1, maximum: 65_535 }),
      /** Program and version, for the log. */
      agent: Name,
      /** The device key, unless it came in the Authorization header or as a ticket. */
      key: Type.Optional(Type.String({ maxLength: 256 })),
    },
    strict,
  ),
  open: Type.Object(
    {
      type: Type.Literal('open'),
      ref: Ref,
      epoch: Epoch,
      definition: StreamDefinition,
      /** On resume: the newest reading known to be acknowledged and the CRC-32 of its packed axes. */
      newest: Type.Optional(
        Type.Object({ seq: Seq, crc32: Type.Integer({ minimum: 0, maximum: 0xffffffff }) }, strict),
      ),
      /** Readings that the device holds and does not know to be settled: the newest of them that is committed is compared. */
      held: Type.Optional(Ranges),
      /** This epoch replaces one whose store was lost: that one is closed with a tail of unknown length. */
      previousStoreLost: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  /** Readings [from, to) will never come. */
  tombstone: Type.Object(
    {
      type: Type.Literal('tombstone'),
      ref: Ref,
      from: Seq,
      to: Seq,
      reason: Type.Union([
        Type.Literal('device-store-full'),
        Type.Literal('device-store-damaged'),
        Type.Literal('sensor-fault'),
        Type.Literal('erased-on-device'),
        Type.Literal('server-restored'),
      ]),
    },
    strict,
  ),
  /** No more readings in this (stream, epoch) from `next` on. `ended`: the recording itself is over. */
  close: Type.Object({ type: Type.Literal('close'), ref: Ref, next: Seq, ended: Type.Boolean() }, strict),
  /** Clock probe (RFC 5905 section 8): `t0Us` is the device's time of sending; the server answers at once. */
  probe: Type.Object(
    { type: Type.Literal('probe'), id: Type.Integer({ minimum: 0, maximum: 0xffffffff }), t0Us: TimeUs },
    strict,
  ),
  /** What the device derived from the best recent probe: server time = device time + offsetUs. */
  clock: Type.Object(
    {
      type: Type.Literal('clock'),
      deviceUs: TimeUs,
      offsetUs: TimeUs,
      roundTripUs: Type.Integer({ minimum: 0, maximum: limits.timeUsExclusive - 1 }),
    },
    strict,
  ),
  /** The device has the command and goes about it. */
  commandReceived: Type.Object({ type: Type.Literal('commandReceived'), id: Uuid }, strict),
  commandResult: Type.Object(
    {
      type: Type.Literal('commandResult'),
      id: Uuid,
      ok: Type.Boolean(),
      message: Type.Optional(Type.String({ maxLength: 1024 })),
    },
    strict,
  ),
  /** The answer to `reclaim`: of the durable credit this device uses no more than `durable` until more is granted. */
  reclaimed: Type.Object(
    {
      type: Type.Literal('reclaimed'),
      id: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
      durable: Bytes,
    },
    strict,
  ),
  heartbeat: Type.Object({ type: Type.Literal('heartbeat') }, strict),
  bye: Type.Object({ type: Type.Literal('bye') }, strict),
} as const;

/** Cumulative byte counts since the connection opened, like QUIC's MAX_DATA (RFC 9000 section 4.1). */
const Credit = Type.Object({ durable: Bytes, live: Bytes }, strict);

const Settled = Type.Object(
  {
    /** The first seq that is neither committed nor declared lost. */
    next: Seq,
    /** Settled ranges beyond `next`. */
    ranges: Ranges,
  },
  strict,
);

const serverMessages = {
  welcome: Type.Object(
    {
      type: Type.Literal('welcome'),
      version: Type.Integer({ minimum: 1, maximum: 65_535 }),
      /** Changes when the database was restored or promoted: settled ranges may be smaller than remembered. */
      incarnation: Uuid,
      /** Grows with every connection of this device; an older one is closed as superseded. */
      generation: Type.Integer({ minimum: 1 }),
      serverUs: TimeUs,
      heartbeatMs: Type.Integer({ minimum: 1 }),
      credit: Credit,
    },
    strict,
  ),
  opened: Type.Object(
    {
      type: Type.Literal('opened'),
      ref: Ref,
      settled: Settled,
      /**
       * True: the stream or its session was erased. Nothing of it is stored any more, everything counts as settled, and
       * the device drops what it holds of it. Also comes, unasked, when that happens while the stream is open.
       */
      discarded: Type.Optional(Type.Boolean()),
      /**
       * The newest committed reading of those in `held`, or of all where that was not given, unless `newest` of the device
       * has proven it: what a device finds to be another than its own was numbered by another life of its store.
       */
      newest: Type.Optional(
        Type.Object(
          {
            seq: Seq,
            /** Device time of the reading; not there where the stream's clock is `none`. */
            timeUs: Type.Optional(TimeUs),
            crc32: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
          },
          strict,
        ),
      ),
    },
    strict,
  ),
  /** Everything here is committed or declared. One message covers all streams of one flush. */
  ack: Type.Object(
    {
      type: Type.Literal('ack'),
      streams: Type.Array(Type.Object({ ref: Ref, next: Seq, ranges: Ranges }, strict), {
        maxItems: limits.streamsPerConnection,
      }),
      credit: Credit,
    },
    strict,
  ),
  /**
   * The answer to `close`, once it is committed: the device forgets the stream, and the reference is free again. Every
   * `close` is answered, also one that repeats an earlier one, so that an end survives any loss of connection.
   */
  closed: Type.Object({ type: Type.Literal('closed'), ref: Ref }, strict),
  credit: Type.Object({ type: Type.Literal('credit'), credit: Credit }, strict),
  /** Others need the credit that this quiet device holds: it may keep `durable`, or what it has used, and says so. */
  reclaim: Type.Object(
    { type: Type.Literal('reclaim'), id: Type.Integer({ minimum: 0, maximum: 0xffffffff }), durable: Bytes },
    strict,
  ),
  /** Send again from here: the server had to drop readings that it had received but not committed. */
  rewind: Type.Object({ type: Type.Literal('rewind'), ref: Ref, fromSeq: Seq }, strict),
  probe: Type.Object(
    {
      type: Type.Literal('probe'),
      id: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
      t0Us: TimeUs,
      t1Us: TimeUs,
      t2Us: TimeUs,
    },
    strict,
  ),
  command: Type.Object(
    {
      type: Type.Literal('command'),
      id: Uuid,
      name: Name,
      argument: Type.Optional(Type.String({ maxLength: 4096 })),
    },
    strict,
  ),
  error: Type.Object(
    {
      type: Type.Literal('error'),
      code: Type.String({ maxLength: 64 }),
      message: Type.String({ maxLength: 1024 }),
      /** JSON pointer to the offending field of the offending message. */
      field: Type.Optional(Type.String({ maxLength: 256 })),
      /** The stream this is about; without it the error is about the connection. */
      ref: Type.Optional(Ref),
    },
    strict,
  ),
  heartbeat: Type.Object({ type: Type.Literal('heartbeat') }, strict),
  /** The server asks the device to close and to come back after `afterMs` (draining). */
  bye: Type.Object({ type: Type.Literal('bye'), afterMs: Type.Integer({ minimum: 0 }) }, strict),
} as const;

type Union<T extends Record<string, TSchema>> = { [K in keyof T]: Static<T[K]> }[keyof T];
export type DeviceMessage = Union<typeof deviceMessages>;
export type ServerMessage = Union<typeof serverMessages>;
export type Credit = Static<typeof Credit>;
export type Settled = Static<typeof Settled>;
export type WireRange = [number, number];

export const deviceMessageSchemas: Record<DeviceMessage['type'], TSchema> = deviceMessages;
export const serverMessageSchemas: Record<ServerMessage['type'], TSchema> = serverMessages;
