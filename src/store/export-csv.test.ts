import { expect, test } from 'vitest';

import { csvBytes } from '#store/export-csv.ts';
import type { StreamExport } from '#store/export-queries.ts';
import { streamDefinition } from '#test/support/tenants.ts';

test('no name that a device gives its axes is a formula to a spreadsheet', async () => {
  const axes = ['acc_x', '=HYPERLINK("http://x.example","y")', '+1', '-1', '@a'].map((name) => ({
    name,
    unit: 'm/s2',
  }));
  const source: StreamExport = {
    deviceId: '01900000-0000-7000-8000-0000000000d1',
    definition: { ...streamDefinition(), axes },
    readings: 0,
    async *blocks() {},
  };
  let text = '';
  for await (const piece of csvBytes(source)) text += Buffer.from(piece).toString('utf8');
  expect(text).toBe(
    `time_us,time,seq,epoch,acc_x [m/s2],"'=HYPERLINK(""http://x.example"",""y"") [m/s2]",'+1 [m/s2],'-1 [m/s2],'@a [m/s2]\r\n`,
  );
});
