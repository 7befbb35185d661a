import { afterAll, beforeAll, expect, test } from 'vitest';

import { eraseAgain, erasureLines, parseErasures } from '#clinic/erasure-list.ts';
import { openTestClinic, type TestClinic } from '#test/support/clinic.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

async function listed(): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of erasureLines(clinic.owner)) lines.push(line);
  return lines;
}

test('a list longer than a page has everything once, and is taken in batches', async () => {
  const { owner, pools, tenant } = clinic;
  await owner.query(
    `insert into kymo.erased (org_id, kind, id) select $1, kind, gen_random_uuid()
       from unnest(array['session', 'stream']) kind, generate_series(1, 1050)`,
    [tenant.orgId],
  );
  await owner.query(
    'insert into kymo.erased_patient (org_id, patient_id) select $1, gen_random_uuid() from generate_series(1, 1000)',
    [tenant.orgId],
  );
  const lines = await listed();
  expect(lines).toHaveLength(3_101);
  expect(new Set(lines).size).toBe(3_101);
  await owner.query('delete from kymo.erased');
  await owner.query('delete from kymo.erased_patient');
  const elsewhere = JSON.stringify({ ...JSON.parse(lines[0]!), org: '01900000-0000-7000-8000-000000000000' });
  const given = async function* (): AsyncGenerator<string> {
    yield* lines;
    yield elsewhere;
    yield '{"end":1}';
  };
  const record = (): Promise<void> => Promise.reject(new Error('nothing is erased here'));
  const outcome = await eraseAgain({ owner, pools, record }, parseErasures(given()));
  expect(outcome).toEqual({ erased: 0, remembered: 3_100, elsewhere: 1, held: { count: 0, named: [] } });
  expect(await listed()).toEqual(lines);
});
