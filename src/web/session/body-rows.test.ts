import { expect, test } from 'vitest';

import type { StreamDetail } from '#contract/rest.ts';
import { bodyRows } from '#web/session/body-rows.ts';

const streams = (...segments: string[]): StreamDetail[] =>
  segments.map((segment, i) => ({
    definition: {
      stream: String(i),
      session: '',
      segment,
      sensor: 'imu',
      axes: [],
      rateHz: 1,
      encoding: 'float32',
      clock: 'device',
    },
    deviceId: '',
    openedAt: '',
    endedAt: null,
    epochs: [],
  }));

const names = (...segments: string[]): string[][] =>
  bodyRows(streams(...segments)).map((row) => row.map((cell) => cell.stream.definition.segment));

test('left stands beside right, the body runs from head to foot', () => {
  expect(names('right-foot', 'left-shank', 'left-foot', 'pelvis', 'right-shank')).toEqual([
    ['pelvis'],
    ['left-shank', 'right-shank'],
    ['left-foot', 'right-foot'],
  ]);
});

test('what is no part of a body comes last, in its own order', () => {
  expect(names('spindle', 'gearbox', 'foot_l')).toEqual([['foot_l'], ['spindle'], ['gearbox']]);
});

test('two sensors on one segment have a row each', () => {
  expect(names('left-foot', 'left-foot', 'right-foot')).toEqual([['left-foot', 'right-foot'], ['left-foot']]);
});
