/**
 * The subscriber client against a real server, over each transport: channels that come once and in order through lost
 * connections, a history that has gone, presence, requests, patterns, refusals, and the way from one transport to another.
 */

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { channelClient } from '#sdk/channel-client.ts';
import type { LiveClient, LiveOptions } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import type { ChannelMessage } from '#sdk/live-subscribers.ts';
import type { TransportName } from '#sdk/live-transports.ts';
import { startChannelServer, type ChannelServer, type room } from '#test/support/channel-server.ts';

let server: ChannelServer;
const clients: LiveClient[] = [];

beforeAll(async () => {
  server = await startChannelServer();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.stop());

/** A client, and a way to tear all its connections. */
function connect(options: Partial<LiveOptions> = {}) {
  const cuts = new Set<() => void>();
  const client = connectLive({
    url: server.liveUrl,
    token: () => server.key,
    openSocket: (url, protocol) => {
      const socket = new WebSocket(url, protocol);
      cuts.add(() => socket.close());
      return socket;
    },
    fetch: (url, init) => {
      const life = new AbortController();
      cuts.add(() => life.abort());
      return fetch(url, { ...init, signal: AbortSignal.any([life.signal, init.signal!]) });
    },
    ...options,
  });
  clients.push(client);
  const cut = (): void => {
    for (const one of cuts) one();
    cuts.clear();
  };
  return { client, cut };
}

const numbers = (messages: readonly ChannelMessage[]): number[] =>
  messages.map(({ data }) => (data as { n: number }).n);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const until = (condition: () => unknown): Promise<void> =>
  expect.poll(() => condition(), { timeout: 8_000, interval: 10 }).toBeTruthy();

const transports: readonly TransportName[] = ['websocket', 'sse', 'poll'];

test.each(transports)(
  'over %s each publication comes once and in order, through lost connections',
  async (transport) => {
    const name = `room/once${transport}`;
    const follower = connect({ transports: [transport] });
    const writer = connect({ transports: [transport] });
    const heard: ChannelMessage[] = [];
    const gaps: unknown[] = [];
    let recoveries = 0;
    const following = follower.client.subscribe(name, {
      last: 10,
      onMessage: (message) => heard.push(message),
      onReset: (gap) => gaps.push(gap),
      onRecovered: () => recoveries++,
    });
    await until(() => following.position !== null);
    expect(follower.client.state).toEqual({ name: 'open', transport });
    const count = 100;
    const published = [];
    for (let n = 0; n < count; n++) {
      // With a key, so that it is sent again when its connection is lost, and published once.
      published.push(writer.client.publish(name, 'said', { n }, { key: `k${n}`, timeoutMs: 20_000 }));
      if (n % 40 === 20) follower.cut();
      if (n % 50 === 30) {
        await published[n - 3];
        writer.cut();
      }
      if (n % 10 === 0) await published.at(-1);
    }
    await Promise.all(published);
    await until(() => heard.length >= count);
    // What came again would be there by the next one.
    await writer.client.publish(name, 'said', { n: count });
    await until(() => heard.length > count);
    expect(numbers(heard)).toEqual(upTo(count + 1));
    expect(gaps).toEqual([]);
    expect(recoveries).toBeGreaterThan(0);
    expect(heard[0]).toMatchObject({ channel: name, event: 'said', offset: 1 });
    expect(heard[0]!.by).toBeTypeOf('string');
  },
);

test.each(transports)('over %s a history that has gone is told as a gap', async (transport) => {
  const name = `forgetful/${transport}`;
  const writer = connect({ transports: ['websocket'] });
  await writer.client.publish(name, 'said', { n: 0 });
  const { position } = await writer.client.history(name);
  for (let n = 1; n <= 12; n++) await writer.client.publish(name, 'said', { n });
  const heard: ChannelMessage[] = [];
  const gaps: { from: { offset: number } | null; to: { offset: number } }[] = [];
  const { client } = connect({ transports: [transport] });
  client.subscribe(name, {
    position,
    onMessage: (message) => heard.push(message),
    onReset: (gap) => gaps.push(gap),
  });
  await until(() => gaps.length > 0);
  await writer.client.publish(name, 'said', { n: 13 });
  await until(() => numbers(heard).at(-1) === 13);
  expect(gaps).toHaveLength(1);
  expect(gaps[0]!.from).toEqual(position);
  const first = gaps[0]!.to.offset + 1;
  expect(heard.map(({ offset }) => offset)).toEqual(upTo(14 - first + 1).map((i) => first + i));
});

test.each(transports)(
  'over %s a typed client publishes, asks, reads history and who is there',
  async (transport) => {
    const { client } = connect({ transports: [transport] });
    const talk = channelClient<typeof room>(client, `room/typed${transport}`);
    expect(await talk.request('sum', [1, 2, 3])).toEqual({ total: 6 });
    await expect(talk.request('sum', [])).rejects.toMatchObject({ code: 'invalid-field', temporary: false });
    const first = await talk.publish('said', { n: 1 }, { key: 'one' });
    expect(first).toMatchObject({ position: { offset: 1 }, isDuplicate: false });
    expect(await talk.publish('said', { n: 1 }, { key: 'one' })).toEqual({ ...first, isDuplicate: true });
    await talk.publish('said', { n: 2 });
    const page = await talk.history({ limit: 1 });
    expect(page).toMatchObject({
      position: { offset: 2 },
      oldest: 1,
      messages: [{ offset: 2, data: { n: 2 } }],
    });
    const other = connect({ transports: ['websocket'] });
    const entered: string[] = [];
    const watching = other.client.subscribe(talk.channel, {
      presence: true,
      state: { mood: 'calm' },
      onPresence: (change) => entered.push(...change.entered.map(({ id }) => id)),
    });
    await until(() => entered.length > 0);
    const members = await talk.members();
    expect(members.members).toContainEqual(expect.objectContaining({ state: { mood: 'calm' } }));
    await watching.setState({ mood: 'loud' });
    expect((await talk.members()).members).toContainEqual(
      expect.objectContaining({ state: { mood: 'loud' } }),
    );
  },
);

test.each(transports)('over %s a channel that is refused does not end the others', async (transport) => {
  const { client } = connect({ transports: [transport] });
  const refusals: string[] = [];
  client.subscribe('room/closed', { onRefused: (code) => refusals.push(code) });
  client.subscribe('nothing/here', { onRefused: (code) => refusals.push(code) });
  const open = client.subscribe(`room/open${transport}`);
  await until(() => refusals.length === 2 && open.position !== null);
  expect(client.state.name).toBe('open');
});

test.each(transports)(
  'over %s a pattern is all its channels, and the last value of a state comes first',
  async (transport) => {
    const writer = connect({ transports: ['websocket'] });
    const { client } = connect({ transports: [transport] });
    const heard: string[] = [];
    const begun: string[] = [];
    client.subscribe('room/*', {
      onMessage: ({ channel, data }) => heard.push(`${channel} ${(data as { n: number }).n}`),
      onSubscribed: (channel) => begun.push(channel),
    });
    await until(() => begun.length === 2);
    for (const name of ['p1', 'p2', 'other']) await writer.client.publish(`room/${name}`, 'said', { n: 1 });
    await until(() => heard.length === 2);
    expect(heard.sort()).toEqual(['room/p1 1', 'room/p2 1']);
    for (const value of [true, false, true]) await writer.client.publish(`light/${transport}`, 'is', value);
    const lamp: unknown[] = [];
    client.subscribe(`light/${transport}`, { last: 1, onMessage: ({ data }) => lamp.push(data) });
    await until(() => lamp.length > 0);
    expect(lamp).toEqual([true]);
  },
);

test('where WebSockets are blocked, and then event streams are held back, the next transport takes over', async () => {
  const states: string[] = [];
  let areStreamsHeld = false;
  const { client, cut } = connect({
    openSocket: () => new WebSocket(`${server.url.replace('http', 'ws')}/nowhere`),
    onState: (state) => states.push(state.name === 'open' ? state.transport : state.name),
    fetch: (url, init) =>
      areStreamsHeld && url.includes('/v1/events')
        ? Promise.resolve(new Response('held', { headers: { 'content-type': 'text/html' } }))
        : fetch(url, init),
  });
  const heard: ChannelMessage[] = [];
  const following = client.subscribe('room/fallback', { onMessage: (message) => heard.push(message) });
  await until(() => following.position !== null);
  expect(client.state).toEqual({ name: 'open', transport: 'sse' });
  await following.publish('said', { n: 0 });
  areStreamsHeld = true;
  client.subscribe('room/another');
  cut();
  await until(() => client.state.name === 'open' && client.state.transport === 'poll');
  await following.publish('said', { n: 1 });
  await until(() => heard.length === 2);
  expect(numbers(heard)).toEqual([0, 1]);
  expect(states).not.toContain('websocket');
});

test('with tickets alone, what is followed comes over event streams too', async () => {
  const ticket = async (): Promise<string> => {
    const answer = await fetch(`${server.url}/v1/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}` },
    });
    return ((await answer.json()) as { ticket: string }).ticket;
  };
  const client = connectLive({
    url: server.liveUrl,
    ticket,
    transports: ['sse'],
  });
  clients.push(client);
  const writer = connect({ transports: ['websocket'] });
  const heard: ChannelMessage[] = [];
  const following = client.subscribe('room/tickets', { onMessage: (message) => heard.push(message) });
  await until(() => following.position !== null);
  await writer.client.publish('room/tickets', 'said', { n: 7 });
  await until(() => heard.length === 1);
  await expect(following.publish('said', { n: 8 })).rejects.toMatchObject({ code: 'unauthenticated' });
});
