/**
 * Owns what the HTTP faces of channels take and answer, as schemas made from the definitions: requests are checked by
 * them or by the engine behind them, and the OpenAPI document is made of them. Everything is made once, at start.
 */

import { Type, type Static, type TObject, type TSchema } from 'typebox';

import type { AnyChannel, Schemas } from '#contract/channel-definition.ts';
import { ChannelPosition, hubMessageSchemas, PresentMember } from '#contract/live-messages.ts';
import { publicationLimits } from '#protocol/publication.ts';
import { pollLimits } from '#live/long-poll.ts';
import { memberOf } from '#api/message-families.ts';
import { described } from '#api/route-schemas.ts';
import { HubMessageSchema } from '#api/socket-routes.ts';

const strict = { additionalProperties: false } as const;
const Offset = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const CursorText = Type.String({ maxLength: 4096 });
const LossClass = Type.Union([Type.Literal('live'), Type.Literal('event'), Type.Literal('state')]);

const cursorOnly = {
  cursor: Type.Optional(described(CursorText, 'what is known already: the cursor of any transport')),
  last: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: publicationLimits.pageMessages,
      description: 'of a channel that the cursor says nothing of: the newest so many first; default 0',
    }),
  ),
};

export const StreamQuery = Type.Object(
  {
    ...cursorOnly,
    presence: Type.Optional(
      Type.Union([Type.Literal('true'), Type.Literal('false')], {
        description: 'also tell who comes and goes',
      }),
    ),
    ticket: Type.Optional(
      Type.String({
        maxLength: 200,
        description: 'a ticket instead of a key, for EventSource, which sends none',
      }),
    ),
  },
  strict,
);
export type StreamQuery = Static<typeof StreamQuery>;

export const PollQuery = Type.Object(
  {
    ...cursorOnly,
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: pollLimits.waitMs / 1000,
        description: 'seconds to wait for a first message; default 25',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: pollLimits.messages, description: 'messages; default 100' }),
    ),
  },
  strict,
);
export type PollQuery = Static<typeof PollQuery>;

const channelNames = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
  minItems: 1,
  maxItems: 64,
  description: 'names of channels; in a pattern, `*` stands for any one segment',
});
export const ManyStreamQuery = Type.Object({ channel: channelNames, ...StreamQuery.properties }, strict);
export const ManyPollQuery = Type.Object({ channel: channelNames, ...PollQuery.properties }, strict);

export const HistoryQueryText = Type.Object(
  {
    after: Type.Optional(described(Offset, 'the oldest beyond this offset; not together with `before`')),
    before: Type.Optional(described(Offset, 'the newest below this offset; default: the newest')),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: publicationLimits.pageMessages,
        description: 'messages; default 100',
      }),
    ),
  },
  strict,
);

export const ChannelMembers = Type.Object(
  {
    channel: Type.String(),
    count: Type.Integer({ minimum: 0, description: 'how many there are, also beyond those listed' }),
    members: Type.Array(PresentMember),
  },
  { $id: 'ChannelMembers' },
);

export const Published = Type.Object(
  {
    /** Left out where the channel has no positions, or its handler published nothing. */
    position: Type.Optional(ChannelPosition),
    isDuplicate: Type.Boolean(),
  },
  { $id: 'Published' },
);

const PolledChannel = Type.Object(
  {
    channel: Type.String(),
    lossClass: LossClass,
    recovered: Type.Optional(
      Type.Boolean({ description: 'false: something between the cursor and these messages is lost' }),
    ),
  },
  { $id: 'PolledChannel' },
);

export const PollAnswer = pollAnswer('PollAnswer', HubMessageSchema);

function pollAnswer(name: string, message: TSchema): TSchema {
  return Type.Object(
    {
      cursor: described(CursorText, 'for the next poll, or for any other transport'),
      recovered: Type.Boolean({ description: 'false: something was lost in one of the channels' }),
      channels: Type.Array(PolledChannel),
      messages: Type.Array(message),
    },
    { $id: name },
  );
}

/** What one definition's routes are documented with. */
export interface ChannelFace {
  /** `SessionChat`: in the names of its operations and schemas. */
  readonly title: string;
  /** `/v1/channels/session/:session/chat` */
  readonly path: string;
  readonly params: TObject;
  /** One message to subscribers. */
  readonly message: TSchema;
  readonly publish: TSchema;
  readonly history: TSchema;
  readonly poll: TSchema;
}

/** The faces of all definitions, each with a name of its own. */
export function facesOf(definitions: readonly AnyChannel[]): ReadonlyMap<AnyChannel, ChannelFace> {
  const faces = new Map<AnyChannel, ChannelFace>();
  const titles = new Set<string>();
  for (const definition of definitions) {
    const plain = titleOf(definition.name.replaceAll(/\{\w+\}/g, ''));
    const title = titles.has(plain) ? titleOf(definition.name) : plain;
    titles.add(title);
    faces.set(definition, faceOf(definition, title));
  }
  return faces;
}

function faceOf(definition: AnyChannel, title: string): ChannelFace {
  const out = definition.out as Schemas;
  const incoming = (definition.in ?? {}) as Schemas;
  const message = Type.Union(
    Object.entries(out).map(([event, data]) =>
      Type.Object({ ...messageFields, type: Type.Literal('message'), event: Type.Literal(event), data }),
    ),
    { $id: `${title}Message` },
  );
  const kept = Type.Union(
    Object.entries(out).map(([event, data]) =>
      Type.Object({ ...keptFields, event: Type.Literal(event), data }),
    ),
    { $id: `${title}Kept` },
  );
  return {
    title,
    path: `/v1/channels/${definition.name.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    params: Type.Object(definition.params as Schemas),
    message,
    // A server key may also publish what the channel tells its subscribers.
    publish: Type.Union(
      Object.entries({ ...out, ...incoming }).map(([event, data]) =>
        Type.Object({ event: Type.Literal(event), data }, strict),
      ),
      { $id: `${title}Publish` },
    ),
    history: Type.Object(
      {
        channel: Type.String(),
        position: ChannelPosition,
        oldest: described(Offset, 'of the oldest message that is kept'),
        messages: Type.Array(kept),
      },
      { $id: `${title}History` },
    ),
    poll: pollAnswer(`${title}Poll`, Type.Union([message, hubPart('reset'), hubPart('unsubscribed')])),
  };
}

const by = Type.Optional(
  Type.String({ description: 'subject of who sent it; left out when the server did' }),
);
const TimeUs = Type.Integer({ description: 'when the server took it, in microseconds since 1970' });
const messageFields = {
  channel: Type.String(),
  offset: Type.Optional(described(Offset, 'left out in class live')),
  timeUs: TimeUs,
  by,
  skipped: Type.Optional(Type.Integer({ description: 'class live: messages left out before this one' })),
};
const keptFields = { offset: Offset, timeUs: TimeUs, by };

function hubPart(type: 'reset' | 'unsubscribed'): TSchema {
  return memberOf('Hub', type, hubMessageSchemas[type]);
}

function titleOf(name: string): string {
  return name
    .split(/[^a-zA-Z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
