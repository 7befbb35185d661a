/** Owns a server process from its first line to its exit: start in order, wait for a signal, stop in order. */

import { existsSync } from 'node:fs';
import path, { join } from 'node:path';

import { systemClock as clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { assertSafeBinding, dataPlace, processSources, readConfig, type Config } from '#app/config.ts';
import { createCredentials } from '#app/credentials.ts';
import { openDatabase, openStateDirectory, stateDirectoryOf, type Database } from '#app/database.ts';
import { startDemo } from '#app/demo.ts';
import { toDiskError } from '#app/disk-error.ts';
import { createEntryAddresses } from '#app/entry-address.ts';
import { exampleDirectory, loadExtensions, type LoadedExtension } from '#app/extensions/extension-loader.ts';
import { createInstallation, holdsOwnSessionsOnly, type Installation } from '#app/installation.ts';
import { createLifecycle, type Lifecycle } from '#app/lifecycle.ts';
import { makeLink } from '#app/link-command.ts';
import { createLog } from '#app/log.ts';
import { findAbandonedData, noteCheckout } from '#app/moved-clone.ts';
import { openBrowser } from '#app/open-browser.ts';
import { describePortOwner } from '#app/port-owner.ts';
import { claimServer, type FoundServer, type OwnNote } from '#app/running-servers.ts';
import { startServer } from '#app/server.ts';
import { answers } from '#app/server-answer.ts';
import {
  createTlsReload,
  readTlsPair,
  type CertificateFacts,
  type TlsPair,
  type TlsReload,
} from '#app/tls-files.ts';
import { printStep } from '#app/terminal.ts';

/** `demo`: what `kymo demo` and `npm start` ask for; with an external database only `--demo` itself does. */
export async function startCommand(args: readonly string[], options: { demo: boolean }): Promise<number> {
  const config = readConfig(processSources(args));
  assertSafeBinding(config);
  const tls = readTlsPair(config);
  const extensions = await loadExtensions(foldersOf(config));
  const log = createLog(config['log-level']);
  const lifecycle = createLifecycle(clock, log);
  const isNewPlace = config.data === '' && !existsSync(stateDirectoryOf(config));
  const stateDir = openStateDirectory(config);
  if (config.data === '') rememberClone(stateDir, isNewPlace);
  const claim = await claimServer(stateDir, { config, clock, onWait: sayWaiting }).catch((error: unknown) => {
    throw toDiskError(stateDir, error);
  });
  if ('running' in claim) return pointTo(claim.running, config.demo || options.demo, config);
  const { own } = claim;
  // Asked for and not found, a signal during the start still takes the note away: it is the first part of all.
  lifecycle.add('note', () => own.remove());
  const reload = createTlsReload({ config, clock, log });
  lifecycle.add('certificate', () => reload.stop());
  const stopped = stopOnSignal({
    stop: () => {
      own.stopping();
      return lifecycle.stop();
    },
    reload: reload.reload,
  });
  if (tls !== null) warnOfCertificate(tls.facts, log);
  try {
    await start({
      config,
      log,
      lifecycle,
      own,
      extensions,
      isDemoCommand: options.demo,
      tls: tls === null ? null : { ...tls, serve: reload.serve },
    });
  } catch (error) {
    // A signal during the start takes the database away from what was starting: no failure of its own.
    const wasInterrupted = lifecycle.isStopping;
    await lifecycle.stop();
    if (wasInterrupted) return 0;
    throw toDiskError(stateDir, error);
  }
  await stopped;
  // What came up after the signal is stopped as well.
  await lifecycle.stop();
  return 0;
}

function foldersOf(config: Config): readonly string[] {
  return config.extensions.split(',').flatMap((folder) => (folder.trim() === '' ? [] : [folder.trim()]));
}

/** The place of the data follows from the clone's: one that was moved is told where its data stayed. */
function rememberClone(stateDir: string, isNewPlace: boolean): void {
  const abandoned = isNewPlace ? findAbandonedData(stateDir) : null;
  if (abandoned !== null)
    console.log(
      `A new database is made for this clone. The data of the one that was in ${abandoned.checkout} is still there;\n` +
        `to go on with it: npm run kymo -- start --data '${abandoned.directory}'`,
    );
  noteCheckout(stateDir, path.resolve(dataPlace().checkout));
}

/** Brings everything up, in order, and prints the address. */
async function start(options: {
  config: Config;
  log: Log;
  lifecycle: Lifecycle;
  own: OwnNote;
  extensions: readonly LoadedExtension[];
  isDemoCommand: boolean;
  tls: (TlsPair & { serve: TlsReload['serve'] }) | null;
}): Promise<void> {
  const { config, log, lifecycle, tls } = options;
  const database = await openDatabase(config, { clock, log, onStep: printStep });
  lifecycle.add('database', () => database.stop(), 60_000);
  const startedMs = clock.monotonicMs();
  const wantsDemo = config.demo || (options.isDemoCommand && (await mayFeedDemo(database)));
  const installed = Promise.withResolvers<Installation>();
  const server = await startServer({
    config,
    ownerUrl: database.ownerUrl,
    clock,
    log,
    lifecycle,
    extensions:
      wantsDemo && !config.given.has('extensions') && existsSync(exampleDirectory)
        ? await loadExtensions([exampleDirectory])
        : options.extensions,
    demoKey: wantsDemo ? async () => (await installed.promise).demoKey() : null,
    tls,
    mayMovePort: options.isDemoCommand,
  });
  const installation = await createInstallation({
    ownerUrl: database.ownerUrl,
    server,
    credentials: createCredentials(join(database.stateDir, 'credentials.json')),
    clock,
  });
  installed.resolve(installation);
  printStep('Server listening', clock.monotonicMs() - startedMs);
  const port = Number(new URL(server.url).port);
  if (config.port !== 0 && port !== config.port)
    console.log(`Port ${config.port} is in use by ${describePortOwner(config.port)}; took ${port} instead.`);
  const host = new URL(server.url).hostname;
  if (wantsDemo && tls !== null && !tls.facts.isFor(host))
    console.log(`The demo is not fed: its devices connect to ${host}, which the certificate is not for.`);
  else if (wantsDemo) {
    const demo = await startDemo({
      url: server.url,
      orgId: installation.orgId,
      pools: server.pools,
      clock,
      log,
      deviceKey: installation.deviceKey,
      ...(tls === null ? {} : { ca: tls.cert.toString('utf8') }),
    });
    lifecycle.add('demo', () => demo.stop());
  }
  const address = `${server.url}/#key=${await installation.accessKey()}`;
  const { orgId } = installation;
  const entries = createEntryAddresses({ authPool: server.pools.auth, clock });
  const printed = config['print-key']
    ? address
    : await entries.ofStart({ url: server.url, orgId, isDemo: wantsDemo });
  if (lifecycle.isStopping) return;
  options.own.ready({ address, port, demo: wantsDemo });
  console.log(`\nKymo is ready: ${printed}\n${noteOf(printed)}Ctrl-C stops it.\n`);
  if (config.open) await openBrowser(printed, { stateDir: database.stateDir, log });
}

/** What a person must know of the address. */
function noteOf(address: string): string {
  if (address.includes('#link='))
    return 'The link signs in once, on this machine, within 15 minutes; `kymo link` prints another.\n';
  if (address.includes('#setup='))
    return 'The link makes the first owner, once, within a day; `kymo link` prints another.\n';
  return '';
}

/** The demo asked for by the command alone stays away from other people's databases and from recorded data. */
async function mayFeedDemo(database: Database): Promise<boolean> {
  if (!database.isEmbedded) return false;
  if (!(await holdsOwnSessionsOnly(database.ownerUrl))) return true;
  console.log(
    `${database.stateDir} holds recorded sessions and no demo, so the demo is not added to them.\n` +
      'With --demo it is; with --data FOLDER it gets a place of its own.',
  );
  return false;
}

function sayWaiting(pid: number, state: string): void {
  console.log(`Kymo is ${state} here already (process ${pid}); waiting for it.`);
}

/** What a second start does: it says where the first is to be found. */
async function pointTo(running: FoundServer, wantsDemo: boolean, config: Config): Promise<number> {
  if (!(await answers(running.address)))
    throw new AppError(
      'conflict',
      `Kymo runs here already (process ${running.pid}) and does not answer: end it with \`kill -9 ${running.pid}\` and start again`,
    );
  const note = wantsDemo && !running.demo ? '\nIt runs without the demo.' : '';
  const link = config['print-key'] ? running.address : await makeLink(config, running, null);
  console.log(
    `Kymo runs here already: ${link ?? new URL(running.address).origin}\nIt is process ${running.pid}; \`kill ${running.pid}\` stops it.${note}`,
  );
  return 0;
}

function warnOfCertificate(facts: CertificateFacts, log: Log): void {
  const nowMs = clock.nowUs() / 1000;
  const [from, until] = [facts.validFromMs, facts.validToMs].map((ms) => new Date(ms).toISOString());
  if (nowMs > facts.validToMs) log.error('the certificate has expired: clients will refuse it', { until });
  else if (nowMs < facts.validFromMs)
    log.error('the certificate is not valid yet, or the clock is wrong', { from });
}

/**
 * Resolves when everything has stopped after SIGINT or SIGTERM. A second signal ends the process at once. SIGHUP from a
 * terminal says that it was closed; to a service it says that files have changed.
 */
function stopOnSignal({ stop, reload }: { stop: () => Promise<void>; reload: () => void }): Promise<void> {
  return new Promise((resolve) => {
    const isOnTerminal = process.stdout.isTTY || process.stdin.isTTY;
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
    process.on('SIGHUP', isOnTerminal ? onSignal : reload);
  });
}
