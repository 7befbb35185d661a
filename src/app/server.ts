/**
 * Owns the joining of all parts into one server, in the order in which they depend on each other: identity, store,
 * ingest, live, API. Each part is handed what it needs; none looks for it. Stopping goes the other way: devices and
 * viewers are told first, what they sent is committed, connections to the database end last.
 */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { auditChannels } from '#api/audited-channels.ts';
import { createApi } from '#api/api.ts';
import type { TlsFiles } from '#api/api-options.ts';
import { parseAllowedOrigins, type OriginRule } from '#api/origin.ts';
import { parseRoles } from '#api/roles.ts';
import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import { systemRandom } from '#base/random.ts';
import { createAccounts, type Accounts } from '#identity/accounts.ts';
import { createRecords } from '#clinic/records.ts';
import { erasingFrom } from '#clinic/session-tags.ts';
import { createIdentity, type Identity } from '#identity/identity.ts';
import { createGateway, defaultGatewayConfig } from '#ingest/gateway.ts';
import { createHttpReadings } from '#ingest/http-readings.ts';
import { createPrincipals } from '#identity/principals.ts';
import { createRevocations } from '#identity/revocations.ts';
import { createHub } from '#live/hub.ts';
import { sseLimits } from '#live/sse.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { createClockRecorder } from '#store/clock-recorder.ts';
import { createDeviceQueries } from '#store/device-queries.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createWindowQueries } from '#store/window-queries.ts';
import { startAnalysisThread } from '#app/analysis-thread.ts';
import { openReadCache } from '#app/answer-cache.ts';
import { openAudit } from '#app/audit.ts';
import { createBackend } from '#app/backend.ts';
import { openCarriers } from '#app/carriers.ts';
import { widenByToken } from '#app/channel-tokens.ts';
import { createChannelEngine, type ChannelEngine } from '#app/channel-engine.ts';
import { createChannelUses } from '#app/channel-uses.ts';
import { createClearTextRule } from '#app/clear-text.ts';
import { createAddressOf } from '#app/client-address.ts';
import { isLoopbackHost, type Config } from '#app/config.ts';
import { createConnectionLimit, openFilesLimit } from '#app/connection-limit.ts';
import { stateDirectoryOf } from '#app/database.ts';
import type { LoadedExtension } from '#app/extensions/extension-loader.ts';
import { startProcessors } from '#app/extensions/processors.ts';
import { startWatchers } from '#app/extensions/watchers.ts';
import type { Lifecycle } from '#app/lifecycle.ts';
import { startLiveMotion } from '#app/live-motion.ts';
import { sessionMotion } from '#app/channels/motion-channels.ts';
import { listen } from '#app/listening.ts';
import { openMasterKeys } from '#app/master-key-file.ts';
import { openJobs } from '#app/jobs.ts';
import { createServerMail } from '#app/mail.ts';
import { createMetrics } from '#app/metrics.ts';
import { createMotionAnswers, findBodyModel } from '#app/motion-answers.ts';
import { startRequestGuards } from '#app/request-guards.ts';
import { spreadRevocations } from '#app/revocation-spread.ts';
import { readTrustedIssuer } from '#app/trusted-issuer.ts';
import { openPeople } from '#app/people.ts';
import { answerUpgrades } from '#app/upgrades.ts';
import { joinVisits } from '#app/visits.ts';
import { startUpkeep, startWriter, UPKEEP_STOP_MS } from '#app/storage.ts';
import { createSummaryWishes } from '#app/summary-wishes.ts';
import { createServerWebhooks } from '#app/webhooks.ts';

const webDirectory = fileURLToPath(new URL('../../dist/web', import.meta.url));
const manifest = new URL('../../package.json', import.meta.url);

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
  /** A reading key for the demo's organisation; null when no demo runs. */
  readonly demoKey: (() => Promise<string>) | null;
  /** Certificate and key when TLS ends here. */
  readonly tls: TlsFiles | null;
  readonly extensions: readonly LoadedExtension[];
  /** Whether the next free port will do where none was asked for. */
  readonly mayMovePort: boolean;
}

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, clock, log, lifecycle } = options;
  const pools = await openPools(options.ownerUrl, (role, error) => {
    // While all is being stopped, the database may end before it has read that a connection was closed.
    const tell = lifecycle.isStopping ? log.debug : log.warn;
    tell('an idle database connection broke', { role, error: error.message });
  });
  lifecycle.add('database connections', () => pools.close());
  const carriers = await openCarriers({ config, clock, log, lifecycle });
  const cache = openReadCache({ config, carriers, clock });
  const audited = openAudit({ config, pools, clock, log, lifecycle });
  const guards = startRequestGuards({ config, carriers, pools, clock, lifecycle });
  const revocations = createRevocations(clock);
  const identity = createIdentity({
    authPool: pools.auth,
    clock,
    shelf: carriers.shelf,
    isRevoked: revocations.isRevoked,
  });
  const accounts = createAccounts({ appPool: pools.app, clock });
  const roles = parseRoles({ roles: config.roles, urls: config['role-urls'] });
  const mail = createServerMail(config, { auth: pools.auth, clock, log });
  if (mail !== null && roles.own.has('jobs')) {
    mail.mailer.start();
    lifecycle.add('mail', () => mail.mailer.stop());
  }
  const masters = openMasterKeys(config['master-key'], stateDirectoryOf(config));
  const persons = openPeople({
    pools,
    clock,
    log,
    audit: audited.audit,
    masters,
    sendMail: mail?.sendIdentityMail ?? null,
  });
  const { people } = persons;
  const principals = createPrincipals({
    identity,
    signIns: people.signIns,
    tokens: readTrustedIssuer(config, { clock, log }),
    revocations,
  });
  const writer = await startWriter(options, pools);
  const hasStreams = roles.own.has('streams');
  const upkeep = hasStreams ? startUpkeep(options, pools) : null;
  const clocks = createClockRecorder({ app: pools.app, clock, log });
  lifecycle.add('clock observations', () => clocks.flush());
  const { bus } = carriers;
  const uses = createChannelUses({
    engine: () => engine,
    devices: createDeviceQueries(pools.app),
    cache,
    clock,
    log,
  });
  lifecycle.add('commands', () => uses.close());
  const motionQueries = createMotionQueries(pools.app);
  const motion = startLiveMotion({
    workers: hasStreams ? config['motion-workers'] : 0,
    bodyModels: { find: (orgId, session) => findBodyModel(motionQueries, orgId, session) },
    publish: (...message) => engine.channels.publishAs(...message),
    bus,
    clock,
    log,
  });
  const gateway = createGateway({
    backend: createBackend({
      identity,
      catalogue: createCatalogue(pools),
      clocks,
      onRenewed() {
        pools.renew();
        opened.renew();
        engine.durable.resumed();
      },
      sessions: uses.sessions,
    }),
    store: writer,
    bus,
    commands: uses.commands,
    ...(motion.live === null ? {} : { tap: motion.live }),
    clock,
    log,
    random: systemRandom.next,
    config: {
      ...defaultGatewayConfig,
      creditPoolBytes: config['credit-pool-mib'] * 1024 * 1024,
      heartbeatMs: config['heartbeat-ms'],
    },
  });
  const sessions = createSessionQueries(pools.app);
  const extensions = options.extensions.map((one) => one.extension);
  // Whoever asks for angles is told at once that there are none.
  const builtIn = uses.definitions.filter((one) => motion.live !== null || one !== sessionMotion);
  const definitions = [...builtIn, ...extensions.flatMap((extension) => extension.channels ?? [])];
  const engine: ChannelEngine = createChannelEngine({ definitions, carriers, pools, sessions, clock, log });
  // One process of all runs what extensions do by themselves.
  const running = hasStreams ? extensions : [];
  const watchers = startWatchers({
    extensions: running,
    services: engine.services,
    databaseUrl: pools.appUrl,
    clock,
    random: systemRandom,
    log,
  });
  const summaries = createSummaryWishes({ app: pools.app, clock, log });
  lifecycle.add('summaries', () => summaries.stop());
  const analysis =
    hasStreams && config.analysis
      ? startAnalysisThread(
          { writerUrl: pools.writerUrl, logLevel: config['log-level'] },
          { clock, log, publish: engine.services.publish, onAnalysed: summaries.analysed },
        )
      : null;
  lifecycle.add('durable channels', () => engine.durable.close());
  const opened = openJobs({
    config,
    isRunner: roles.own.has('jobs'),
    pools,
    publish: engine.services.publish,
    cache,
    version: versionOf(),
    clock,
    log,
    lifecycle,
  });
  if (analysis !== null) lifecycle.add('analysis', () => analysis.stop(), UPKEEP_STOP_MS);
  lifecycle.add('watchers', () => watchers.stop());
  const processors = startProcessors({
    extensions: running,
    services: engine.services,
    pools,
    clock,
    random: systemRandom,
    log,
  });
  lifecycle.add('processors', () => processors.stop());
  const channels = auditChannels(engine.channels, {
    audit: audited.audit,
    onFailure: (cause) => log.error('an outcome is missing in the audit log', { error: messageOf(cause) }),
  });
  const hub = createHub({
    channels,
    clock,
    limits: { heartbeatMs: config['heartbeat-ms'], drainSpreadMs: config['drain-spread-ms'] },
    authenticate: (key, address) => principals.authenticate(key, address === '' ? null : address),
    channelToken: (token, _channel, principal) => widenByToken(principals, token, principal),
    onFailure: (cause) => log.error('a viewer could not be served', { error: messageOf(cause) }),
  });
  const revoking = spreadRevocations({
    bus,
    revocations,
    disconnect: (isConcerned) => hub.disconnect(isConcerned),
    forget(id) {
      identity.forget(id);
      people.signIns.forget(id);
      gateway.disconnect(id);
    },
  });
  lifecycle.add('motion', () => motion.stop());
  lifecycle.add('revocations', () => revoking.stop());
  const trustedProxy = config['trusted-proxy'] === '' ? null : config['trusted-proxy'];
  const addressOf = createAddressOf(trustedProxy);
  const refusalOf = createClearTextRule(config);
  const origins: OriginRule = {
    allowed: parseAllowedOrigins(config['allowed-origins']),
    isSecure: options.tls !== null || (trustedProxy !== null && !config.insecure),
  };
  const connectionLimit = createConnectionLimit(openFilesLimit());
  const api = await createApi({
    about: { version: versionOf(), demo: options.demoKey !== null },
    roles,
    identity,
    principals,
    accounts,
    people,
    ...audited,
    ...guards,
    sessions,
    records: createRecords({
      app: pools.app,
      clock,
      cache,
      masters,
    }),
    ...joinVisits({ app: pools.app, cache, clock, uses, durable: engine.durable }),
    retention: createRetentionControls(pools, erasingFrom(cache)),
    readings: createReadingQueries(pools.app),
    envelopes: createEnvelopeQueries(pools.app),
    exports: createExportQueries(pools.app),
    windows: createWindowQueries(pools.app),
    motion: createMotionAnswers(motionQueries, motion.bodyModelChanged),
    webhooks: createServerWebhooks(pools.app, { clock, allowPrivate: config['webhooks-private'], masters }),
    jobs: opened.jobs,
    submitReadings: createHttpReadings({ gateway, store: writer, clock }),
    onRevoked: (revocation) => revoking.revoke(revocation),
    onDeviceRevoked: (deviceId) => gateway.disconnect(deviceId),
    live: {
      channels,
      connect: hub.connect,
      isRevoked: revocations.isRevoked,
      // A proxy that cuts what is quiet sooner needs a shorter heartbeat, on streams as on sockets.
      keepAliveMs: Math.min(sseLimits.keepAliveMs, 3 * config['heartbeat-ms']),
    },
    demoKey: isLoopbackHost(config.host) ? options.demoKey : null,
    checkReadiness: async () => ({
      server: lifecycle.isStopping ? 'is stopping' : 'ok',
      store: writer.stallReason ?? (await ping(pools)),
      ...carriers.checks(),
    }),
    metrics: createMetrics({
      gateway: gateway.statistics,
      writer,
      upkeep,
      analysis,
      hub: hub.counters,
      channels: engine.counters,
      durable: engine.durable.counters,
      commands: uses.commandCounters,
      watchers: watchers.counters,
      processors: processors.counters,
      pools,
      identity: identity.counters,
      connections: connectionLimit.counters,
      carriers,
      cache,
      audit: audited,
      guards,
      jobs: opened,
      people: persons,
      mail,
      summaries,
      motion,
    }),
    webDirectory: existsSync(webDirectory) ? webDirectory : null,
    tls: options.tls ?? (config['trusted-proxy'] === '' ? null : 'proxy'),
    trustedProxy,
    origins,
    refusalOf,
    extensions: { extensions: options.extensions, services: engine.services },
    log,
    clock,
  });
  connectionLimit.apply(api.server);
  const refuseUpgrades = answerUpgrades(api.server, {
    identity,
    principals,
    gateway,
    hub,
    origins,
    overload: guards.overload,
    addressOf,
    refusalOf,
    roles,
  });
  lifecycle.add('listener', () => api.close());
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
  // Beside the spread: what is under way ends, and the last close is answered.
  lifecycle.add('viewers', () => hub.drain(), config['drain-spread-ms'] + 5_000);
  lifecycle.add('handshakes', refuseUpgrades);
  // Last, so that a port that is in use leaves nothing running.
  const url = await listen(api, config, options.mayMovePort);
  return { url, pools, identity, accounts };
}

async function ping(pools: Pools): Promise<string> {
  try {
    await pools.app.run([{ text: 'select 1' }]);
    return 'ok';
  } catch (error) {
    return error instanceof AppError ? error.message : 'the database cannot be reached';
  }
}

function versionOf(): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
