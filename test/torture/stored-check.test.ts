/** The checker must be able to fail: each kind of damage to a stored stream is found, and counted as what it is. */

import { expect, test } from 'vitest';

import type { JournalContent } from '#test/torture/device-journal.ts';
import { READING_BYTES, readingValues, streamKey } from '#test/torture/reading-values.ts';
import {
  checkStream,
  emptyVerdict,
  mustBeZero,
  storedEpoch,
  type StoredChunk,
  type StoredGuard,
  type Verdict,
} from '#test/torture/stored-check.ts';

const seed = 7;
const stream = '01936d0c-0000-7000-8000-000000000001';
const epoch = 'f000000000000001';
const startUs = 1_700_000_000_000_000;

/** Readings [from, to) of life 0, stored under their own numbers. */
function chunk(from: number, to: number): StoredChunk {
  const key = streamKey(seed, stream);
  const values = readingValues({ key, life: 0, firstNumber: from, count: to - from });
  return {
    epoch: storedEpoch(epoch),
    firstSeq: from,
    count: to - from,
    data: Buffer.from(values.buffer),
    timesUs: Float64Array.from({ length: to - from }, (_, i) => startUs + (from + i) * 5000),
  };
}

function journal(to: number, acknowledged = to): JournalContent {
  const taken = Array.from({ length: to / 10 }, (_, i) => ({
    stream,
    epoch,
    firstSeq: i * 10,
    count: 10,
    life: 0,
    firstNumber: i * 10,
    firstUs: startUs + i * 50_000,
    periodNs: 5_000_000,
    deltas: '',
  }));
  return { taken, refused: [], acknowledged: [{ stream, epoch, from: 0, to: acknowledged }] };
}

function verdictOn(
  chunks: readonly StoredChunk[],
  content: JournalContent,
  given?: Partial<StoredGuard>,
): Verdict {
  const guard: StoredGuard = {
    committed: chunks.map(({ firstSeq, count }) => ({ from: firstSeq, to: firstSeq + count })),
    lost: [],
    declared: [],
    ...given,
  };
  const verdict = emptyVerdict();
  const guards = new Map([[storedEpoch(epoch), guard]]);
  checkStream({ stream, chunks, guards }, content, { seed, verdict });
  return verdict;
}

function wrongIn(verdict: Verdict): Partial<Verdict> {
  return Object.fromEntries(
    mustBeZero.filter((name) => verdict[name] > 0).map((name) => [name, verdict[name]]),
  );
}

test('what was stored as it was made passes', () => {
  const verdict = verdictOn([chunk(0, 40), chunk(40, 100)], journal(100), {
    committed: [{ from: 0, to: 100 }],
  });
  expect(wrongIn(verdict)).toEqual({});
  expect(verdict).toMatchObject({ streams: 1, stored: 100, unjournaled: 0 });
});

test('one flipped bit is a reading that differs, and one that is missing', () => {
  const damaged = chunk(0, 100);
  damaged.data[50 * READING_BYTES + 13]! ^= 1;
  expect(wrongIn(verdictOn([damaged], journal(100)))).toEqual({ different: 1, missing: 1 });
});

test('a flipped bit in the number of a reading is found too', () => {
  const damaged = chunk(0, 100);
  damaged.data[50 * READING_BYTES + 2]! ^= 1;
  expect(wrongIn(verdictOn([damaged], journal(100)))).toEqual({ different: 1, missing: 1 });
});

test('a chunk that is gone was acknowledged and lost, and leaves a gap', () => {
  const verdict = verdictOn([chunk(0, 40), chunk(60, 100)], journal(100));
  expect(wrongIn(verdict)).toEqual({ lost: 20, missing: 20 });
  const unacknowledged = verdictOn([chunk(0, 40), chunk(60, 100)], journal(100, 40));
  expect(wrongIn(unacknowledged)).toEqual({ missing: 20, gaps: 20 });
});

test('a chunk that the guard counts and nobody has is found', () => {
  const verdict = verdictOn([chunk(0, 40)], journal(40), { committed: [{ from: 0, to: 60 }] });
  expect(wrongIn(verdict)).toEqual({ guardDiffers: 1 });
});

test('a chunk that is there twice is doubled, also under other numbers', () => {
  const whole = { committed: [{ from: 0, to: 100 }] };
  expect(wrongIn(verdictOn([chunk(0, 100), chunk(40, 60)], journal(100), whole))).toEqual({ doubled: 20 });
  const renumbered = { ...chunk(40, 60), firstSeq: 100 };
  const verdict = verdictOn([chunk(0, 100), renumbered], journal(100), { committed: [{ from: 0, to: 120 }] });
  expect(wrongIn(verdict)).toEqual({ doubled: 20 });
});

test('readings of another stream differ', () => {
  const foreign = {
    ...chunk(0, 100),
    data: Buffer.from(readingValues({ key: 1, life: 0, firstNumber: 0, count: 100 }).buffer),
  };
  expect(wrongIn(verdictOn([foreign], journal(100)))).toEqual({ different: 100, missing: 100 });
});

test('two chunks under each other’s numbers are out of order', () => {
  const swapped = [
    { ...chunk(50, 100), firstSeq: 0 },
    { ...chunk(0, 50), firstSeq: 50 },
  ];
  const verdict = verdictOn(swapped, journal(100), { committed: [{ from: 0, to: 100 }] });
  expect(wrongIn(verdict)).toEqual({ misordered: 50 });
});

test('a time that moved by a microsecond is found', () => {
  const moved = chunk(0, 100);
  moved.timesUs[3]! += 1;
  expect(wrongIn(verdictOn([moved], journal(100)))).toEqual({ otherTime: 1 });
});

test('a loss counts as declared only when the device refused the readings', () => {
  const chunks = [chunk(0, 40), chunk(60, 100)];
  const lost = { lost: [{ from: 40, to: 60 }], declared: [{ from: 40, to: 60 }] };
  const complete = journal(100);
  const refused = {
    taken: complete.taken.filter(({ firstSeq }) => firstSeq < 40 || firstSeq >= 60),
    refused: [{ stream, epoch, from: 40, to: 60 }],
    acknowledged: complete.acknowledged,
  };
  const verdict = verdictOn(chunks, refused, lost);
  expect(wrongIn(verdict)).toEqual({});
  expect(verdict.declared).toBe(20);
  expect(wrongIn(verdictOn(chunks, complete, lost))).toEqual({ missing: 20, wronglyDeclared: 20 });
});

test('readings that were acknowledged and are in no table at all are lost', () => {
  const verdict = emptyVerdict();
  checkStream({ stream, chunks: [], guards: new Map() }, journal(100), { seed, verdict });
  expect(wrongIn(verdict)).toEqual({ lost: 100, missing: 100 });
});
