/** Owns `kymo device add NAME`: makes a device and prints its key, once. */

import { join } from 'node:path';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import { openPools } from '#store/pools.ts';
import { processSources, readConfig, settingsHelp } from '#app/config.ts';
import { createCredentials } from '#app/credentials.ts';
import { openDatabase } from '#app/database.ts';
import { createInstallation } from '#app/installation.ts';
import { createLog } from '#app/log.ts';

export const deviceCommand = {
  help: `Usage: kymo device add NAME [settings]\n\nPrints the device key on standard output; only its hash is kept.\n\n${settingsHelp()}`,

  async run([action, name, ...args]: readonly string[]): Promise<number> {
    if (action !== 'add' || name === undefined || name.startsWith('-'))
      throw new AppError('invalid-field', 'kymo device add NAME: say what the device is called');
    const config = readConfig(processSources(args));
    const log = createLog(config['log-level']);
    const database = await openDatabase(config, { clock, log, onStep: () => undefined });
    try {
      const pools = await openPools(database.ownerUrl);
      try {
        const accounts = createAccounts({ appPool: pools.app, clock });
        const installation = await createInstallation({
          ownerUrl: database.ownerUrl,
          server: { identity: createIdentity({ authPool: pools.auth, clock }), accounts },
          credentials: createCredentials(join(database.stateDir, 'credentials.json')),
          clock,
        });
        console.log((await accounts.createDevice(installation.orgId, name)).key);
      } finally {
        await pools.close();
      }
    } finally {
      await database.stop();
    }
    return 0;
  },
};
