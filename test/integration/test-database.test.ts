/** Owns the proof that databases for tests are separate, migrated and removable. */

import pg from 'pg';
import { expect, test } from 'vitest';

import { createTestDatabase } from '#test/support/database.ts';

test('each test database has the schema and its own rows', async () => {
  const [a, b] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  const clients = [a, b].map(({ ownerUrl }) => new pg.Client({ connectionString: ownerUrl }));
  const [first, second] = clients;
  for (const client of clients) await client.connect();

  await first?.query('create table mine ()');
  await expect(second?.query('table mine')).rejects.toMatchObject({ code: '42P01' });
  const found = await second?.query(`select to_regnamespace('kymo') is not null as migrated`);
  expect(found?.rows).toEqual([{ migrated: true }]);

  for (const client of clients) await client.end();
  await Promise.all([a.drop(), b.drop()]);
  await expect(new pg.Client({ connectionString: a.ownerUrl }).connect()).rejects.toMatchObject({
    code: '3D000',
  });
});
