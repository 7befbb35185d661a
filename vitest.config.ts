/**
 * Owns which test runs where. `unit` needs nothing; `pg` gets one embedded PostgreSQL for the whole run; `redis` starts
 * Redis servers of its own; `e2e` starts whole servers and a browser. The projects run one after another, so that a
 * heavy one never slows a timed one. test/tidy/test-projects.test.ts proves that every test file belongs to exactly one.
 */

import { defineConfig } from 'vitest/config';

/** Tests against real services, each kind in its own project. */
const databaseTests = 'src/**/*.pg.test.ts';
const redisTests = 'src/**/*.redis.test.ts';

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
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'pg',
          include: [databaseTests, 'test/integration/**/*.test.ts'],
          globalSetup: ['test/support/database-setup.ts'],
          // A fault test runs for half a minute and more; a stuck one must still end.
          testTimeout: 180_000,
          hookTimeout: 60_000,
          // The tests measure times and start processes of their own: two files at once would disturb each other.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'redis',
          include: [redisTests],
          testTimeout: 30_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
