import { Type } from 'typebox';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { defineChannel } from '#contract/channel-definition.ts';
import { checkExtension, defineExtension, defineRoute } from '#contract/extension.ts';

const channel = defineChannel({
  name: 'x/{id}',
  summary: 'x',
  params: { id: Type.String() },
  lossClass: 'live',
  out: {},
  allow: () => true,
});
const route = {
  method: 'GET',
  path: '/things/:id',
  summary: 'x',
  access: 'read',
  params: Type.Object({ id: Type.String() }),
  handle: () => undefined,
} as const;
const watcher = { name: 'w', summary: 'x', run: async () => undefined };
const whole = { name: 'x', summary: 'x', channels: [channel], routes: [route], watchers: [watcher] };

function refusalOf(extension: unknown): string {
  try {
    checkExtension(extension);
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid-field')
      return `${error.field}: ${error.message}`;
    throw error;
  }
  return 'none';
}

test('a whole extension, and the smallest, are taken as they are', () => {
  expect(defineExtension(whole)).toBe(whole);
  expect(refusalOf({ name: 'x', summary: 'x' })).toBe('none');
});

test('a route is typed by its schemas', () => {
  const typed = defineRoute({
    ...route,
    params: Type.Object({ id: Type.String() }),
    query: Type.Object({ n: Type.Integer() }),
    response: Type.Object({ id: Type.String(), n: Type.Number() }),
    handle: ({ params, query }) => {
      const id: string = params.id;
      const n: number = query.n;
      return { id, n };
    },
  });
  expect(refusalOf({ ...whole, routes: [typed] })).toBe('none');
});

test.each([
  [null, /^: an extension is an object/],
  [{ ...whole, name: 'Stock Ticker' }, /^\/name: \/name is "Stock Ticker"/],
  [{ ...whole, summary: undefined }, /^\/summary: \/summary is a text/],
  [{ ...whole, chanels: [] }, /^\/chanels: \/chanels is not known; an extension has name, summary, channels/],
  [{ ...whole, processors: {} }, /^\/processors: .*is a list/],
  [{ ...whole, processors: [{ name: 'x', summary: 'y', window() {} }] }, /^\/processors\/0\/version: /],
  [{ ...whole, processors: [{ name: 'x', summary: 'y', version: 1 }] }, /^\/processors\/0\/window: /],
  [{ ...whole, channels: {} }, /^\/channels: \/channels is a list/],
  [{ ...whole, channels: [{ ...channel, lossClass: 'lost' }] }, /^\/channels\/0\/lossClass: /],
  [
    { ...whole, channels: [{ ...channel, out: { e: 'string' } }] },
    /^\/channels\/0\/out\/e: .* TypeBox schema/,
  ],
  [{ ...whole, channels: [{ ...channel, allow: true }] }, /^\/channels\/0\/allow: .* is a function/],
  [{ ...whole, channels: [{ ...channel, name: 'x/{other}' }] }, /^\/channels\/0: .*params has a schema/],
  [{ ...whole, routes: [{ ...route, method: 'get' }] }, /^\/routes\/0\/method: .* GET, POST/],
  [{ ...whole, routes: [{ ...route, path: 'things' }] }, /^\/routes\/0\/path: /],
  [{ ...whole, routes: [{ ...route, path: '/../secret' }] }, /^\/routes\/0\/path: /],
  [{ ...whole, routes: [{ ...route, path: '/a//b' }] }, /^\/routes\/0\/path: /],
  [{ ...whole, routes: [{ ...route, path: '/*' }] }, /^\/routes\/0\/path: /],
  [{ ...whole, routes: [{ ...route, access: 'all' }] }, /^\/routes\/0\/access: .* public, read/],
  [{ ...whole, routes: [{ ...route, params: undefined }] }, /^\/routes\/0\/params: .*each of id/],
  [{ ...whole, routes: [{ ...route, body: Type.Null() }] }, /^\/routes\/0\/body: .*GET has none/],
  [{ ...whole, routes: [{ ...route, type: 'html' }] }, /^\/routes\/0\/type: /],
  [{ ...whole, routes: [route, { ...route, handle: null }] }, /^\/routes\/1\/handle: .* is a function/],
  [{ ...whole, watchers: [{ ...watcher, run: undefined }] }, /^\/watchers\/0\/run: .* is a function/],
])('what is wrong is named by its field: %#', (extension, expected) => {
  expect(refusalOf(extension)).toMatch(expected);
});
