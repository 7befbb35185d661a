import { expect, test } from 'vitest';

import { benchStream } from '#sdk/device-bench.ts';
import { newChannel } from '#sdk/device-channel.ts';
import { compare, heldStatement } from '#sdk/device-comparison.ts';
import { memoryStore } from '#sdk/memory-store.ts';

/** A log of `count` readings, one a frame, whose values tell nothing apart: times do. */
function recorded(count: number) {
  const store = memoryStore();
  const log = store.define(benchStream);
  for (let i = 0; i < count; i++)
    store.append(log, {
      count: 1,
      firstUs: i * 5000,
      periodNs: 0,
      deltasUs: null,
      payload: new Uint8Array(8),
    });
  return { store, log };
}

/** CRC-32 of eight zero bytes. */
const ZEROS = 0x6522df69;

test('the first number of another life is found by halving, wherever it is', () => {
  for (const count of [1, 2, 3, 64, 100])
    for (let parted = 0; parted < count; parted++) {
      const { store, log } = recorded(count);
      const channel = newChannel(0);
      const answer = (below: number) => {
        const seq = below - 1;
        const newest = { seq, timeUs: seq * 5000 + (seq < parted ? 0 : 1), crc32: ZEROS };
        return compare(store, log, { channel, newest });
      };
      let questions = 1;
      let found = answer(count);
      for (; found.type === 'ask'; questions++) found = answer(found.below);
      expect(found).toEqual({ type: 'anothers', fromSeq: parted });
      expect(questions).toBeLessThanOrEqual(3 + Math.ceil(Math.log2(count)));
      expect(channel.search).toBe(null);
    }
});

test('what another life stores below while it is searched is compared as well', () => {
  const { store, log } = recorded(64);
  const channel = newChannel(0);
  /** The other life stored its end first, and goes on with what it has between. */
  let stored = [...Array.from({ length: 8 }, (_, seq) => seq), 60, 61, 62, 63];
  const answer = (below: number) => {
    const seq = stored.findLast((one) => one < below)!;
    const newest = { seq, timeUs: seq * 5000 + (seq < 10 ? 0 : 1), crc32: ZEROS };
    return compare(store, log, { channel, newest });
  };
  let last = answer(64);
  for (let questions = 1; last.type === 'ask'; questions++) {
    if (questions === 4) stored = Array.from({ length: 64 }, (_, seq) => seq);
    expect(questions).toBeLessThan(20);
    last = answer(last.below);
  }
  expect(last).toEqual({ type: 'anothers', fromSeq: 10 });
});

test('what neither life has stored between the same and the other is not taken for the same', () => {
  const { store, log } = recorded(50);
  const channel = newChannel(0);
  const stored = [...Array.from({ length: 20 }, (_, seq) => seq), 30, 31, 32];
  const answer = (below: number) => {
    const seq = stored.findLast((one) => one < below)!;
    const newest = { seq, timeUs: seq * 5000 + (seq < 25 ? 0 : 1), crc32: ZEROS };
    return compare(store, log, { channel, newest });
  };
  let last = answer(50);
  while (last.type === 'ask') last = answer(last.below);
  expect(last).toEqual({ type: 'anothers', fromSeq: 20 });
});

test('a reading that is the same, or not held, or not given, is nobody else`s', () => {
  const { store, log } = recorded(3);
  const channel = newChannel(0);
  for (const newest of [undefined, { seq: 1, timeUs: 5000, crc32: ZEROS }, { seq: 7, crc32: 1 }])
    expect(compare(store, log, { channel, newest })).toEqual({ type: 'own' });
});

test('a server that answers past the question does not keep the search from ending', () => {
  const { store, log } = recorded(50);
  const channel = newChannel(0);
  const newest = { seq: 40, crc32: 1 };
  let rounds = 0;
  while (compare(store, log, { channel, newest }).type === 'ask') expect(++rounds).toBeLessThan(10);
});

test('what is held and not settled is stated, the newest ranges of it', () => {
  const { store, log } = recorded(100);
  store.setSettled(log, [{ from: 0, to: 20 }]);
  expect(heldStatement(store, log, 100)).toEqual([[20, 100]]);
  expect(heldStatement(store, log, 30)).toEqual([[20, 30]]);
  expect(heldStatement(store, log, 20)).toEqual([]);
  store.setSettled(
    log,
    Array.from({ length: 50 }, (_, i) => ({ from: 2 * i, to: 2 * i + 1 })),
  );
  const stated = heldStatement(store, log, 100);
  expect(stated).toHaveLength(32);
  expect(stated.at(-1)).toEqual([99, 100]);
});
