import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { gaitmapSet } from '#bench/accuracy/gaitmap.ts';

const folder = fileURLToPath(new URL('../../data/gaitmap', import.meta.url));

test('contacts and lengths of the recordings in the repository are as good as they are said to be', async () => {
  const shares: number[] = [];
  const rows = await gaitmapSet.measure(folder, (share) => shares.push(share));
  expect(shares.at(-1)).toBe(1);
  const trials = new Set(rows.map((row) => row.trials));
  expect([...trials].toSorted()).toEqual([
    'all',
    'healthy_2x20m_left',
    'healthy_4x10m_left',
    'healthy_4x10m_right',
  ]);
  const ours = (metric: string): number =>
    rows.find((row) => row.trials === 'all' && row.metric === metric)!.ours!;
  for (const way of ['live', 'offline']) {
    for (const contact of ['initial contact', 'final contact']) {
      expect(Math.abs(ours(`${contact}, bias, ${way}`))).toBeLessThan(10);
      expect(ours(`${contact}, standard deviation, ${way}`)).toBeLessThan(10);
      expect(ours(`${contact}, found, ${way}`)).toBe(100);
      // One contact of 29 is one that the reference left out, in the turn.
      expect(ours(`${contact}, precision, ${way}`)).toBeCloseTo((100 * 28) / 29, 6);
    }
    expect(ours(`stride border, found, ${way}`)).toBe(100);
    expect(ours(`stride length, mean absolute error, ${way}`)).toBeLessThan(2);
  }
});
