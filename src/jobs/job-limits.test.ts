import { expect, test } from 'vitest';

import { defaultBackOffMs, jobLimits } from '#jobs/job-limits.ts';
import { piecesOf } from '#jobs/result-file.ts';

test('each failure waits four times as long as the one before, up to an hour', () => {
  expect([1, 2, 3].map(defaultBackOffMs)).toEqual([2_000, 8_000, 32_000]);
  expect(defaultBackOffMs(50)).toBe(jobLimits.mostBackOffMs);
});

test('a lease outlasts several renewals that fail, so that one slow answer loses no job', () => {
  expect(jobLimits.leaseMs).toBeGreaterThan(4 * jobLimits.renewMs);
});

test('pieces are of one size but the last, whatever comes, and keep nothing that the giver overwrites', async () => {
  const size = jobLimits.pieceBytes;
  const buffer = Buffer.alloc(size - 1, 1);
  function* given(): Generator<Uint8Array> {
    yield buffer;
    buffer.fill(2);
    yield buffer.subarray(0, 3);
    yield Buffer.alloc(0);
    yield Buffer.alloc(2 * size, 3);
  }
  const pieces: Buffer[] = [];
  for await (const piece of piecesOf(given())) pieces.push(piece);
  expect(pieces.map(({ length }) => length)).toEqual([size, size, size, 2]);
  const all = Buffer.concat(pieces);
  expect([all[0], all[size - 2], all[size - 1], all[size + 1], all[size + 2], all.at(-1)]).toEqual([
    1, 1, 2, 2, 3, 3,
  ]);
});
