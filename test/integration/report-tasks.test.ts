/** The jobs about one session on a real PostgreSQL: the real writer, windows, analysis and chain behind them. */

import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import { sessionReportTask, type SessionReportParts } from '#jobs/tasks/session-report.ts';
import { sessionSummaryTask, type ReportTaskParts } from '#jobs/tasks/session-summary.ts';
import type { Task, TaskContext } from '#jobs/task.ts';
import { createSessionMotion, motionVersion } from '#motion/session-motion.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';
import { createMotionQueries } from '#store/motion-queries.ts';
import { ensurePartitions } from '#store/partitions.ts';
import { openPools, runAsOrg, type Pools } from '#store/pools.ts';
import { createReportQueries } from '#store/report-queries.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createWindowTask } from '#store/window-ledger.ts';
import { createAnalysisTask } from '#app/analysis-task.ts';
import { createMotionAnswers } from '#app/motion-answers.ts';
import { createTestDatabase, type TestDatabase } from '#test/support/database.ts';
import { createRecorder, type RecordedStream, type Recorder } from '#test/support/recorded-streams.ts';
import { createTenant, type Tenant } from '#test/support/tenants.ts';
import { openTestPool } from '#test/support/test-pool.ts';
import { packagedNorms } from '#test/support/walk-report.ts';

const START_US = 1_700_000_000_000_000;
const FRAME = 500;
const never = new AbortController().signal;

let database: TestDatabase;
let pools: Pools;
let writer: pg.Pool;
let owner: pg.Pool;
let tenant: Tenant;
let recorder: Recorder;
let parts: ReportTaskParts & SessionReportParts;
const table = createWalkerTable(createSyntheticWalker({ ...walkerOfSeed(11), rateHz: 100 }));

beforeAll(async () => {
  database = await createTestDatabase();
  pools = await openPools(database.ownerUrl);
  writer = openTestPool(pools.writerUrl);
  owner = openTestPool(database.ownerUrl);
  await ensurePartitions(writer);
  tenant = await createTenant(database.ownerUrl, pools, 'A');
  recorder = createRecorder(pools, tenant);
  const motion = createMotionAnswers(createMotionQueries(pools.app));
  parts = {
    queries: createReportQueries(pools.app),
    sessions: createSessionQueries(pools.app),
    figures: motion.figures,
    motion: motion.analysis,
    clock: systemClock,
    norms: packagedNorms,
    timeZone: 'Europe/Berlin',
    program: 'Kymo test',
  };
});

afterAll(async () => {
  await recorder.stop();
  await pools.close();
  await Promise.all([writer.end(), owner.end()]);
  await database.drop();
});

interface Walk {
  readonly session: string;
  readonly streams: readonly RecordedStream[];
  readonly patient: string;
}

/** Both feet of a walk, `seconds` long, without the readings `hole` of the left foot. */
async function walk(seconds: number, hole: { from: number; to: number } | null = null): Promise<Walk> {
  const session = uuidv7(systemClock);
  const patient = uuidv7(systemClock);
  const streams: RecordedStream[] = [];
  for (const segment of ['left-foot', 'right-foot'] as const) {
    const { axes, rateHz } = walkerSource(table, { segment, firstRow: 0 }).definition;
    streams.push(await recorder.open({ session, segment, axes: [...axes], rateHz }));
  }
  await owner.query(
    `insert into kymo.patient (id, org_id, code, birth_year, sex) values ($1, $2, $3, 1962, 'female')`,
    [patient, tenant.orgId, `P-${patient.slice(-8)}`],
  );
  await owner.query('update kymo.session set patient_id = $2 where id = $1', [session, patient]);
  for (const [i, stream] of streams.entries())
    await write(stream, { from: 0, to: seconds * 100 }, i === 0 ? hole : null);
  return { session, streams, patient };
}

async function write(
  stream: RecordedStream,
  range: { from: number; to: number },
  hole: { from: number; to: number } | null = null,
): Promise<void> {
  const source = walkerSource(table, { segment: stream.definition.segment as 'left-foot', firstRow: 0 });
  const axes = source.definition.axes.length;
  const frames = [];
  for (let from = range.from; from < range.to; from += FRAME) {
    if (hole !== null && from >= hole.from && from < hole.to) continue;
    const values = new Float32Array(FRAME * axes);
    source.fill(from, FRAME, values);
    const rows = Array.from({ length: FRAME }, (_, i) => [...values.subarray(i * axes, (i + 1) * axes)]);
    frames.push({ firstSeq: from, firstUs: START_US + from * 10_000, periodUs: 10_000, lagUs: 0, rows });
  }
  await stream.write(frames);
}

async function analyse(): Promise<void> {
  const windows = createWindowTask({ clock: systemClock, policy: { liveS: 0, quietS: 3_600 } });
  while ((await windows.step(writer, never)) === 'more');
  const task = createAnalysisTask({
    create: createSessionMotion,
    version: motionVersion,
    clock: systemClock,
    log: silentLog,
  });
  while ((await task.step(writer, never)) === 'more');
}

async function end({ streams }: Walk): Promise<void> {
  for (const stream of streams) await stream.end();
}

interface Ran {
  readonly result: Readonly<Record<string, unknown>>;
  readonly files: { name: string; type: string; bytes: Buffer }[];
  readonly stages: string[];
}

/** As the runner does it: statements are committed in the organisation's scope. */
async function run(task: Task, walked: Walk): Promise<Ran> {
  const files: Ran['files'] = [];
  const stages: string[] = [];
  const context: TaskContext<unknown> = {
    job: {
      id: uuidv7(systemClock),
      orgId: tenant.orgId,
      kind: task.kind,
      patientId: walked.patient,
      sessionId: walked.session,
      requestedBy: '',
      attempt: 1,
      maxAttempts: 5,
    },
    input: { session: walked.session },
    report: (_progress, stage) => void stages.push(stage),
    signal: never,
    async store({ name, type }, content) {
      const pieces: Uint8Array[] = [];
      for await (const piece of content) pieces.push(piece);
      files.push({ name, type, bytes: Buffer.concat(pieces) });
    },
  };
  const outcome = await task.run(context);
  const statements = outcome?.statements ?? [];
  if (statements.length > 0) await runAsOrg(pools.app, tenant.orgId, { statements, mode: 'change' });
  return { result: outcome?.result ?? {}, files, stages };
}

async function summaryOf({ session }: Walk) {
  const { rows } = await owner.query<{
    patient_id: string;
    duration_s: number;
    figures: { metric: string; side: string | null; value: number; sd: number | null; n: number }[];
    quality: Record<string, unknown>;
    input_revision: string;
    algorithm_version: string;
  }>('select * from kymo.session_summary where session_id = $1', [session]);
  return rows[0];
}

async function openJobs({ session }: Walk): Promise<number> {
  const { rows } = await owner.query<{ count: number }>(
    `select count(*)::int as count from kymo.job where session_id = $1 and kind = 'session-summary'`,
    [session],
  );
  return rows[0]!.count;
}

beforeEach(async () => {
  await owner.query('delete from kymo.session_summary');
});

test('figures of an ended session are kept once, whoever asks twice', async () => {
  const walked = await walk(40);
  await end(walked);
  await analyse();
  const task = sessionSummaryTask(parts);
  expect((await run(task, walked)).result).toMatchObject({ stored: true, provisional: null });
  const first = await summaryOf(walked);
  expect(first).toMatchObject({ patient_id: walked.patient, algorithm_version: String(motionVersion) });
  const speed = first!.figures.find(({ metric, side }) => metric === 'speed' && side === null)!;
  expect(speed.value).toBeGreaterThan(0.8);
  expect(speed.n).toBeGreaterThan(30);
  expect(first!.figures.some(({ metric }) => metric.endsWith('-ratio'))).toBe(false);
  expect(first!.quality).toMatchObject({ storedReadings: 8_000, pendingReadings: 0, gaps: 0, sensors: 2 });
  await run(task, walked);
  const again = await summaryOf(walked);
  expect(again!.figures).toEqual(first!.figures);
  expect(await openJobs(walked)).toBe(0);
}, 60_000);

test('a session that has not ended keeps no figures', async () => {
  const walked = await walk(20);
  await analyse();
  expect((await run(sessionSummaryTask(parts), walked)).result).toMatchObject({ stored: false });
  expect(await summaryOf(walked)).toBeUndefined();
}, 60_000);

test('an analysis that is behind gives a provisional summary, which comes again', async () => {
  const walked = await walk(20);
  await end(walked);
  const { result } = await run(sessionSummaryTask(parts), walked);
  expect(result).toMatchObject({ stored: true, provisional: 'nothing of this session was analysed yet' });
  expect(await openJobs(walked)).toBe(1);
  await analyse();
  await run(sessionSummaryTask(parts), walked);
  expect((await summaryOf(walked))!.quality).toMatchObject({ provisional: null });
}, 60_000);

test('readings that come late give newer figures, and what is older never replaces them', async () => {
  const walked = await walk(60, { from: 2_000, to: 3_000 });
  await end(walked);
  await analyse();
  const task = sessionSummaryTask(parts);
  await run(task, walked);
  const before = (await summaryOf(walked))!;
  expect(before.quality).toMatchObject({ pendingReadings: 1_000, gaps: 1 });
  const old = { ...(await parts.queries.standing(tenant.orgId, walked.session))! };
  await write(walked.streams[0]!, { from: 2_000, to: 3_000 });
  await analyse();
  await run(task, walked);
  const after = (await summaryOf(walked))!;
  expect(after.quality).toMatchObject({ pendingReadings: 0, gaps: 0 });
  expect(Number(after.input_revision)).toBeGreaterThan(Number(before.input_revision));
  const strides = ({ figures }: typeof after): number =>
    figures.find(({ metric, side }) => metric === 'strides' && side === 'left')!.value;
  expect(strides(after)).toBeGreaterThan(strides(before));
  const stale = {
    sessionId: walked.session,
    durationS: 0,
    figures: [],
    quality: after.quality as never,
    algorithm: 'motion',
    algorithmVersion: '1',
    standing: old,
  };
  expect(await parts.queries.storeSummary(tenant.orgId, stale)).toBe(false);
  expect((await summaryOf(walked))!.figures).toEqual(after.figures);
}, 60_000);

test('the report is kept with its job under codes alone, and tells webhooks that it is there', async () => {
  const walked = await walk(40);
  await end(walked);
  await analyse();
  await owner.query(
    `insert into kymo.webhook_endpoint (id, org_id, url, secret, events)
      values (gen_random_uuid(), $1, 'https://example.org/', 'whsec_' || repeat('A', 44), '{report.ready}')`,
    [tenant.orgId],
  );
  const task = sessionReportTask(parts);
  const { files, result } = await run(task, walked);
  expect(result).toMatchObject({ provisional: null });
  expect(files).toHaveLength(1);
  expect(files[0]!.name).toMatch(/^gait-report-P-[0-9a-f]{8}-\d{4}-\d\d-\d\d\.pdf$/);
  expect(files[0]!.bytes.subarray(0, 8).toString('latin1')).toBe('%PDF-1.7');
  const { rows } = await owner.query<{ type: string; payload: string; patient_id: string }>(
    'select type, payload, patient_id from kymo.webhook_delivery where org_id = $1',
    [tenant.orgId],
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({ type: 'report.ready', patient_id: walked.patient });
  expect(JSON.parse(rows[0]!.payload)).toMatchObject({ data: { session: walked.session } });
}, 60_000);

test('a job about a session of another organisation finds nothing', async () => {
  const walked = await walk(20);
  const other = { ...walked, session: uuidv7(systemClock) };
  await expect(run(sessionSummaryTask(parts), other)).rejects.toMatchObject({ code: 'not-found' });
}, 60_000);
