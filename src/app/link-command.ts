/**
 * Owns `kymo link`: prints another one-time link for whoever can read the data directory, while Kymo runs there. It leads
 * past password and second factor, as reading the database does; that it was used is in the audit log.
 */

import { join } from 'node:path';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import { openPools } from '#store/pools.ts';
import { processSources, readConfig, settingsHelp, type Config } from '#app/config.ts';
import { createCredentials } from '#app/credentials.ts';
import { openDatabase, openStateDirectory } from '#app/database.ts';
import { createEntryAddresses } from '#app/entry-address.ts';
import { createInstallation } from '#app/installation.ts';
import { createLog } from '#app/log.ts';
import { parseOwnArguments } from '#app/own-arguments.ts';
import { readyServers, type FoundServer } from '#app/running-servers.ts';

export const linkCommand = {
  help: `Usage: kymo link [--email ADDRESS] [settings]

Prints an address that signs in once, within 15 minutes: as the member with this address, else as the oldest owner (in a
demo, as its clinician). While nobody can sign in yet it leads to the set-up of the first owner.

${settingsHelp()}`,

  async run(args: readonly string[]): Promise<number> {
    const usage = 'kymo link [--email ADDRESS]';
    const { positionals, texts, rest } = parseOwnArguments(args, { email: 'string' }, usage);
    if (positionals.length > 0) throw new AppError('invalid-field', `it is ${usage}`);
    const email = texts.email ?? null;
    const config = readConfig(processSources(rest));
    const [server] = readyServers(openStateDirectory(config));
    if (server === undefined)
      throw new AppError('not-found', 'no Kymo runs on this data directory: start it first (kymo start)');
    const address = await makeLink(config, server, email);
    if (address === null)
      throw new AppError('not-found', `nobody here can be signed in${email === null ? '' : ` as ${email}`}`);
    console.log(address);
    return 0;
  },
};

/** A link into a server that runs on the data directory of `config`. */
export async function makeLink(
  config: Config,
  server: Pick<FoundServer, 'address' | 'demo'>,
  email: string | null,
): Promise<string | null> {
  const log = createLog(config['log-level']);
  const database = await openDatabase(config, { clock, log, onStep: () => undefined, keepSchema: true });
  try {
    const pools = await openPools(database.ownerUrl);
    try {
      const { orgId } = await createInstallation({
        ownerUrl: database.ownerUrl,
        server: {
          identity: createIdentity({ authPool: pools.auth, clock }),
          accounts: createAccounts({ appPool: pools.app, clock }),
        },
        credentials: createCredentials(join(database.stateDir, 'credentials.json')),
        clock,
      });
      const addresses = createEntryAddresses({ authPool: pools.auth, clock });
      return await addresses.ofLink({ url: server.address, orgId, isDemo: server.demo }, email);
    } finally {
      await pools.close();
    }
  } finally {
    await database.stop();
  }
}
