/** The following of an external feed, against a real HTTP server that breaks off, is silent, and speaks in pieces. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { followFeed, type SourceContext } from '#app/extensions/feed-reader.ts';
import { createWatcherCounters } from '#app/extensions/watcher-counters.ts';
import type { FeedFollowing, FeedMessage } from '#contract/watcher.ts';

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const endings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

/** The n-th connection gets the n-th answer, all later ones the last. */
async function serve(answers: readonly Answer[]) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    (answers[requests.length - 1] ?? answers.at(-1)!)(response, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/feed`, requests };
}

function follow(feed: Omit<FeedFollowing, 'onMessage'> & Partial<FeedFollowing>) {
  const messages: FeedMessage[] = [];
  const stopping = new AbortController();
  const counters = createWatcherCounters();
  const context: SourceContext = {
    clock: systemClock,
    // No pause but what the feed asks for.
    random: { next: () => 0 },
    signal: stopping.signal,
    log: silentLog,
    counters,
  };
  const done = followFeed(
    {
      onMessage: (message) => {
        messages.push(message);
      },
      ...feed,
    },
    context,
  );
  done.catch(() => undefined);
  endings.unshift(async () => {
    stopping.abort();
    await done.catch(() => undefined);
  });
  return { messages, counters, done, stop: () => stopping.abort() };
}

const sse = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' });

test('messages come one after the other, also when they arrive in pieces', async () => {
  const { url } = await serve([
    (response) => {
      sse(response).write('id: 1\nevent: price\nda');
      setImmediate(() => response.write('ta: {"a":1}\n\nid: 2\ndata: ä\n\n'));
    },
  ]);
  const { messages } = follow({ url });
  await expect
    .poll(() => messages)
    .toEqual([
      { event: 'price', data: '{"a":1}', id: '1' },
      { event: 'message', data: 'ä', id: '2' },
    ]);
});

test('after a break it goes on behind what was worked on, not behind what was received', async () => {
  const { url, requests } = await serve([
    (response) => void sse(response).end('id: 1\ndata: a\n\nid: 2\ndata: b\n\n'),
    (response) => void sse(response).write('id: 3\ndata: c\n\n'),
  ]);
  const { messages, counters } = follow({ url, headers: { 'x-key': 'secret' } });
  await expect.poll(() => messages.map((one) => one.data)).toEqual(['a', 'b', 'c']);
  expect(requests.map((request) => request.headers['last-event-id'])).toEqual([undefined, '2']);
  expect(requests[1]?.headers['x-key']).toBe('secret');
  expect(counters).toMatchObject({ disconnects: 1, feedMessages: 3, gaps: 0 });
});

test('a feed of JSON lines has no ids: its reader is told of the gap', async () => {
  const lines: Answer = (response) =>
    void response
      .writeHead(200, { 'content-type': 'application/x-ndjson' })
      .end('{"n":1}\r\n\n{"n":2}\n{"n":');
  const { url } = await serve([lines, (response) => void response.writeHead(200).write('{"n":3}\n')]);
  let gaps = 0;
  const { messages } = follow({ url, format: 'json-lines', onGap: () => void gaps++ });
  await expect.poll(() => messages.map((one) => one.data)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
  expect(gaps).toBe(1);
});

test('an answer that is no feed, and one that says nothing, are left and tried again', async () => {
  const { url, requests } = await serve([
    (response) => void response.writeHead(503).end(),
    (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    (response) => sse(response).flushHeaders(),
    () => undefined,
    (response) => void sse(response).write('data: at last\n\n'),
  ]);
  const { messages, counters } = follow({ url, silenceMs: 50 });
  await expect.poll(() => messages.map((one) => one.data)).toEqual(['at last']);
  expect(requests).toHaveLength(5);
  expect(counters.disconnects).toBe(4);
});

test('a message that is worked on for long is no silence, and the feed waits meanwhile', async () => {
  const { url, requests } = await serve([(response) => void sse(response).write('data: a\n\ndata: b\n\n')]);
  const worked: string[] = [];
  let finish = (): void => undefined;
  follow({
    url,
    silenceMs: 300,
    onMessage: async ({ data }) => {
      worked.push(data);
      if (data === 'a') await new Promise<void>((resolve) => (finish = resolve));
    },
  });
  await expect.poll(() => worked).toEqual(['a']);
  // Longer than the silence that would end an idle connection.
  await new Promise<void>((resolve) => void systemClock.after(400, resolve));
  finish();
  await expect.poll(() => worked).toEqual(['a', 'b']);
  expect(requests).toHaveLength(1);
});

test('what a handler throws ends the following, and a message without end is refused', async () => {
  const { url } = await serve([(response) => void sse(response).write('data: a\n\n')]);
  const bug = new Error('a bug');
  const { done } = follow({
    url,
    onMessage: () => {
      throw bug;
    },
  });
  await expect(done).rejects.toBe(bug);
  const endless = await serve([
    (response) => void sse(response).end(`data: ${'x'.repeat(300_000)}`),
    (response) => void sse(response).write('data: short\n\n'),
  ]);
  const { messages } = follow({ url: endless.url });
  await expect.poll(() => messages.map((one) => one.data)).toEqual(['short']);
});

test('stopping ends the connection at once', async () => {
  const { url, requests } = await serve([(response) => sse(response).flushHeaders()]);
  const { done, stop } = follow({ url });
  await expect.poll(() => requests.length).toBe(1);
  const closed = once(requests[0]!.socket, 'close');
  stop();
  await done;
  await closed;
});
