/**
 * Owns the files in generated/, and the load for k6: what follows from the code and is committed so that a review shows how
 * it changes.
 *   node scripts/generate.ts           writes them
 *   node scripts/generate.ts --check   fails when one is not current
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Registry } from 'prom-client';

import type { Api, ApiOptions } from '#api/api-options.ts';
import { createApi } from '#api/api.ts';
import type { LiveOptions } from '#api/live-options.ts';
import { createBuiltInChannels } from '#app/channels/built-in.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { k6Script } from '#bench/api/k6-script.ts';
import { readScenario } from '#bench/api/scenario.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createIdentity } from '#identity/identity.ts';
import { createPeople } from '#identity/people.ts';
import { createChannels } from '#live/create-channels.ts';
import type { RolePool } from '#store/pools.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createMotionAnswers } from '#app/motion-answers.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { createSealedTexts } from '#identity/sealed-texts.ts';
import { createSecretBox } from '#identity/secret-box.ts';
import { createWebhooks } from '#jobs/webhooks/endpoints.ts';
import { createWebhookQueries } from '#store/webhook-queries.ts';
import { createWindowQueries } from '#store/window-queries.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { ownPrincipals } from '#test/support/principals.ts';
import { recordsApi } from '#test/support/records-api.ts';
import { jobApi } from '#test/support/job-api.ts';
import { testMasters } from '#test/support/people.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

const root = new URL('../', import.meta.url);

export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/** Every generated file as it should be, paths relative to the repository. */
export async function generateFiles(): Promise<readonly GeneratedFile[]> {
  const manifest = JSON.parse(await readFile(new URL('package.json', root), 'utf8')) as { version: string };
  const documents = await describeApi(manifest.version);
  return [
    ...Object.entries(documents).map(([path, document]) => ({
      path: `generated/${path}`,
      text: `${JSON.stringify(document, null, 2)}\n`,
    })),
    { path: 'deploy/k6/clinic.js', text: k6Script(readScenario()) },
  ];
}

/** The committed text; empty when there is none yet. */
export async function readGenerated(path: string): Promise<string> {
  return readFile(new URL(path, root), 'utf8').catch(() => '');
}

/** The server's own routes on parts that reach nothing; `changes` are the parts that a test looks at. */
export async function createDescribedApi(version: string, changes: Partial<ApiOptions> = {}): Promise<Api> {
  const unreachable: RolePool = {
    run: () => Promise.reject(new Error('a description reads no data')),
    stats: { connections: 0, idle: 0, waiting: 0, longestWaitMs: 0, refused: 0 },
  };
  const identity = createIdentity({ authPool: unreachable, clock: systemClock });
  return createApi({
    about: { version, demo: false },
    identity,
    principals: ownPrincipals(identity),
    onRevoked: () => undefined,
    accounts: createAccounts({ appPool: unreachable, clock: systemClock }),
    people: createPeople({
      appPool: unreachable,
      authPool: unreachable,
      clock: systemClock,
      log: silentLog,
      masters: {
        current: () => Promise.reject(new Error('a description seals nothing')),
        find: async () => null,
      },
      sendMail: null,
      onEvent: () => undefined,
    }),
    audit: { record: async () => undefined },
    auditRecords: createAuditRecords(unreachable),
    sessions: createSessionQueries(unreachable),
    ...recordsApi(unreachable),
    visits: createTestVisits(unreachable),
    retention: createRetentionControls({ app: unreachable, writer: unreachable }, (_, work) => work()),
    readings: createReadingQueries(unreachable),
    envelopes: createEnvelopeQueries(unreachable),
    exports: createExportQueries(unreachable),
    windows: createWindowQueries(unreachable),
    motion: createMotionAnswers(createMotionQueries(unreachable)),
    webhooks: createWebhooks({
      queries: createWebhookQueries(unreachable),
      clock: systemClock,
      rules: { allowPrivate: false },
      secretBytes: (count) => new Uint8Array(count),
      secrets: createSealedTexts(createSecretBox(testMasters)),
    }),
    ...jobApi(unreachable),
    submitReadings: () => Promise.reject(new Error('a description stores no data')),
    onDeviceRevoked: () => undefined,
    live: describeChannels(),
    demoKey: null,
    checkReadiness: async () => ({}),
    metrics: new Registry(),
    webDirectory: null,
    tls: null,
    trustedProxy: null,
    origins: { allowed: new Set(), isSecure: false },
    log: silentLog,
    clock: systemClock,
    ...changes,
  });
}

// The documents come from the server's own routes, which need no database.
async function describeApi(version: string): Promise<Record<string, unknown>> {
  const api = await createDescribedApi(version);
  const documents: Record<string, unknown> = {};
  for (const name of ['openapi.json', 'asyncapi.json'])
    documents[name] = (await api.inject(`/${name}`)).json<unknown>();
  await api.close();
  return documents;
}

/** The channels that every server has, on parts that carry nothing. */
function describeChannels(): LiveOptions {
  const channels = createChannels({
    definitions: createBuiltInChannels(() => undefined).definitions,
    bus: createMemoryBus(),
    brokers: {
      volatile: createMemoryBroker({ clock: systemClock }),
      durable: createMemoryBroker({ clock: systemClock }),
    },
    presence: createMemoryPresence(),
    services: {
      clock: systemClock,
      log: silentLog,
      sessionExists: async () => false,
      deviceExists: async () => false,
      sessionIds: async () => [],
    },
    clock: systemClock,
    onFailure: () => undefined,
  });
  const connect = (): never => {
    throw new Error('a description follows no channel');
  };
  return { channels, connect, isRevoked: () => false };
}

async function run(isCheck: boolean): Promise<number> {
  let stale = 0;
  for (const { path, text } of await generateFiles()) {
    if ((await readGenerated(path)) === text) continue;
    stale++;
    if (isCheck) {
      console.error(`${path} is not current: run node scripts/generate.ts`);
      continue;
    }
    const file = new URL(path, root);
    await mkdir(dirname(fileURLToPath(file)), { recursive: true });
    await writeFile(file, text);
    console.log(`wrote ${path}`);
  }
  return isCheck && stale > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = await run(process.argv.includes('--check'));
