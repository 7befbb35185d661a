import { expect, test } from 'vitest';

import { ok } from '#base/result.ts';
import type { DeviceIdentity, EpochProgress } from '#contract/readings.ts';
import { createCreditLedger, createCreditPool } from '#ingest/credit.ts';
import { createStreamBuffers } from '#ingest/stream-buffers.ts';
import { frameBytes } from '#protocol/data-codec.ts';
import { frameOf, streamHandle } from '#test/support/frames.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const device: DeviceIdentity = { deviceId: 'd1', orgId: 'o1' };
const nothing: EpochProgress = { committed: [], lost: [] };
const handle = streamHandle();
const { definition, epoch } = handle;

function setUp(maxBuffers = 10) {
  const clock = createManualClock();
  let progress = nothing;
  const asked: EpochProgress[] = [];
  const buffers = createStreamBuffers({
    backend: {
      openStream: async () => {
        asked.push(progress);
        return ok({ handle: { ...handle }, progress });
      },
    },
    clock,
    maxBuffers,
    committed: () => undefined,
  });
  const ledger = createCreditLedger(createCreditPool(1e6), {
    quietBytes: 1e5,
    initialBytes: 1e5,
    maxBytes: 1e5,
  });
  return {
    clock,
    buffers,
    asked,
    commit: (to: number) => {
      progress = { committed: [{ from: 0, to }], lost: [] };
      return progress;
    },
    async open(generation: number) {
      const connection = { generation, check: async () => ok(null) };
      const answer = await buffers.open(device, { definition, epoch }, connection);
      return answer.ok ? answer.value.buffer : answer.error.code;
    },
    async opened(generation: number) {
      const buffer = await this.open(generation);
      if (typeof buffer === 'string') throw new Error(buffer);
      return buffer;
    },
    push(buffer: Awaited<ReturnType<typeof this.opened>>, firstSeq: number) {
      const sent = frameOf(handle, firstSeq, 5);
      expect(ledger.receive(frameBytes(sent))).toBe(true);
      buffer.push(sent, ledger);
    },
  };
}

test('a connection that opens its stream again keeps the buffer, with the newer claim', async () => {
  const it = setUp();
  const buffer = await it.opened(1);
  const opened = it.commit(7);
  expect(await it.open(1)).toBe(buffer);
  expect(buffer.claim).toEqual({ generation: 1, opened });
});

test('a newer connection gets a buffer of its own, and what the older one left unstored is dropped', async () => {
  const it = setUp();
  const old = await it.opened(1);
  it.push(old, 0);
  const fresh = await it.opened(2);
  expect(fresh).not.toBe(old);
  expect(old.isEmpty).toBe(true);
  expect(it.buffers.size).toBe(1);
  expect(await it.open(1)).toBe('superseded');
});

test('what an older connection has with the store is waited for, and asked for again', async () => {
  const it = setUp();
  const old = await it.opened(1);
  it.push(old, 0);
  old.take(100);
  it.push(old, 5);
  const opening = it.opened(2);
  await Promise.resolve();
  await Promise.resolve();
  old.settled(it.commit(5));
  const fresh = await opening;
  expect(fresh.claim).toEqual({ generation: 2, opened: { committed: [{ from: 0, to: 5 }], lost: [] } });
  expect(it.asked).toHaveLength(3);
});

test('a store that keeps what it took does not keep a newer connection waiting for long', async () => {
  const it = setUp();
  const old = await it.opened(1);
  it.push(old, 0);
  old.take(100);
  const opening = it.opened(2);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  it.clock.advance(1_000);
  expect((await opening).claim).toEqual({ generation: 2, opened: nothing });
});

test('a path without a connection has no claim', async () => {
  const it = setUp();
  const answer = await it.buffers.open(device, { definition, epoch }, null);
  expect(answer.ok && answer.value.buffer.claim).toBe(null);
});

test('a generation of the database before, which may be the greater number, is nobody newer', async () => {
  const it = setUp();
  const old = await it.opened(57);
  it.push(old, 0);
  expect(await it.open(41)).toBe('superseded');
  it.buffers.renew();
  // What the store may still take of it writes no generation that the device has yet to reach again.
  expect(old.claim?.generation).toBe(0);
  const fresh = await it.opened(41);
  expect(fresh.claim?.generation).toBe(41);
  expect(old.isEmpty).toBe(true);
});
