/** What is given to a person while it is taken away: by another password, by ending all sign-ins, by another process. */

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { createOneTimeTokens } from '#identity/one-time-tokens.ts';
import { createPasswords } from '#identity/passwords.ts';
import { createPersonQueries } from '#identity/person-queries.ts';
import { createLinks } from '#identity/links.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createPerson, openPeople } from '#test/support/people.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

const visitor = { address: '127.0.0.1', userAgent: 'test', isOwnMachine: true };

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

/** Does `act` while a transaction has the person's row as `hold` leaves it, and waits for what it comes to. */
async function whileHeld<T>(
  hold: { readonly text: string; readonly values: readonly unknown[] },
  act: () => Promise<T>,
): Promise<PromiseSettledResult<T>> {
  const client = await owner.connect();
  try {
    await client.query('begin');
    await client.query(hold.text, [...hold.values]);
    const acting = Promise.allSettled([act()]);
    await expect
      .poll(async () => {
        const { rows } = await owner.query<{ waiting: number }>(
          `select count(*)::int as waiting from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return rows[0]!.waiting;
      })
      .toBe(1);
    await client.query('commit');
    return (await acting)[0];
  } finally {
    client.release();
  }
}

async function somebody() {
  const person = await createPerson(pools, { orgId: tenant.orgId, role: 'clinician' });
  const queries = createPersonQueries(pools.auth);
  const { passwordHash } = (await queries.byId(person.id))!;
  return { ...person, queries, passwordHash: passwordHash! };
}

const anotherPassword = (personId: string, hash: string) => ({
  text: 'update kymo.person set password_hash = $2 where id = $1',
  values: [personId, hash],
});

test('a password that was right when it was looked at signs nobody in once it is another', async () => {
  const { id, passwordHash } = await somebody();
  const { signIns } = openPeople(pools).people;
  const other = await createPasswords().hash('another password');
  const outcome = await whileHeld(anotherPassword(id, other), () =>
    signIns.create(id, visitor, { orgId: null, passwordHash }),
  );
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unauthenticated' } });
  expect(await signIns.revokeAll(id, {})).toEqual([]);
  await expect(signIns.create(id, visitor, { orgId: null, passwordHash: other })).resolves.toMatchObject({
    orgId: tenant.orgId,
  });
});

test('ending all sign-ins ends one that was being made', async () => {
  const { id } = await somebody();
  const { signIns } = openPeople(pools).people;
  const outcome = await whileHeld(
    {
      text: `with held as (select id from kymo.person where id = $1 for share)
        insert into kymo.sign_in (id, token_hash, person_id, org_id, expires_at)
        select gen_random_uuid(), sha256($1::text::bytea), id, $2, now() + interval '1 day' from held`,
      values: [id, tenant.orgId],
    },
    () => signIns.revokeAll(id, {}),
  );
  expect(outcome.status === 'fulfilled' && outcome.value).toHaveLength(1);
});

test('a second step that follows from the password before is worth nothing', async () => {
  const { id, passwordHash, queries } = await somebody();
  const oneTime = createOneTimeTokens({ authPool: pools.auth, clock: systemClock });
  const made = { personId: id, orgId: null, lifeMs: 60_000, passwordHash };
  const early = await oneTime.make('second-factor', made);
  await queries.setPassword(id, await createPasswords().hash('another password'));
  const late = await oneTime.make('second-factor', made);
  for (const { token } of [early, late]) expect(await oneTime.attempt('second-factor', token)).toBeNull();
});

test('a sign-in that was ended elsewhere is not exchanged for another one', async () => {
  const person = await somebody();
  const [here, there] = [openPeople(pools).people, openPeople(pools).people];
  const { token } = await here.signIns.create(person.id, visitor, { orgId: null });
  // Remembered there for some seconds, whatever happens here.
  const principal = (await there.signIns.authenticate(token, null))!;
  expect(await here.signIns.revokeAll(person.id, {})).toHaveLength(1);
  await expect(there.own.switchOrganisation(principal, tenant.orgId, visitor)).rejects.toMatchObject({
    code: 'unauthenticated',
  });
  expect((await there.signIns.list(person.id, '')).signIns).toEqual([]);
});

test('a refused change of organisation leaves the sign-in as it is', async () => {
  const person = await somebody();
  const stranger = await createTenant(database.ownerUrl, pools, 'Stranger');
  const { people } = openPeople(pools);
  const { token } = await people.signIns.create(person.id, visitor, { orgId: null });
  const principal = (await people.signIns.authenticate(token, null))!;
  await expect(people.own.switchOrganisation(principal, stranger.orgId, visitor)).rejects.toMatchObject({
    code: 'forbidden',
  });
  expect(await people.signIns.authenticate(token, null)).toEqual(principal);
});

test('changing the organisation again and again does not lengthen a sign-in', async () => {
  const person = await somebody();
  const { people } = openPeople(pools);
  const { token, id, expiresAt } = await people.signIns.create(person.id, visitor, { orgId: null });
  const principal = (await people.signIns.authenticate(token, null))!;
  const ends = new Date(expiresAt.getTime() - 60_000);
  await owner.query('update kymo.sign_in set expires_at = $2 where id = $1', [id, ends]);
  const { made } = await people.own.switchOrganisation(principal, tenant.orgId, visitor);
  expect(made.expiresAt).toEqual(ends);
  expect(await people.signIns.authenticate(made.token, null)).toMatchObject({
    expiresAtUs: ends.getTime() * 1000,
  });
  expect(await people.signIns.authenticate(token, null)).toBeNull();
});

test('a set-up that waited for another one makes no second owner', async () => {
  const links = createLinks({ authPool: pools.auth, clock: systemClock });
  const { entrances } = openPeople(pools).people;
  const { token } = (await links.makeSetUp(tenant.orgId))!;
  // As a set-up does it, by another link, and not committed yet.
  const outcome = await whileHeld(
    {
      text: `with locked as (select pg_advisory_xact_lock(5962132, 0)),
        made as (
          insert into kymo.person (id, email, name, password_hash)
          select gen_random_uuid(), 'first@clinic.example', 'First', $1 from locked returning id)
        insert into kymo.member (org_id, person_id, role) select $2, id, 'owner' from made`,
      values: ['$argon2id$', tenant.orgId],
    },
    () =>
      entrances.setUp(
        { token, email: 'second@clinic.example', name: 'Second', password: 'a new password' },
        visitor,
      ),
  );
  expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unauthenticated' } });
});
