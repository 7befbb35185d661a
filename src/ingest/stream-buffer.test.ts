import { expect, test } from 'vitest';

import type { EpochProgress, Frame } from '#contract/readings.ts';
import { frameBytes } from '#protocol/data-codec.ts';
import { createCreditLedger, createCreditPool } from '#ingest/credit.ts';
import { bufferLimits, createStreamBuffer, type StreamBuffer } from '#ingest/stream-buffer.ts';
import { frameOf, streamHandle } from '#test/support/frames.ts';

const nothing: EpochProgress = { committed: [], lost: [] };

function setUp() {
  const handle = streamHandle();
  const counters = { overwrittenFrames: 0, droppedLosses: 0 };
  const heard: string[] = [];
  const buffer = createStreamBuffer(handle, counters, {
    committed: () => void heard.push('committed'),
    dead: () => void heard.push('dead'),
  });
  const listen = (target: StreamBuffer): void => {
    target.listener = {
      settled: () => void heard.push('settled'),
      rewind: (_, fromSeq) => void heard.push(`rewind ${fromSeq}`),
      refused: (_, message) => void heard.push(`refused ${message}`),
      unknown: () => void heard.push('unknown'),
      superseded: () => void heard.push('superseded'),
      outdated: () => void heard.push('outdated'),
      renewed: () => void heard.push('renewed'),
    };
  };
  listen(buffer);
  const pool = createCreditPool(64 * 1024 * 1024);
  const payer = (windowBytes = 16 * 1024 * 1024) =>
    createCreditLedger(pool, { quietBytes: windowBytes, initialBytes: windowBytes, maxBytes: windowBytes });
  return { handle, counters, heard, buffer, pool, payer };
}

function pay(ledger: ReturnType<typeof createCreditLedger>, frame: Frame): Frame {
  expect(ledger.receive(frameBytes(frame))).toBe(true);
  return frame;
}

test('frames leave in order, live ones first, as many as asked for and at least one', () => {
  const { handle, buffer, payer } = setUp();
  const ledger = payer();
  for (const seq of [0, 10]) buffer.push(pay(ledger, frameOf(handle, seq, 10)), ledger);
  buffer.push(pay(ledger, frameOf(handle, 900, 10, { historical: true })), ledger);
  expect(buffer.pendingReadings()).toBe(30);
  expect(buffer.take(1).map((frame) => frame.firstSeq)).toEqual([0]);
  expect(buffer.take(100).map((frame) => frame.firstSeq)).toEqual([10, 900]);
  expect(buffer.pendingReadings()).toBe(0);
  expect(buffer.take(100)).toEqual([]);
});

test('a full ring overwrites its oldest frame, counts it, asks for it again and returns its credit', () => {
  const { handle, counters, heard, buffer, pool, payer } = setUp();
  const ledger = payer();
  for (let i = 0; i < bufferLimits.ringFrames + 2; i++)
    buffer.push(pay(ledger, frameOf(handle, i, 1)), ledger);
  expect(counters.overwrittenFrames).toBe(2);
  expect(heard).toEqual(['rewind 0', 'rewind 1']);
  expect(buffer.pendingReadings()).toBe(bufferLimits.ringFrames);
  expect(buffer.take(1)[0]?.firstSeq).toBe(2);
  ledger.close();
  expect(pool.reservedBytes).toBe(bufferLimits.ringFrames * frameBytes(frameOf(handle, 0, 1)));
});

test('the ring is bounded in bytes too', () => {
  const { handle, counters, buffer, pool, payer } = setUp();
  const ledger = payer();
  const bytes = frameBytes(frameOf(handle, 0, 500));
  const fitting = Math.floor(bufferLimits.ringBytes / bytes);
  for (let i = 0; i < fitting + 3; i++) buffer.push(pay(ledger, frameOf(handle, i * 500, 500)), ledger);
  expect(counters.overwrittenFrames).toBe(3);
  ledger.close();
  expect(pool.reservedBytes).toBe(fitting * bytes);
});

test('a full replay lane turns the newest away and keeps what it has', () => {
  const { handle, counters, heard, buffer, payer } = setUp();
  const ledger = payer();
  for (let i = 0; i <= bufferLimits.replayFrames; i++)
    buffer.push(pay(ledger, frameOf(handle, i, 1, { historical: true })), ledger);
  expect(counters.overwrittenFrames).toBe(1);
  expect(heard).toEqual([`rewind ${bufferLimits.replayFrames}`]);
  const taken = buffer.take(10_000);
  expect(taken.at(0)?.firstSeq).toBe(0);
  expect(taken.at(-1)?.firstSeq).toBe(bufferLimits.replayFrames - 1);
});

test('the replay lane is bounded in bytes, and has room again when the store took some', () => {
  const { handle, counters, buffer, payer } = setUp();
  const ledger = payer();
  const historical = (firstSeq: number): Frame => frameOf(handle, firstSeq, 500, { historical: true });
  const fitting = Math.floor(bufferLimits.replayBytes / frameBytes(historical(0)));
  for (let i = 0; i < fitting + 1; i++) buffer.push(pay(ledger, historical(i * 500)), ledger);
  expect(counters.overwrittenFrames).toBe(1);
  buffer.take(1);
  buffer.push(pay(ledger, historical(fitting * 500)), ledger);
  expect(counters.overwrittenFrames).toBe(1);
});

test('a live frame does not wait behind a full replay lane', () => {
  const { handle, buffer, payer } = setUp();
  const ledger = payer();
  for (let i = 0; i < bufferLimits.replayFrames; i++)
    buffer.push(pay(ledger, frameOf(handle, i, 1, { historical: true })), ledger);
  buffer.push(pay(ledger, frameOf(handle, 99_999, 1)), ledger);
  expect(buffer.take(1)[0]?.firstSeq).toBe(99_999);
});

test('declared losses are bounded, and one too many is counted', () => {
  const { counters, buffer } = setUp();
  for (let i = 0; i <= bufferLimits.losses; i++)
    buffer.declareLost({ from: i * 2, to: i * 2 + 1, reason: 'sensor-fault' });
  expect(counters.droppedLosses).toBe(1);
  expect(buffer.isEmpty).toBe(false);
  expect(buffer.takeLosses()).toHaveLength(bufferLimits.losses);
  expect(buffer.takeLosses()).toEqual([]);
});

test('credit goes back when the store settles what it took, and only that', () => {
  const { handle, heard, buffer, pool, payer } = setUp();
  const ledger = payer(100_000);
  const first = pay(ledger, frameOf(handle, 0, 10));
  buffer.push(first, ledger);
  buffer.take(10);
  const second = pay(ledger, frameOf(handle, 10, 20));
  buffer.push(second, ledger);
  ledger.close();
  buffer.settled({ committed: [{ from: 0, to: 10 }], lost: [] });
  expect(pool.reservedBytes).toBe(frameBytes(second));
  expect(heard).toEqual(['settled', 'committed']);
  expect(buffer.isEmpty).toBe(false);
});

test('frames of an earlier connection settle on its account, across reconnects', () => {
  const { handle, buffer, payer } = setUp();
  const older = payer();
  const newer = payer();
  buffer.push(pay(older, frameOf(handle, 0, 10)), older);
  older.close();
  buffer.push(pay(newer, frameOf(handle, 10, 10)), newer);
  buffer.push(pay(newer, frameOf(handle, 20, 10)), newer);
  const before = newer.grantedBytes;
  buffer.take(100);
  buffer.settled(nothing);
  const each = frameBytes(frameOf(handle, 0, 10));
  expect(newer.grantedBytes - before).toBe(2 * each);
});

test('without a connection frames are kept, dropped and settled all the same', () => {
  const { handle, counters, heard, buffer, payer } = setUp();
  const ledger = payer();
  buffer.listener = null;
  for (let i = 0; i <= bufferLimits.ringFrames; i++) buffer.push(pay(ledger, frameOf(handle, i, 1)), ledger);
  expect(counters.overwrittenFrames).toBe(1);
  buffer.take(10_000);
  buffer.settled(nothing);
  expect(heard).toEqual(['committed']);
  expect(buffer.isEmpty).toBe(true);
});

test.each(['refused', 'unknown'] as const)(
  'a stream that is %s gives up everything and returns all credit',
  (way) => {
    const { handle, heard, buffer, pool, payer } = setUp();
    const ledger = payer();
    buffer.push(pay(ledger, frameOf(handle, 0, 10)), ledger);
    buffer.take(10);
    buffer.push(pay(ledger, frameOf(handle, 10, 10)), ledger);
    buffer.push(pay(ledger, frameOf(handle, 20, 10, { historical: true })), ledger);
    buffer.declareLost({ from: 50, to: 60, reason: 'sensor-fault' });
    buffer[way]('why');
    expect(heard).toEqual(['dead', way === 'refused' ? 'refused why' : 'unknown']);
    expect(buffer.isEmpty).toBe(true);
    expect(buffer.pendingReadings()).toBe(0);
    ledger.close();
    expect(pool.reservedBytes).toBe(0);
  },
);

test('what the store asks again is passed on', () => {
  const { heard, buffer } = setUp();
  buffer.rewind(77);
  expect(heard).toEqual(['rewind 77']);
});
