import { expect, test } from 'vitest';

import type { LiveFrame } from '#protocol/live-codec.ts';
import {
  createLiveStream,
  drawStream,
  inspectStream,
  receiveFrame,
  reportStream,
  silentSinceMs,
  timeDrawn,
  type LiveStream,
} from '#web/live/live-stream.ts';
import { INSPECTED_READINGS } from '#web/live/worker-messages.ts';

/** Device and server clocks agree; a reading every 10 ms, its two values known from its number. */
function frame(firstSeq: number, count = 5): LiveFrame {
  const values = new DataView(new ArrayBuffer(count * 8));
  for (let i = 0; i < count; i++) {
    values.setFloat32(i * 8, firstSeq + i, true);
    values.setFloat32(i * 8 + 4, -(firstSeq + i), true);
  }
  const sentUs = (firstSeq + count) * 10_000;
  return {
    streamId: 's',
    epoch: '00000000000000aa',
    count,
    firstSeq,
    firstUs: firstSeq * 10_000,
    periodNs: 10_000_000,
    deltasUs: null,
    payload: new Uint8Array(values.buffer),
    liveOnly: false,
    sentUs,
    arrivalUs: sentUs + 4_000,
    offsetUs: 0,
  };
}

function stream(): LiveStream {
  const created = createLiveStream(
    {
      stream: 's',
      session: 'x',
      segment: 'left-foot',
      sensor: 'imu',
      axes: [
        { name: 'acc_x', unit: 'm/s2' },
        { name: 'acc_y', unit: 'm/s2' },
      ],
      rateHz: 100,
      encoding: 'float32',
      clock: 'device',
    },
    0,
  );
  created.painter = { resize() {}, setView() {}, invalidate() {}, paint: () => true };
  created.isVisible = true;
  return created;
}

/** Received 3 ms after publishing, which was 1 ms after arrival. */
function receive(target: LiveStream, firstSeq: number, count = 5, isClockKnown = true): number | null {
  const sent = (firstSeq + count) * 10;
  return receiveFrame(target, frame(firstSeq, count), {
    nowMs: sent + 8,
    publishedUs: (sent + 5) * 1000,
    isClockKnown,
  });
}

test('the parts of the latency of what is drawn add up to its age', () => {
  const s = stream();
  expect(receive(s, 0)).toBe(58);
  timeDrawn(s, -1, 60);
  expect(reportStream(s, 60).latency.total).toBeNull();
  timeDrawn(s, 0, 75);
  const { latency } = reportStream(s, 75);
  const p50 = Object.fromEntries(Object.entries(latency).map(([part, value]) => [part, value?.p50]));
  expect(p50).toEqual({
    batching: 50,
    network: 4,
    server: 1,
    delivery: 3,
    paint: 17,
    handler: 8,
    pixel: 25,
    total: 75,
  });
});

test('before the clock of the server is known, the last leg is not told', () => {
  const s = stream();
  receive(s, 0, 5, false);
  timeDrawn(s, 0, 75);
  const { latency } = reportStream(s, 75);
  expect(latency.delivery).toBeNull();
  expect(latency.network).toEqual({ p50: 4, p99: 4 });
});

test('a stream out of sight has no latency on the screen and nothing drawn', () => {
  const s = stream();
  s.isVisible = false;
  receive(s, 0);
  expect(drawStream(s, 100, () => false)).toBe(false);
  timeDrawn(s, 100, 100);
  expect(reportStream(s, 100).latency.paint).toBeNull();
  expect(inspectStream(s, 100, 100).drawn).toBeNull();
  expect(s.undrawn.size).toBe(0);
});

test('frames that are never drawn are dropped, counted, from the oldest', () => {
  const s = stream();
  for (let i = 0; i < 300; i++) receive(s, i * 5);
  expect(s.undrawn.dropped).toBe(44);
});

test('inspection gives the readings up to the head, and no later one', () => {
  const s = stream();
  for (let i = 0; i < 4; i++) receive(s, 100 + i * 5);
  const inspected = inspectStream(s, 1100.1, 1300);
  expect(inspected).toMatchObject({ segment: 'left-foot', epoch: '00000000000000aa', lastSeq: 110 });
  expect(inspected.drawn?.firstSeq).toBe(100);
  expect(inspected.drawn?.values).toHaveLength(11);
  expect(inspected.drawn?.values.at(-1)).toEqual([110, -110]);
});

test('inspection gives an unbroken run only, and not more than its maximum', () => {
  const s = stream();
  receive(s, 0);
  for (let i = 0; i < 10; i++) receive(s, 50 + i * 50, 50);
  expect(inspectStream(s, 800, 9000).drawn?.firstSeq).toBe(50);
  const whole = inspectStream(s, 9000, 9000).drawn;
  expect(whole?.values).toHaveLength(INSPECTED_READINGS);
  expect(whole?.firstSeq).toBe(550 - INSPECTED_READINGS);
});

test('a sensor that stops is silent since its last reading, and its last value is not shown as present', () => {
  const s = stream();
  expect(silentSinceMs(s, 1e6)).toBeNull();
  receive(s, 0);
  expect(silentSinceMs(s, 300)).toBeNull();
  expect(reportStream(s, 300)).toMatchObject({ isSilent: false, latest: [4, -4] });
  expect(silentSinceMs(s, 1000)).toBe(40);
  expect(reportStream(s, 1000)).toMatchObject({
    isSilent: true,
    latest: [null, null],
    lastReadingAgeMs: 960,
  });
});

test('loss and gaps are not told before the live channel has told of them', () => {
  const s = stream();
  receive(s, 0);
  expect(reportStream(s, 60)).toMatchObject({ lost: null, pending: null });
  s.trace.settlement.takeProgress({
    stream: 's',
    epoch: '00000000000000aa',
    next: 2,
    ranges: [[4, 5]],
    lost: 1,
  });
  expect(reportStream(s, 60)).toMatchObject({ lost: 1, pending: 2 });
});
