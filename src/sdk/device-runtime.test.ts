/** The device API over a store that writes behind: what the server may see, and when. */

import { expect, test } from 'vitest';

import { seededRandom } from '#base/random.ts';
import { createDevice, type Device, type DeviceSocketHandlers } from '#sdk/device-runtime.ts';
import { memoryStore } from '#sdk/memory-store.ts';
import { createManualClock, type ManualClock } from '#test/support/manual-clock.ts';

const welcome = JSON.stringify({
  type: 'welcome',
  version: 1,
  serverUs: 1_700_000_000_000_000,
  incarnation: '01890000-0000-7000-8000-00000000aaaa',
  generation: 1,
  heartbeatMs: 10_000,
  credit: { durable: 1_000_000, live: 100_000 },
});

interface Bed {
  readonly device: Device;
  readonly clock: ManualClock;
  /** What each connection was sent: types of texts, 'data' for readings. */
  readonly sent: string[][];
  readonly handlers: DeviceSocketHandlers[];
  /** Everything that the store was told is durable now. */
  settle(): void;
}

function newBed(): Bed {
  const clock = createManualClock();
  const waiting: (() => void)[] = [];
  const sent: string[][] = [];
  const handlers: DeviceSocketHandlers[] = [];
  const store = Object.assign(memoryStore(), {
    whenDurable: (action: () => void) => void waiting.push(action),
  });
  const device = createDevice({
    store,
    clock,
    random: seededRandom(1),
    openSocket: (handler) => {
      const mine: string[] = [];
      sent.push(mine);
      handlers.push(handler);
      return {
        sendText: (text) => mine.push((JSON.parse(text) as { type: string }).type),
        sendBinary: () => mine.push('data'),
        bufferedBytes: () => 0,
        close: () => undefined,
      };
    },
  });
  return {
    device,
    clock,
    sent,
    handlers,
    settle: () => {
      for (const action of waiting.splice(0)) action();
    },
  };
}

const foot = { segment: 'left-foot', sensor: 'imu', axes: [{ name: 'x', unit: '1' }], rateHz: 200 } as const;

test('nothing is shown to a server before the store is durable, but for what measures time', () => {
  const bed = newBed();
  bed.handlers[0]!.opened();
  expect(bed.sent[0]).toEqual([]);
  bed.settle();
  expect(bed.sent[0]).toEqual(['hello']);
  bed.handlers[0]!.message(welcome);
  const stream = bed.device.stream(foot);
  stream.push([1]);
  bed.clock.advance(100);
  expect(new Set(bed.sent[0]!.slice(1))).toEqual(new Set(['probe']));
  bed.settle();
  expect(bed.sent[0]).toContain('open');
});

test('what waited for the store when its connection broke is not sent on the next one', () => {
  const bed = newBed();
  bed.handlers[0]!.opened();
  bed.handlers[0]!.closed(1006, '');
  bed.clock.advance(1000);
  expect(bed.sent.length).toBe(2);
  bed.settle();
  expect(bed.sent).toEqual([[], []]);
  bed.handlers[1]!.opened();
  bed.settle();
  expect(bed.sent).toEqual([[], ['hello']]);
});

test('end and flush resolve when the store is durable', async () => {
  const bed = newBed();
  const stream = bed.device.stream(foot);
  stream.push([1]);
  const done: string[] = [];
  const flushed = bed.device.flush().then(() => done.push('flushed'));
  const ended = stream.end().then(() => done.push('ended'));
  await Promise.resolve();
  expect(done).toEqual([]);
  bed.settle();
  await Promise.all([flushed, ended]);
  expect(done).toEqual(['flushed', 'ended']);
});

test('reconnect does not wait for the next attempt', () => {
  const bed = newBed();
  bed.handlers[0]!.closed(1006, '');
  expect(bed.device.status().phase).toBe('waiting');
  bed.device.reconnect();
  expect(bed.device.status().phase).toBe('connecting');
  expect(bed.sent.length).toBe(2);
  bed.device.reconnect();
  expect(bed.sent.length).toBe(2);
});
