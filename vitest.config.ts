/**
 * Owns which test runs where. `unit` needs nothing; `pg` has an embedded PostgreSQL for each of its two workers; `alone`
 * is what measures times or uses the whole machine; `redis` starts Redis servers of its own; `e2e` starts whole servers
 * and a browser. The projects run one after another, so that a heavy one never slows a timed one.
 * test/tidy/test-projects.test.ts proves that every test file belongs to exactly one.
 */

import { defineConfig } from 'vitest/config';

/** Tests against real services, each kind in its own project. */
const databaseTests = 'src/**/*.pg.test.ts';
const redisTests = 'src/**/*.redis.test.ts';

/** Continuous integration has two cores. */
const WORKERS = 2;

/**
 * Tests with a database that no other file may run beside: they bound how long something takes, send at a pace, search on
 * two cores themselves, or hold the standard port, as one other file does (first-run-start).
 */
const aloneTests = [
  ...['api/people-routes', 'store/erasure', 'store/retention', 'store/writer'].map(
    (name) => `src/${name}.pg.test.ts`,
  ),
  ...[
    'channels-exactly-once',
    'first-run-places',
    'hostile-sockets',
    'live-motion',
    'live-socket',
    'model',
    'mutations',
    'overload',
    'redis-faults',
    'rolling-restart',
    'stalled-database',
    'stopped-server',
    'torture',
    'torture-parts',
    'two-servers',
  ].map((name) => `test/integration/${name}.test.ts`),
];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.{ts,tsx}',
            'scripts/**/*.test.mjs',
            'test/tidy/**/*.test.ts',
            'test/simulation/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
            'test/torture/**/*.test.ts',
            'bench/**/*.test.ts',
            'extensions/**/*.test.ts',
          ],
          exclude: [databaseTests, redisTests],
          testTimeout: 10_000,
          // Modules keep no state between calls, so files share a process: four times faster than one each.
          isolate: false,
          maxWorkers: WORKERS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'pg',
          include: [databaseTests, 'test/integration/**/*.test.ts'],
          exclude: aloneTests,
          globalSetup: ['test/support/database-setup.ts'],
          // A fault test runs for half a minute and more; a stuck one must still end.
          testTimeout: 180_000,
          hookTimeout: 120_000,
          // Their servers have no core for themselves: what takes a moment may take some.
          expect: { poll: { timeout: 10_000 } },
          maxWorkers: WORKERS,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'alone',
          include: aloneTests,
          globalSetup: ['test/support/database-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'redis',
          include: [redisTests],
          testTimeout: 30_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
