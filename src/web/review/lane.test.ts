import { expect, test } from 'vitest';

import type { StreamDetail } from '#contract/rest.ts';
import { createLane, extentOf, extremesOf, shiftOf, wholePiece } from '#web/review/lane.ts';
import { isGap, readoutAt } from '#web/review/readout.ts';
import { tileOf } from '#test/support/envelope-tiles.ts';

const openedUs = Date.UTC(2026, 4, 3, 12) * 1000;
const detail: StreamDetail = {
  definition: {
    stream: '01900000-0000-7000-8000-000000000001',
    session: '01900000-0000-7000-8000-000000000002',
    segment: 'left-foot',
    sensor: 'imu',
    axes: [{ name: 'acc_x', unit: 'm/s2' }],
    rateHz: 200,
    encoding: 'float32',
    clock: 'device',
  },
  deviceId: '01900000-0000-7000-8000-000000000003',
  openedAt: new Date(openedUs / 1000).toISOString(),
  endedAt: null,
  epochs: [],
};

test('a clock that was never set, or runs far ahead, is placed where the stream was opened', () => {
  expect(shiftOf(detail, 5_000_000)).toBe(openedUs - 5_000_000);
  expect(shiftOf(detail, openedUs + 3 * 86_400e6)).toBe(-3 * 86_400e6);
});

test('a recording that was sent days later keeps its times', () => {
  expect(shiftOf(detail, openedUs - 30 * 86_400e6)).toBe(0);
  expect(shiftOf(detail, openedUs + 60e6)).toBe(0);
});

const values = [1, 2, 9, 4, 5, -3];
const gap = { fromUs: 20_000, toUs: 60_000, readings: 7, state: 'lost', reason: null } as const;
const shiftUs = 1_000_000;

function laneOf(perColumn: number) {
  const whole = { ...tileOf(values, { periodUs: 5_000, perColumn }), gaps: [gap] };
  return { ...createLane(detail), whole, shiftUs, pieces: [wholePiece(whole)] };
}

test('a stream reaches from its first reading to the end of its last', () => {
  expect(extentOf(laneOf(1))).toEqual({ fromUs: shiftUs, toUs: shiftUs + 30_000 });
  expect(extentOf(createLane(detail))).toBeNull();
});

test('extremes are of all axes of a panel, and of what is in the pieces', () => {
  const lane = laneOf(2);
  expect(extremesOf(lane.pieces, lane.groups[0]!)).toEqual({ low: -3, high: 9 });
  expect(extremesOf([], lane.groups[0]!)).toBeNull();
});

test('the crosshair reads the nearest reading, the column, or the gap', () => {
  expect(readoutAt(laneOf(1), shiftUs + 11_000, 4_000)).toMatchObject({
    startUs: shiftUs + 10_000,
    deviceUs: 10_000,
    count: 1,
    axes: [{ min: 9, max: 9 }],
  });
  expect(readoutAt(laneOf(3), shiftUs + 2_000, 4_000)).toMatchObject({
    count: 3,
    axes: [{ min: 1, max: 9 }],
  });
  const inGap = readoutAt(laneOf(1), shiftUs + 45_000, 4_000);
  expect(inGap !== null && isGap(inGap)).toBe(true);
  expect(readoutAt(laneOf(1), shiftUs + 900_000, 4_000)).toBeNull();
});
