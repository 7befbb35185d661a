/** Server-sent events on bare sockets, without a hub: bytes, headers, refusals, slow and vanished peers. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import type { ViewerMessage } from '#contract/live-messages.ts';
import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import type { WireError } from '#protocol/data-codec.ts';
import { encodeControl } from '#live/outgoing.ts';
import { streamEvents, type EventStreamOptions } from '#live/sse.ts';
import type { Transport } from '#live/transport.ts';
import { eventItem, subscribedItem, testEpoch } from '#test/support/outgoing-messages.ts';
import { readEvents, requestRaw, type RawClient } from '#test/support/raw-client.ts';

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

interface Connection {
  readonly transport: Transport;
  readonly asked: ViewerMessage[];
  readonly refusals: WireError[];
  endings: number;
}

/** A server whose every request is a stream, and what its hub would see. */
async function serve(changes: Partial<EventStreamOptions> = {}) {
  const connections: Connection[] = [];
  const server = createServer((request, response) => {
    const asked: ViewerMessage[] = [];
    const refusals: WireError[] = [];
    let endings = 0;
    let transport: Transport | undefined;
    const ignore = (): void => {};
    streamEvents(
      (given) => {
        transport = given;
        return {
          receive: (message) => void asked.push(message),
          receiveText: ignore,
          receiveBinary: ignore,
          heard: ignore,
          ended: () => void endings++,
        };
      },
      {
        request,
        response,
        headers: {},
        channels: ['a'],
        cursor: null,
        last: 0,
        hasPresence: false,
        idSuffix: '',
        retryMs: 1234,
        clock: systemClock,
        begins: ignore,
        refused: (error) => {
          refusals.push(error);
          response.writeHead(403).end();
        },
        ended: ignore,
        ...changes,
      },
    );
    connections.push({
      transport: transport!,
      asked,
      refusals,
      get endings() {
        return endings;
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, port, connections };
}

/** A client whose stream has begun, and the server's side of it. */
async function open(changes: Partial<EventStreamOptions> = {}, lines = ['GET / HTTP/1.1', 'Host: a']) {
  const { server, port, connections } = await serve(changes);
  const client = requestRaw(port, lines);
  cleanUps.push(() => client.socket.destroy());
  await client.until(() => connections.length > 0);
  const connection = connections[0]!;
  connection.transport.write([subscribedItem('a')], () => {});
  await client.until(() => eventsOf(client).length > 0);
  return { server, port, client, connection, transport: connection.transport };
}

const eventsOf = (client: RawClient) => readEvents(client.body().toString()).events;

test('the answer is an event stream that nothing on the way may hold back, and stays open', async () => {
  const { client } = await open();
  expect(client.head()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(client.head()).toMatch(/\r\ncontent-type: text\/event-stream; charset=utf-8\r\n/);
  expect(client.head()).toMatch(/\r\ncache-control: no-store, no-transform\r\n/);
  expect(client.head()).toMatch(/\r\nx-accel-buffering: no\r\n/);
  expect(client.head()).toMatch(/\r\nconnection: keep-alive/i);
  expect(client.head()).toMatch(/\r\ntransfer-encoding: chunked/i);
  expect(client.head()).not.toMatch(/content-length/i);
  expect(client.isClosed).toBe(false);
});

test('a stream is retry, then events of id, event and data, each ended by a blank line', async () => {
  const { client, transport } = await open();
  transport.write([eventItem('a', 1, 'one\r\ntwo\u2028')], () => {});
  await client.until(() => eventsOf(client).length === 2);
  const { events, fields, retryMs } = readEvents(client.body().toString());
  expect(retryMs).toEqual([1234]);
  expect(fields).toEqual(['retry', 'id', 'event', 'data', 'id', 'event', 'data']);
  expect(events.map(({ event }) => event)).toEqual(['subscribed', 'message']);
  expect(decodeCursor(events[1]!.id)?.positionOf('a')).toEqual({ epoch: testEpoch, offset: 1 });
  expect(JSON.parse(events[1]!.data)).toMatchObject({ channel: 'a', offset: 1, data: 'one\r\ntwo\u2028' });
  expect(client.body().subarray(-2).toString()).toBe('\n\n');
  expect(client.body().includes('\r')).toBe(false);
});

test('characters of several bytes come through whole, however the network cuts them', async () => {
  const { client, transport } = await open();
  const text = 'Grüße 🏃‍♀️ שלום '.repeat(400);
  let isSent = false;
  transport.write(
    Array.from({ length: 40 }, (_, i) => eventItem('a', i + 1, text)),
    () => {
      isSent = true;
    },
  );
  await client.until(() => eventsOf(client).length === 41 && isSent);
  for (const { data } of eventsOf(client).slice(1))
    expect((JSON.parse(data) as { data: string }).data).toBe(text);
  // Byte by byte through a decoder, as a slow link brings them.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let decoded = '';
  for (const byte of client.body()) decoded += decoder.decode(Uint8Array.of(byte), { stream: true });
  expect(readEvents(decoded + decoder.decode()).events).toHaveLength(41);
});

test('heartbeats are comments, and none where something was just written', async () => {
  const { client, transport } = await open({ limits: { keepAliveMs: 0 } });
  const heartbeat = encodeControl({ type: 'heartbeat' });
  transport.write([heartbeat], () => {});
  await client.until(() => readEvents(client.body().toString()).comments === 1);
  expect(client.body().subarray(-3).toString()).toBe(':\n\n');
  const busy = await open();
  let isSent = false;
  busy.transport.write([heartbeat], () => {
    isSent = true;
  });
  // Left out, it still counts as gone.
  expect(isSent).toBe(true);
  busy.transport.write([eventItem('a', 1, 0)], () => {});
  await busy.client.until(() => eventsOf(busy.client).length === 2);
  expect(readEvents(busy.client.body().toString()).comments).toBe(0);
});

test('what the client knows stands in the subscription, and in the first id', async () => {
  const position = { epoch: testEpoch, offset: 8 };
  const id = encodeCursor([['a', position]]);
  const { client, connection } = await open({ cursor: decodeCursor(id), hasPresence: true });
  expect(connection.asked).toEqual([{ type: 'subscribe', id: 0, channel: 'a', position, presence: true }]);
  expect(client.body().toString()).toMatch(new RegExp(`^retry: 1234\nid: ${id}\n\n`));
});

test('nothing is answered before every channel is allowed, and a refusal is an answer of HTTP', async () => {
  const { port, connections } = await serve({ channels: ['a', 'b'] });
  const client = requestRaw(port, ['GET / HTTP/1.1', 'Host: a', 'Connection: close']);
  await client.until(() => connections.length > 0);
  const { transport, refusals } = connections[0]!;
  transport.write([encodeControl({ type: 'welcome', serverUs: 1, heartbeatMs: 1 })], () => {});
  transport.write([subscribedItem('a'), eventItem('a', 1, 0)], () => expect.unreachable('was not sent'));
  transport.write([encodeControl({ type: 'error', id: 1, code: 'forbidden', message: 'no' })], () => {});
  await client.until(() => client.isClosed);
  expect(client.head()).toMatch(/^HTTP\/1\.1 403 /);
  expect(refusals).toEqual([{ code: 'forbidden', message: 'no' }]);
  expect(connections[0]!.endings).toBe(1);
});

test('a hub that is full or leaving refuses with a code', async () => {
  for (const [reason, code] of [
    ['overloaded', 'overloaded'],
    ['draining', 'draining'],
    ['restarting', 'draining'],
  ] as const) {
    const { port, connections } = await serve();
    const client = requestRaw(port, ['GET / HTTP/1.1', 'Host: a', 'Connection: close']);
    await client.until(() => connections.length > 0);
    connections[0]!.transport.close(reason);
    await client.until(() => client.isClosed);
    expect(connections[0]!.refusals[0]?.code).toBe(code);
    expect(connections[0]!.endings).toBe(1);
  }
});

test('the end is said: when to come back, why, and then the connection ends', async () => {
  const { client, connection, transport } = await open();
  transport.write([encodeControl({ type: 'bye', afterMs: 4321 })], () => {});
  transport.close('restarting');
  await client.until(() => eventsOf(client).length === 3);
  const { events, retryMs } = readEvents(client.body().toString());
  expect(retryMs).toEqual([1234, 4321]);
  expect(events.slice(1).map(({ event }) => event)).toEqual(['bye', 'closed']);
  expect(JSON.parse(events[2]!.data)).toEqual({ code: 1012, reason: 'restarting' });
  await client.until(() => client.received().subarray(-5).toString() === '0\r\n\r\n');
  await client.until(() => connection.endings === 1);
});

test('a client that leaves is known to have left, once', async () => {
  const { client, connection, transport } = await open();
  client.socket.destroy();
  await client.until(() => connection.endings === 1);
  transport.write([eventItem('a', 1, 0)], () => expect.unreachable('nobody is there'));
  transport.close('slowConsumer');
  expect(connection.endings).toBe(1);
});

test('a client that leaves before the first answer, or behind another request, is known to have left', async () => {
  const { port, connections } = await serve();
  const request = ['GET / HTTP/1.1', 'Host: a', ''].join('\r\n');
  const client = requestRaw(port, [request, request, 'GET / HTTP/1.1', 'Host: a']);
  await client.until(() => connections.length === 3);
  client.socket.destroy();
  await client.until(() => connections.every(({ endings }) => endings > 0));
  expect(connections.map(({ endings }) => endings)).toEqual([1, 1, 1]);
});

test('bytes that a client does not take are not reported as sent, and one that takes none is cut off', async () => {
  const { client, connection, transport } = await open({ limits: { stallMs: 300 } });
  client.socket.pause();
  const large = 'x'.repeat(64 * 1024);
  let sent = 0;
  const total = 400;
  for (let i = 1; i <= total; i++) transport.write([eventItem('a', i, large)], () => void sent++);
  await client.until(() => connection.endings === 1);
  expect(sent).toBeLessThan(total);
});

test('an answer to HTTP/1.0 ends with its connection', async () => {
  const { client } = await open({}, ['GET / HTTP/1.0']);
  expect(client.head()).not.toMatch(/transfer-encoding/i);
  expect(eventsOf(client)[0]?.event).toBe('subscribed');
});
