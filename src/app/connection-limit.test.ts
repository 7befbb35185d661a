import { EventEmitter } from 'node:events';
import type { Server } from 'node:net';

import { expect, test } from 'vitest';

import { connectionLimits, createConnectionLimit, openFilesLimit } from '#app/connection-limit.ts';

test('the server leaves itself files, and takes no more connections than it has memory for', () => {
  const connectionsOf = (openFiles: number | null): number => createConnectionLimit(openFiles).connections;
  expect(connectionsOf(null)).toBe(connectionLimits.connections);
  expect(connectionsOf(1_048_576)).toBe(connectionLimits.connections);
  expect(connectionsOf(1_024)).toBe(768);
  expect(connectionsOf(300)).toBe(150);
  expect(connectionsOf(1)).toBe(1);
});

test('what is dropped is counted', () => {
  const server = new EventEmitter() as Server;
  const limit = createConnectionLimit(300);
  limit.apply(server);
  expect(server.maxConnections).toBe(150);
  server.emit('drop');
  server.emit('drop');
  expect(limit.counters.dropped).toBe(2);
});

test('the limit of open files is a number of files, where there is one', () => {
  const limit = openFilesLimit();
  expect(limit === null || (Number.isSafeInteger(limit) && limit > 0)).toBe(true);
});
