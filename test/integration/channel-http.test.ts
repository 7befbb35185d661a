/**
 * Channels over event streams, long polls and REST, on the real engine and hub with real sockets: the same messages, order,
 * cursor and recovery on all, with clients that nobody here wrote (npm `eventsource`, fetch).
 */

import type { AddressInfo } from 'node:net';

import { EventSource, type FetchLike } from 'eventsource';
import { afterEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import type { Broker } from '#bus/broker.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import type { HubMessage } from '#contract/live-messages.ts';
import type { HubLimits } from '#live/hub-limits.ts';
import { createHub, type Hub } from '#live/hub.ts';
import type { Transport } from '#live/transport.ts';
import { createChannelApi, principalNamed, type ChannelApi } from '#test/support/channel-api.ts';
import { readEvents, requestRaw, type RawClient } from '#test/support/raw-client.ts';

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** Waits, turn by turn, until something is true; the test's own time-out is the limit. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

interface Server extends ChannelApi {
  readonly port: number;
  readonly origin: string;
  readonly hub: Hub;
  stop(): Promise<void>;
}

interface ServeOptions {
  readonly port?: number;
  readonly broker?: Broker;
  readonly limits?: Partial<HubLimits>;
  readonly allowedOrigins?: readonly string[];
}

async function serve({
  port = 0,
  broker,
  limits = {},
  allowedOrigins = [],
}: ServeOptions = {}): Promise<Server> {
  let hub: Hub | undefined;
  const made = createChannelApi({
    allowedOrigins,
    ...(broker === undefined ? {} : { broker }),
    connect: (channels) => {
      const created = createHub({
        channels,
        clock: systemClock,
        authenticate: async () => null,
        onFailure: (cause) => expect.unreachable(String(cause)),
        limits: { drainSpreadMs: 0, ...limits },
      });
      hub = created;
      return created.connect;
    },
  });
  await made.api.listen({ port, host: '127.0.0.1' });
  const bound = (made.api.server.address() as AddressInfo).port;
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await hub!.drain();
    await made.api.close();
  };
  cleanUps.push(stop);
  return { ...made, port: bound, origin: `http://127.0.0.1:${bound}`, hub: hub!, stop };
}

const authorization = 'Bearer user-alice';
const withKey: FetchLike = (url, init) =>
  fetch(url, { ...init, headers: { ...init.headers, authorization } });

async function say(server: Server, text: string, room = 'one'): Promise<void> {
  const answer = await fetch(`${server.origin}/v1/channels/room/${room}/messages`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'said', data: { text } }),
  });
  expect(answer.status).toBe(201);
}

type Message = Extract<HubMessage, { type: 'message' }>;
type Subscribed = Extract<HubMessage, { type: 'subscribed' }>;

interface Polled {
  readonly cursor: string;
  readonly recovered: boolean;
  readonly channels: { channel: string; recovered?: boolean }[];
  readonly messages: Message[];
}

async function poll(server: Server, query: string): Promise<Polled> {
  const answer = await fetch(`${server.origin}/v1/poll?${query}`, { headers: { authorization } });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Polled;
}

const textOf = ({ data }: Message): string => (data as { text: string }).text;

/** npm `eventsource`, with what it was told. */
function follow(url: string, fetchLike: FetchLike = withKey) {
  const source = new EventSource(url, { fetch: fetchLike });
  cleanUps.push(() => source.close());
  const subscribed: Subscribed[] = [];
  const messages: Message[] = [];
  const ids: string[] = [];
  const errors: (number | undefined)[] = [];
  source.addEventListener('subscribed', ({ data }) =>
    subscribed.push(JSON.parse(data as string) as Subscribed),
  );
  source.addEventListener('message', ({ data, lastEventId }) => {
    messages.push(JSON.parse(data as string) as Message);
    ids.push(lastEventId);
  });
  source.addEventListener('error', ({ code }) => errors.push(code));
  return { source, subscribed, messages, ids, errors };
}

/** A stream on a bare socket. */
async function stream(server: Server, path: string, headers: readonly string[] = []): Promise<RawClient> {
  const client = requestRaw(server.port, [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${server.port}`,
    ...(path.includes('ticket=') ? [] : [`Authorization: ${authorization}`]),
    ...headers,
  ]);
  cleanUps.push(() => client.socket.destroy());
  await client.until(() => client.head() !== '');
  return client;
}

const eventsOf = (client: RawClient) => readEvents(client.body().toString()).events;
const statusOf = (client: RawClient): number => Number(client.head().split(' ')[1]);

/** A viewer of the hub itself, as the WebSocket is one. */
function view(server: Server, channel: string, cursor?: string) {
  const messages: HubMessage[] = [];
  const transport: Transport = {
    write(items, sent) {
      for (const { isText, message } of items)
        if (isText) messages.push(JSON.parse(Buffer.from(message).toString()) as HubMessage);
      sent();
    },
    close: () => port.ended(),
  };
  const port = server.hub.connect(transport, principalNamed('alice'));
  port.receiveText(
    JSON.stringify({ type: 'subscribe', id: 1, channel, ...(cursor === undefined ? {} : { cursor }) }),
  );
  cleanUps.push(() => port.ended());
  return messages;
}

test('what one says the other hears, over npm eventsource', async () => {
  const server = await serve();
  const { messages, subscribed } = follow(`${server.origin}/v1/channels/room/one/events`);
  await until(() => subscribed.length === 1);
  await say(server, 'hello 😀\n');
  await until(() => messages.length === 1);
  expect(messages[0]).toMatchObject({ channel: 'room/one', offset: 1, event: 'said', by: 'alice' });
  expect(textOf(messages[0]!)).toBe('hello 😀\n');
});

test('an EventSource whose connections are cut again and again hears all, once and in order', async () => {
  const server = await serve();
  // Node's fetch waits out the retry of the server, which is made for people: here it comes back at once.
  const quick: FetchLike = async (url, init) => {
    const answer = await fetch(url, { ...init, headers: { ...init.headers, authorization } });
    const body = answer.body!.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, out) => {
          const text = Buffer.from(chunk)
            .toString('latin1')
            .replace(/^retry: \d+\n/, 'retry: 1\n');
          out.enqueue(Buffer.from(text, 'latin1'));
        },
      }),
    );
    return new Response(body, { status: answer.status, headers: answer.headers });
  };
  const { messages, subscribed } = follow(`${server.origin}/v1/channels/room/one/events`, quick);
  await until(() => subscribed.length === 1);
  const total = 300;
  const room = server.channels.find('room/one')!;
  const alice = principalNamed('alice');
  for (let i = 1; i <= total; i++) {
    // Not over HTTP, whose connections are cut as well.
    await server.channels.publish(room, alice, { event: 'said', data: { text: String(i) } });
    if (i % 60 !== 0) continue;
    // What is published while it is away follows when it is back.
    await until(() => subscribed.length >= i / 60);
    server.api.server.closeAllConnections();
  }
  await until(() => messages.length >= total);
  expect(messages.map(textOf)).toEqual(Array.from({ length: total }, (_, i) => String(i + 1)));
  expect(subscribed.length).toBeGreaterThanOrEqual(5);
  expect(subscribed.slice(1).every(({ recovered }) => recovered === true)).toBe(true);
});

test('a restart without its memory is told as loss, not as silence', async () => {
  const server = await serve();
  await say(server, 'before');
  const client = await stream(server, '/v1/channels/room/one/events?last=1');
  await client.until(() => eventsOf(client).length >= 3);
  const { id, data } = eventsOf(client).at(-1)!;
  expect(textOf(JSON.parse(data) as Message)).toBe('before');
  await server.stop();
  const restarted = await serve({ port: server.port });
  await say(restarted, 'after');
  const again = await stream(restarted, '/v1/channels/room/one/events', [`Last-Event-ID: ${id}`]);
  await again.until(() => eventsOf(again).some(({ event }) => event === 'subscribed'));
  const subscribed = JSON.parse(
    eventsOf(again).find(({ event }) => event === 'subscribed')!.data,
  ) as Subscribed;
  expect(subscribed.recovered).toBe(false);
  expect((await poll(restarted, `channel=room/one&cursor=${id}&wait=0`)).recovered).toBe(false);
});

test('a restart that kept the history goes on behind the last id', async () => {
  const broker = createMemoryBroker({ clock: systemClock });
  const server = await serve({ broker });
  const first = follow(`${server.origin}/v1/channels/room/one/events`);
  await until(() => first.subscribed.length === 1);
  await say(server, '1');
  await until(() => first.messages.length === 1);
  first.source.close();
  await server.stop();
  const restarted = await serve({ port: server.port, broker });
  await say(restarted, '2');
  const again = await stream(restarted, '/v1/channels/room/one/events', [`Last-Event-ID: ${first.ids[0]}`]);
  await again.until(() => eventsOf(again).some(({ event }) => event === 'message'));
  const events = eventsOf(again);
  expect(JSON.parse(events.find(({ event }) => event === 'subscribed')!.data)).toMatchObject({
    recovered: true,
  });
  expect(textOf(JSON.parse(events.find(({ event }) => event === 'message')!.data) as Message)).toBe('2');
});

test('one cursor goes from transport to transport, and all have the same order', async () => {
  const server = await serve();
  const channels = 'channel=room/one&channel=room/two';
  const client = await stream(server, `/v1/events?${channels}`);
  await client.until(() => eventsOf(client).filter(({ event }) => event === 'subscribed').length === 2);
  for (let i = 1; i <= 20; i++) await say(server, String(i), i % 2 === 0 ? 'two' : 'one');
  const heard = () => eventsOf(client).filter(({ event }) => event === 'message');
  await client.until(() => heard().length === 20);
  const halfway = heard()[9]!.id;
  client.socket.destroy();

  const polled = await poll(server, `${channels}&cursor=${halfway}&wait=0`);
  expect(polled.recovered).toBe(true);
  const viewed = view(server, 'room/*', halfway);
  const viewedMessages = () => viewed.filter((message) => message.type === 'message');
  await until(() => viewedMessages().length === 10);
  const again = await stream(server, `/v1/events?${channels}&cursor=${halfway}`);
  await again.until(() => eventsOf(again).filter(({ event }) => event === 'message').length === 10);

  for (const room of ['room/one', 'room/two']) {
    const of = (messages: readonly Message[]) =>
      messages.filter(({ channel }) => channel === room).map((message) => [message.offset, textOf(message)]);
    const streamed = heard().map(({ data }) => JSON.parse(data) as Message);
    const expected = of(streamed.slice(10));
    expect(expected).toHaveLength(5);
    expect(of(polled.messages)).toEqual(expected);
    expect(of(viewedMessages())).toEqual(expected);
    expect(
      of(
        eventsOf(again).flatMap(({ event, data }) =>
          event === 'message' ? [JSON.parse(data) as Message] : [],
        ),
      ),
    ).toEqual(expected);
  }
});

test('polls one after another miss nothing and repeat nothing while others publish', async () => {
  const server = await serve();
  const total = 200;
  let { cursor } = await poll(server, 'channel=room/one&wait=0');
  const publishing = (async () => {
    for (let i = 1; i <= total; i++) await say(server, String(i));
  })();
  const heard: string[] = [];
  while (heard.length < total) {
    const answer = await poll(server, `channel=room/one&cursor=${cursor}&limit=7&wait=5`);
    expect(answer.messages.length).toBeLessThanOrEqual(7);
    expect(answer.recovered).toBe(true);
    heard.push(...answer.messages.map(textOf));
    ({ cursor } = answer);
  }
  await publishing;
  expect(heard).toEqual(Array.from({ length: total }, (_, i) => String(i + 1)));
  await until(() => server.hub.counters.viewers === 0);
});

test('a poll waits for the first message, and leaves no member behind', async () => {
  const server = await serve();
  const waiting = poll(server, 'channel=room/one&wait=30');
  await until(() => server.hub.counters.subscriptions === 1);
  const members = await fetch(`${server.origin}/v1/channels/room/one/members`, {
    headers: { authorization },
  });
  expect(await members.json()).toMatchObject({ count: 0 });
  await say(server, 'now');
  expect((await waiting).messages.map(textOf)).toEqual(['now']);
});

test('a poll that its client gave up is over at the server', async () => {
  const server = await serve();
  const cut = new AbortController();
  const waiting = fetch(`${server.origin}/v1/poll?channel=room/one`, {
    headers: { authorization },
    signal: cut.signal,
  });
  await until(() => server.hub.counters.subscriptions === 1);
  cut.abort();
  await expect(waiting).rejects.toThrow(/abort/);
  await until(() => server.hub.counters.viewers === 0);
});

test('state comes at once, and live as it happens', async () => {
  const server = await serve();
  const publish = async (path: string, body: object): Promise<void> => {
    await fetch(`${server.origin}/v1/channels/${path}/messages`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  };
  await publish('gauge/a', { event: 'value', data: { value: 1 } });
  await publish('gauge/a', { event: 'value', data: { value: 2 } });
  const state = await poll(server, 'channel=gauge/a&last=1&wait=0');
  expect(state.messages.map(({ data }) => data)).toEqual([{ value: 2 }]);
  expect((await poll(server, `channel=gauge/a&cursor=${state.cursor}&wait=0`)).messages).toEqual([]);
  const pointer = poll(server, 'channel=pointer/a&wait=30');
  await until(() => server.hub.counters.subscriptions === 1);
  await publish('pointer/a', { event: 'at', data: { x: 5 } });
  expect((await pointer).messages.map(({ data }) => data)).toEqual([{ x: 5 }]);
});

test('who is there comes and goes on a stream that asks for it', async () => {
  const server = await serve();
  const client = await stream(server, '/v1/channels/room/one/events?presence=true');
  await client.until(() => eventsOf(client).some(({ event }) => event === 'presence'));
  const { data } = eventsOf(client).find(({ event }) => event === 'presence')!;
  expect(JSON.parse(data)).toMatchObject({ channel: 'room/one', count: 1, entered: [{ subject: 'alice' }] });
});

test('a refusal is an answer of HTTP with a code, also of one channel among many', async () => {
  const server = await serve();
  const refusals: [string, readonly string[], string][] = [
    ['/v1/events', [], '400 invalid-field'],
    ['/v1/events?channel=nothing', [], '404 not-found'],
    ['/v1/events?channel=room/one&channel=room/private', [], '404 not-found'],
    ['/v1/events?channel=nothing/*', [], '404 not-found'],
    ['/v1/events?channel=room/one&cursor=!', [], '400 invalid-field'],
    ['/v1/events?channel=room/one', ['Last-Event-ID: !'], '400 invalid-field'],
    ['/v1/channels/room/one/events?last=257', [], '400 invalid-field'],
    ['/v1/channels/room/NO/events', [], '400 invalid-field'],
    ['/v1/events?channel=room/one', ['Origin: https://evil.example'], '403 forbidden'],
    ['/v1/events?channel=room/one&ticket=wrong', [], '401 unauthenticated'],
    ['/v1/poll?channel=room/one&wait=31', [], '400 invalid-field'],
    ['/v1/poll?channel=room/private', [], '404 not-found'],
  ];
  for (const [path, headers, expected] of refusals) {
    const key = path.includes('private') ? ['Authorization: Bearer user-bob'] : [];
    const client = requestRaw(server.port, [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${server.port}`,
      ...(path.includes('ticket') || key.length > 0 ? key : [`Authorization: ${authorization}`]),
      'Connection: close',
      ...headers,
    ]);
    await client.until(() => client.isClosed);
    const { code } = JSON.parse(client.body().toString()) as { code: string };
    expect(`${statusOf(client)} ${code}`, path).toBe(expected);
    expect(client.head()).toMatch(/content-type: application\/problem\+json/);
  }
  await until(() => server.hub.counters.viewers === 0);
});

test('a listed foreign page may read a stream', async () => {
  const server = await serve({ allowedOrigins: ['https://app.example'] });
  const client = await stream(server, '/v1/events?channel=room/one', ['Origin: https://app.example']);
  expect(statusOf(client)).toBe(200);
  expect(client.head()).toMatch(/access-control-allow-origin: https:\/\/app\.example/);
});

test('a ticket opens a stream once; its reconnections show what only the stream said', async () => {
  const server = await serve();
  const path = `/v1/events?channel=room/one&ticket=${server.issueTicket('alice')}`;
  const client = await stream(server, path);
  await client.until(() => eventsOf(client).some(({ event }) => event === 'subscribed'));
  const { id } = eventsOf(client).at(-1)!;
  // Whoever read the address in a log.
  expect(statusOf(await stream(server, path))).toBe(401);
  const bare = id.split('.')[0]!;
  expect(statusOf(await stream(server, path, [`Last-Event-ID: ${bare}`]))).toBe(401);
  // ... nor does it open anything else.
  expect(statusOf(await stream(server, path.replace('one', 'two'), [`Last-Event-ID: ${id}`]))).toBe(401);
  const again = await stream(server, path, [`Last-Event-ID: ${id}`]);
  expect(statusOf(again)).toBe(200);
  // The one before it is over: a stream with a ticket is one at a time.
  await client.until(() => eventsOf(client).at(-1)?.event === 'closed');
  await say(server, 'still here');
  await again.until(() => eventsOf(again).some(({ event }) => event === 'message'));
  server.revoked.add('alice');
  expect(statusOf(await stream(server, path, [`Last-Event-ID: ${id}`]))).toBe(401);
});

test('a plain EventSource with a ticket survives a cut connection', async () => {
  const server = await serve();
  const url = `${server.origin}/v1/events?channel=room/one&ticket=${server.issueTicket('alice')}`;
  const { messages, subscribed } = follow(url, (address, init) => fetch(address, init));
  await until(() => subscribed.length === 1);
  server.api.server.closeAllConnections();
  await say(server, 'in between');
  await until(() => messages.length === 1);
  expect(subscribed[1]).toMatchObject({ recovered: true });
});

test('a full server says when to come back: 503, and to an EventSource that returns a time to wait', async () => {
  const server = await serve({ limits: { viewers: 0 } });
  const full = await stream(server, '/v1/channels/room/one/events');
  expect(statusOf(full)).toBe(503);
  expect(full.head()).toMatch(/retry-after: \d+/);
  const returning = await stream(server, '/v1/channels/room/one/events', [
    'Last-Event-ID: AQ',
    'Accept: text/event-stream',
  ]);
  expect(statusOf(returning)).toBe(200);
  await returning.until(() => eventsOf(returning).length === 1);
  expect(readEvents(returning.body().toString()).retryMs[0]).toBeGreaterThanOrEqual(1_000);
  expect(eventsOf(returning)[0]?.event).toBe('problem');
  const polled = await fetch(`${server.origin}/v1/poll?channel=room/one`, { headers: { authorization } });
  expect(polled.status).toBe(503);
});

test('a server that stops says so on every stream, answers every poll, and ends', async () => {
  const server = await serve();
  const client = await stream(server, '/v1/channels/room/one/events');
  await client.until(() => eventsOf(client).some(({ event }) => event === 'subscribed'));
  const waiting = fetch(`${server.origin}/v1/poll?channel=room/one`, { headers: { authorization } });
  await until(() => server.hub.counters.subscriptions === 2);
  await server.stop();
  await client.until(() => client.isClosed);
  const names = eventsOf(client).map(({ event }) => event);
  expect(names.slice(-2)).toEqual(['bye', 'closed']);
  expect([200, 503]).toContain((await waiting).status);
});
