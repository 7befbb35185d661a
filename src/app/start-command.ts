/** Owns a server process from its first line to its exit: start in order, wait for a signal, stop in order. */

import { join } from 'node:path';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { assertSafeBinding, processSources, readConfig } from '#app/config.ts';
import { createCredentials } from '#app/credentials.ts';
import { openDatabase } from '#app/database.ts';
import { startDemo } from '#app/demo.ts';
import { createLifecycle } from '#app/lifecycle.ts';
import { createLog } from '#app/log.ts';
import { createInstallation, type Installation } from '#app/installation.ts';
import { startServer } from '#app/server.ts';
import { printStep } from '#app/terminal.ts';

/** `demo`: what `kymo demo` and `npm start` ask for; with an external database only `--demo` itself does. */
export async function startCommand(args: readonly string[], options: { demo: boolean }): Promise<number> {
  const config = readConfig(processSources(args));
  assertSafeBinding(config);
  const log = createLog(config['log-level']);
  const lifecycle = createLifecycle(clock, log);
  const stopped = stopOnSignal(() => lifecycle.stop());
  try {
    const database = await openDatabase(config, { clock, log, onStep: printStep });
    lifecycle.add('database', () => database.stop(), 60_000);
    const startedMs = clock.monotonicMs();
    const wantsDemo = config.demo || (options.demo && database.isEmbedded);
    const installed = Promise.withResolvers<Installation>();
    const server = await startServer({
      config,
      ownerUrl: database.ownerUrl,
      clock,
      log,
      lifecycle,
      demoKey: wantsDemo ? async () => (await installed.promise).demoKey() : null,
    });
    const installation = await createInstallation({
      ownerUrl: database.ownerUrl,
      server,
      credentials: createCredentials(join(database.stateDir, 'credentials.json')),
      clock,
    });
    installed.resolve(installation);
    printStep('Server listening', clock.monotonicMs() - startedMs);
    if (wantsDemo) {
      const demo = await startDemo({
        url: server.url,
        orgId: installation.orgId,
        pools: server.pools,
        clock,
        log,
        deviceKey: installation.deviceKey,
      });
      lifecycle.add('demo', () => demo.stop());
    }
    const key = await installation.accessKey();
    if (!lifecycle.isStopping) console.log(`\nKymo is ready: ${server.url}/#key=${key}\nCtrl-C stops it.\n`);
  } catch (error) {
    // A signal during the start takes the database away from what was starting: no failure of its own.
    const wasInterrupted = lifecycle.isStopping;
    await lifecycle.stop();
    if (wasInterrupted) return 0;
    if (isAddressInUse(error))
      throw new AppError(
        'conflict',
        `port ${config.port} is in use: choose another with --port, or 0 for a free one`,
        { cause: error },
      );
    throw error;
  }
  await stopped;
  // What came up after the signal is stopped as well.
  await lifecycle.stop();
  return 0;
}

/** Resolves when everything has stopped after SIGINT or SIGTERM. A second signal ends the process at once. */
function stopOnSignal(stop: () => Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (isStopping) process.exit(130);
      isStopping = true;
      if (signal === 'SIGINT' && process.stdout.isTTY)
        console.log('\nStopping: what was received is being committed.');
      void stop().then(resolve);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function isAddressInUse(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'EADDRINUSE';
}
