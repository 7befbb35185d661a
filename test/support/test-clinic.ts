/** Owns a clinic for tests against a real database: two organisations, people of one, sensors, and recordings of them. */

import type pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { randomEpoch, uuidv7 } from '#base/uuid.ts';
import type { Principal } from '#contract/principal.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { PlanRequest, Visit } from '#contract/visit.ts';
import { createAccounts } from '#identity/accounts.ts';
import { createCatalogue, type EndedSession } from '#store/catalogue.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { createTestDatabase } from '#test/support/database.ts';
import { person } from '#test/support/clinic-people.ts';
import { storeChunk } from '#test/support/stored-chunks.ts';
import { createTenant, streamDefinition, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { createTestVisits, type TestVisits } from '#test/support/visit-services.ts';

/** A plan of nothing in particular. */
export const emptyPlan: PlanRequest = { patientId: null, protocolId: null, plannedFor: null, label: '' };

export interface Recording {
  readonly device: DeviceIdentity;
  readonly stream: string;
  readonly epoch: string;
  readonly isNewSession: boolean;
}

export interface TestClinic extends TestVisits {
  readonly ownerUrl: string;
  readonly pools: Pools;
  readonly owner: pg.Pool;
  readonly writer: pg.Pool;
  readonly tenant: Tenant;
  readonly other: Tenant;
  /** Clinicians of `tenant`. */
  readonly ann: Principal;
  readonly ben: Principal;
  newDevice(name?: string): Promise<DeviceIdentity>;
  /** Opens a stream of the session, and stores ten readings of it. */
  record(device: DeviceIdentity, session: string, segment?: string): Promise<Recording>;
  /** Ten more readings from this number on. */
  store(recording: Recording, firstSeq: number): Promise<void>;
  endStream(recording: Recording): Promise<EndedSession | null>;
  /** All placements of a session, as ann. */
  place(session: string, revision: number, ...at: (readonly [DeviceIdentity, string])[]): Promise<Visit>;
  /** Planned, with one device on the left foot, recorded and ended. Revision 2. */
  endedSession(): Promise<{ readonly id: string; readonly recording: Recording }>;
  close(): Promise<void>;
}

export async function openTestClinic(): Promise<TestClinic> {
  const database = await createTestDatabase();
  const pools = await openPools(database.ownerUrl);
  const owner = openTestPool(database.ownerUrl);
  const writer = openTestPool(pools.writerUrl);
  await ensurePartitions(writer);
  const services = createTestVisits(pools.app);
  const tenant = await createTenant(database.ownerUrl, pools, 'A');
  const other = await createTenant(database.ownerUrl, pools, 'B');
  const ann = person(tenant.orgId);
  const accounts = createAccounts({ appPool: pools.app, clock: systemClock });
  const catalogue = createCatalogue(pools);
  const clinic: TestClinic = {
    ...services,
    ownerUrl: database.ownerUrl,
    pools,
    owner,
    writer,
    tenant,
    other,
    ann,
    ben: person(tenant.orgId),
    async newDevice(name = 'sensor') {
      const { id } = await accounts.createDevice(tenant.orgId, name);
      return { deviceId: id, orgId: tenant.orgId };
    },
    async record(device, session, segment = 'left-foot') {
      const definition = streamDefinition({ session, segment });
      const epoch = randomEpoch();
      const opened = await catalogue.openStream(device, { definition, epoch });
      if (!opened.ok) throw new Error(opened.error.message);
      const recording = { device, stream: definition.stream, epoch, isNewSession: opened.value.isNewSession };
      await clinic.store(recording, 0);
      return recording;
    },
    store: ({ device, stream, epoch }, firstSeq) =>
      storeChunk(writer, {
        orgId: device.orgId,
        streamId: stream,
        epoch,
        firstSeq,
        firstUs: 5,
        lastUs: 14,
        segments: [{ firstUs: 5, periodNs: 1000, arrivalUs: systemClock.nowUs(), count: 10 }],
        deltas: null,
        data: Buffer.alloc(120),
      }),
    endStream: ({ device, stream }) => catalogue.endStream(device, stream),
    place: (session, revision, ...at) =>
      services.placements.assign(ann, session, {
        revision,
        placements: at.map(([{ deviceId }, segment]) => ({ deviceId, segment })),
      }),
    async endedSession() {
      const { session } = await services.visits.plan(ann, emptyPlan);
      const device = await clinic.newDevice();
      await clinic.place(session.id, 1, [device, 'left-foot']);
      const recording = await clinic.record(device, session.id);
      await clinic.endStream(recording);
      return { id: session.id, recording };
    },
    async close() {
      await pools.close();
      await owner.end();
      await writer.end();
      await database.drop();
    },
  };
  return clinic;
}

/** The error code that it is refused with, or `done`. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? 'failed without a code',
  );
}

export const newId = (): string => uuidv7(systemClock);

export function codesOf({ warnings }: Visit): string[] {
  return warnings.map(({ code }) => code);
}
