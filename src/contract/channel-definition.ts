/**
 * Owns what a channel is to those who write one: `defineChannel` takes its name, schemas, rule, loss class, history and
 * handlers, and everything else (validation, types, REST, SSE and long-poll faces, OpenAPI, AsyncAPI) follows from it.
 * A definition is data and functions; it holds no state and opens nothing.
 */

import type { Static, TSchema } from 'typebox';

import { assert } from '#base/assert.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { ChannelOperation, Principal } from '#contract/principal.ts';
import { publicationLimits, type HistoryBounds, type Position } from '#protocol/publication.ts';

/** What may be lost. `live`: newest wins, nothing is kept. `event`: every message, in order, recoverable. `state`: the last value, recoverable. */
export type LossClass = 'live' | 'event' | 'state';

export type Schemas = Readonly<Record<string, TSchema>>;
type Values<S extends Schemas> = { readonly [K in keyof S]: Static<S[K]> };

/** An organisation's id; or that and the one patient whose sessions count. */
export type SessionScope = string | { readonly orgId: string; readonly patientId: string | null };

/** What definitions may use of the server. Extensions get the same. */
export interface ChannelServices {
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the organisation has this session; for a patient's account, whether it is one of its own. */
  sessionExists(of: SessionScope, sessionId: string): Promise<boolean>;
  deviceExists(orgId: string, deviceId: string): Promise<boolean>;
  /** Ids of the newest sessions of the organisation, or of the patient, at most 64: for `list`. */
  sessionIds(of: SessionScope): Promise<readonly string[]>;
  /** Publishes to any channel on behalf of the server, past rules and handlers, not past schemas. */
  publish: PublishTo;
}

export type PublishTo = <D extends AnyChannel, E extends keyof OutOf<D> & string>(
  definition: D,
  target: { readonly orgId: string; readonly params: ParamsOf<D> },
  message: { readonly event: E; readonly data: Static<OutOf<D>[E]>; readonly key?: string },
) => Promise<Position | null>;

export interface RuleContext<P extends Schemas> {
  readonly channel: string;
  readonly params: Values<P>;
  readonly identity: Principal;
  readonly services: ChannelServices;
}

export interface HandlerContext<P extends Schemas, Out extends Schemas> extends RuleContext<P> {
  /**
   * Publishes to this channel. Null for class `live`, which has no positions. `isDuplicate`: it was published before under
   * the same key, so nothing else should be begun for it either.
   */
  publish<E extends keyof Out & string>(
    event: E,
    data: Static<Out[E]>,
    options?: { readonly key?: string },
  ): Promise<(Position & { readonly isDuplicate: boolean }) | null>;
}

export interface RequestDefinition<
  P extends Schemas,
  Out extends Schemas,
  I extends TSchema,
  O extends TSchema,
> {
  readonly summary: string;
  readonly input: I;
  readonly output: O;
  handle(context: HandlerContext<P, Out>, data: Static<I>): Promise<Static<O>>;
}

export interface ChannelDefinition<
  P extends Schemas = Schemas,
  Out extends Schemas = Schemas,
  In extends Schemas = Schemas,
  Requests extends AnyRequests<P, Out> = AnyRequests<P, Out>,
> {
  /** Segments of lower-case letters, digits, `-` and `_`, or `{parameter}`: `ticker/{symbol}`. */
  readonly name: string;
  readonly summary: string;
  /** One string schema for each parameter of the name. */
  readonly params: P;
  readonly lossClass: LossClass;
  /** Class live only. `readings`: binary live messages (protocol/live-codec.ts) and `committed` beside them, not JSON. */
  readonly encoding?: 'json' | 'readings';
  /** Class event only: kept in PostgreSQL for good, with offsets from a locked row in the causing transaction. */
  readonly durable?: boolean;
  /** Needed for `event` that is not durable; `state` keeps one message for as long as it says (default a day). */
  readonly history?: HistoryBounds;
  /** `organisation` (default): every organisation has its own channel of a name. `shared`: all see the same. */
  readonly audience?: 'organisation' | 'shared';
  /** What subscribers receive: a schema an event. */
  readonly out: Out;
  /** What clients may send. An event without a handler must be one of `out` too, and is published as it came. */
  readonly in?: In;
  /** `members`: who is there. `count`: how many. Default none. */
  readonly presence?: 'none' | 'count' | 'members';
  /** Whether this identity may do this. Asked at every subscribe, publish, history and presence, and again on token refresh. */
  allow(context: RuleContext<P>, operation: ChannelOperation): boolean | Promise<boolean>;
  /** The channels of this definition that a pattern subscription may name: parameters of those that exist for the identity. */
  list?(context: {
    readonly identity: Principal;
    readonly services: ChannelServices;
  }): Promise<readonly Values<P>[]>;
  /** After permission, before the first message. Throw AppError to refuse. */
  join?(context: HandlerContext<P, Out>): Promise<void> | void;
  leave?(context: HandlerContext<P, Out>): Promise<void> | void;
  /** What to do with a message from a client; publishing is the handler's. Throw AppError to refuse. */
  readonly message?: {
    readonly [E in keyof In]?: (context: HandlerContext<P, Out>, data: Static<In[E]>) => Promise<void> | void;
  };
  /** Request and response over the socket, and POST over HTTP. */
  readonly requests?: Requests;
}

type AnyRequests<P extends Schemas, Out extends Schemas> = Readonly<
  // oxlint-disable-next-line typescript/no-explicit-any -- input and output vary with each name
  Record<string, RequestDefinition<P, Out, any, any>>
>;

// oxlint-disable-next-line typescript/no-explicit-any -- any parameters, messages and handlers
export type AnyChannel = ChannelDefinition<any, any, any, AnyRequests<any, any>>;
export type ParamsOf<D> =
  D extends ChannelDefinition<infer P, infer _O, infer _I, infer _R> ? Values<P> : never;
export type OutOf<D> = D extends ChannelDefinition<infer _P, infer O, infer _I, infer _R> ? O : never;

const segmentText = /^(?:[a-z0-9][a-z0-9_-]*|\{[a-z][a-zA-Z0-9]*\})$/;
const eventText = /^[a-z][a-zA-Z0-9-]{0,39}$/;

/** Checks a definition's own consistency at once, naming what is wrong. Returns it as it is. */
export function defineChannel<
  const P extends Schemas,
  const Out extends Schemas,
  const In extends Schemas = {},
  const Requests extends AnyRequests<P, Out> = {},
>(
  definition: ChannelDefinition<P, Out, In> & { readonly requests?: Requests },
): ChannelDefinition<P, Out, In, Requests> {
  const { name, params, out, history, lossClass, message } = definition;
  const incoming: Schemas = definition.in ?? {};
  const where = `channel ${name}:`;
  const segments = name.split('/');
  for (const segment of segments)
    assert(segmentText.test(segment), `${where} "${segment}" is neither lower-case text nor {parameter}`);
  const named = segments.filter((one) => one.startsWith('{')).map((one) => one.slice(1, -1));
  assert(new Set(named).size === named.length, `${where} each parameter stands in the name once`);
  const given = Object.keys(params);
  assert(
    named.every((one) => given.includes(one)) && given.length === named.length,
    `${where} params has a schema for each of ${named.join(', ') || 'none'}, and no other`,
  );
  for (const event of [...Object.keys(out), ...Object.keys(incoming)])
    assert(eventText.test(event), `${where} event "${event}" is letters, digits and -, at most 40`);
  const isDurable = definition.durable === true;
  assert(
    definition.encoding !== 'readings' || lossClass === 'live',
    `${where} only class live carries readings`,
  );
  assert(!isDurable || lossClass === 'event', `${where} only class event can be durable`);
  assert(
    !isDurable || definition.audience !== 'shared',
    `${where} a durable channel belongs to an organisation`,
  );
  if (lossClass === 'event')
    assert(isDurable !== (history !== undefined), `${where} class event has either history or durable: true`);
  else assert(lossClass === 'state' || history === undefined, `${where} class live keeps no history`);
  if (history !== undefined) {
    assert(
      history.messages >= 1 && history.messages <= publicationLimits.historyMessages,
      `${where} history.messages`,
    );
    assert(
      history.seconds >= 1 && history.seconds <= publicationLimits.historySeconds,
      `${where} history.seconds`,
    );
  }
  for (const event of Object.keys(incoming))
    assert(
      message?.[event] !== undefined || Object.hasOwn(out, event),
      `${where} "${event}" has neither a handler nor the same event in out`,
    );
  return definition;
}

/** What a definition keeps; class state keeps its last value. */
export function historyOf(definition: AnyChannel): HistoryBounds {
  if (definition.lossClass === 'state')
    return { messages: 1, seconds: definition.history?.seconds ?? publicationLimits.historySeconds };
  return definition.history ?? { messages: 0, seconds: 0 };
}

/** Whose channel it is and which, for bus and broker: `org/name`, or `-/name` where all share it. */
export function addressOf(definition: AnyChannel, orgId: string, name: string): string {
  return `${definition.audience === 'shared' ? '-' : orgId}/${name}`;
}

/** The channel's name with its parameters filled in. */
export function channelName(definition: AnyChannel, params: Readonly<Record<string, string>>): string {
  return definition.name.replaceAll(/\{(\w+)\}/g, (_, key: string) => {
    const value = params[key];
    assert(value !== undefined, `channel ${definition.name} needs ${key}`);
    return value;
  });
}
