/**
 * Owns the joining of all parts into one server, in the order in which they depend on each other: identity, store,
 * ingest, live, API. Each part is handed what it needs; none looks for it. Stopping goes the other way: devices and
 * viewers are told first, what they sent is committed, connections to the database end last.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { systemRandom } from '#base/random.ts';
import { ok } from '#base/result.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import type { AccessIdentity } from '#identity/access.ts';
import { createAccounts, type Accounts } from '#identity/accounts.ts';
import { createIdentity, type Identity } from '#identity/identity.ts';
import { createGateway, defaultGatewayConfig } from '#ingest/gateway.ts';
import { createHub } from '#live/hub.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createWriter, type Writer } from '#store/writer.ts';
import { defaultWriterConfig } from '#store/writer-machine.ts';
import { createBackend } from '#app/backend.ts';
import type { Config } from '#app/config.ts';
import type { Lifecycle } from '#app/lifecycle.ts';
import { answerUpgrades } from '#app/upgrades.ts';

/** Partitions exist two days ahead, so an hour's delay does no harm. */
const PARTITION_CHECK_MS = 60 * 60_000;

export interface RunningServer {
  readonly url: string;
  readonly pools: Pools;
  readonly identity: Identity;
  readonly accounts: Accounts;
}

export interface ServerOptions {
  readonly config: Config;
  readonly ownerUrl: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, clock, log, lifecycle } = options;
  const pools = await openPools(options.ownerUrl, (role, error) =>
    log.warn('an idle database connection broke', { role, error: error.message }),
  );
  lifecycle.add('database connections', () => pools.close());
  const identity = createIdentity({ authPool: pools.auth, clock });
  const accounts = createAccounts({ appPool: pools.app, clock });
  const writer = await startWriter(options, pools);
  const bus = createMemoryBus();
  const gateway = createGateway({
    backend: createBackend(identity, createCatalogue(pools)),
    store: writer,
    bus,
    clock,
    log,
    random: systemRandom.next,
    config: {
      ...defaultGatewayConfig,
      creditPoolBytes: config['credit-pool-mib'] * 1024 * 1024,
      heartbeatMs: config['heartbeat-ms'],
    },
  });
  const hub = createHub<AccessIdentity>({
    bus,
    clock,
    limits: { heartbeatMs: config['heartbeat-ms'] },
    authorize: async () => ok(undefined),
    onFailure: (cause) => log.error('a viewer could not be served', { error: messageOf(cause) }),
  });
  const http = createServer();
  const refuseUpgrades = answerUpgrades(http, { identity, gateway, hub });
  const url = await listen(http, config);
  lifecycle.add('listener', () => new Promise((resolve) => http.close(() => resolve())));
  lifecycle.add(
    'devices',
    async () => {
      gateway.drain();
      if (!(await writer.drain(config['drain-ms'])))
        log.error('not everything was committed before stopping; devices keep what was not acknowledged');
      gateway.stop();
    },
    config['drain-ms'] + 1_000,
  );
  lifecycle.add('viewers', () => hub.drain());
  lifecycle.add('handshakes', refuseUpgrades);
  return { url, pools, identity, accounts };
}

async function startWriter({ config, clock, log, lifecycle }: ServerOptions, pools: Pools): Promise<Writer> {
  const writer = createWriter({
    connectionString: pools.writerUrl,
    config: {
      ...defaultWriterConfig,
      flushIntervalMs: config['flush-interval-ms'],
      flushReadings: config['flush-readings'],
    },
    clock,
    random: systemRandom.next,
    log,
  });
  lifecycle.add('writer', () => writer.stop());
  await writer.preparePartitions();
  let cancel = clock.after(PARTITION_CHECK_MS, check);
  function check(): void {
    writer
      .preparePartitions()
      .catch((error: unknown) => log.error('partitions could not be made', { error: messageOf(error) }));
    cancel = clock.after(PARTITION_CHECK_MS, check);
  }
  lifecycle.add('partition check', () => cancel());
  return writer;
}

function listen(server: Server, config: Config): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, () => {
      server.off('error', reject);
      const { port } = server.address() as AddressInfo;
      const host = config.host.includes(':') ? `[${config.host}]` : config.host;
      resolve(`http://${host}:${port}`);
    });
  });
}
