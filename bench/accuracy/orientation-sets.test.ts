import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { broad } from '#bench/accuracy/broad.ts';
import { vqfGolden } from '#bench/accuracy/vqf-golden.ts';

const folderOf = (name: string): string => fileURLToPath(new URL(`../../data/${name}`, import.meta.url));

test('VQF gives the numbers of the reference implementation to 1e-6', async () => {
  const rows = await vqfGolden.measure(folderOf('vqf_golden'), () => undefined);
  const all = rows.find(({ trials }) => trials === 'all');
  expect(all?.ours).toBeLessThan(1e-6);
  expect(rows.filter(({ ours }) => ours !== null).length).toBe(11);
});

test('on the excerpts with cameras VQF is within a few degrees, and looking ahead makes it better', async () => {
  const shares: number[] = [];
  const rows = await broad.measure(folderOf('broad'), (share) => shares.push(share));
  const errorOf = (metric: string): number =>
    rows.find((row) => row.trials === 'all' && row.metric === metric)?.ours ?? Number.NaN;
  expect(shares.at(-1)).toBe(1);
  expect(errorOf('VQF, inclination error')).toBeLessThan(1);
  expect(errorOf('VQF, error')).toBeLessThan(4);
  expect(errorOf('VQF offline, error')).toBeLessThan(errorOf('VQF, error'));
  expect(errorOf('VQF, error')).toBeLessThan(errorOf('basic VQF, error'));
  expect(errorOf('VQF without magnetometer, inclination error')).toBeCloseTo(
    errorOf('VQF, inclination error'),
    9,
  );
  // Figures of whole trials are not put beside excerpts.
  expect(rows.every(({ published }) => published === null)).toBe(true);
});
