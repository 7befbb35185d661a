import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import type { ExportStream } from '#contract/export.ts';
import { parseFormat, parseTime, planFiles } from '#app/export-plan.ts';

function streamOf(stream: string, segment: string): ExportStream {
  return {
    definition: {
      stream,
      session: 's',
      segment,
      sensor: 'imu',
      axes: [{ name: 'x', unit: 'm' }],
      rateHz: 100,
      encoding: 'float32',
      clock: 'device',
    },
    deviceId: 'd',
    openedAt: '2026-11-22T08:00:00Z',
    endedAt: null,
    epochs: [
      {
        epoch: '1',
        openedAt: '2026-11-22T08:00:00Z',
        stored: [
          [0, 10],
          [20, 25],
        ],
        gaps: [],
        tailLost: false,
      },
    ],
  };
}

test.each([
  ['1763800200000000', 1_763_800_200_000_000],
  ['-1', -1],
  ['2025-11-22T08:30:00Z', 1_763_800_200_000_000],
  ['2025-11-22T08:30Z', 1_763_800_200_000_000],
  ['2025-11-22T09:30:00.000001+01:00', 1_763_800_200_000_001],
  ['1969-12-31T23:59:59.5Z', -500_000],
])('the time %s is %i us', (text, us) => {
  expect(parseTime('from', text)).toBe(us);
});

test.each(['2025-11-22T08:30:00', 'yesterday', '2025-13-01T00:00:00Z', '1.5', ''])(
  'the time "%s" is refused with what to give',
  (text) => {
    expect(() => parseTime('from', text)).toThrow(
      /--from .*give microseconds since 1970, or a time with its zone/,
    );
  },
);

test('no time means no bound, and an unknown format is refused with the known ones', () => {
  expect(parseTime('to', undefined)).toBe(null);
  expect(parseFormat('parquet')).toBe('parquet');
  expect(() => parseFormat('xlsx')).toThrow('csv or parquet');
});

test('files are named by segment and id, whatever a segment is called', () => {
  const streams = [
    streamOf('1', 'left-foot'),
    streamOf('2', '../../etc/passwd'),
    streamOf('3', 'Ärm 2'),
    streamOf('4', '"'),
  ];
  const files = planFiles(streams, { format: 'csv', wanted: undefined });
  expect(files.map(({ name }) => name)).toEqual([
    'left-foot-1.csv',
    'etc-passwd-2.csv',
    'rm-2-3.csv',
    'stream-4.csv',
  ]);
  expect(files[0]?.stored).toBe(15);
});

test('streams are chosen by id or segment, and one that is not there is an error', () => {
  const streams = [streamOf('1', 'left-foot'), streamOf('2', 'right-foot'), streamOf('3', 'pelvis')];
  const chosen = planFiles(streams, { format: 'parquet', wanted: '3, left-foot' });
  expect(chosen.map(({ name }) => name)).toEqual(['left-foot-1.parquet', 'pelvis-3.parquet']);
  expect(() => planFiles(streams, { format: 'csv', wanted: 'head' })).toThrow(AppError);
});
