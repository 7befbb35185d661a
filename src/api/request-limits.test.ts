import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import type { CountAdded, CountTotal, RedisCounts } from '#bus/redis-counts.ts';
import type { Principal } from '#contract/principal.ts';
import { guardRoutes } from '#api/access.ts';
import type { Api } from '#api/api-options.ts';
import { answerWithProblems } from '#api/problems.ts';
import {
  createRequestLimits,
  limitAddresses,
  limitKinds,
  limitPrincipals,
  requestLimits,
  type LimitNumbers,
} from '#api/request-limits.ts';
import { principalNamed } from '#test/support/channel-api.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const none: LimitNumbers = { address: 0, user: 0, device: 0, organisation: 0 };

function setUp(numbers: Partial<LimitNumbers>, shared: RedisCounts | null = null) {
  const clock = createManualClock();
  const limits = createRequestLimits({ numbers: { ...none, ...numbers }, clock, shared });
  return { clock, limits };
}

/** An API whose keys are the names of whoever asks. */
function serve(numbers: Partial<LimitNumbers>) {
  const { clock, limits } = setUp(numbers);
  const api = Fastify().withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  answerWithProblems(api, silentLog);
  limitAddresses(api, limits);
  const authenticate = async (key: string): Promise<Principal> => {
    const principal = { ...principalNamed(key), permissions: null };
    return key === 'device' ? { ...principal, kind: 'device', role: 'device' } : principal;
  };
  guardRoutes(api, {
    principals: { authenticate, authenticateSignIn: async () => null },
    origins: { allowed: new Set(), isSecure: false },
    ownerOf: async () => null,
  });
  limitPrincipals(api, limits);
  api.get('/mine', { config: { access: 'any' } }, async () => 'ok');
  api.get('/readings', { config: { access: 'device' } }, async () => 'ok');
  api.get('/healthz', { config: { access: 'public' } }, async () => 'ok');
  const call = async (url: string, key: string, from = '192.0.2.1') =>
    api.inject({ method: 'GET', url, remoteAddress: from, headers: { authorization: `Bearer ${key}` } });
  return { clock, limits, call };
}

test('one user over its limit is told when to come back, and nobody else notices', async () => {
  const { clock, limits, call } = serve({ user: 2 });
  const first = await call('/mine', 'anna');
  expect(first.headers).toMatchObject({
    'ratelimit-policy': '"user";q=2;w=60',
    ratelimit: '"user";r=1;t=60',
  });
  await call('/mine', 'anna');
  clock.advance(20_000);
  const refused = await call('/mine', 'anna');
  expect(refused.statusCode).toBe(429);
  expect(refused.json()).toMatchObject({ code: 'rate-limited', status: 429 });
  expect(refused.headers).toMatchObject({ 'retry-after': '40', ratelimit: '"user";r=0;t=40' });
  expect((await call('/mine', 'ben')).statusCode).toBe(200);
  expect(limits.refused.user).toBe(1);
  clock.advance(40_000);
  expect((await call('/mine', 'anna')).statusCode).toBe(200);
});

test('an organisation over its limit holds up its people and not its devices', async () => {
  const { call } = serve({ organisation: 2, device: 100 });
  await call('/mine', 'anna');
  await call('/mine', 'ben');
  expect((await call('/mine', 'carl')).statusCode).toBe(429);
  const device = await call('/readings', 'device');
  expect(device.statusCode).toBe(200);
  expect(device.headers['ratelimit-policy']).toContain('"device"');
});

test('a device over its own limit is refused', async () => {
  const { call } = serve({ device: 1 });
  expect((await call('/readings', 'device')).statusCode).toBe(200);
  expect((await call('/readings', 'device')).statusCode).toBe(429);
});

test('an address is counted before its key is looked at, loopback and health are not', async () => {
  const { call } = serve({ address: 1 });
  expect((await call('/mine', 'anna')).statusCode).toBe(200);
  expect((await call('/mine', 'ben')).statusCode).toBe(429);
  expect((await call('/mine', 'ben', '192.0.2.2')).statusCode).toBe(200);
  expect((await call('/healthz', 'x')).statusCode).toBe(200);
  for (let i = 0; i < 3; i++) expect((await call('/mine', 'anna', '127.0.0.1')).statusCode).toBe(200);
  // One IPv6 network is one.
  expect((await call('/mine', 'anna', '2001:db8::1')).statusCode).toBe(200);
  expect((await call('/mine', 'anna', '2001:db8::2')).statusCode).toBe(429);
});

test('a flood of distinct addresses takes no more memory than the bound', () => {
  const { limits } = setUp({ address: 10 });
  for (let i = 0; i < 300_000; i++) limits.take('address', `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  expect(limits.sizeOf('address')).toBe(requestLimits.maxKeys);
  expect(limitKinds.map((kind) => limits.sizeOf(kind))).toEqual([requestLimits.maxKeys, 0, 0, 0]);
});

/** Counts of instances in one place, as Redis has them. */
function sharedCounts() {
  const totals = new Map<string, number>();
  const state = { isAway: false, commands: 0 };
  const add = async (added: readonly CountAdded[], spanMs: number): Promise<CountTotal[] | null> => {
    state.commands++;
    if (state.isAway) return null;
    return added.map(({ name, count }) => {
      const total = (totals.get(name) ?? 0) + count;
      totals.set(name, total);
      return { total, leftMs: spanMs };
    });
  };
  return { add, state };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

test('instances share a limit by telling each other a few times a second', async () => {
  const shared = sharedCounts();
  const [near, far] = [setUp({ user: 100 }, shared), setUp({ user: 100 }, shared)];
  for (let i = 0; i < 60; i++) {
    near.limits.take('user', 'anna');
    far.limits.take('user', 'anna');
  }
  for (const { clock } of [near, far, near]) {
    near.limits.take('user', 'anna');
    clock.advance(requestLimits.tellMs);
    await settle();
  }
  expect(near.limits.take('user', 'anna')).toMatchObject({ isAllowed: false });
  expect(far.limits.take('user', 'anna')).toMatchObject({ isAllowed: false });
  expect(shared.state.commands).toBeLessThanOrEqual(3);
});

test('while Redis is away each instance counts alone, and goes on telling when it is back', async () => {
  const shared = sharedCounts();
  const { clock, limits } = setUp({ user: 10 }, shared);
  shared.state.isAway = true;
  for (let i = 0; i < 4; i++) limits.take('user', 'anna');
  clock.advance(requestLimits.tellMs);
  await settle();
  expect(limits.counters.untold).toBe(1);
  expect(limits.take('user', 'anna')).toMatchObject({ isAllowed: true, left: 5 });
  shared.state.isAway = false;
  clock.advance(requestLimits.tellMs);
  await settle();
  expect(limits.counters.untold).toBe(1);
  for (let i = 0; i < 5; i++) limits.take('user', 'anna');
  limits.stop();
  expect(clock.timerCount).toBe(0);
});
