/**
 * Owns how many requests a minute one address, user, device or organisation may make. Counted in this process, without a
 * round trip; with Redis what was counted is told a few times a second, and what the other instances counted is added. While
 * Redis is away each instance counts alone: a limit that is too wide for a while harms less than a clinic without its records.
 * Bound: `maxKeys` of each kind; the one longest unseen is forgotten and begins anew.
 */

import type { FastifyInstance, FastifyReply } from 'fastify';
import { LRUCache } from 'lru-cache';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { RedisCounts } from '#bus/redis-counts.ts';
import type { Principal } from '#contract/principal.ts';
import { networkOf } from '#identity/failed-attempts.ts';

export const limitKinds = ['address', 'user', 'device', 'organisation'] as const;
export type LimitKind = (typeof limitKinds)[number];

export const requestLimits = {
  spanMs: 60_000,
  /** Of each kind; some 200 bytes each: 16 MB in all. An attacker with more addresses than this is another's problem. */
  maxKeys: 20_000,
  /** How often other instances are told. */
  tellMs: 250,
  /** Of one command. The least used wait for the next. */
  toldKeys: 1_000,
} as const;

/** Requests a minute; 0: as many as they like. */
export type LimitNumbers = Readonly<Record<LimitKind, number>>;

interface Window {
  /** What is known: counted here, and by others when they were last heard. */
  count: number;
  /** Counted here and not told yet. */
  untold: number;
  /** By Clock.monotonicMs. */
  endsMs: number;
}

export interface Taken {
  readonly isAllowed: boolean;
  readonly limit: number;
  readonly left: number;
  /** Until the count begins anew. */
  readonly resetS: number;
}

export interface RequestLimits {
  /** Counts one request; null when there is no such limit. */
  take(kind: LimitKind, key: string): Taken | null;
  /** Keys that are remembered of a kind. */
  sizeOf(kind: LimitKind): number;
  readonly refused: Readonly<Record<LimitKind, number>>;
  /** Times that Redis did not take the counts. */
  readonly counters: { readonly untold: number };
  stop(): void;
}

export interface RequestLimitsParts {
  readonly numbers: LimitNumbers;
  readonly clock: Clock;
  /** Null: this instance is alone. */
  readonly shared: RedisCounts | null;
}

export function createRequestLimits({ numbers, clock, shared }: RequestLimitsParts): RequestLimits {
  const windows = new Map(
    limitKinds.map((kind) => [kind, new LRUCache<string, Window>({ max: requestLimits.maxKeys })]),
  );
  const refused: Record<LimitKind, number> = { address: 0, user: 0, device: 0, organisation: 0 };
  const counters = { untold: 0 };
  /** What to tell: a hundredth of a limit is worth it. */
  const due = new Map<string, Window>();
  let cancel = shared === null ? () => undefined : clock.after(requestLimits.tellMs, tell);
  let isStopped = false;

  function windowOf(kind: LimitKind, key: string, nowMs: number): Window {
    const known = windows.get(kind)!;
    const found = known.get(key);
    if (found !== undefined && found.endsMs > nowMs) return found;
    const begun: Window = { count: 0, untold: 0, endsMs: nowMs + requestLimits.spanMs };
    known.set(key, begun);
    return begun;
  }

  function tell(): void {
    void tellDue().finally(() => {
      if (!isStopped) cancel = clock.after(requestLimits.tellMs, tell);
    });
  }

  async function tellDue(): Promise<void> {
    const told = [...due].slice(0, requestLimits.toldKeys);
    if (told.length === 0) return;
    const added = told.map(([name, window]) => ({ name, count: window.untold }));
    for (const [name, window] of told) {
      due.delete(name);
      window.untold = 0;
    }
    const totals = await shared!.add(added, requestLimits.spanMs);
    if (totals === null) {
      counters.untold++;
      return;
    }
    for (const [i, { total, leftMs }] of totals.entries()) {
      const window = told[i]![1];
      window.count = total + window.untold;
      window.endsMs = clock.monotonicMs() + leftMs;
    }
  }

  return {
    take(kind, key) {
      const limit = numbers[kind];
      if (limit === 0) return null;
      const nowMs = clock.monotonicMs();
      const window = windowOf(kind, key, nowMs);
      const resetS = Math.ceil((window.endsMs - nowMs) / 1000);
      if (window.count >= limit) {
        refused[kind]++;
        return { isAllowed: false, limit, left: 0, resetS };
      }
      window.count++;
      if (shared !== null) {
        window.untold++;
        if (window.untold * 100 >= limit && due.size < requestLimits.maxKeys)
          due.set(`${kind}:${key}`, window);
      }
      return { isAllowed: true, limit, left: limit - window.count, resetS };
    },
    sizeOf: (kind) => windows.get(kind)!.size,
    refused,
    counters,
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

/** Whose requests nobody counts by address: of this machine, or of a proxy that is not declared. */
function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** Counts by address, before anything of the request is looked at. Health and metrics are for whoever watches the server. */
export function limitAddresses(app: FastifyInstance, limits: RequestLimits): void {
  app.addHook('onRequest', async (request, reply) => {
    if (isLoopback(request.ip) || /^\/(?:healthz|readyz|metrics)$/.test(request.routeOptions.url ?? ''))
      return;
    const taken = limits.take('address', networkOf(request.ip));
    if (taken !== null && !taken.isAllowed) refuse(reply, 'address', taken);
  });
}

/** Counts by who asks. Goes after the guard, which says that. */
export function limitPrincipals(app: FastifyInstance, limits: RequestLimits): void {
  app.addHook('onRequest', async ({ principal }, reply) => {
    if (principal === null) return;
    const [own, ...others] = keysOf(principal);
    const taken = limits.take(own!.kind, own!.key);
    if (taken !== null) {
      tellLimit(reply, own!.kind, taken);
      if (!taken.isAllowed) refuse(reply, own!.kind, taken);
    }
    for (const { kind, key } of others) {
      const more = limits.take(kind, key);
      if (more !== null && !more.isAllowed) refuse(reply, kind, more);
    }
  });
}

/** A back end with a server key asks for all its users, so that its organisation's limit alone is its own. */
function keysOf({ kind, orgId, subject }: Principal): { kind: LimitKind; key: string }[] {
  // Readings are what the rest is there for: a busy organisation does not hold up its devices.
  if (kind === 'device') return [{ kind: 'device', key: subject }];
  const organisation = { kind: 'organisation' as const, key: orgId };
  return kind === 'server' ? [organisation] : [{ kind: 'user', key: `${orgId}/${subject}` }, organisation];
}

/** draft-ietf-httpapi-ratelimit-headers-10: what the limit is, what is left of it, and until when. */
function tellLimit(reply: FastifyReply, kind: LimitKind, { limit, left, resetS }: Taken): void {
  reply.header('ratelimit-policy', `"${kind}";q=${limit};w=${requestLimits.spanMs / 1000}`);
  reply.header('ratelimit', `"${kind}";r=${left};t=${resetS}`);
}

function refuse(reply: FastifyReply, kind: LimitKind, taken: Taken): never {
  tellLimit(reply, kind, taken);
  reply.header('retry-after', String(Math.max(1, taken.resetS)));
  throw new AppError('rate-limited', `at most ${taken.limit} requests a minute for one ${kind}`, {
    temporary: true,
  });
}
