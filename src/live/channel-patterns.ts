/**
 * Owns what a pattern stands for: the channels that the definitions list for an identity at this moment, as far as its
 * grants reach. The rule is asked when each is followed. Nothing is left out in silence: what is too many is an error.
 */

import { fail, ok, type Result } from '#base/result.ts';
import { channelName, type AnyChannel, type ChannelServices } from '#contract/channel-definition.ts';
import { isGranted, matchesPattern, type Principal } from '#contract/principal.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { BoundedCalls } from '#live/bounded-calls.ts';
import type { ChannelRegistry } from '#live/channel-registry.ts';
import type { Channels, FoundChannel } from '#live/channels.ts';

export interface PatternContext {
  readonly registry: ChannelRegistry;
  readonly calls: BoundedCalls;
  readonly services: ChannelServices;
}

export interface PatternQuery {
  readonly pattern: string;
  readonly identity: Principal;
  readonly most: number;
}

type Names = Result<readonly string[], WireError>;

/** Fails with `invalid-field` where a definition in question lists none, and `limit-exceeded` beyond `most`. */
export async function expandPattern(
  context: PatternContext,
  query: PatternQuery,
): ReturnType<Channels['expand']> {
  const { registry, calls } = context;
  const { pattern, identity, most } = query;
  const at = (
    code: 'invalid-field' | 'limit-exceeded' | 'not-found',
    message: string,
  ): Result<never, WireError> => fail({ code, field: '/channel', message });
  if (pattern.split('/').some((segment) => segment.includes('*') && segment !== '*'))
    return at('invalid-field', '* stands for a whole segment');
  const definitions = registry.matching(pattern);
  if (definitions.length === 0) return at('not-found', 'there is no such channel');
  const found: FoundChannel[] = [];
  for (const definition of definitions) {
    const names = await listNames(context, definition, identity);
    if (!names.ok) return names;
    for (const name of names.value) {
      if (!matchesPattern(pattern, name) || !isGranted(identity, name, 'subscribe')) continue;
      const one = registry.find(name);
      if (one?.definition !== definition)
        return fail(calls.unexpected(definition.name, new Error(`its list names ${name}, which it is not`)));
      if (found.length >= most) return at('limit-exceeded', `${pattern} names more than ${most} channels`);
      found.push(one);
    }
  }
  return ok(found);
}

async function listNames(
  { calls, services }: PatternContext,
  definition: AnyChannel,
  identity: Principal,
): Promise<Names> {
  if (Object.keys(definition.params).length === 0) return ok([definition.name]);
  const { list } = definition;
  if (list === undefined)
    return fail({
      code: 'invalid-field',
      field: '/channel',
      message: `${definition.name} can only be followed by full names`,
    });
  return calls.run(definition.name, async () => {
    const listed = (await list({ identity, services })) as readonly Readonly<Record<string, string>>[];
    return listed.map((params) => channelName(definition, params));
  });
}
