/**
 * Owns the external feed of the example, a program of its own as a stock exchange would be: `GET /prices` gives prices as
 * Server-Sent Events, and after a reconnect those that were missed (Last-Event-ID), as far as the last KEPT go. It knows
 * nothing of Kymo. It ends when its standard input does, so that it never outlives who started it, and not before: Ctrl-C
 * goes to all programs of a terminal at once.
 */

import { createServer, type ServerResponse } from 'node:http';

import { createRandomWalk } from './random-walk.ts';

const KEPT = 1_000;
const SEED = 7;
const stepMs = Number(process.argv[2] ?? 250);

const next = createRandomWalk(SEED);
const kept: { readonly id: number; readonly text: string }[] = [];
const readers = new Set<ServerResponse>();
let id = 0;

setInterval(() => {
  for (const price of next()) {
    id++;
    const text = `id: ${id}\nevent: price\ndata: ${JSON.stringify(price)}\n\n`;
    kept.push({ id, text });
    // Who does not read is cut off, and comes back with its Last-Event-ID.
    for (const reader of readers) if (!reader.write(text) && reader.writableLength > 65_536) reader.destroy();
  }
  kept.splice(0, kept.length - KEPT);
}, stepMs);

const server = createServer((request, response) => {
  if (request.url !== '/prices') {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write(': prices of companies that do not exist\n\n');
  const lastId = Number(request.headers['last-event-id'] ?? id);
  for (const event of kept) if (event.id > lastId) response.write(event.text);
  readers.add(response);
  response.on('error', () => response.destroy());
  response.on('close', () => readers.delete(response));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string')
    process.stdout.write(`http://127.0.0.1:${address.port}/prices\n`);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
