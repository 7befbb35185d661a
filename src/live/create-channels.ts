/**
 * Owns the engine behind `Channels`: definitions found by name, grants and rules asked, messages checked, handlers run.
 * What it calls of others ends in time and cannot take it down (bounded-calls.ts); what it works on at once is bounded
 * by `underWay`. It holds no connection and no history.
 */

import { AppError } from '#base/errors.ts';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import type { Bus } from '#bus/bus.ts';
import { presenceLimits, type Presence } from '#bus/presence.ts';
import {
  addressOf,
  channelName,
  type AnyChannel,
  type ChannelServices,
  type HandlerContext,
  type PublishTo,
  type RuleContext,
  type Schemas,
} from '#contract/channel-definition.ts';
import { isGranted, type ChannelOperation, type Principal } from '#contract/principal.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { publicationLimits, type HistoryQuery } from '#protocol/publication.ts';
import { createBoundedCalls, type BoundedCalls } from '#live/bounded-calls.ts';
import { createChannelCounters, type ChannelCounters } from '#live/channel-counters.ts';
import { defaultChannelLimits, type ChannelLimits } from '#live/channel-limits.ts';
import {
  createChannelPublishing,
  publicationKey,
  unknownEvent,
  type ChannelBrokers,
  type ChannelPublishing,
} from '#live/channel-publishing.ts';
import { expandPattern } from '#live/channel-patterns.ts';
import { createChannelRegistry, type ChannelRegistry } from '#live/channel-registry.ts';
import { compileChecks, type ChannelChecks } from '#live/channel-schemas.ts';
import type { Channels, FoundChannel, PublishOutcome } from '#live/channels.ts';
import { countLabel } from '#live/counters.ts';

export interface ChannelsOptions {
  readonly definitions: readonly AnyChannel[];
  readonly bus: Bus;
  readonly brokers: ChannelBrokers;
  readonly presence: Presence;
  /** What definitions may use; publishing is added here. */
  readonly services: Omit<ChannelServices, 'publish'>;
  readonly clock: Clock;
  readonly limits?: Partial<ChannelLimits>;
  readonly counters?: ChannelCounters;
  /** Told of what nobody expected, with the channel whose code or broker it was. */
  readonly onFailure: (cause: unknown, owner: string) => void;
}

type Rule = RuleContext<Schemas>;
type Handler = HandlerContext<Schemas, Schemas>;

/** What all of the engine's parts share. */
interface Engine {
  readonly registry: ChannelRegistry;
  readonly publishing: ChannelPublishing;
  readonly calls: BoundedCalls;
  readonly limits: ChannelLimits;
  readonly counters: ChannelCounters;
  readonly services: ChannelServices;
  checksOf(definition: AnyChannel): ChannelChecks;
}

/** Throws AppError when two definitions are ambiguous, or one needs what is not there. */
export function createChannels(options: ChannelsOptions): Channels {
  const { definitions, bus, brokers, presence, clock, onFailure } = options;
  const limits = { ...defaultChannelLimits, ...options.limits };
  const counters = options.counters ?? createChannelCounters();
  const registry = createChannelRegistry(definitions);
  const durable = definitions.find((one) => one.durable === true);
  if (brokers.durable === null && durable !== undefined)
    throw new AppError('invalid-field', `channel ${durable.name}: nothing is kept for good here`);
  const compiled = new Map(definitions.map((one) => [one, compileChecks(one)]));
  const checksOf = (definition: AnyChannel): ChannelChecks => {
    const checks = compiled.get(definition);
    if (checks === undefined)
      throw new AppError('not-found', `channel ${definition.name} is not one of this server`);
    return checks;
  };
  const publishing = createChannelPublishing({ bus, brokers, counters });
  const calls = createBoundedCalls({ clock, limits, counters, onFailure });
  const publishAs = createServerPublishing({ registry, publishing, checksOf });
  const services: ChannelServices = { ...options.services, publish: publishAs };
  const engine: Engine = { registry, publishing, calls, limits, counters, services, checksOf };
  const allow = createPermission(engine);
  return {
    definitions,
    find: registry.find,
    expand: (pattern, identity, most) => expandPattern(engine, { pattern, identity, most }),
    allow,
    publish: bounded(engine, allow, publish),
    request: bounded(engine, allow, request),
    history: (found, identity, query) => readHistory(engine, allow, { found, identity, query }),
    async members(found, identity) {
      const allowed = await allow(found, identity, 'presence');
      if (!allowed.ok) return allowed;
      const { presence: kind = 'none' } = found.definition;
      if (kind === 'none')
        return fail({ code: 'not-found', message: 'this channel does not tell who is there' });
      const address = addressOf(found.definition, identity.orgId, found.name);
      const listed = kind === 'count' ? 0 : presenceLimits.listed;
      return calls.run(found.definition.name, () => presence.members(address, listed));
    },
    join: (found, identity) => callJoin(engine, found, identity),
    leave(found, identity) {
      const { definition } = found;
      if (definition.leave === undefined) return;
      const { context } = handlerContext(engine, { found, identity });
      void calls.run(definition.name, () => definition.leave?.(context));
    },
    publishAs,
    brokerOf: publishing.brokerOf,
    bus,
    presence,
  };
}

type Allow = Channels['allow'];

/**
 * Grants first, then the rule. Whether a channel exists is told only to those who may do something with it. A server key
 * may do anything with a channel of its organisation for which the rule allows it something; what all
 * organisations share is under the rule alone.
 */
function createPermission({ calls, services }: Engine): Allow {
  const ask = async (
    found: FoundChannel,
    identity: Principal,
    operation: ChannelOperation,
  ): Promise<Result<boolean, WireError>> => {
    const context: Rule = { channel: found.name, params: found.params, identity, services };
    const { definition } = found;
    // Whatever a rule in plain JavaScript returns: only true allows.
    const answer = await calls.run<unknown>(definition.name, () => definition.allow(context, operation));
    return answer.ok ? ok(answer.value === true) : answer;
  };
  return async (found, identity, operation) => {
    if (!isGranted(identity, found.name, operation))
      return fail({ code: 'forbidden', message: `the token does not grant ${operation} on this channel` });
    const asked = await ask(found, identity, operation);
    if (!asked.ok) return asked;
    if (asked.value) return ok(null);
    const other = await ask(found, identity, operation === 'subscribe' ? 'publish' : 'subscribe');
    if (!other.ok) return other;
    if (!other.value) return fail({ code: 'not-found', message: 'there is no such channel' });
    if (identity.kind === 'server' && found.definition.audience !== 'shared') return ok(null);
    return fail({ code: 'forbidden', message: `this identity may not ${operation} on this channel` });
  };
}

/** Takes a place among those under way, asks for permission to publish, and counts how it went. */
function bounded<M, T>(
  engine: Engine,
  allow: Allow,
  act: (engine: Engine, call: Call, message: M) => Promise<Result<T, WireError>>,
): (found: FoundChannel, identity: Principal, message: M) => Promise<Result<T, WireError>> {
  const { counters, limits } = engine;
  return async (found, identity, message) => {
    let result: Result<T, WireError>;
    if (counters.underWay >= limits.underWay)
      result = fail({ code: 'overloaded', message: 'too many messages are being worked on' });
    else {
      counters.underWay++;
      try {
        const allowed = await allow(found, identity, 'publish');
        result = allowed.ok ? await act(engine, { found, identity }, message) : allowed;
      } finally {
        counters.underWay--;
      }
    }
    if (!result.ok) countLabel(counters.refusedByCode, result.error.code);
    return result;
  };
}

interface Call {
  readonly found: FoundChannel;
  readonly identity: Principal;
  /** The client's idempotency key. */
  readonly key?: string | undefined;
}

type Message = Parameters<Channels['publish']>[2];

async function publish(
  engine: Engine,
  { found, identity }: Call,
  { event, data, key }: Message,
): Promise<Result<PublishOutcome, WireError>> {
  const { publishing, calls } = engine;
  const { definition } = found;
  const checks = engine.checksOf(definition);
  const isServer = identity.kind === 'server' && checks.out.has(event);
  if (!isServer) {
    const check = checks.in.get(event);
    const error = check === undefined ? unknownEvent(event, checks.in.keys()) : check(data);
    if (error !== null) return fail(error);
    const handle = definition.message?.[event];
    if (handle !== undefined) {
      const handling = handlerContext(engine, { found, identity, key });
      const done = await calls.run(definition.name, () => handle(handling.context, data));
      return done.ok ? ok(handling.outcome()) : done;
    }
  }
  const error = publishing.check({ checks, event, data });
  if (error !== null) return fail(error);
  const draft = { definition, checks, orgId: identity.orgId, name: found.name, event, data };
  return calls.run(definition.name, () =>
    publishing.publish({
      ...draft,
      by: isServer ? null : identity.subject,
      key: publicationKey(identity, key),
    }),
  );
}

async function request(
  engine: Engine,
  { found, identity }: Call,
  { name, data }: { readonly name: string; readonly data: unknown },
): Promise<Result<unknown, WireError>> {
  const { calls, counters } = engine;
  const { definition } = found;
  const asked = engine.checksOf(definition).requests.get(name);
  if (asked === undefined)
    return fail({ code: 'not-found', field: '/name', message: 'this channel answers no such request' });
  const error = asked.input(data);
  if (error !== null) return fail(error);
  counters.requests++;
  const { context } = handlerContext(engine, { found, identity });
  const answer = await calls.run(definition.name, () => asked.definition.handle(context, data));
  if (!answer.ok) return answer;
  const wrong = asked.output(answer.value);
  if (wrong === null) return answer;
  return fail(calls.unexpected(definition.name, mismatch(`the answer to "${name}"`, wrong)));
}

/** What a handler gets, and what it published. All of its publications stand under the client's key, each with its number. */
function handlerContext(
  engine: Engine,
  { found, identity, key }: Call,
): { readonly context: Handler; outcome(): PublishOutcome } {
  const { name, params, definition } = found;
  let made = 0;
  let duplicates = 0;
  let last: PublishOutcome['position'] = null;
  const context: Handler = {
    channel: name,
    params,
    identity,
    services: engine.services,
    async publish(event, data, options) {
      const checks = engine.checksOf(definition);
      const error = engine.publishing.check({ checks, event, data });
      if (error !== null) throw mismatch(`what a handler published as "${event}"`, error);
      const part = made++;
      const outcome = await engine.publishing.publish({
        definition,
        checks,
        orgId: identity.orgId,
        name,
        event,
        data,
        by: identity.subject,
        key:
          options?.key === undefined
            ? publicationKey(identity, key, part)
            : publicationKey(identity, options.key),
      });
      if (outcome.isDuplicate) duplicates++;
      last = outcome.position;
      const { position, isDuplicate } = outcome;
      return position === null ? null : { ...position, isDuplicate };
    },
  };
  return {
    context,
    outcome: () => ({ position: last, isDuplicate: made > 0 && duplicates === made }),
  };
}

/** The server's own publications. What is wrong with them is a bug of their code, so it throws. */
function createServerPublishing({
  registry,
  publishing,
  checksOf,
}: Pick<Engine, 'registry' | 'publishing' | 'checksOf'>): PublishTo {
  return async (definition, target, { event, data, key }) => {
    const name = channelName(definition, target.params as Readonly<Record<string, string>>);
    const checks = checksOf(definition);
    if (registry.find(name)?.definition !== definition)
      throw new AppError('invalid-field', `${name} is no channel of ${definition.name}`, {
        field: '/params',
      });
    const error = publishing.check({ checks, event, data });
    if (error !== null) throw mismatch(`what the server published as "${event}" on ${name}`, error);
    const { orgId } = target;
    const outcome = await publishing.publish({
      definition,
      checks,
      orgId,
      name,
      event,
      data,
      by: null,
      key: publicationKey(null, key),
    });
    return outcome.position;
  };
}

function mismatch(what: string, error: WireError): Error {
  return new Error(`${what} does not match its schema: ${error.field ?? ''} ${error.message}`);
}

async function callJoin(
  { calls, ...engine }: Engine,
  found: FoundChannel,
  identity: Principal,
): Promise<Result<null, WireError>> {
  const { definition } = found;
  if (definition.join === undefined) return ok(null);
  const { context } = handlerContext({ calls, ...engine }, { found, identity });
  const joined = await calls.run(definition.name, () => definition.join?.(context));
  return joined.ok ? ok(null) : joined;
}

async function readHistory(
  { publishing, calls }: Engine,
  allow: Allow,
  { found, identity, query }: Call & { readonly query: HistoryQuery },
): ReturnType<Channels['history']> {
  const allowed = await allow(found, identity, 'history');
  if (!allowed.ok) return allowed;
  const broker = publishing.brokerOf(found.definition);
  if (broker === null) return fail({ code: 'not-found', message: 'this channel keeps no history' });
  const address = addressOf(found.definition, identity.orgId, found.name);
  const limit = Math.min(query.limit, publicationLimits.pageMessages);
  return calls.run(found.definition.name, () => broker.history(address, { ...query, limit }));
}
