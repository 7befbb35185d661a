/**
 * Owns the proof that class event keeps its promise over two servers and Redis, whatever becomes of connections: every
 * subscriber sees every message once, in order, or is told of the gap. `npm run torture -- channels` does it for longer.
 */

import { afterEach, beforeEach, expect, test } from 'vitest';

import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '#test/support/temporary-directory.ts';
import { runChannels, summaryOf } from '#test/torture/channels/channels-run.ts';

let database: TestDatabase;
let directory: TemporaryDirectory;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = createTemporaryDirectory();
});
afterEach(async () => {
  await database.drop();
  directory.remove();
});

test('every subscriber sees every message once and in order, over servers, transports and lost connections', async () => {
  const outcome = await runChannels({
    publications: 20_000,
    rooms: 6,
    subscribers: 10,
    roomsPerSubscriber: 2,
    seed: 20_261_122,
    databaseUrl: database.ownerUrl,
    directory: directory.path,
    cutMs: 1_000,
    emptyMs: 0,
    haltMs: 0,
    killMs: 0,
    stayMs: 1_500,
    say: () => undefined,
    signal: AbortSignal.timeout(170_000),
  });
  console.log(summaryOf(outcome));
  expect(outcome.violations).toEqual([]);
  expect(outcome.unfinished).toEqual([]);
  expect(outcome.published).toBe(20_000);
  for (const [transport, count] of Object.entries(outcome.connections))
    expect(count, transport).toBeGreaterThan(5);
  expect(outcome.cuts).toBeGreaterThan(0);
  expect(outcome.resumptions).toBeGreaterThan(20);
});
