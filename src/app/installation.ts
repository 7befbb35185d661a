/**
 * Owns what a server needs to be of use to its first person: an organisation, a key for the printed address, and keys
 * for demo devices. All are made once and kept (credentials.ts).
 */

import pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { createOrganisation, type Accounts } from '#identity/accounts.ts';
import type { Scope } from '#identity/access.ts';
import type { Identity } from '#identity/identity.ts';
import type { Credentials } from '#app/credentials.ts';

const ORGANISATION = 'My organisation';

export interface Installation {
  readonly orgId: string;
  /** The key of the printed address. */
  accessKey(): Promise<string>;
  /** A key that may only read, for a browser that opens the demo. */
  demoKey(): Promise<string>;
  /** The key of the device of this name, which is made when there is none. */
  deviceKey(name: string): Promise<string>;
}

export async function createInstallation(options: {
  ownerUrl: string;
  server: { identity: Identity; accounts: Accounts };
  credentials: Credentials;
  clock: Clock;
}): Promise<Installation> {
  const { credentials, clock } = options;
  const { identity, accounts } = options.server;
  const orgId = await firstOrganisation(options.ownerUrl, clock);
  const keepAccessKey = (slot: string, made: { name: string; scope: Scope }): Promise<string> =>
    credentials.keep(slot, {
      isValid: async (key) => (await identity.authenticateAccess(key)) !== null,
      make: async () => (await accounts.createAccessKey(orgId, made)).key,
    });
  return {
    orgId,
    accessKey: () => keepAccessKey('access', { name: 'printed address', scope: 'admin' }),
    demoKey: () => keepAccessKey('demo', { name: 'demo', scope: 'read' }),
    deviceKey: (name) =>
      credentials.keep(`device ${name}`, {
        isValid: async (key) => (await identity.authenticateDevice(key)) !== null,
        make: async () => (await accounts.createDevice(orgId, name)).key,
      }),
  };
}

/** True when there are recorded sessions, and no demo has ever run beside them. */
export async function holdsOwnSessionsOnly(ownerUrl: string): Promise<boolean> {
  return withClient(ownerUrl, async (client) => {
    const { rows } = await client.query<{ holds: boolean }>(
      `select exists (select from kymo.session where not demo)
          and not exists (select from kymo.session where demo) as holds`,
    );
    return rows[0]?.holds === true;
  });
}

/** The oldest organisation, or a new one in an empty database. Two first starts at once make one. */
function firstOrganisation(ownerUrl: string, clock: Clock): Promise<string> {
  return withClient(ownerUrl, async (client) => {
    await client.query('begin');
    await client.query('lock table kymo.organisation in share row exclusive mode');
    const { rows } = await client.query<{ id: string }>(
      'select id from kymo.organisation order by created_at, id limit 1',
    );
    const id = rows[0]?.id ?? (await createOrganisation(client, { name: ORGANISATION, clock }));
    await client.query('commit');
    return id;
  });
}

async function withClient<T>(ownerUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: ownerUrl });
  // A connection that breaks fails the statement that waits; unheard, it would end the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
