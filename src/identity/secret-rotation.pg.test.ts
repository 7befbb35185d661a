import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { createSealedTexts } from '#identity/sealed-texts.ts';
import { createSecondFactors, type SecondFactors } from '#identity/second-factors.ts';
import { createSecretBox, type MasterKeySource } from '#identity/secret-box.ts';
import { resealSecrets, usedSecretKeys } from '#identity/secret-rotation.ts';
import { codeOfStep, stepAt } from '#identity/totp.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createPerson } from '#test/support/people.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'Here');
});

afterAll(async () => {
  await pools.close();
  await owner.end();
  await database.drop();
});

/** A ring of keys, the current one first. */
function keysOf(...fills: number[]): MasterKeySource {
  const ring = fills.map((fill) => ({ id: idOf(fill), key: Buffer.alloc(32, fill) }));
  return { current: async () => ring[0]!, find: async (id) => ring.find((key) => key.id === id) ?? null };
}

const idOf = (fill: number): string => fill.toString(16).padStart(16, '0');

const factorsWith = (masters: MasterKeySource): SecondFactors =>
  createSecondFactors({
    authPool: pools.auth,
    clock: systemClock,
    box: createSecretBox(masters),
    issuer: 'Kymo',
  });

test('second factors, their back-up codes and secrets of webhooks outlive the master keys under which they were made', async () => {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const factors = factorsWith(keysOf(1));
  await factors.enrol(person);
  const { rows } = await owner.query<{ secret: Buffer }>('select secret from kymo.two_factor');
  const { secret } = await createSecretBox(keysOf(1)).open(rows[0]!.secret, person.id);
  let step = stepAt(systemClock.nowUs()) - 1;
  const codes = (await factors.confirm(person.id, codeOfStep(secret, step++)))!;

  const texts = createSealedTexts(createSecretBox(keysOf(1)));
  const [sealed, clear] = [uuidv7(systemClock), uuidv7(systemClock)];
  const plain = `whsec_${'A'.repeat(44)}`;
  for (const [id, kept] of [
    [sealed, await texts.seal(plain, sealed)],
    [clear, plain],
  ])
    await owner.query(
      `insert into kymo.webhook_endpoint (id, org_id, url, secret, previous_secret)
        values ($1, $2, 'https://example.org/', $3, $3)`,
      [id, tenant.orgId, kept],
    );
  expect(await usedSecretKeys(owner)).toEqual(new Set([idOf(1)]));

  expect(await resealSecrets(owner, keysOf(2, 1))).toEqual({ resealed: 5, unknown: 0 });
  expect(await resealSecrets(owner, keysOf(2, 1))).toEqual({ resealed: 0, unknown: 0 });
  expect(await resealSecrets(owner, keysOf(3, 2))).toEqual({ resealed: 5, unknown: 0 });
  expect(await usedSecretKeys(owner)).toEqual(new Set([idOf(3)]));

  const later = factorsWith(keysOf(3));
  expect(await later.use(person.id, codeOfStep(secret, step++))).toBe('totp');
  expect(await later.use(person.id, codes[0]!)).toBe('backup-code');
  expect(await later.use(person.id, codes[0]!)).toBeNull();
  const renewed = await later.renewBackupCodes(person.id);
  expect(await later.use(person.id, renewed[9]!)).toBe('backup-code');
  const kept = await owner.query<{ id: string; secret: string; previous_secret: string }>(
    'select id, secret, previous_secret from kymo.webhook_endpoint',
  );
  const laterTexts = createSealedTexts(createSecretBox(keysOf(3)));
  for (const row of kept.rows)
    for (const text of [row.secret, row.previous_secret]) {
      expect(text).not.toContain(plain);
      expect(await laterTexts.open(text, row.id)).toBe(plain);
    }
});

test('what is sealed under a key that is not here is counted and left', async () => {
  const before = await owner.query('select secret from kymo.two_factor');
  const done = await resealSecrets(owner, keysOf(9));
  expect(done.unknown).toBe(5);
  expect((await owner.query('select secret from kymo.two_factor')).rows).toEqual(before.rows);
});
