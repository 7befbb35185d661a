import fc from 'fast-check';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { readCsv, type CsvReadings } from '#app/analyse/csv-readings.ts';

async function* pieces(text: string, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const heading = 'time_us,time,seq,epoch,acc_x [m/s2],"gyr_y [deg/s]"\r\n';

test('an export is read as it was written, whatever the pieces', async () => {
  const text = `${heading}1000,1970-01-01T00:00:00.001000Z,0,abc,9.5,-0\r\n2000,x,1,abc,NaN,Infinity\r\n`;
  for (const size of [1, 3, 1_000]) {
    const read = await readCsv(pieces(text, size), 'left-foot.csv');
    expect(read.axes).toEqual([
      { name: 'acc_x', unit: 'm/s2' },
      { name: 'gyr_y', unit: 'deg/s' },
    ]);
    expect([...read.timesUs]).toEqual([1_000, 2_000]);
    expect([...read.values]).toEqual([9.5, -0, Number.NaN, Number.POSITIVE_INFINITY]);
  }
});

test('a last line without an end counts, an empty cell is not a number', async () => {
  const read = await readCsv(pieces('time_us,a\n1,\n2,5'), 'a.csv');
  expect([...read.values]).toEqual([Number.NaN, 5]);
});

test.each([
  ['', 'is empty'],
  ['t,a\n1,2\n', 'no column is called time_us'],
  ['time_us,a\n1,2\n3\n', 'line 3: 1 columns, not 2'],
  ['time_us,a\nx,2\n', 'line 2: time_us is no number'],
  ['time_us,a\n1e300,2\n', 'line 2: time_us is no number of microseconds'],
  [`time_us${',a'.repeat(33)}\n`, 'has 33 columns of values, and 32 at most'],
])('%j is refused: %s', async (text, message) => {
  await expect(readCsv(pieces(text), 'a.csv')).rejects.toThrow(message);
});

test('whatever is read, the answer is a table or a coded error', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('time_us', ',', '\n', '\r', '"', '1', 'a [b]', '-', ' ', '\u0000', 'é')),
      async (parts) => {
        const read = await readCsv(pieces(parts.join('')), 'a.csv').catch((error: unknown) => error);
        const isTable =
          !(read instanceof Error) &&
          (read as CsvReadings).values.length ===
            (read as CsvReadings).timesUs.length * (read as CsvReadings).axes.length;
        expect(isTable || read instanceof AppError).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});
