import { expect, test } from 'vitest';

import type { BodyModel } from '#motion/body-model.ts';
import { runAnalysis } from '#app/analyse/analysis-run.ts';

const modelOf = (stream: string, lastAxis: number): BodyModel => ({
  heightM: null,
  placements: [
    {
      stream,
      segment: 'left-foot',
      rateHz: 50,
      acc: { axes: [0, 1, 2], scale: 1 },
      gyr: { axes: [3, 4, lastAxis], scale: 1 },
      mag: null,
      alignment: { kind: 'from-movement' },
    },
  ],
});

const count = 200;
const stream = {
  id: 's',
  segment: 'left-foot',
  axes: Array.from({ length: 6 }, (_, i) => ({ name: `a${i}`, unit: '1' })),
  rateHz: 50,
  clock: 'device',
  timesUs: Float64Array.from({ length: count }, (_, i) => i * 20_000),
  values: new Float32Array(6 * count),
} as const;

test.each([
  ['a stream that is not there', modelOf('t', 5), '/placements/0/stream'],
  [
    'an axis that the stream does not have, which would be read from the next row',
    modelOf('s', 6),
    '/placements/0',
  ],
])('%s is refused', async (_, model, field) => {
  await expect(runAnalysis([stream], model, () => undefined)).rejects.toMatchObject({ field });
});

test('all readings are analysed, in the order of time', async () => {
  const steps: number[] = [];
  const result = await runAnalysis([stream], modelOf('s', 5), (_, done) => steps.push(done));
  expect(result).toMatchObject({ readings: count, gaps: 0, fromUs: 0, toUs: (count - 1) * 20_000 });
  expect(steps.at(-1)).toBe(count);
});
