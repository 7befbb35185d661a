/**
 * Owns the control messages of the viewer protocol (WebSocket /v1/live): JSON in text frames, told apart by `type`.
 * Readings travel in binary frames (protocol/live-codec.ts). Channels so far: `session/{id}/readings`, class live.
 */

import { Type, type Static, type TSchema } from 'typebox';

import { limits } from '#protocol/limits.ts';

const strict = { additionalProperties: false } as const;
const Seq = Type.Integer({ minimum: 0, maximum: limits.seqExclusive - 1 });
const TimeUs = Type.Integer({ minimum: -(limits.timeUsExclusive - 1), maximum: limits.timeUsExclusive - 1 });
const RequestId = Type.Integer({
  minimum: 0,
  maximum: 0xffffffff,
  description: "the client's number for a request",
});
const ChannelName = Type.String({ minLength: 1, maxLength: 200, pattern: '^[a-z0-9][a-z0-9/_-]*$' });
const ChannelNumber = Type.Integer({ minimum: 0, maximum: 0xffffffff });

const viewerMessages = {
  /** First message, unless a ticket in the query or a header said who this is. */
  hello: Type.Object({ type: Type.Literal('hello'), key: Type.String({ maxLength: 256 }) }, strict),
  subscribe: Type.Object({ type: Type.Literal('subscribe'), id: RequestId, channel: ChannelName }, strict),
  unsubscribe: Type.Object(
    { type: Type.Literal('unsubscribe'), id: RequestId, channel: ChannelName },
    strict,
  ),
  probe: Type.Object({ type: Type.Literal('probe'), id: RequestId, t0Us: TimeUs }, strict),
  heartbeat: Type.Object({ type: Type.Literal('heartbeat') }, strict),
} as const;

/** What is committed or declared lost of one (stream, epoch): below `next` all is, beyond it `ranges` are. */
export const Progress = Type.Object(
  {
    stream: Type.String(),
    epoch: Type.String(),
    next: Seq,
    ranges: Type.Array(Type.Tuple([Seq, Seq]), { maxItems: limits.rangesPerAck }),
    /** Readings declared lost so far. */
    lost: Type.Integer({ minimum: 0 }),
  },
  strict,
);
export type Progress = Static<typeof Progress>;

const hubMessages = {
  welcome: Type.Object(
    { type: Type.Literal('welcome'), serverUs: TimeUs, heartbeatMs: Type.Integer({ minimum: 1 }) },
    strict,
  ),
  subscribed: Type.Object(
    { type: Type.Literal('subscribed'), id: RequestId, channel: ChannelName, number: ChannelNumber },
    strict,
  ),
  unsubscribed: Type.Object(
    { type: Type.Literal('unsubscribed'), id: RequestId, channel: ChannelName },
    strict,
  ),
  /** Shown data up to here is durable; what is beyond is provisional. Newest wins, like the readings. */
  committed: Type.Object(
    {
      type: Type.Literal('committed'),
      channel: ChannelNumber,
      streams: Type.Array(Progress, { maxItems: 256 }),
    },
    strict,
  ),
  probe: Type.Object(
    { type: Type.Literal('probe'), id: RequestId, t0Us: TimeUs, t1Us: TimeUs, t2Us: TimeUs },
    strict,
  ),
  error: Type.Object(
    {
      type: Type.Literal('error'),
      code: Type.String({ maxLength: 64 }),
      message: Type.String({ maxLength: 1024 }),
      field: Type.Optional(Type.String({ maxLength: 256 })),
      /** The request this answers, when it answers one. */
      id: Type.Optional(RequestId),
    },
    strict,
  ),
  heartbeat: Type.Object({ type: Type.Literal('heartbeat') }, strict),
  /** Close and come back after `afterMs` (the instance is draining). */
  bye: Type.Object({ type: Type.Literal('bye'), afterMs: Type.Integer({ minimum: 0 }) }, strict),
} as const;

type Union<T extends Record<string, TSchema>> = { [K in keyof T]: Static<T[K]> }[keyof T];
export type ViewerMessage = Union<typeof viewerMessages>;
export type HubMessage = Union<typeof hubMessages>;

export const viewerMessageSchemas: Record<ViewerMessage['type'], TSchema> = viewerMessages;
export const hubMessageSchemas: Record<HubMessage['type'], TSchema> = hubMessages;
