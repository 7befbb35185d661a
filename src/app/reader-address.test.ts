import { expect, test } from 'vitest';

import { readerAddress } from '#app/reader-address.ts';

const reader = { role: 'kymo_reader_x', password: 'p-_1' };

test.each([
  [
    'postgresql://kymo_owner:secret@%2Ftmp%2Fkymo-1:5432/kymo',
    'psql "host=/tmp/kymo-1 port=5432 dbname=kymo user=kymo_reader_x"',
  ],
  [
    'postgres://owner:s%40@db.example:6000/kymo?sslmode=verify-full&application_name=a%20b',
    `psql "host=db.example port=6000 dbname=kymo sslmode=verify-full application_name='a b' user=kymo_reader_x"`,
  ],
  [
    'postgresql://owner@localhost/kymo?host=/var/run/postgresql&password=secret',
    'psql "host=/var/run/postgresql port=5432 dbname=kymo user=kymo_reader_x"',
  ],
])('%s is reached by a reader, without the password of its owner', (ownerUrl, psql) => {
  const address = readerAddress(ownerUrl, reader);
  expect(address.psql).toBe(psql);
  expect(address.url).toContain(reader.role);
  expect(address.url).not.toMatch(/secret|owner|s%40/);
});
