/**
 * Clients that nobody here wrote, directly and through proxies that nobody here wrote: Python's `websockets` and `aiohttp`,
 * curl, npm's `eventsource`, and Chromium's EventSource and WebSocket; nginx and HAProxy as docs/proxies.md says.
 *
 * Times are lowered in proportion, so that this takes seconds: the server speaks every 400 ms (default 5 s), and the
 * proxies cut what is quiet for 4 s (nginx 60 s, HAProxy 50 s in Debian), which is less in heartbeats than by default.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { EventSource } from 'eventsource';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import type { HubMessage } from '#contract/live-messages.ts';
import { launchBrowser } from '#test/support/browser.ts';
import { startKymo, type KymoProcess } from '#test/support/kymo-process.ts';
import { startHaproxy, startNginx, type Proxy } from '#test/support/proxies.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';

const HEARTBEAT_MS = 400;
const IDLE_MS = 4_000;
const WAIT_MS = 15_000;
/** Debian's, whose packages the libraries are of. */
const PYTHON = '/usr/bin/python3';

const ways = ['directly', 'nginx', 'haproxy'] as const;
type Way = (typeof ways)[number];

const directory = createTemporaryDirectory();
const proxies: Proxy[] = [];
const programs: ChildProcess[] = [];
let kymo: KymoProcess;
let key: string;
let origins: Readonly<Record<Way, string>>;
let browser: Browser;

beforeAll(async () => {
  const extensions = fileURLToPath(new URL('../support/extensions', import.meta.url));
  const args = ['--heartbeat-ms', String(HEARTBEAT_MS), '--extensions', extensions];
  [kymo, browser] = await Promise.all([
    startKymo({ dataDir: directory.path, port: 0, args }),
    launchBrowser(),
  ]);
  const { origin, hash } = new URL(kymo.address);
  key = hash.replace('#key=', '');
  const options = { upstreamPort: kymo.port, idleMs: IDLE_MS };
  const [nginx, haproxy] = await Promise.all([startNginx(options), startHaproxy(options)]);
  proxies.push(nginx, haproxy);
  origins = { directly: origin, nginx: nginx.origin, haproxy: haproxy.origin };
});

afterEach(() => programs.splice(0).forEach((program) => program.kill('SIGKILL')));

afterAll(async () => {
  await browser?.close();
  for (const proxy of proxies) await proxy.stop();
  await kymo?.signal('SIGTERM');
  directory.remove();
});

/** A running program and its lines of standard output. */
function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, PYTHONUNBUFFERED: '1' },
  });
  programs.push(child);
  const lines: string[] = [];
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return {
    lines,
    /** All lines, once it has ended well. */
    async finished(): Promise<string[]> {
      const code = await ended;
      expect({ code, errors: code === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
      return lines;
    },
    until: (holds: (lines: readonly string[]) => boolean) =>
      expect.poll(() => holds(lines), { timeout: WAIT_MS, interval: 20 }).toBe(true),
    kill: () => child.kill('SIGKILL'),
  };
}

const python = (program: string, ...args: readonly string[]) =>
  run(PYTHON, [fileURLToPath(new URL(`../support/foreign/${program}`, import.meta.url)), ...args], {
    KEY: key,
  });

async function ticket(origin: string): Promise<string> {
  const answer = await fetch(`${origin}/v1/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
  });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { ticket: string }).ticket;
}

async function socketAddress(origin: string): Promise<string> {
  return `${origin.replace('http', 'ws')}/v1/live?ticket=${await ticket(origin)}`;
}

async function publish(origin: string, room: string, text: string): Promise<void> {
  const answer = await fetch(`${origin}/v1/channels/room/${room}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'said', data: { text } }),
  });
  expect(answer.status, await answer.text()).toBe(201);
}

const textsOf = (messages: readonly HubMessage[]): string[] =>
  messages.flatMap((message) =>
    message.type === 'message' ? [(message.data as { text: string }).text] : [],
  );

/** Subscribes and speaks: a message, one in fragments, and one more. */
function conversation(room: string) {
  const channel = `room/${room}`;
  const said = (id: number, text: string): object => ({
    type: 'publish',
    id,
    channel,
    event: 'said',
    data: { text },
  });
  const whole = JSON.stringify(said(3, 'größer'));
  return {
    fragments: [
      { type: 'subscribe', id: 1, channel },
      said(2, 'one'),
      [whole.slice(0, 20), whole.slice(20, 45), whole.slice(45)],
    ],
    whole: [{ type: 'subscribe', id: 1, channel }, said(2, 'one'), said(3, 'größer')],
  };
}

/** What both said, what they were answered, and what they heard. */
function expectConversation(lines: readonly string[]): void {
  const messages = lines.map((line) => JSON.parse(line) as HubMessage);
  expect(messages[0]).toMatchObject({ type: 'welcome', heartbeatMs: HEARTBEAT_MS });
  expect(messages.filter(({ type }) => type === 'subscribed')).toHaveLength(1);
  expect(messages.filter(({ type }) => type === 'published')).toHaveLength(2);
  expect(textsOf(messages)).toEqual(['one', 'größer']);
}

test.each(ways)('the Python library websockets, %s: ping, fragments, messages, a close', async (way) => {
  const origin = origins[way];
  const address = await socketAddress(origin);
  const { fragments } = conversation(`websockets-${way}`);
  const lines = await python('websockets_client.py', address, JSON.stringify(fragments), '6').finished();
  expect(JSON.parse(lines.pop()!)).toEqual({ closed: 1000, subprotocol: 'kymo.live.v1' });
  expectConversation(lines);
});

test.each(ways)('the Python library aiohttp, %s: a WebSocket that offers compression', async (way) => {
  const address = await socketAddress(origins[way]);
  const { whole } = conversation(`aiohttp-${way}`);
  const lines = await python('aiohttp_client.py', 'socket', address, JSON.stringify(whole), '6').finished();
  expect(JSON.parse(lines.pop()!)).toEqual({ closed: 1000 });
  expectConversation(lines);
});

interface StreamEvent {
  readonly event?: string;
  readonly id?: string;
  readonly data: string;
}

test.each(ways)('the Python library aiohttp, %s: an event stream with the key in a header', async (way) => {
  const room = `aiohttp-events-${way}`;
  const address = `${origins[way]}/v1/events?channel=room/${room}`;
  const client = python('aiohttp_client.py', 'events', address, '[]', '4');
  await client.until((lines) => lines.some((line) => line.includes('subscribed')));
  for (const text of ['one', 'two']) await publish(origins[way], room, text);
  const events = (await client.finished()).map((line) => JSON.parse(line) as StreamEvent);
  const messages = events.filter(({ event }) => event === 'message');
  expect(textsOf(messages.map(({ data }) => JSON.parse(data) as HubMessage))).toEqual(['one', 'two']);
  expect(new Set(messages.map(({ id }) => id)).size).toBe(2);
});

/** Events of curl's output so far. */
function eventsOf(lines: readonly string[]): StreamEvent[] {
  return lines
    .join('\n')
    .split('\n\n')
    .map((block) => Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/s))))
    .filter((event): event is StreamEvent & Record<string, string> => event['data'] !== undefined);
}

const authorization = (): string[] => ['-H', `Authorization: Bearer ${key}`];

test.each(ways)(
  'curl, %s: an event stream is not held back, and goes on after its Last-Event-ID',
  async (way) => {
    const room = `curl-${way}`;
    const address = `${origins[way]}/v1/channels/room/${room}/events`;
    const first = run('curl', ['-sSN', ...authorization(), address]);
    await first.until((lines) => eventsOf(lines).some(({ event }) => event === 'subscribed'));
    const body = '{"event":"said","data":{"text":"one"}}';
    const options = [
      '-sS',
      '-w',
      '%{http_code}',
      '-o',
      '/dev/null',
      '-d',
      body,
      '-H',
      'Idempotency-Key: once',
    ];
    const json = ['-H', 'Content-Type: application/json'];
    const messages = address.replace(/events$/, 'messages');
    const spoken = run('curl', [...options, ...json, ...authorization(), messages]);
    expect(await spoken.finished()).toEqual(['201']);
    await first.until((lines) => eventsOf([...lines, '']).some(({ event }) => event === 'message'));
    const { id } = eventsOf([...first.lines, '']).findLast(({ event }) => event === 'message')!;
    first.kill();
    for (const text of ['two', 'three']) await publish(origins[way], room, text);
    const second = run('curl', ['-sSN', ...authorization(), '-H', `Last-Event-ID: ${id}`, address]);
    await second.until(
      (lines) => eventsOf([...lines, '']).filter(({ event }) => event === 'message').length === 2,
    );
    const events = eventsOf([...second.lines, '']);
    const subscribed = events.find(({ event }) => event === 'subscribed')!;
    expect(JSON.parse(subscribed.data)).toMatchObject({ recovered: true });
    const heard = events
      .filter(({ event }) => event === 'message')
      .map(({ data }) => JSON.parse(data) as HubMessage);
    expect(textsOf(heard)).toEqual(['two', 'three']);
  },
);

interface PollAnswer {
  readonly cursor: string;
  readonly messages: readonly HubMessage[];
}

test.each(ways)(
  'curl, %s: long polls wait for what comes, and each goes on where the last one ended',
  async (way) => {
    const room = `poll-${way}`;
    const address = `${origins[way]}/v1/channels/room/${room}/poll`;
    const poll = (query: string) => run('curl', ['-sS', '-f', ...authorization(), `${address}?${query}`]);
    const answerOf = async (asked: ReturnType<typeof poll>): Promise<PollAnswer> =>
      JSON.parse((await asked.finished()).join('\n')) as PollAnswer;
    const empty = await answerOf(poll('wait=0'));
    expect(empty.messages).toEqual([]);
    const waiting = poll(`wait=2&cursor=${encodeURIComponent(empty.cursor)}`);
    for (const text of ['one', 'two', 'three']) await publish(origins[way], room, text);
    const heard: string[] = [];
    let answer = await answerOf(waiting);
    heard.push(...textsOf(answer.messages));
    while (heard.length < 3) {
      answer = await answerOf(poll(`wait=2&cursor=${encodeURIComponent(answer.cursor)}`));
      heard.push(...textsOf(answer.messages));
    }
    expect(heard).toEqual(['one', 'two', 'three']);
  },
);

test('the library eventsource of npm comes back after its proxy was restarted, and has lost nothing', async () => {
  const proxy = await startNginx({ upstreamPort: kymo.port, idleMs: IDLE_MS });
  const room = 'eventsource';
  const source = new EventSource(`${proxy.origin}/v1/events?channel=room/${room}`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } }),
  });
  const heard: string[] = [];
  const recovered: unknown[] = [];
  source.addEventListener('message', (event) =>
    heard.push(...textsOf([JSON.parse(event.data as string) as HubMessage])),
  );
  source.addEventListener('subscribed', (event) =>
    recovered.push((JSON.parse(event.data as string) as { recovered?: boolean }).recovered),
  );
  try {
    await expect.poll(() => recovered.length, { timeout: WAIT_MS }).toBe(1);
    await publish(origins.directly, room, 'before');
    await expect.poll(() => heard, { timeout: WAIT_MS }).toEqual(['before']);
    await proxy.cut();
    await publish(origins.directly, room, 'meanwhile');
    await expect.poll(() => recovered.length, { timeout: WAIT_MS }).toBe(2);
    await publish(origins.directly, room, 'after');
    await expect.poll(() => heard, { timeout: WAIT_MS }).toEqual(['before', 'meanwhile', 'after']);
    expect(recovered).toEqual([undefined, true]);
  } finally {
    source.close();
    await proxy.stop();
  }
});

/** A page of the server itself: what it opens has the same origin. */
async function openPage(origin: string): Promise<Page> {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.goto(`${origin}/healthz`);
  return page;
}

interface Heard {
  readonly socket: readonly string[];
  readonly events: readonly string[];
  readonly closes: number;
  readonly errors: number;
}

/** What the page runs: it opens both, and keeps what they hear. */
const listening = (room: string, tickets: readonly string[]): string => `
  const heard = { socket: [], events: [], closes: 0, errors: 0 };
  globalThis.heard = heard;
  const socket = new WebSocket('/v1/live?ticket=${tickets[0]}', 'kymo.live.v1');
  socket.onopen = () => socket.send('{"type":"subscribe","id":1,"channel":"room/${room}"}');
  socket.onmessage = ({ data }) => heard.socket.push(data);
  socket.onclose = () => heard.closes++;
  const source = new EventSource('/v1/events?channel=room/${room}&ticket=${tickets[1]}');
  for (const type of ['subscribed', 'message'])
    source.addEventListener(type, ({ data }) => heard.events.push(data));
  source.onerror = () => heard.errors++;
`;

const heardIn = (page: Page): Promise<Heard> => page.evaluate<Heard>('globalThis.heard');

/** Both hear from here on. */
async function listenInPage(page: Page, origin: string, room: string): Promise<void> {
  await page.evaluate(listening(room, [await ticket(origin), await ticket(origin)]));
  const isSubscribed = (texts: readonly string[]): boolean =>
    texts.some((text) => text.includes('"subscribed"'));
  const areBoth = async (): Promise<boolean> => {
    const { socket, events } = await heardIn(page);
    return isSubscribed(socket) && isSubscribed(events);
  };
  await expect.poll(areBoth, { timeout: WAIT_MS }).toBe(true);
}

test('a WebSocket and an EventSource of Chromium hear the same, and stay open longer than proxies wait', async () => {
  await Promise.all(
    ways.map(async (way) => {
      const room = `chromium-${way}`;
      const page = await openPage(origins[way]);
      await listenInPage(page, origins[way], room);
      await publish(origins[way], room, 'one');
      // Three heartbeats and what a proxy waits, and nobody says anything.
      await page.waitForTimeout(IDLE_MS * 1.5);
      await publish(origins[way], room, 'two');
      const messagesOf = (texts: readonly string[]): string[] =>
        textsOf(texts.map((text) => JSON.parse(text) as HubMessage));
      await expect
        .poll(async () => messagesOf((await heardIn(page)).socket), { timeout: WAIT_MS })
        .toEqual(['one', 'two']);
      await expect
        .poll(async () => messagesOf((await heardIn(page)).events), { timeout: WAIT_MS })
        .toEqual(['one', 'two']);
      expect(await heardIn(page)).toMatchObject({ closes: 0, errors: 0 });
      await page.context().close();
    }),
  );
});

test('a page of another origin is refused by the server, also through a proxy', async () => {
  const page = await openPage(origins.directly);
  const address = `${origins.nginx.replace('http', 'ws')}/v1/live?ticket=${await ticket(origins.nginx)}`;
  const code = await page.evaluate(
    `new Promise((resolve) => (new WebSocket('${address}').onclose = ({ code }) => resolve(code)))`,
  );
  expect(code).toBe(1006);
  await page.context().close();
});
