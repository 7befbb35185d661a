/**
 * Owns what channel definitions may ask of the server. Rules are asked at every publish, so what exists is remembered for
 * KNOWN_MS (what was erased is gone for rules that much later); what does not exist is looked up each time, one query
 * for all who ask at once. At most KNOWN_THINGS are remembered; the least recently asked go first.
 */

import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { ChannelServices, SessionScope } from '#contract/channel-definition.ts';
import type { DeviceQueries } from '#store/device-queries.ts';
import type { SessionQueries } from '#store/session-queries.ts';

const KNOWN_MS = 10_000;
/** Two keys of 100 bytes for each of 10,000 viewers: 2 MB. */
const KNOWN_THINGS = 20_000;
/** What one connection may follow (live/hub-limits.ts). */
const LISTED_SESSIONS = 64;

export interface ServiceParts {
  readonly sessions: Pick<SessionQueries, 'exists' | 'list'>;
  readonly devices: Pick<DeviceQueries, 'exists'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function createChannelServices({
  sessions,
  devices,
  clock,
  log,
}: ServiceParts): Omit<ChannelServices, 'publish'> {
  return {
    clock,
    log,
    sessionExists: remembered(clock, sessions.exists),
    deviceExists: remembered(clock, devices.exists),
    async sessionIds(scope) {
      const page = await sessions.list(scope, { limit: LISTED_SESSIONS, cursor: null });
      return page?.sessions.map((session) => session.id) ?? [];
    },
  };
}

type Exists<S> = (scope: S, id: string) => Promise<boolean>;

function remembered<S extends SessionScope>(clock: Pick<Clock, 'monotonicMs'>, exists: Exists<S>): Exists<S> {
  const known = new LRUCache<string, Promise<boolean>>({
    max: KNOWN_THINGS,
    ttl: KNOWN_MS,
    // It takes a start of 0 for none.
    perf: { now: () => clock.monotonicMs() + 1 },
    ttlResolution: 0,
  });
  return (scope, id) => {
    // Ids of any length come from names; what is longer than an id is not worth a place.
    if (id.length > 64) return exists(scope, id);
    const key =
      typeof scope === 'string' ? `${scope}/${id}` : `${scope.orgId}/${scope.patientId ?? ''}/${id}`;
    const asked = known.get(key);
    if (asked !== undefined) return asked;
    const asking = exists(scope, id);
    known.set(key, asking);
    const forget = (): void => {
      if (known.peek(key) === asking) known.delete(key);
    };
    asking.then((isThere) => isThere || forget(), forget);
    return asking;
  };
}
