import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { mobgapSet } from '#bench/accuracy/mobgap.ts';

const folder = fileURLToPath(new URL('../../data/mobgap', import.meta.url));

test('gait from the lower back is found as well as the document says, in a recording of daily activities too', async () => {
  const rows = await mobgapSet.measure(folder, () => {});
  const ours = (metric: string): number =>
    rows.find((row) => row.trials === 'all' && row.metric === metric)?.ours ?? Number.NaN;
  for (const system of ['INDIP', 'Stereophoto']) {
    expect(ours(`initial contact error, ${system}`)).toBeLessThan(40);
    expect(Math.abs(ours(`initial contact bias, ${system}`))).toBeLessThan(10);
    expect(ours(`initial contact F1, ${system}`)).toBeGreaterThan(0.9);
    expect(ours(`side right, ${system}`)).toBeGreaterThan(0.97);
    expect(ours(`stride length error, ${system}`)).toBeLessThan(0.1);
    expect(ours(`walking speed error, ${system}`)).toBeLessThan(0.084);
    expect(ours(`initial contact F1, live, ${system}`)).toBeGreaterThan(0.9);
  }
});
