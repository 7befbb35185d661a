import { expect, test } from 'vitest';

import { runChannelHistory } from '#test/simulation/channels/channel-history.ts';

test('subscribers see every message once and in order, or a told gap, whatever goes wrong', async () => {
  const faults = new Set<string>();
  const tally = { delivered: 0, gaps: 0, recoveries: 0, acknowledged: 0 };
  // Seeds whose faults are of every kind; others are run by `npm run simulate-faults -- --profile channels`.
  for (let seed = 1; seed <= 12; seed++) {
    const history = await runChannelHistory(seed);
    expect(history.violation, `seed ${seed}\n${history.trace.join('\n')}`).toBeNull();
    for (const fault of Object.keys(history.faults)) faults.add(fault);
    for (const key of Object.keys(tally) as (keyof typeof tally)[]) tally[key] += history.tally[key];
  }
  expect(faults.size).toBe(12);
  expect(Math.min(...Object.values(tally))).toBeGreaterThan(10);
});

test('the same seed gives the same history', async () => {
  const [first, second] = [await runChannelHistory(3), await runChannelHistory(3)];
  expect(second).toEqual(first);
});
