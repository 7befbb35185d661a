/**
 * Owns the messages of the viewer protocol (WebSocket /v1/live; SSE and long poll carry those of the server): JSON in text
 * frames, told apart by `type`, version `v`. Readings travel in binary frames (protocol/live-codec.ts). What stands in
 * `data` is checked against the channel's definition (contract/channel-definition.ts).
 */

import { Type, type Static, type TSchema } from 'typebox';

import { limits } from '#protocol/limits.ts';
import { publicationLimits } from '#protocol/publication.ts';

const strict = { additionalProperties: false } as const;
const Seq = Type.Integer({ minimum: 0, maximum: limits.seqExclusive - 1 });
const TimeUs = Type.Integer({ minimum: -(limits.timeUsExclusive - 1), maximum: limits.timeUsExclusive - 1 });
const RequestId = Type.Integer({
  minimum: 0,
  maximum: 0xffffffff,
  description: "the client's number for a request",
});
export const ChannelName = Type.String({ minLength: 1, maxLength: 200, pattern: '^[a-z0-9][a-z0-9/_-]*$' });
/** A name in which `*` stands for any one segment. */
const ChannelPattern = Type.String({ minLength: 1, maxLength: 200, pattern: '^[a-z0-9*][a-z0-9/_*-]*$' });
const ChannelNumber = Type.Integer({ minimum: 0, maximum: 0xffffffff });
const Offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const EventName = Type.String({ pattern: '^[a-z][a-zA-Z0-9-]{0,39}$' });
const MessageKey = Type.String({ minLength: 1, maxLength: publicationLimits.keyCharacters });
/** The version of the envelope; 1 where it is left out. */
const version = { v: Type.Optional(Type.Literal(1)) };

export const ChannelPosition = Type.Object(
  { epoch: Type.String({ pattern: '^[a-z0-9]{1,16}$' }), offset: Offset },
  { additionalProperties: false, $id: 'ChannelPosition' },
);

/** What an event or state channel carries and keeps. */
export const PublicationBody = Type.Object({
  event: EventName,
  data: Type.Unknown(),
  /** Subject of who sent it; left out when the server did. */
  by: Type.Optional(Type.String({ maxLength: 200 })),
});
export type PublicationBody = Static<typeof PublicationBody>;

export const PresentMember = Type.Object(
  { id: Type.String(), subject: Type.String(), state: Type.Unknown() },
  { $id: 'PresentMember' },
);
export type PresentMember = Static<typeof PresentMember>;

const viewerMessages = {
  /** First message, unless a ticket in the query or a header said who this is. `key`: an access key, server key or token. */
  hello: Type.Object(
    { ...version, type: Type.Literal('hello'), key: Type.String({ maxLength: 4096 }) },
    strict,
  ),
  subscribe: Type.Object(
    {
      ...version,
      type: Type.Literal('subscribe'),
      id: RequestId,
      channel: ChannelPattern,
      /** What is known already: what came after it follows, or `recovered` is false. */
      position: Type.Optional(ChannelPosition),
      /** Instead of `position`: a cursor of any transport; the channel's own part of it counts. */
      cursor: Type.Optional(Type.String({ maxLength: 4096 })),
      /** Without a position: the newest so many first. */
      last: Type.Optional(Type.Integer({ minimum: 0, maximum: publicationLimits.pageMessages })),
      /** Also tell who enters and leaves. */
      presence: Type.Optional(Type.Boolean()),
      /** What others see of this member. At most 1 KiB as JSON. */
      state: Type.Optional(Type.Unknown()),
      /** A channel token of a foreign back end, where the connection's own identity is not enough. */
      token: Type.Optional(Type.String({ maxLength: 4096 })),
    },
    strict,
  ),
  unsubscribe: Type.Object(
    { ...version, type: Type.Literal('unsubscribe'), id: RequestId, channel: ChannelName },
    strict,
  ),
  publish: Type.Object(
    {
      ...version,
      type: Type.Literal('publish'),
      id: RequestId,
      channel: ChannelName,
      event: EventName,
      data: Type.Unknown(),
      /** Sent again under the same key, it is published once. */
      key: Type.Optional(MessageKey),
    },
    strict,
  ),
  request: Type.Object(
    {
      ...version,
      type: Type.Literal('request'),
      id: RequestId,
      channel: ChannelName,
      name: EventName,
      data: Type.Unknown(),
    },
    strict,
  ),
  history: Type.Object(
    {
      ...version,
      type: Type.Literal('history'),
      id: RequestId,
      channel: ChannelName,
      before: Type.Optional(Offset),
      after: Type.Optional(Offset),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: publicationLimits.pageMessages })),
    },
    strict,
  ),
  members: Type.Object(
    { ...version, type: Type.Literal('members'), id: RequestId, channel: ChannelName },
    strict,
  ),
  /** Changes what others see of this member. */
  state: Type.Object(
    { ...version, type: Type.Literal('state'), id: RequestId, channel: ChannelName, state: Type.Unknown() },
    strict,
  ),
  /** Goes on under a new token or key of the same subject, before the old one ends. */
  refresh: Type.Object(
    { ...version, type: Type.Literal('refresh'), id: RequestId, key: Type.String({ maxLength: 4096 }) },
    strict,
  ),
  probe: Type.Object({ ...version, type: Type.Literal('probe'), id: RequestId, t0Us: TimeUs }, strict),
  heartbeat: Type.Object({ ...version, type: Type.Literal('heartbeat') }, strict),
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
    {
      ...version,
      type: Type.Literal('welcome'),
      serverUs: TimeUs,
      heartbeatMs: Type.Integer({ minimum: 1 }),
      /** When this identity ends unless `refresh` came before. */
      expiresAtUs: Type.Optional(TimeUs),
    },
    strict,
  ),
  subscribed: Type.Object(
    {
      ...version,
      type: Type.Literal('subscribed'),
      id: RequestId,
      channel: ChannelName,
      /** Stands for the channel in binary messages of this connection. */
      number: ChannelNumber,
      lossClass: Type.Union([Type.Literal('live'), Type.Literal('event'), Type.Literal('state')]),
      /** Left out for class live. The messages that follow are the ones after it. */
      position: Type.Optional(ChannelPosition),
      /** Left out where no position was given. False: something between that position and this one is lost. */
      recovered: Type.Optional(Type.Boolean()),
      /** Of a pattern: how many channels it became; one `subscribed` each. */
      of: Type.Optional(Type.Integer({ minimum: 0 })),
    },
    strict,
  ),
  unsubscribed: Type.Object(
    {
      ...version,
      type: Type.Literal('unsubscribed'),
      /** Left out when the server ended it. */
      id: Type.Optional(RequestId),
      channel: ChannelName,
      code: Type.Optional(Type.String({ maxLength: 64 })),
    },
    strict,
  ),
  /** One publication. Class live has no offset and no place in history. */
  message: Type.Object(
    {
      ...version,
      type: Type.Literal('message'),
      channel: ChannelName,
      offset: Type.Optional(Offset),
      timeUs: TimeUs,
      event: EventName,
      data: Type.Unknown(),
      by: Type.Optional(Type.String({ maxLength: 200 })),
      /** Class live: messages left out for this viewer before this one (newest wins). */
      skipped: Type.Optional(Type.Integer({ minimum: 1 })),
    },
    strict,
  ),
  /** A gap in a running subscription that the history could not fill: what follows comes after this position. */
  reset: Type.Object(
    { ...version, type: Type.Literal('reset'), channel: ChannelName, position: ChannelPosition },
    strict,
  ),
  published: Type.Object(
    {
      ...version,
      type: Type.Literal('published'),
      id: RequestId,
      /** Left out where the channel has no positions, or its handler published nothing. */
      position: Type.Optional(ChannelPosition),
      isDuplicate: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  response: Type.Object(
    { ...version, type: Type.Literal('response'), id: RequestId, data: Type.Unknown() },
    strict,
  ),
  history: Type.Object(
    {
      ...version,
      type: Type.Literal('history'),
      id: RequestId,
      channel: ChannelName,
      /** Of the newest publication. */
      position: ChannelPosition,
      oldest: Offset,
      messages: Type.Array(
        Type.Object({
          offset: Offset,
          timeUs: TimeUs,
          event: EventName,
          data: Type.Unknown(),
          by: Type.Optional(Type.String()),
        }),
      ),
    },
    strict,
  ),
  members: Type.Object(
    {
      ...version,
      type: Type.Literal('members'),
      id: RequestId,
      channel: ChannelName,
      count: Type.Integer({ minimum: 0 }),
      members: Type.Array(PresentMember),
    },
    strict,
  ),
  /** Who came and went since the last such message; large channels only count. */
  presence: Type.Object(
    {
      ...version,
      type: Type.Literal('presence'),
      channel: ChannelName,
      count: Type.Integer({ minimum: 0 }),
      entered: Type.Array(PresentMember),
      left: Type.Array(Type.String()),
    },
    strict,
  ),
  /** The answer to `state`. */
  stated: Type.Object({ ...version, type: Type.Literal('stated'), id: RequestId }, strict),
  refreshed: Type.Object(
    { ...version, type: Type.Literal('refreshed'), id: RequestId, expiresAtUs: Type.Optional(TimeUs) },
    strict,
  ),
  /** Shown data up to here is durable; what is beyond is provisional. Newest wins, like the readings. */
  committed: Type.Object(
    {
      ...version,
      type: Type.Literal('committed'),
      channel: ChannelNumber,
      streams: Type.Array(Progress, { maxItems: 256 }),
    },
    strict,
  ),
  probe: Type.Object(
    { ...version, type: Type.Literal('probe'), id: RequestId, t0Us: TimeUs, t1Us: TimeUs, t2Us: TimeUs },
    strict,
  ),
  error: Type.Object(
    {
      ...version,
      type: Type.Literal('error'),
      code: Type.String({ maxLength: 64 }),
      message: Type.String({ maxLength: 1024 }),
      field: Type.Optional(Type.String({ maxLength: 256 })),
      /** The request this answers, when it answers one. */
      id: Type.Optional(RequestId),
    },
    strict,
  ),
  heartbeat: Type.Object({ ...version, type: Type.Literal('heartbeat') }, strict),
  /** Close and come back after `afterMs` (the instance is draining). */
  bye: Type.Object({ ...version, type: Type.Literal('bye'), afterMs: Type.Integer({ minimum: 0 }) }, strict),
} as const;

type Union<T extends Record<string, TSchema>> = { [K in keyof T]: Static<T[K]> }[keyof T];
export type ViewerMessage = Union<typeof viewerMessages>;
export type HubMessage = Union<typeof hubMessages>;

export const viewerMessageSchemas: Record<ViewerMessage['type'], TSchema> = viewerMessages;
export const hubMessageSchemas: Record<HubMessage['type'], TSchema> = hubMessages;
