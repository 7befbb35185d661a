import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import type { Api } from '#api/api-options.ts';
import { overloadLimits, shedRequests, watchOverload } from '#api/overload.ts';
import { answerWithProblems } from '#api/problems.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

function setUp() {
  const clock = createManualClock();
  const state = { lateMs: 0, waitMs: 0 };
  const overload = watchOverload({
    sampleLateMs: () => state.lateMs,
    longestWaitMs: () => state.waitMs,
    clock,
  });
  const pass = (samples: number): void => clock.advance(samples * overloadLimits.sampleMs);
  return { clock, state, overload, pass };
}

test('a loop that is late for a while sends people away, a later one devices too', () => {
  const { state, overload, pass } = setUp();
  state.lateMs = overloadLimits.people.lateMs + 1;
  pass(overloadLimits.lateSamples - 1);
  expect(overload.served).toBe('all');
  pass(1);
  expect(overload.served).toBe('devices');
  state.lateMs = overloadLimits.devices.lateMs + 1;
  pass(overloadLimits.lateSamples);
  expect(overload.served).toBe('none');
  state.lateMs = 0;
  pass(1);
  expect(overload.served).toBe('all');
});

test('one late sample between good ones sends nobody away', () => {
  const { state, overload, pass } = setUp();
  for (let i = 0; i < 20; i++) {
    state.lateMs = i % 3 === 2 ? 0 : 10_000;
    pass(1);
    expect(overload.served).toBe('all');
  }
});

test('callers who wait long for the database are looked at with each request', () => {
  const { state, overload } = setUp();
  state.waitMs = overloadLimits.people.waitMs + 1;
  expect(overload.served).toBe('devices');
  state.waitMs = overloadLimits.devices.waitMs + 1;
  expect(overload.served).toBe('none');
  state.waitMs = 0;
  expect(overload.served).toBe('all');
});

test('people are answered 503 with a time, devices and health go on', async () => {
  const { state, overload } = setUp();
  const api = Fastify().withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  answerWithProblems(api, silentLog);
  shedRequests(api, overload);
  api.get('/people', { config: { access: 'session.read' } }, async () => 'ok');
  api.get('/device', { config: { access: 'device' } }, async () => 'ok');
  api.get('/healthz', { config: { access: 'public' } }, async () => 'ok');
  const statuses = async (): Promise<number[]> =>
    Promise.all(['/people', '/device', '/healthz'].map(async (url) => (await api.inject(url)).statusCode));
  expect(await statuses()).toEqual([200, 200, 200]);
  state.waitMs = overloadLimits.people.waitMs + 1;
  expect(await statuses()).toEqual([503, 200, 200]);
  expect((await api.inject('/people')).headers['retry-after']).toBe('2');
  state.waitMs = overloadLimits.devices.waitMs + 1;
  expect(await statuses()).toEqual([503, 503, 200]);
  expect(overload.counters).toEqual({ people: 3, devices: 1 });
});

test('it stops looking when it is told to', () => {
  const { clock, overload } = setUp();
  overload.stop();
  expect(clock.timerCount).toBe(0);
});
