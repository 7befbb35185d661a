import { expect, test } from 'vitest';

import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import { closeCodes } from '#protocol/codes.ts';
import type { Position } from '#protocol/publication.ts';
import { openHttpLink, type HttpLinkOptions } from '#sdk/live-http-link.ts';
import { TRANSPORT_UNUSABLE } from '#sdk/live-transports.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Record<string, string>;
  readonly body: unknown;
  readonly signal: AbortSignal;
  answer(body: unknown, status?: number): void;
  /** Begins an event stream; what it returns writes to it. */
  stream(): (text: string | null) => void;
  lose(): void;
}

/** A link whose server does what the test says. */
async function bench(kind: 'sse' | 'poll', options: Partial<HttpLinkOptions> = {}) {
  const clock = createManualClock();
  const asked: Asked[] = [];
  const told: Record<string, unknown>[] = [];
  const closes: number[] = [];
  const positions = new Map<string, Position>();
  const fetch = (address: string, init: RequestInit): Promise<Response> =>
    new Promise((resolve, reject) => {
      const url = new URL(address);
      const signal = init.signal!;
      signal.addEventListener('abort', () => reject(new Error('aborted')));
      asked.push({
        method: init.method!,
        path: url.pathname,
        query: url.searchParams,
        headers: init.headers as Record<string, string>,
        body: init.body === undefined ? undefined : JSON.parse(init.body as string),
        signal,
        answer: (body, status = 200) =>
          resolve(
            new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } }),
          ),
        stream() {
          const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
          const writer = writable.getWriter();
          signal.addEventListener('abort', () => void writer.abort().catch(() => undefined));
          resolve(
            new Response(readable, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }),
          );
          return (text) =>
            void (text === null ? writer.close() : writer.write(new TextEncoder().encode(text))).catch(
              () => undefined,
            );
        },
        lose: () => reject(new Error('no network')),
      });
    });
  const link = openHttpLink(
    {
      kind,
      url: 'wss://kymo.test/v1/live',
      credential: { kind: 'token', text: 'ka_1' },
      renew: () => Promise.resolve({ kind: 'ticket', text: 'second' }),
      positions: () => positions,
      clock,
      fetch,
      ...options,
    },
    {
      text: (text) => told.push(JSON.parse(text) as Record<string, unknown>),
      binary: (bytes) => told.push({ type: 'binary', bytes: [...bytes] }),
      closed: (code) => closes.push(code),
    },
  );
  const b = {
    link,
    clock,
    positions,
    closes,
    send: (message: object) => link.send(JSON.stringify(message)),
    /** What came since the last look, heartbeats aside. */
    told: () => told.splice(0).filter(({ type }) => type !== 'heartbeat'),
    asked: async (): Promise<Asked[]> => {
      await settle();
      return asked.splice(0);
    },
  };
  const [about] = await b.asked();
  expect(about!.path).toBe('/v1/about');
  return { ...b, about: about! };
}

/** Streams hand their parts on over several turns. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function greeted(kind: 'sse' | 'poll', options: Partial<HttpLinkOptions> = {}) {
  const b = await bench(kind, options);
  b.about.answer({ name: 'Kymo' });
  await settle();
  expect(b.told()).toEqual([{ type: 'welcome', serverUs: 0, heartbeatMs: 15_000 }]);
  return b;
}

const event = (message: { readonly type: string }): string =>
  `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`;
const at = (offset: number): Position => ({ epoch: 'e', offset });
const subscribed = (channel: string, more: object = {}) => ({
  type: 'subscribed',
  id: 0,
  channel,
  number: 7,
  lossClass: 'event',
  ...more,
});
const message = (offset: number, channel = 'room/a') => ({
  type: 'message',
  channel,
  offset,
  timeUs: 0,
  event: 'said',
  data: offset,
});
const subscribe = (id: number, channel: string, more: object = {}) => ({
  type: 'subscribe',
  id,
  channel,
  ...more,
});

test('one stream carries all that is followed, with the token in a header and the numbers of who asked', async () => {
  const b = await greeted('sse');
  b.positions.set('room/a', at(4));
  b.send(subscribe(11, 'room/a', { position: at(4) }));
  b.send(subscribe(12, 'room/b'));
  const [asked, ...more] = await b.asked();
  expect(more).toEqual([]);
  expect(asked).toMatchObject({ method: 'GET', path: '/v1/events' });
  expect(asked!.headers).toMatchObject({ authorization: 'Bearer ka_1', accept: 'text/event-stream' });
  expect(asked!.query.getAll('channel')).toEqual(['room/a', 'room/b']);
  expect(decodeCursor(asked!.query.get('cursor')!)?.positionOf('room/a')).toEqual(at(4));
  const write = asked!.stream();
  write('retry: 1000\n\n' + event({ type: 'welcome' }));
  write(
    event(subscribed('room/a', { recovered: true, position: at(4) })) +
      event(subscribed('room/b', { id: 1 })),
  );
  write(`${event(message(5))}event: binary\ndata: AQID\n\n`);
  write('event: problem\ndata: {"type":"error","id":3,"code":"internal","message":"x"}\n\n');
  await settle();
  expect(b.told()).toMatchObject([
    { type: 'subscribed', id: 11, channel: 'room/a', recovered: true },
    { type: 'subscribed', id: 12, channel: 'room/b' },
    message(5),
    { type: 'binary', bytes: [1, 2, 3] },
    { type: 'error', code: 'internal' },
  ]);
  expect(await b.asked()).toEqual([]);
});

test('when what is followed changes, the stream is opened anew from where the program is', async () => {
  const b = await greeted('sse');
  b.send(subscribe(11, 'room/a'));
  const [first] = await b.asked();
  first!.stream()(event(subscribed('room/a', { position: at(4) })) + event(message(5)));
  await settle();
  b.positions.set('room/a', at(5));
  b.send(subscribe(12, 'room/*'));
  const [second] = await b.asked();
  expect(first!.signal.aborted).toBe(true);
  expect(second!.query.getAll('channel')).toEqual(['room/a', 'room/*']);
  expect(decodeCursor(second!.query.get('cursor')!)?.positionOf('room/a')).toEqual(at(5));
  b.told();
  second!.stream()(event(subscribed('room/a', { recovered: false, position: at(9) })));
  await settle();
  expect(b.told()).toMatchObject([
    { type: 'subscribed', id: 11, recovered: false },
    { type: 'subscribed', id: 12, channel: 'room/a' },
  ]);
  b.send({ type: 'unsubscribe', id: 13, channel: 'room/*' });
  b.send({ type: 'unsubscribe', id: 14, channel: 'room/a' });
  expect(await b.asked(), 'nothing is followed').toEqual([]);
  expect(second!.signal.aborted).toBe(true);
});

test('channels that wish for another beginning are added after those of one wish', async () => {
  const b = await greeted('sse');
  b.send(subscribe(1, 'room/a', { last: 3 }));
  b.send(subscribe(2, 'room/b'));
  b.send(subscribe(3, 'room/c', { last: 3, presence: true }));
  const [first] = await b.asked();
  expect(first!.query.getAll('channel')).toEqual(['room/a', 'room/c']);
  expect([first!.query.get('last'), first!.query.get('presence')]).toEqual(['3', 'true']);
  const write = first!.stream();
  write(event(subscribed('room/a', { position: at(1) })));
  expect(await b.asked(), 'not all have begun').toEqual([]);
  write(event(subscribed('room/c', { position: at(1) })));
  const [second] = await b.asked();
  expect(second!.query.getAll('channel')).toEqual(['room/a', 'room/c', 'room/b']);
  expect(second!.query.get('last')).toBeNull();
});

test('where one channel is refused, it is found, and the others are followed', async () => {
  const b = await greeted('sse');
  for (const [id, name] of ['a', 'b', 'c'].entries()) b.send(subscribe(id, `room/${name}`));
  const followed: string[][] = [];
  for (let i = 0; i < 4; i++) {
    const [asked] = await b.asked();
    const channels = asked!.query.getAll('channel');
    followed.push(channels);
    if (channels.includes('room/b')) asked!.answer({ code: 'not-found', detail: 'no' }, 404);
    else asked!.stream()(channels.map((name) => event(subscribed(name))).join(''));
  }
  expect(followed).toEqual([
    ['room/a', 'room/b', 'room/c'],
    ['room/a'],
    ['room/a', 'room/b'],
    ['room/a', 'room/c'],
  ]);
  await settle();
  expect(b.told()).toContainEqual({ type: 'error', id: 1, code: 'not-found', message: 'no' });
  expect(await b.asked()).toEqual([]);
  expect(b.closes).toEqual([]);
});

test.each([
  ['no key', { code: 'unauthenticated', detail: 'no' }, 401, closeCodes.unauthenticated],
  ['no room', { code: 'overloaded', detail: 'no' }, 503, closeCodes.overloaded],
  ['too many', { code: 'limit-exceeded', detail: 'no' }, 429, closeCodes.overloaded],
  ['another answer than a stream', {}, 200, TRANSPORT_UNUSABLE],
])('%s ends the link as it would end a socket', async (_, body, status, code) => {
  const b = await greeted('sse');
  b.send(subscribe(1, 'room/a'));
  const [asked] = await b.asked();
  asked!.answer(body, status);
  await settle();
  expect(b.closes).toEqual([code]);
  expect(b.clock.timerCount).toBe(0);
});

test('a stream that ends, is closed, or is lost ends the link', async () => {
  for (const [last, code] of [
    [null, 1006],
    ['event: closed\ndata: {"code":4004,"reason":"slowConsumer"}\n\n', 4004],
    ['event: subscribed\ndata: {\n\n', 1006],
  ] as const) {
    const b = await greeted('sse');
    b.send(subscribe(1, 'room/a'));
    const [asked] = await b.asked();
    const write = asked!.stream();
    write(':\n\n');
    write(last);
    await settle();
    expect(b.closes).toEqual([code]);
    expect(asked!.signal.aborted).toBe(true);
  }
});

test('a stream of which nothing comes is held back by something on the way: the transport is of no use', async () => {
  const b = await greeted('sse');
  b.send(subscribe(1, 'room/a'));
  const [asked] = await b.asked();
  asked!.stream();
  await settle();
  b.clock.advance(12_000);
  expect(b.closes).toEqual([TRANSPORT_UNUSABLE]);
});

test('each opening takes a ticket of its own', async () => {
  const b = await greeted('sse', { credential: { kind: 'ticket', text: 'first' } });
  b.send(subscribe(1, 'room/a'));
  const [first] = await b.asked();
  first!.stream()(event(subscribed('room/a')));
  await settle();
  b.send(subscribe(2, 'room/b'));
  const [second] = await b.asked();
  expect([first!, second!].map(({ query }) => query.get('ticket'))).toEqual(['first', 'second']);
  expect(first!.headers['authorization']).toBeUndefined();
});

test('what is published is published in order, and history is read beside it', async () => {
  const b = await greeted('poll');
  const publish = { type: 'publish', channel: 'room/a', event: 'said', key: 'k' };
  b.send({ ...publish, id: 1, data: 1 });
  b.send({ type: 'request', id: 2, channel: 'room/a', name: 'sum', data: [1, 2] });
  b.send({ type: 'history', id: 3, channel: 'room/a', before: 9, limit: 5 });
  b.send({ type: 'members', id: 4, channel: 'room/a' });
  b.send({ type: 'state', id: 5, channel: 'room/a', state: 1 });
  const early = await b.asked();
  expect(early.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    'GET /v1/channels/room/a/members',
    'GET /v1/channels/room/a/messages',
    'POST /v1/channels/room/a/messages',
  ]);
  const [post, history, members] = ['POST', 'before', 'members'].map((word) =>
    early.find(({ method, query, path }) => method === word || query.has(word) || path.endsWith(word))!,
  );
  expect(post!.body).toEqual({ event: 'said', data: 1 });
  expect(post!.headers['idempotency-key']).toBe('k');
  expect(history!.query.toString()).toBe('before=9&limit=5');
  history!.answer({ channel: 'room/a', position: at(8), oldest: 1, messages: [] });
  members!.answer({ channel: 'room/a', count: 2, members: [] });
  post!.answer({ position: at(9), isDuplicate: true }, 201);
  const [request] = await b.asked();
  expect(request).toMatchObject({ path: '/v1/channels/room/a/requests/sum', body: [1, 2] });
  request!.answer({ code: 'forbidden', detail: 'no' }, 403);
  await settle();
  expect(b.told()).toEqual([
    { type: 'error', id: 5, code: 'invalid-field', message: expect.any(String) as string },
    { type: 'history', id: 3, channel: 'room/a', position: at(8), oldest: 1, messages: [] },
    { type: 'members', id: 4, channel: 'room/a', count: 2, members: [] },
    { type: 'published', id: 1, position: at(9), isDuplicate: true },
    { type: 'error', id: 2, code: 'forbidden', message: 'no' },
  ]);
  b.send({ ...publish, id: 6, data: 2 });
  const [lost] = await b.asked();
  lost!.lose();
  await settle();
  expect(b.closes, 'nobody knows whether it was done').toEqual([1006]);
});

test('polls follow each other from where the program is', async () => {
  const b = await greeted('poll');
  b.send(subscribe(1, 'room/a', { last: 2 }));
  const [first] = await b.asked();
  expect(first!.query.toString()).toBe('channel=room%2Fa&last=2&limit=256&wait=0');
  const answer = (messages: object[], end: number, recovered?: boolean) => ({
    cursor: encodeCursor([['room/a', at(end)]]),
    recovered: recovered !== false,
    channels: [{ channel: 'room/a', lossClass: 'event', ...(recovered === undefined ? {} : { recovered }) }],
    messages,
  });
  first!.answer(answer([message(4), message(5)], 5));
  const [second] = await b.asked();
  expect(b.told()).toMatchObject([{ type: 'subscribed', id: 1, position: at(3) }, message(4), message(5)]);
  expect(second!.query.get('wait')).toBe('20');
  b.positions.set('room/a', at(5));
  second!.answer(answer([message(6)], 6, true));
  const [third] = await b.asked();
  expect(b.told()).toEqual([message(6)]);
  expect(decodeCursor(third!.query.get('cursor')!)?.positionOf('room/a')).toEqual(at(5));
  third!.answer(answer([message(40)], 40, false));
  const [fourth] = await b.asked();
  expect(b.told()).toMatchObject([
    { type: 'subscribed', id: 1, recovered: false, position: at(39) },
    message(40),
  ]);
  fourth!.answer(answer([], 40, true));
  expect(await b.asked(), 'one that did not wait is not repeated at once').toEqual([]);
  b.clock.advance(1_000);
  expect(await b.asked()).toHaveLength(1);
});

test('a server that is not there, or another one, is told as such', async () => {
  const away = await bench('sse');
  away.about.lose();
  await settle();
  expect(away.closes).toEqual([1006]);
  const portal = await bench('poll');
  portal.about.answer({ message: 'sign in' }, 403);
  await settle();
  expect(portal.closes).toEqual([TRANSPORT_UNUSABLE]);
});

test('a closed link asks and says nothing more', async () => {
  const b = await greeted('sse');
  b.send(subscribe(1, 'room/a'));
  const [asked] = await b.asked();
  const write = asked!.stream();
  b.link.close(1000);
  write(event(subscribed('room/a')));
  b.send(subscribe(2, 'room/b'));
  expect(await b.asked()).toEqual([]);
  expect(b.told()).toEqual([]);
  expect(b.closes).toEqual([]);
  expect(b.clock.timerCount).toBe(0);
});
