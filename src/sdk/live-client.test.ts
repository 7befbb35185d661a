import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { seededRandom } from '#base/random.ts';
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
function bench(ticket: () => Promise<string>) {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  const sockets: FakeSocket[] = [];
  const states: string[] = [];
  const client = connectLive({
    url: 'ws://test/v1/live',
    ticket,
    onState: (state) => states.push(state.name),
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
