import { expect, test } from 'vitest';

import { silentLog } from '#base/log.ts';
import type { RolePool, Statement } from '#store/pools.ts';
import { createSummaryWishes } from '#app/summary-wishes.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

/** A pool that has these sessions, ended; what it was asked is kept. */
function poolOf(ended: readonly string[]) {
  const asked: Statement[] = [];
  const app = {
    run: async (statements: readonly Statement[]) =>
      statements.map((statement) => {
        asked.push(statement);
        const ids = statement.name === 'ended-sessions' ? (statement.values![0] as string[]) : [];
        return { rows: ids.filter((id) => ended.includes(id)).map((id) => ({ id })) };
      }),
  } as unknown as RolePool;
  return { app, asked: (name: string) => asked.filter((statement) => statement.name === name) };
}

test('sessions whose analysis moved on are gathered, and those that have ended get a job each', async () => {
  const clock = createManualClock();
  const { app, asked } = poolOf(['b']);
  const wishes = createSummaryWishes({ app, clock, log: silentLog });
  for (const sessionId of ['a', 'b', 'b']) wishes.analysed({ orgId: 'o', sessionId });
  expect(asked('ended-sessions')).toHaveLength(0);
  clock.advance(1_000);
  await wishes.stop();
  expect(asked('ended-sessions').map(({ values }) => values)).toEqual([[['a', 'b']]]);
  const jobs = asked('enqueue-job');
  expect(jobs).toHaveLength(1);
  expect(jobs[0]!.values![2]).toBe('{"session":"b"}');
});

test('what is gathered when it stops is asked for, and more than it holds is counted', async () => {
  const clock = createManualClock();
  const { app, asked } = poolOf([]);
  const wishes = createSummaryWishes({ app, clock, log: silentLog });
  for (let i = 0; i < 10_003; i++) wishes.analysed({ orgId: 'o', sessionId: String(i) });
  wishes.analysed({ orgId: 'o', sessionId: '5' });
  expect(wishes.counters.dropped).toBe(3);
  await wishes.stop();
  expect((asked('ended-sessions')[0]!.values![0] as string[]).length).toBe(10_000);
});
