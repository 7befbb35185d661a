/**
 * Owns people for tests: members of an organisation with a role, and the cookie of a sign-in of theirs. With a database at
 * hand they are written into it; against a server that only speaks HTTP they are invited and accept.
 */

import { randomUUID } from 'node:crypto';

import { silentLog } from '#base/log.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { InvitationCreated } from '#contract/account.ts';
import type { MemberRole } from '#contract/permissions.ts';
import type { IdentityMail } from '#identity/entrances.ts';
import type { Identity } from '#identity/identity.ts';
import type { IdentityEvent } from '#identity/identity-events.ts';
import { createPasswords } from '#identity/passwords.ts';
import { createPeople, type People } from '#identity/people.ts';
import { createPrincipals, type Principals } from '#identity/principals.ts';
import { createRevocations } from '#identity/revocations.ts';
import type { MasterKeySource } from '#identity/secret-box.ts';
import type { Pools } from '#store/pools.ts';

export interface TestPerson {
  readonly id: string;
  readonly orgId: string;
  readonly role: MemberRole;
  readonly email: string;
  readonly password: string;
}

const PASSWORD = 'a walk in the park';
let passwordHash: Promise<string> | undefined;

const key = Buffer.alloc(32, 7);
/** A master key that every test has. */
export const testMasters: MasterKeySource = {
  current: async () => ({ id: '0011223344556677', key }),
  find: async (id) => (id === '0011223344556677' ? { id, key } : null),
};

/** People over the pools of a test, with what they told and were sent. */
export function openPeople(
  pools: Pools,
  clock: Clock = systemClock,
): { people: People; events: IdentityEvent[]; mails: IdentityMail[] } {
  const events: IdentityEvent[] = [];
  const mails: IdentityMail[] = [];
  const people = createPeople({
    appPool: pools.app,
    authPool: pools.auth,
    clock,
    log: silentLog,
    masters: testMasters,
    sendMail: async (mail) => void mails.push(mail),
    onEvent: (event) => events.push(event),
  });
  return { people, events, mails };
}

/** The parts of an API under test in which people sign in. */
export function peopleApi(people: People, identity: Identity): { people: People; principals: Principals } {
  const revocations = createRevocations(systemClock);
  return {
    people,
    principals: createPrincipals({ identity, tokens: null, revocations, signIns: people.signIns }),
  };
}

/** Somebody new, a member of the organisation at once. A patient's account names its patient. */
export async function createPerson(
  pools: Pools,
  given: { orgId: string; role: MemberRole; patientId?: string; name?: string },
): Promise<TestPerson> {
  passwordHash ??= createPasswords().hash(PASSWORD);
  const { orgId, role } = given;
  const id = uuidv7(systemClock);
  const email = `${role}-${id}@clinic.example`;
  await pools.auth.run([
    {
      text: `insert into kymo.person (id, email, name, password_hash, password_set_at) values ($1, $2, $3, $4, now())`,
      values: [id, email, given.name ?? `A ${role}`, await passwordHash],
    },
    {
      text: `insert into kymo.member (org_id, person_id, role, patient_id, created_by) values ($1, $2, $3, $4, 'test')`,
      values: [orgId, id, role, given.patientId ?? null],
    },
  ]);
  return { id, orgId, role, email, password: PASSWORD };
}

/** The Cookie header of a new sign-in, as a browser without TLS sends it; what changes something also needs `origin`. */
export async function signIn(pools: Pools, person: Pick<TestPerson, 'id' | 'orgId'>): Promise<string> {
  const { signIns } = openPeople(pools).people;
  const visitor = { address: '127.0.0.1', userAgent: 'test', isOwnMachine: true };
  return `kymo.session=${(await signIns.create(person.id, visitor, { orgId: person.orgId })).token}`;
}

/** Somebody who was invited with `key` (scope admin) and accepted, over HTTP; the headers of their requests. */
export async function joinOver(
  origin: string,
  invited: { key: string; role: MemberRole; patientId?: string },
): Promise<{ email: string; password: string; headers: { cookie: string; origin: string } }> {
  const email = `${invited.role}-${randomUUID()}@clinic.example`;
  const send = async (path: string, body: object, headers: object): Promise<Response> => {
    const response = await fetch(`${origin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const { role, patientId } = invited;
  const made = (await (
    await send(
      '/v1/invitations',
      { email, role, ...(patientId === undefined ? {} : { patientId }) },
      { authorization: `Bearer ${invited.key}` },
    )
  ).json()) as InvitationCreated;
  const accepted = await send(
    '/v1/account/invitations/accept',
    { token: made.token, name: `A ${role}`, password: PASSWORD },
    { origin },
  );
  const cookie = accepted.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  return { email, password: PASSWORD, headers: { cookie, origin } };
}
