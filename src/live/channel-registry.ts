/**
 * Owns which definition stands behind a channel's name: a tree of name segments, so that a search takes the time of the
 * name's own length however many definitions and channels there are. Two definitions that one name could mean are
 * refused when the tree is made. At most CHANNEL_SEGMENTS deep.
 */

import { AppError } from '#base/errors.ts';
import type { AnyChannel } from '#contract/channel-definition.ts';
import { createValueCheck } from '#contract/validation.ts';
import { CHANNEL_NAME_CHARACTERS, CHANNEL_SEGMENTS } from '#live/channel-limits.ts';
import type { FoundChannel } from '#live/channels.ts';

export interface ChannelRegistry {
  find(name: string): FoundChannel | null;
  /** Definitions with names that the pattern (`*` is any one segment) can mean. */
  matching(pattern: string): readonly AnyChannel[];
}

interface Entry {
  readonly definition: AnyChannel;
  readonly segments: readonly string[];
  /** Parameter names with the place of their segment and their check. */
  readonly params: readonly {
    readonly name: string;
    readonly at: number;
    readonly check: (value: unknown) => unknown;
  }[];
}

interface Place {
  readonly literals: Map<string, Place>;
  any: Place | null;
  entry: Entry | null;
}

// ASCII only, so that two names that look alike are alike; what is not a name is not searched.
const nameText = /^[a-z0-9][a-z0-9_-]*(?:\/[a-z0-9_-]+)*$/;
const newPlace = (): Place => ({ literals: new Map(), any: null, entry: null });
const isParameter = (segment: string): boolean => segment.startsWith('{');

/** Throws AppError `conflict` naming both definitions when one name could mean either. */
export function createChannelRegistry(definitions: readonly AnyChannel[]): ChannelRegistry {
  const root = newPlace();
  const entries: Entry[] = [];
  for (const definition of definitions) {
    const entry = entryOf(definition);
    for (const other of entries)
      if (overlap(entry.segments, other.segments))
        throw new AppError(
          'conflict',
          `channels ${other.definition.name} and ${definition.name}: one name could mean either`,
        );
    entries.push(entry);
    put(root, entry);
  }
  return {
    find(name) {
      if (name.length > CHANNEL_NAME_CHARACTERS || !nameText.test(name)) return null;
      const segments = name.split('/');
      if (segments.length > CHANNEL_SEGMENTS) return null;
      const entry = search(root, segments, 0);
      if (entry === null) return null;
      const params = paramsOf(entry, segments);
      return params === null ? null : { name, definition: entry.definition, params };
    },
    matching(pattern) {
      const wanted = pattern.split('/');
      return entries.filter(({ segments }) => meets(wanted, segments)).map(({ definition }) => definition);
    },
  };
}

function entryOf(definition: AnyChannel): Entry {
  const segments = definition.name.split('/');
  if (segments.length > CHANNEL_SEGMENTS)
    throw new AppError(
      'limit-exceeded',
      `channel ${definition.name}: a name has at most ${CHANNEL_SEGMENTS} segments`,
    );
  const params = segments.flatMap((segment, at) => {
    if (!isParameter(segment)) return [];
    const name = segment.slice(1, -1);
    return [{ name, at, check: createValueCheck(definition.params[name], `/params/${name}`) }];
  });
  return { definition, segments, params };
}

function put(root: Place, entry: Entry): void {
  let place = root;
  for (const segment of entry.segments) {
    let next: Place | null | undefined = isParameter(segment) ? place.any : place.literals.get(segment);
    if (next === null || next === undefined) {
      next = newPlace();
      if (isParameter(segment)) place.any = next;
      else place.literals.set(segment, next);
    }
    place = next;
  }
  place.entry = entry;
}

/** The fixed text first, then the parameter: no name leads to two entries, but to a dead end on the way to one. */
function search(place: Place, segments: readonly string[], at: number): Entry | null {
  const segment = segments[at];
  if (segment === undefined) return place.entry;
  const literal = place.literals.get(segment);
  const found = literal === undefined ? null : search(literal, segments, at + 1);
  if (found !== null || place.any === null) return found;
  return search(place.any, segments, at + 1);
}

function paramsOf(entry: Entry, segments: readonly string[]): Readonly<Record<string, string>> | null {
  const params: Record<string, string> = {};
  for (const { name, at, check } of entry.params) {
    const value = segments[at]!;
    if (check(value) !== null) return null;
    params[name] = value;
  }
  return params;
}

/** Whether some name fits both. */
function overlap(a: readonly string[], b: readonly string[]): boolean {
  return (
    a.length === b.length &&
    a.every((segment, i) => isParameter(segment) || isParameter(b[i]!) || segment === b[i])
  );
}

function meets(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every((wanted, i) => wanted === '*' || isParameter(segments[i]!) || wanted === segments[i])
  );
}
