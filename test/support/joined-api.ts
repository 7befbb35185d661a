/**
 * Owns an API whose parts are joined as app/server.ts joins them, with channels in memory and no jobs run, over pools that are
 * given: nothing else works beside it, so what its requests do can be counted.
 */

import type { Api } from '#api/api-options.ts';
import { createChannelEngine, type ChannelEngine } from '#app/channel-engine.ts';
import { createChannelUses } from '#app/channel-uses.ts';
import { openMasterKeys } from '#app/master-key-file.ts';
import { createMotionAnswers } from '#app/motion-answers.ts';
import { joinVisits } from '#app/visits.ts';
import { createServerWebhooks } from '#app/webhooks.ts';
import { systemClock as clock } from '#base/clock.ts';
import { silentLog as log } from '#base/log.ts';
import { createMemoryBroker } from '#bus/memory-broker.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { createMemoryPresence } from '#bus/memory-presence.ts';
import { createAuditRecords } from '#clinic/audit-records.ts';
import { createRecords } from '#clinic/records.ts';
import { erasingFrom } from '#clinic/session-tags.ts';
import type { Audit } from '#contract/audit.ts';
import { createAccounts } from '#identity/accounts.ts';
import type { IdentityMail } from '#identity/entrances.ts';
import { createIdentity } from '#identity/identity.ts';
import { createDeviceQueries } from '#store/device-queries.ts';
import { createEnvelopeQueries } from '#store/envelope-queries.ts';
import { createExportQueries } from '#store/export-queries.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import type { Pools } from '#store/pools.ts';
import { createReadingQueries } from '#store/reading-queries.ts';
import { createRetentionControls } from '#store/retention-controls.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createWindowQueries } from '#store/window-queries.ts';
import { createDescribedApi } from '../../scripts/generate.ts';
import { jobApi } from '#test/support/job-api.ts';
import { openPeople, peopleApi, testMasters } from '#test/support/people.ts';
import { testCache } from '#test/support/records-api.ts';

export interface JoinedApi {
  readonly api: Api;
  readonly mails: readonly IdentityMail[];
  close(): Promise<void>;
}

/** `stateDirectory`: for the file of the master key. */
export async function openJoinedApi(parts: {
  readonly pools: Pools;
  readonly audit: Audit;
  readonly stateDirectory: string;
}): Promise<JoinedApi> {
  const { pools, audit, stateDirectory } = parts;
  const { app } = pools;
  const cache = testCache();
  const identity = createIdentity({ authPool: pools.auth, clock });
  const { people, mails } = openPeople(pools);
  const sessions = createSessionQueries(app);
  const uses = createChannelUses({
    engine: () => engine,
    devices: createDeviceQueries(app),
    cache,
    clock,
    log,
  });
  const engine: ChannelEngine = createChannelEngine({
    definitions: uses.definitions,
    carriers: {
      bus: createMemoryBus(),
      broker: createMemoryBroker({ clock }),
      presence: createMemoryPresence(),
    },
    pools,
    sessions,
    clock,
    log,
  });
  const api = await createDescribedApi('1.2.3', {
    identity,
    ...peopleApi(people, identity),
    accounts: createAccounts({ appPool: app, clock }),
    audit,
    auditRecords: createAuditRecords(app),
    sessions,
    records: createRecords({ app, clock, cache, masters: openMasterKeys('', stateDirectory) }),
    ...joinVisits({ app, cache, clock, uses, durable: engine.durable }),
    retention: createRetentionControls(pools, erasingFrom(cache)),
    readings: createReadingQueries(app),
    envelopes: createEnvelopeQueries(app),
    exports: createExportQueries(app),
    windows: createWindowQueries(app),
    motion: createMotionAnswers(createMotionQueries(app)),
    webhooks: createServerWebhooks(app, { clock, allowPrivate: false, masters: testMasters }),
    ...jobApi(app),
    live: {
      channels: engine.channels,
      connect: () => {
        throw new Error('nobody follows a channel here');
      },
      isRevoked: () => false,
    },
    checkReadiness: async () => {
      await app.run([{ text: 'select 1' }]);
      return { store: 'ok' };
    },
  });
  return {
    api,
    mails,
    async close() {
      await api.close();
      await uses.close();
      await engine.durable.close();
    },
  };
}
