import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { seededRandom } from '#base/random.ts';
import type { LiveOptions } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';

class FakeSocket extends EventTarget {
  readonly url: string;
  readonly readyState = 1;
  readonly sent: string[] = [];
  closedWith: number | null = null;

  constructor(url: string) {
    super();
    this.url = url;
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(code: number): void {
    this.closedWith = code;
  }
}

/** A socket and a clock that do what the test says. */
function bench(ticket: () => Promise<string>, options: Partial<LiveOptions> = {}) {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  const sockets: FakeSocket[] = [];
  const states: string[] = [];
  const client = connectLive({
    url: 'ws://test/v1/live',
    ticket,
    onState: (state) => states.push(state.name),
    ...options,
    random: seededRandom(1),
    clock: {
      nowUs: () => nowMs * 1000,
      monotonicMs: () => nowMs,
      after: (delayMs, callback) => {
        const timer = { atMs: nowMs + delayMs, callback };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    openSocket: (url) => {
      const socket = new FakeSocket(url);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  });
  return {
    client,
    sockets,
    states,
    timers,
    say: (data: unknown) => sockets.at(-1)!.dispatchEvent(Object.assign(new Event('message'), { data })),
    advance(byMs: number) {
      nowMs += byMs;
      for (const timer of timers)
        if (timer.atMs <= nowMs) {
          timers.delete(timer);
          timer.callback();
        }
    },
  };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('every attempt uses a new ticket, and a lost socket is replaced', async () => {
  let tickets = 0;
  const b = bench(() => Promise.resolve(`ticket ${++tickets}`));
  await settle();
  expect(b.sockets[0]?.url).toBe('ws://test/v1/live?ticket=ticket%201');
  b.say('{"type":"welcome","serverUs":0,"heartbeatMs":1000}');
  expect(b.client.state.name).toBe('open');
  b.sockets[0]!.dispatchEvent(Object.assign(new Event('close'), { code: 1006, reason: '' }));
  b.advance(600);
  await settle();
  expect(b.sockets[1]?.url).toBe('ws://test/v1/live?ticket=ticket%202');
  expect(b.states).toEqual(['connecting', 'open', 'waiting', 'connecting']);
});

test('a ticket that fails for good ends the client, one that fails for now does not', async () => {
  let refuse = new AppError('overloaded', 'later', { temporary: true });
  const b = bench(() => Promise.reject(refuse));
  await settle();
  expect(b.client.state.name).toBe('waiting');
  refuse = new AppError('unauthenticated', 'no such key');
  b.advance(600);
  await settle();
  expect(b.client.state).toMatchObject({ name: 'closed', code: 'unauthenticated' });
  expect(b.timers.size).toBe(0);
});

test('close ends the socket and the timer', async () => {
  const b = bench(() => Promise.resolve('t'));
  await settle();
  b.say('{"type":"welcome","serverUs":0,"heartbeatMs":1000}');
  b.client.close();
  expect(b.sockets[0]?.closedWith).toBe(1000);
  expect(b.timers.size).toBe(0);
});

test('one timer waits at a time, however many messages come', async () => {
  const b = bench(() => Promise.resolve('t'));
  await settle();
  b.say('{"type":"welcome","serverUs":0,"heartbeatMs":1000}');
  for (let i = 0; i < 50; i++) {
    b.advance(10);
    b.say('{"type":"heartbeat"}');
  }
  expect(b.timers.size).toBe(1);
});

const WELCOME = '{"type":"welcome","serverUs":0,"heartbeatMs":1000}';

async function opened(options: Partial<LiveOptions> = {}) {
  const b = bench(() => Promise.resolve('t'), options);
  await settle();
  b.say(WELCOME);
  const said = (): Record<string, unknown>[] =>
    b.sockets
      .at(-1)!
      .sent.splice(0)
      .map((text) => JSON.parse(text) as Record<string, unknown>);
  return { ...b, said, tell: (message: object) => b.say(JSON.stringify(message)) };
}

test('two parts of a program follow a channel that is subscribed once and left with the last', async () => {
  const b = await opened();
  const heard: unknown[] = [];
  const first = b.client.subscribe('room/a', {
    last: 2,
    onMessage: ({ data }) => heard.push(['first', data]),
  });
  const second = b.client.subscribe('room/a', {
    onMessage: ({ data, by }) => heard.push(['second', data, by]),
  });
  const subscribes = b.said().filter(({ type }) => type === 'subscribe');
  expect(subscribes).toEqual([{ type: 'subscribe', id: 1, channel: 'room/a', last: 2 }]);
  const position = { epoch: 'e', offset: 4 };
  b.tell({ type: 'subscribed', id: 1, channel: 'room/a', number: 1, lossClass: 'event', position });
  b.tell({ type: 'message', channel: 'room/a', offset: 5, timeUs: 0, event: 'said', data: 'x' });
  expect(heard).toEqual([
    ['first', 'x'],
    ['second', 'x', null],
  ]);
  expect(first.position).toEqual({ epoch: 'e', offset: 5 });
  first.unsubscribe();
  first.unsubscribe();
  expect(b.said()).toEqual([]);
  second.unsubscribe();
  expect(b.said()).toMatchObject([{ type: 'unsubscribe', channel: 'room/a' }]);
});

test('what is asked is answered to its promise, and an error rejects it with its code', async () => {
  const b = await opened();
  const room = b.client.subscribe('room/a');
  b.said();
  const published = room.publish('said', { text: 'hi' }, { key: 'k' });
  expect(b.said()).toEqual([
    { type: 'publish', id: 2, channel: 'room/a', event: 'said', data: { text: 'hi' }, key: 'k' },
  ]);
  b.tell({ type: 'published', id: 2, position: { epoch: 'e', offset: 9 } });
  expect(await published).toEqual({ position: { epoch: 'e', offset: 9 }, isDuplicate: false });
  const answered = room.request('sum', [1, 2]);
  b.tell({ type: 'response', id: 3, data: 3 });
  expect(await answered).toBe(3);
  const page = room.history({ before: 9, limit: 1 });
  const kept = { offset: 8, timeUs: 1, event: 'said', data: 'y' };
  b.tell({
    type: 'history',
    id: 4,
    channel: 'room/a',
    position: { epoch: 'e', offset: 9 },
    oldest: 3,
    messages: [kept],
  });
  expect(await page).toEqual({
    position: { epoch: 'e', offset: 9 },
    oldest: 3,
    messages: [{ ...kept, channel: 'room/a', by: null, skipped: 0 }],
  });
  const refused = room.setState({ typing: true });
  b.tell({ type: 'error', id: 5, code: 'rate-limited', message: 'slower' });
  await expect(refused).rejects.toMatchObject({ code: 'rate-limited', temporary: true });
  const late = room.members();
  b.client.close();
  await expect(late).rejects.toMatchObject({ code: 'stopped' });
  await expect(room.publish('said', 1)).rejects.toMatchObject({ code: 'stopped' });
});

test('a request that is not answered in time is rejected', async () => {
  const b = await opened();
  const answered = b.client.request('room/a', 'sum', [1], { timeoutMs: 700 });
  b.advance(800);
  await expect(answered).rejects.toMatchObject({ code: 'timed-out', temporary: true });
});

test('a refused channel is told to who followed it, who may follow it again', async () => {
  const refusals: string[] = [];
  const b = await opened();
  b.client.subscribe('room/a', {
    onRefused: (code) => {
      refusals.push(code);
      if (refusals.length < 2) b.client.subscribe('room/a', { onRefused: (again) => refusals.push(again) });
    },
  });
  b.tell({ type: 'error', id: 1, code: 'not-found', message: 'no' });
  b.tell({ type: 'error', id: 2, code: 'forbidden', message: 'no' });
  expect(refusals).toEqual(['not-found', 'forbidden']);
});

test('the parts that follow a pattern hear of all its channels, and who follows one of that one', async () => {
  const heard: string[] = [];
  const b = await opened();
  b.client.subscribe('room/*', { onMessage: ({ channel }) => heard.push(`* ${channel}`) });
  b.client.subscribe('room/b', { onMessage: ({ channel }) => heard.push(`b ${channel}`) });
  for (const [id, name, number] of [
    [1, 'a', 1],
    [1, 'b', 2],
    [2, 'b', 2],
  ] as const)
    b.tell({ type: 'subscribed', id, channel: `room/${name}`, number, lossClass: 'live' });
  for (const name of ['a', 'b'])
    b.tell({ type: 'message', channel: `room/${name}`, timeUs: 0, event: 'x', data: 0 });
  expect(heard).toEqual(['* room/a', 'b room/b', '* room/b']);
});

test('a token is said in the first message and not in the address, and a new one is fetched when it is time', async () => {
  let tokens = 0;
  const b = bench(() => Promise.reject(new Error('not asked')), { token: () => `token ${++tokens}` });
  await settle();
  expect(b.sockets[0]!.url).toBe('ws://test/v1/live');
  b.sockets[0]!.dispatchEvent(new Event('open'));
  expect(b.sockets[0]!.sent).toEqual(['{"type":"hello","key":"token 1"}']);
  b.say('{"type":"welcome","serverUs":0,"heartbeatMs":100000,"expiresAtUs":10000000}');
  b.client.refresh();
  await settle();
  expect(b.sockets[0]!.sent.at(-1)).toMatch(/"type":"refresh".*"key":"token 2"/);
});
