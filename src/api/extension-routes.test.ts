import { Type } from 'typebox';
import { expect, test } from 'vitest';

import type { ChannelServices } from '#contract/channel-definition.ts';
import { defineExtension, defineRoute, type AnyRoute } from '#contract/extension.ts';
import { addExtensionRoutes, extensionRouteLimits } from '#api/extension-routes.ts';
import { createChannelApi } from '#test/support/channel-api.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const route = { method: 'GET', path: '/', summary: 'x', access: 'public' } as const;

function start(...routes: readonly AnyRoute[]) {
  const clock = createManualClock();
  const { api, openApi } = createChannelApi({
    clock,
    connect: () => () => {
      throw new Error('nothing here follows a channel');
    },
  });
  addExtensionRoutes(api, {
    extensions: [{ file: 'x.extension.ts', extension: defineExtension({ name: 'x', summary: 'x', routes }) }],
    services: { clock } as unknown as ChannelServices,
  });
  const call = (url = '/v1/x/x', headers: Record<string, string> = {}) =>
    api.inject({ method: 'GET', url, headers });
  return { api, openApi, clock, call };
}

test('an answer that does not come is given up, and does not fill the server', async () => {
  const { answerMs, underWay } = extensionRouteLimits;
  const finish: (() => void)[] = [];
  const { clock, call } = start(
    defineRoute({
      ...route,
      response: Type.String(),
      handle: () => new Promise<string>((resolve) => void finish.push(() => resolve('late'))),
    }),
  );
  const asked = Array.from({ length: underWay }, () => call());
  while (finish.length < underWay) await new Promise((resolve) => void setImmediate(resolve));
  expect((await call()).json()).toMatchObject({ status: 503, code: 'overloaded' });
  clock.advance(answerMs);
  for (const answer of await Promise.all(asked))
    expect(answer.json()).toMatchObject({ status: 503, code: 'timed-out' });
  expect((await call()).json()).toMatchObject({ code: 'overloaded' });
  for (const one of finish.splice(0)) one();
  const answer = call();
  while (finish.length === 0) await new Promise((resolve) => void setImmediate(resolve));
  finish[0]!();
  expect((await answer).json()).toBe('late');
  expect(clock.timerCount).toBe(0);
});

test('who asks is known where the route wants to know', async () => {
  const { call } = start(
    defineRoute({
      ...route,
      access: 'any',
      response: Type.String(),
      handle: ({ identity }) => identity?.subject ?? 'nobody',
    }),
    defineRoute({
      ...route,
      path: '/open',
      response: Type.String(),
      handle: ({ identity }) => identity?.subject ?? 'nobody',
    }),
  );
  expect((await call()).json()).toMatchObject({ status: 401 });
  expect((await call('/v1/x/x', { authorization: 'Bearer user-ann' })).json()).toBe('ann');
  expect((await call('/v1/x/x/open', { authorization: 'Bearer user-ann' })).json()).toBe('nobody');
});

test('bytes of a type are sent as they are, and what is neither text nor bytes is a failure', async () => {
  const bytes = Uint8Array.from([0, 255, 128, 7]);
  const { call, openApi } = start(
    defineRoute({ ...route, type: 'image/png', handle: () => bytes }),
    defineRoute({ ...route, path: '/text', type: 'text/plain', handle: () => 7 }),
  );
  const image = await call();
  expect([...image.rawPayload]).toEqual([...bytes]);
  expect(image.headers['content-type']).toBe('image/png');
  expect((await call('/v1/x/x/text')).json()).toMatchObject({ status: 500, code: 'internal' });
  const { paths } = openApi.document() as { paths: Record<string, { get?: { responses: object } }> };
  expect(paths['/v1/x/x']?.get?.responses).toMatchObject({ 200: { content: { 'image/png': {} } } });
});

test('two routes of one address are named with their file', () => {
  expect(() => start({ ...route, handle: () => undefined }, { ...route, handle: () => undefined })).toThrow(
    /^x\.extension\.ts: \/routes\/1 /,
  );
});
