/** The tasks of this package that nothing else tests as a job: whole exports, and the erasing of a patient. */

import { inflateRawSync } from 'node:zlib';

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createTasks } from '#app/job-tasks.ts';
import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { createJobService, type JobService } from '#jobs/job-service.ts';
import type { JobRequest } from '#contract/jobs.ts';
import { jobKinds } from '#jobs/kinds.ts';
import type { Task } from '#jobs/task.ts';
import { openPools, type Pools } from '#store/pools.ts';
import { insertSession } from '#test/support/clinic-rows.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { startTestRunner, type TestRunner } from '#test/support/job-runner.ts';
import { testMasterKeys } from '#test/support/records-api.ts';
import { testPrincipal } from '#test/support/principals.ts';
import { createRecorder, type Recorder } from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';

let database: TestDatabase;
let pools: Pools;
let owner: pg.Pool;
let tenant: Tenant;
let recorder: Recorder;
let tasks: readonly Task[];
let runner: TestRunner;
let service: JobService;
const forgotten: string[] = [];
const wait = { timeout: 20_000, interval: 50 };

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  owner = openTestPool(database.ownerUrl);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  recorder = createRecorder(pools, tenant);
  tasks = createTasks({
    pools,
    clock: systemClock,
    version: '1.2.3',
    webhooksPrivate: false,
    masters: testMasterKeys(),
    forget: (_org, tags) => forgotten.push(...tags),
  });
  runner = startTestRunner(pools, tasks);
  service = createJobService({ app: pools.app, clock: systemClock, onChange: () => undefined });
});

afterAll(async () => {
  await runner.stop();
  await recorder.stop();
  await pools.close();
  await owner.end();
  await database.drop();
});

const chief = () => testPrincipal({ orgId: tenant.orgId, role: 'owner', permissions: null });

/** Asks for a job and waits for its end. */
async function done(request: JobRequest): Promise<{ id: string; state: string; error: unknown }> {
  const { id } = await service.start(chief(), request);
  await expect.poll(async () => (await service.get(chief(), id)).state, wait).toMatch(/done|failed/);
  const { state, error } = await service.get(chief(), id);
  return { id, state, error };
}

async function filesOf(jobId: string): Promise<Map<string, string>> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (await service.file(chief(), jobId)).parts) pieces.push(piece);
  const zip = Buffer.concat(pieces);
  const files = new Map<string, string>();
  let at = zip.readUInt32LE(zip.length - 6);
  for (let i = 0; i < zip.readUInt16LE(zip.length - 12); i++) {
    const nameLength = zip.readUInt16LE(at + 28);
    const offset = zip.readUInt32LE(at + 42);
    const from = offset + 30 + zip.readUInt16LE(offset + 26);
    const data = zip.subarray(from, from + zip.readUInt32LE(at + 20));
    const content = zip.readUInt16LE(at + 10) === 8 ? inflateRawSync(data) : data;
    files.set(zip.toString('utf8', at + 46, at + 46 + nameLength), content.toString('latin1'));
    at += 46 + nameLength;
  }
  return files;
}

test('every kind that may be asked for has a task, which says the same of itself', () => {
  for (const kind of Object.values(jobKinds))
    expect(tasks.find((task) => task.kind === kind.kind)).toMatchObject({
      lane: kind.lane,
      action: kind.action,
    });
});

test.each(['csv', 'parquet'] as const)('a session is exported whole as %s', async (format) => {
  const stream = await recorder.open();
  await stream.write([
    {
      firstSeq: 0,
      firstUs: 1_000_000,
      periodUs: 10_000,
      lagUs: 0,
      rows: [
        [1, 2, 3],
        [4, 5, 6],
      ],
    },
  ]);
  const { session, segment, stream: id } = stream.definition;
  const job = await done({ kind: 'session-export', input: { session, format } });
  expect(job).toMatchObject({ state: 'done', error: null });
  const files = await filesOf(job.id);
  expect([...files.keys()]).toEqual([`${segment}-${id}.${format}`, 'session.json']);
  const [readings, record] = [...files.values()];
  const isWhole = {
    csv: (text: string) => text.trim().split('\r\n').length === 3,
    parquet: (text: string) => text.startsWith('PAR1') && text.endsWith('PAR1'),
  };
  expect(isWhole[format](readings!)).toBe(true);
  expect(JSON.parse(record!)).toMatchObject({ kymo: '1.2.3', session: { id: session }, streams: [{}] });
});

test('an export of streams that the session does not have fails at once, and says so', async () => {
  const stream = await recorder.open();
  const { session } = stream.definition;
  const input = { session, format: 'csv' as const, streams: [session] };
  expect(await done({ kind: 'session-export', input })).toMatchObject({
    state: 'failed',
    error: { code: 'not-found' },
  });
});

test('a patient is exported, then erased with that export; the erasure itself is remembered', async () => {
  const patient = uuidv7(systemClock);
  await owner.query('insert into kymo.patient (id, org_id, code) values ($1, $2, $3)', [
    patient,
    tenant.orgId,
    'P-1',
  ]);
  const session = await insertSession(owner, {
    orgId: tenant.orgId,
    patientId: patient,
    label: 'Walk',
    startedAt: '2026-06-01T10:00:00Z',
  });
  const exported = await done({ kind: 'patient-export', input: { patient } });
  expect(exported).toMatchObject({ state: 'done', error: null });
  const files = await filesOf(exported.id);
  expect(JSON.parse(files.get('patient.json')!)).toMatchObject({ patient: { id: patient } });
  expect(files.has('consents.json')).toBe(true);
  const erased = await done({ kind: 'patient-erasure', input: { patient } });
  expect(erased).toMatchObject({ state: 'done', error: null });
  expect((await owner.query('select from kymo.patient where id = $1', [patient])).rowCount).toBe(0);
  expect((await owner.query('select from kymo.session where id = $1', [session])).rowCount).toBe(0);
  expect(
    (await owner.query('select from kymo.job_file_part where job_id = $1', [exported.id])).rowCount,
  ).toBe(0);
  await expect(service.get(chief(), exported.id)).rejects.toMatchObject({ code: 'not-found' });
  expect(forgotten).toContain(`patient:${patient}`);
});
