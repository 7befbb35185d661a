import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { createKeyStore } from '#clinic/key-store.ts';
import { rewrapKeys, usedMasterKeys } from '#clinic/key-rotation.ts';
import { masterKeyOf, newKey, type MasterKeys } from '#clinic/master-keys.ts';
import { createRecords } from '#clinic/records.ts';
import { openTestClinic, type TestClinic } from '#test/support/clinic.ts';
import { testCache } from '#test/support/records-api.ts';

let clinic: TestClinic;

beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

const who = {
  name: 'Müller, Änne 𝒳',
  birthDate: '1944-02-29',
  recordNumber: 'K-4711',
  phone: '030 123456',
  email: 'aenne@example.org',
  address: 'Straße 1\n12345 Ort',
};

function recordsWith(masters: MasterKeys) {
  return createRecords({ app: clinic.pools.app, clock: systemClock, cache: testCache(), masters });
}

test('identifiers are stored, read, changed one by one and removed', async () => {
  const { records, staff, make } = clinic;
  const { id } = await make({ identifiers: who });
  expect(await records.identifiers.read(staff, id)).toEqual(who);
  const changed = await records.identifiers.change(staff, id, { phone: null, name: 'Anne Miller' });
  const { phone: _, ...rest } = { ...who, name: 'Anne Miller' };
  expect(changed).toEqual(rest);
  expect((await records.search.find(staff, 'Müller Änne 𝒳')).patientIds).toEqual([]);
  expect((await records.search.find(staff, 'miller anne')).patientIds).toEqual([id]);
  await expect(records.identifiers.change(staff, id, { name: 'x\ud800' })).rejects.toMatchObject({
    code: 'invalid-field',
  });
});

test('a record number is one patient’s', async () => {
  const { records, staff, make } = clinic;
  await make({ identifiers: { recordNumber: 'Same 1' } });
  await expect(make({ identifiers: { recordNumber: 'SAME-1' } })).rejects.toMatchObject({
    code: 'conflict',
    field: '/identifiers/recordNumber',
  });
  const { id } = await make();
  await expect(records.identifiers.change(staff, id, { recordNumber: 'same1' })).rejects.toMatchObject({
    code: 'conflict',
    field: '/recordNumber',
  });
});

test('nothing that names a patient is in the database in clear', async () => {
  const { make, owner } = clinic;
  const { id } = await make({ identifiers: { ...who, recordNumber: 'K-clear' } });
  const { rows: tables } = await owner.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = 'kymo'::regnamespace and c.relkind = 'r'`,
  );
  const needles = Object.values({ ...who, recordNumber: 'K-clear' }).flatMap((text) => [
    text.split('\n')[0]!,
    Buffer.from(text).toString('hex'),
  ]);
  let read = 0;
  for (const { name } of tables) {
    const { rows } = await owner.query<{ text: string }>(`select t::text as text from kymo.${name} t`);
    read += rows.length;
    for (const { text } of rows) expect(needles.filter((needle) => text.includes(needle))).toEqual([]);
  }
  expect(read).toBeGreaterThan(10);
  // The same value of two patients looks different, except to the search of its own organisation.
  const { rows } = await owner.query<{ sealed: string }>(
    `select encode(sealed, 'hex') as sealed from kymo.patient_identifier where kind = 'name'`,
  );
  expect(new Set(rows.map(({ sealed }) => sealed)).size).toBe(rows.length);
  expect(id).not.toBe('');
});

test('what was moved to another patient or kind, or changed, opens nothing', async () => {
  const { records, staff, make, owner } = clinic;
  const one = await make({ identifiers: { name: 'One', address: 'A' } });
  const two = await make({ identifiers: { name: 'Two' } });
  const moves = [
    [
      `update kymo.patient_identifier t set sealed = s.sealed from kymo.patient_identifier s
       where t.patient_id = $1 and t.kind = 'name' and s.patient_id = $1 and s.kind = 'address'`,
      [one.id],
    ],
    [
      `update kymo.patient_identifier t set sealed = s.sealed from kymo.patient_identifier s
       where t.patient_id = $1 and t.kind = 'name' and s.patient_id = $2 and s.kind = 'name'`,
      [one.id, two.id],
    ],
    [
      `update kymo.patient_identifier set sealed = set_byte(sealed, length(sealed) - 20, 0) || 'x'::bytea
       where patient_id = $1 and kind = 'name'`,
      [one.id],
    ],
    [
      `update kymo.patient_key t set wrapped = s.wrapped from kymo.patient_key s
       where t.patient_id = $1 and s.patient_id = $2`,
      [one.id, two.id],
    ],
  ] as const;
  for (const [statement, values] of moves) {
    await owner.query(statement, [...values]);
    await expect(records.identifiers.read(staff, one.id)).rejects.toMatchObject({ code: 'conflict' });
  }
  expect(await records.identifiers.read(staff, two.id)).toEqual({ name: 'Two' });
});

test('without the master key nothing is read, and the refusal says which key is missing', async () => {
  const { staff, make, masters } = clinic;
  const { id } = await make({ identifiers: { name: 'Kept' } });
  const stranger = masterKeyOf(newKey());
  const elsewhere = recordsWith({ current: async () => stranger, find: async () => null });
  const missing = (await masters.current()).id;
  await expect(elsewhere.identifiers.read(staff, id)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(missing) as string,
  });
});

test('a rotation wraps every key anew, goes on where it stopped, and leaves what it cannot open', async () => {
  const { records, staff, make, owner, masters } = clinic;
  const { id } = await make({ identifiers: { name: 'Rotated' } });
  const before = await masters.current();
  const next = masterKeyOf(newKey());
  const ring: MasterKeys = {
    current: async () => next,
    find: async (key) => [next, before].find((one) => one.id === key) ?? null,
  };
  const { rows } = await owner.query(
    `select (select count(*) from kymo.patient_key) + (select count(*) from kymo.organisation_key) as n`,
  );
  // The key of the test before was moved to another patient: it opens nothing, so it is taken out.
  await owner.query(
    `delete from kymo.patient_key k where exists (select from kymo.patient_key o where o.wrapped = k.wrapped and o.patient_id <> k.patient_id)`,
  );
  await owner.query(
    `update kymo.patient_key set master_key_id = 'ffffffffffffffff' where patient_id = (
    select patient_id from kymo.patient_key where patient_id <> $1 limit 1)`,
    [id],
  );
  const done = await rewrapKeys(owner, ring);
  expect(done.unknown).toBe(1);
  expect(done.rewrapped).toBeGreaterThan(2);
  expect(done.rewrapped).toBeLessThan(Number((rows[0] as { n: string }).n));
  expect(await usedMasterKeys(owner)).toEqual(new Set([next.id, 'ffffffffffffffff']));
  expect(await rewrapKeys(owner, ring)).toEqual({ rewrapped: 0, unknown: 1 });
  const after = recordsWith({ current: ring.current, find: async (key) => (key === next.id ? next : null) });
  expect(await after.identifiers.read(staff, id)).toEqual({ name: 'Rotated' });
  expect((await after.search.find(staff, 'rotated')).patientIds).toEqual([id]);
  await expect(records.identifiers.read(staff, id)).rejects.toMatchObject({ code: 'conflict' });
});

test('a patient without a key gets one, and several at once get the same', async () => {
  const { pools, staff, owner, make } = clinic;
  const { id } = await make();
  await owner.query('delete from kymo.patient_key where patient_id = $1', [id]);
  const only = masterKeyOf(newKey());
  const keys = createKeyStore({
    app: pools.app,
    masters: { current: async () => only, find: async () => only },
  });
  const made = await Promise.all([1, 2, 3, 4].map(() => keys.patientKey(staff, id)));
  expect(new Set(made.map((key) => key!.toString('hex'))).size).toBe(1);
  expect(await keys.patientKey(clinic.foreign, id)).toBe(null);
});
