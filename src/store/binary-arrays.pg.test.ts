import pg from 'pg';
import { expect, test } from 'vitest';

import { packFloat8s, packInt2s, packInt8s, unpackNumbers } from '#store/binary-arrays.ts';
import { testCluster } from '#test/support/database.ts';

test('numbers go into PostgreSQL and come back, exactly', async () => {
  const client = new pg.Client({ connectionString: testCluster().ownerUrl });
  await client.connect();
  const floats = [0, -0, 0.1, Number.NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308];
  const longs = [0, -1, 4_294_967_296, -4_294_967_297, 2 ** 53, -(2 ** 53), 2 ** 54 + 4];
  const shorts = [0, -1, 32_767, -32_768];
  const { rows } = await client.query<Record<string, Buffer | string>>(
    `select array_send($1::float8[]) as f, array_send($2::int8[]) as l, array_send($3::int2[]) as s,
            array_send($4::float8[]) as none, $2::int8[]::text as texts`,
    [packFloat8s(floats), packInt8s(longs), packInt2s(shorts), packFloat8s([])],
  );
  await client.end();
  const numbers = (name: string): number[] => [...unpackNumbers(rows[0]![name] as Buffer)];
  expect(numbers('f')).toEqual(floats);
  expect(numbers('l')).toEqual(longs);
  expect(numbers('s')).toEqual(shorts);
  expect(numbers('none')).toEqual([]);
  expect(rows[0]!['texts']).toBe(`{${longs.map((value) => BigInt(value)).join(',')}}`);
});
