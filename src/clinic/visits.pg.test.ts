import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemClock } from '#base/clock.ts';
import { randomEpoch } from '#base/uuid.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import { sessionSummaryJob } from '#clinic/session-summary-job.ts';
import { createCatalogue } from '#store/catalogue.ts';
import { createLegalHolds } from '#store/legal-holds.ts';
import { enqueueStatements } from '#store/job-queue.ts';
import { runAsOrg, type RolePool } from '#store/pools.ts';
import { createReportQueries } from '#store/report-queries.ts';
import { createSessionQueries } from '#store/session-queries.ts';
import { createPatient, person } from '#test/support/clinic-people.ts';
import { createTenant, streamDefinition } from '#test/support/tenants.ts';
import {
  codeOf,
  codesOf,
  emptyPlan,
  newId,
  openTestClinic,
  type TestClinic,
} from '#test/support/test-clinic.ts';
import { createTestVisits } from '#test/support/visit-services.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

test('a session is planned, started, recorded, ended and sealed', async () => {
  const patientId = await createPatient(clinic.pools.app, clinic.tenant.orgId);
  const protocol = await clinic.protocols.create(clinic.ann, {
    name: 'Walk',
    description: '',
    tasks: [{ code: 'walk', name: 'Walk', instruction: 'To the wall and back', durationS: 60 }],
    segments: [
      { segment: 'left-foot', isRequired: true },
      { segment: 'right-foot', isRequired: true },
      { segment: 'pelvis', isRequired: false },
    ],
  });
  const device = await clinic.newDevice();
  const plannedFor = '2031-05-01T09:00:00.000Z';
  const planned = await clinic.visits.plan(clinic.ann, {
    patientId,
    protocolId: protocol.id,
    plannedFor,
    label: 'V-1',
  });
  const { id } = planned.session;
  expect(planned).toMatchObject({
    session: {
      state: 'planned',
      label: 'V-1',
      plannedFor,
      startedAt: plannedFor,
      patient: { id: patientId },
    },
    revision: 1,
    createdBy: `user:${clinic.ann.subject}`,
    protocol: { id: protocol.id, revision: 1, name: 'Walk' },
    placements: [],
  });
  expect(planned.warnings).toMatchObject([
    { code: 'segment-missing', segment: 'left-foot' },
    { code: 'segment-missing', segment: 'right-foot' },
  ]);
  const placed = await clinic.place(id, 1, [device, 'left-foot']);
  expect(placed).toMatchObject({
    revision: 2,
    placements: [{ deviceId: device.deviceId, segment: 'left-foot' }],
  });
  clinic.asked.length = 0;
  const started = await clinic.progress.start(clinic.ann, id);
  expect(started.visit.session.state).toBe('planned');
  expect(started.visit.startAskedAt).not.toBeNull();
  const command = started.asked[0]!.command;
  const params = { session: id, segment: 'left-foot' };
  expect(clinic.asked).toMatchObject([{ device: device.deviceId, id: command, command: 'start', params }]);
  const recording = await clinic.record(device, id);
  expect(recording.isNewSession).toBe(true);
  const live = await clinic.visits.read(clinic.ann, id);
  expect(live).toMatchObject({ session: { state: 'live', plannedFor }, placements: [{ isStreaming: true }] });
  expect(Date.now() - Date.parse(live.session.startedAt)).toBeLessThan(60_000);
  expect((await clinic.progress.start(clinic.ann, id)).asked).toEqual([]);
  const ending = await clinic.progress.end(clinic.ann, id, { now: false });
  expect(ending.visit.session.state).toBe('live');
  expect(ending.asked).toMatchObject([{ deviceId: device.deviceId }]);
  expect(clinic.asked.at(-1)).toMatchObject({ command: 'stop', params: { session: id } });
  expect(await codeOf(clinic.progress.seal(clinic.ann, id, 2))).toBe('conflict');
  await clinic.endStream(recording);
  const sealed = await clinic.progress.seal(clinic.ann, id, 2);
  expect(sealed).toMatchObject({
    session: { state: 'sealed', amended: false, storedReadings: 10 },
    revision: 3,
    sealedBy: `user:${clinic.ann.subject}`,
  });
  expect(await codeOf(clinic.progress.seal(clinic.ann, id, 3))).toBe('conflict');
  expect(await codeOf(clinic.progress.start(clinic.ann, id))).toBe('conflict');
  expect(await codeOf(clinic.place(id, 3))).toBe('conflict');
  expect(await codeOf(clinic.visits.bind(clinic.ann, id, { patientId: null, revision: 3 }))).toBe('conflict');
});

test('readings that come late are stored and amend what was sealed, and so does a stream that nobody knew of', async () => {
  for (const late of ['readings', 'stream'] as const) {
    const { id, recording } = await clinic.endedSession();
    await clinic.progress.seal(clinic.ann, id, 2);
    expect((await clinic.visits.read(clinic.ann, id)).session).toMatchObject({
      state: 'sealed',
      amended: false,
    });
    if (late === 'readings') await clinic.store(recording, 10);
    else await clinic.record(recording.device, id, 'right-foot');
    expect((await clinic.visits.read(clinic.ann, id)).session).toMatchObject({
      state: 'sealed',
      amended: true,
      storedReadings: 20,
    });
  }
});

test('a patient without consent to recordings is planned for, and flagged', async () => {
  const [consenting, silent] = [
    await createPatient(clinic.pools.app, clinic.tenant.orgId),
    await createPatient(clinic.pools.app, clinic.tenant.orgId, ['care']),
  ];
  expect((await clinic.visits.plan(clinic.ann, { ...emptyPlan, patientId: consenting })).warnings).toEqual(
    [],
  );
  const planned = await clinic.visits.plan(clinic.ann, { ...emptyPlan, patientId: silent });
  expect(codesOf(planned)).toEqual(['no-consent']);
  await clinic.owner.query('update kymo.patient set archived_at = now() where id = $1', [silent]);
  expect(codesOf(await clinic.visits.read(clinic.ann, planned.session.id))).toEqual([
    'no-consent',
    'patient-archived',
  ]);
});

test('a recording that a device began without a network takes its plan later, and its figures go with its patient', async () => {
  const device = await clinic.newDevice();
  const id = newId();
  await clinic.endStream(await clinic.record(device, id));
  const unbound = await clinic.visits.read(clinic.ann, id);
  expect(unbound).toMatchObject({ session: { state: 'ended', patient: null }, revision: 1, createdBy: '' });
  await clinic.owner.query(
    `insert into kymo.session_summary (session_id, org_id, started_at, duration_s, figures, quality, algorithm,
       algorithm_version, input_revision) values ($1, $2, now(), 1, '[]', '{}', 'motion', '1', 1)`,
    [id, clinic.tenant.orgId],
  );
  const patientId = await createPatient(clinic.pools.app, clinic.tenant.orgId);
  const change = { ...emptyPlan, patientId, label: 'V-9', revision: null };
  const bound = await clinic.visits.change(clinic.ann, id, change);
  expect(bound).toMatchObject({
    session: { state: 'ended', label: 'V-9', patient: { id: patientId } },
    revision: 2,
    createdBy: `user:${clinic.ann.subject}`,
  });
  expect(bound.session.startedAt).toBe(unbound.session.startedAt);
  // Sent again after an answer that was lost.
  expect(await clinic.visits.change(clinic.ann, id, change)).toEqual(bound);
  expect(await codeOf(clinic.visits.change(clinic.ben, id, change))).toBe('outdated');
  const summary = await clinic.owner.query(
    'select patient_id from kymo.session_summary where session_id = $1',
    [id],
  );
  expect(summary.rows).toEqual([{ patient_id: patientId }]);
  expect(JSON.parse(await clinic.summaries.read(clinic.ann, id))).toMatchObject({ session: id, patientId });
  const unboundAgain = await clinic.visits.bind(clinic.ann, id, { patientId: null, revision: 2 });
  expect(unboundAgain.session.patient).toBeNull();
  expect(JSON.parse(await clinic.summaries.read(clinic.ann, id))).toMatchObject({ patientId: null });
});

test('a plan may come with an id of its own, and a device that begins it later finds it', async () => {
  const id = newId();
  const patientId = await createPatient(clinic.pools.app, clinic.tenant.orgId);
  const planned = await clinic.visits.change(clinic.ann, id, { ...emptyPlan, patientId, revision: null });
  expect(planned).toMatchObject({ session: { id, state: 'planned' }, revision: 1 });
  const device = await clinic.newDevice();
  // A plan does not know whether a recording is synthetic, nor its label.
  const definition = streamDefinition({ session: id, synthetic: true, label: 'K-17' });
  const opened = await createCatalogue(clinic.pools).openStream(device, { definition, epoch: randomEpoch() });
  expect(opened).toMatchObject({ ok: true, value: { isNewSession: true, patientId } });
  const again = await createCatalogue(clinic.pools).openStream(device, { definition, epoch: randomEpoch() });
  expect(again).toMatchObject({ ok: true, value: { isNewSession: false } });
  const { session } = await clinic.visits.read(clinic.ann, id);
  expect(session).toMatchObject({
    state: 'idle',
    synthetic: true,
    label: 'K-17',
    patient: { id: patientId },
  });
});

test('of two clinicians who change a plan at once the second hears that it is outdated', async () => {
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  const changes = [clinic.ann, clinic.ben].map((who, i) =>
    codeOf(clinic.visits.change(who, session.id, { ...emptyPlan, label: `V-${i}`, revision: 1 })),
  );
  expect((await Promise.all(changes)).toSorted()).toEqual(['done', 'outdated']);
  expect(await codeOf(clinic.place(session.id, 1))).toBe('outdated');
  expect(await codeOf(clinic.visits.bind(clinic.ben, session.id, { patientId: null, revision: 1 }))).toBe(
    'outdated',
  );
  expect(await codeOf(clinic.visits.cancel(clinic.ben, session.id, 1))).toBe('outdated');
});

test('a plan is cancelled while nothing was recorded, and not afterwards', async () => {
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.visits.cancel(clinic.ann, session.id, 1);
  expect(await codeOf(clinic.visits.read(clinic.ann, session.id))).toBe('not-found');
  expect(await codeOf(clinic.visits.cancel(clinic.ann, session.id, 1))).toBe('not-found');
  const { id } = await clinic.endedSession();
  expect(await codeOf(clinic.visits.cancel(clinic.ann, id, 2))).toBe('conflict');
});

test('nobody plans for a patient who is being erased, or binds a recording that would be erased with them', async () => {
  const { ann, owner, tenant, pools } = clinic;
  const patientId = await createPatient(pools.app, tenant.orgId);
  const { id } = await clinic.endedSession();
  await owner.query('insert into kymo.erased_patient (org_id, patient_id) values ($1, $2)', [
    tenant.orgId,
    patientId,
  ]);
  const refusal = { code: 'invalid-field', field: '/patientId' };
  const plan = { ...emptyPlan, patientId };
  await expect(clinic.visits.bind(ann, id, { patientId, revision: 2 })).rejects.toMatchObject(refusal);
  await expect(clinic.visits.change(ann, id, { ...plan, revision: 2 })).rejects.toMatchObject(refusal);
  await expect(clinic.visits.plan(ann, plan)).rejects.toMatchObject(refusal);
});

test('reports and exports of a recording go when it turns out to be somebody else’s; figures go along', async () => {
  const { ann, owner, tenant, pools } = clinic;
  const [first, second] = [
    await createPatient(pools.app, tenant.orgId),
    await createPatient(pools.app, tenant.orgId),
  ];
  const { id } = await clinic.endedSession();
  await clinic.visits.bind(ann, id, { patientId: first, revision: 2 });
  const summary = sessionSummaryJob(id, systemClock);
  const report = { ...sessionSummaryJob(id, systemClock), kind: 'session-report', coalesceKey: 'report' };
  const statements = [...enqueueStatements(summary), ...enqueueStatements(report)];
  await runAsOrg(pools.app, ann, { statements, mode: 'change' });
  const reports = async (): Promise<unknown[]> =>
    (
      await owner.query("select patient_id from kymo.job where kind = 'session-report' and session_id = $1", [
        id,
      ])
    ).rows;
  await clinic.visits.change(ann, id, { ...emptyPlan, patientId: first, label: 'same', revision: 3 });
  expect(await reports()).toEqual([{ patient_id: first }]);
  await clinic.visits.bind(ann, id, { patientId: second, revision: 4 });
  expect(await reports()).toEqual([]);
  // What ends with the session is nobody's paper.
  const { rows } = await owner.query('select kind from kymo.job where session_id = $1', [id]);
  expect(rows).toEqual([{ kind: 'session-summary' }]);
});

test('figures that are stored while a recording gets another patient are that patient’s', async () => {
  const { ann, owner, tenant, pools } = clinic;
  const patientId = await createPatient(pools.app, tenant.orgId);
  const { id } = await clinic.endedSession();
  const binding = await owner.connect();
  await binding.query('begin');
  await binding.query('select from kymo.session where id = $1 for no key update', [id]);
  const quality = {} as Parameters<ReturnType<typeof createReportQueries>['storeSummary']>[1]['quality'];
  const storing = createReportQueries(pools.app).storeSummary(ann.orgId, {
    sessionId: id,
    durationS: 1,
    figures: [],
    quality,
    algorithm: 'test',
    algorithmVersion: '1',
    standing: { run: 0, change: 0 },
  });
  await expect
    .poll(
      async () => (await owner.query("select from pg_stat_activity where wait_event_type = 'Lock'")).rowCount,
    )
    .toBe(1);
  await binding.query('update kymo.session set patient_id = $2 where id = $1', [id, patientId]);
  await binding.query('commit');
  binding.release();
  expect(await storing).toBe(true);
  const { rows } = await owner.query('select patient_id from kymo.session_summary where session_id = $1', [
    id,
  ]);
  expect(rows).toEqual([{ patient_id: patientId }]);
});

test('a plan under a legal hold is not cancelled, and the refusal says so', async () => {
  const { ann, pools, tenant } = clinic;
  const { session } = await clinic.visits.plan(ann, emptyPlan);
  const holds = createLegalHolds(pools.app);
  await holds.hold(tenant.orgId, session.id, 'court file 7');
  await expect(clinic.visits.cancel(ann, session.id, 1)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('legal hold') as string,
  });
  await holds.release(tenant.orgId, session.id);
  await clinic.visits.cancel(ann, session.id, 1);
});

/** What stands in the channels of commands, by device and in order. */
async function commandsIn(devices: readonly { readonly deviceId: string }[]): Promise<object[]> {
  const { rows } = await clinic.owner.query<{ device: string; body: string }>(
    `select split_part(c.name, '/', 2) as device, convert_from(m.payload, 'UTF8') as body
       from kymo.channel c join kymo.channel_message m on m.channel_id = c.id
      where c.name = any($1) order by c.name, m.channel_offset`,
    [devices.map(({ deviceId }) => `device/${deviceId}/commands`)],
  );
  return rows.map(({ device, body }) => ({ device, ...(JSON.parse(body) as object) }));
}

test('all devices of a session are asked by the transaction that starts or ends it, in one round trip, once', async () => {
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  const devices = [await clinic.newDevice(), await clinic.newDevice(), await clinic.newDevice()];
  const [one, two, three] = devices as [DeviceIdentity, DeviceIdentity, DeviceIdentity];
  await clinic.place(
    session.id,
    1,
    [one, 'left-foot'],
    [one, 'left-shank'],
    [two, 'pelvis'],
    [three, 'head'],
  );
  const cost = { trips: 0 };
  const app: RolePool = {
    ...clinic.pools.app,
    run(...work) {
      cost.trips++;
      return clinic.pools.app.run(...work);
    },
  };
  const { progress, asked } = createTestVisits(app);
  const before = systemClock.nowUs();
  const started = await progress.start(clinic.ann, session.id);
  expect(cost.trips).toBe(1);
  const kept = await commandsIn(devices);
  expect(kept).toHaveLength(4);
  expect(started.asked).toHaveLength(4);
  expect(kept).toEqual(
    asked.map(({ device, ...data }) => ({ device, event: 'requested', data: { ...data, command: 'start' } })),
  );
  for (const { expiresAtUs } of asked as unknown as { expiresAtUs: number }[])
    expect(expiresAtUs - before).toBeGreaterThanOrEqual(30_000_000);
  expect(new Set(started.asked.map(({ command }) => command)).size).toBe(4);
  // Whoever records is not asked again.
  await clinic.record(two, session.id, 'pelvis');
  await clinic.record(two, session.id, 'chest');
  expect((await progress.start(clinic.ann, session.id)).asked).toHaveLength(3);
  expect((await progress.end(clinic.ann, session.id, { now: true })).asked).toMatchObject([
    { deviceId: two.deviceId },
  ]);
  expect(cost.trips).toBe(3);
  expect((await commandsIn([two])).map((message) => (message as { data: object }).data)).toMatchObject([
    { command: 'start', params: { session: session.id, segment: 'pelvis' } },
    { command: 'stop', params: { session: session.id } },
  ]);
});

test('a start that is refused, or of which the database keeps only a part, asks nobody', async () => {
  const device = await clinic.newDevice();
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.place(session.id, 1, [device, 'left-foot']);
  const failing: RolePool = {
    ...clinic.pools.app,
    run: (statements, mode) => clinic.pools.app.run([...statements, { text: 'select 1 / 0' }], mode),
  };
  const { progress, asked } = createTestVisits(failing);
  await expect(progress.start(clinic.ann, session.id)).rejects.toThrow('division by zero');
  expect([asked, await commandsIn([device])]).toEqual([[], []]);
  expect((await clinic.visits.read(clinic.ann, session.id)).startAskedAt).toBeNull();
  const other = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.progress.start(clinic.ann, session.id);
  await clinic.owner.query(
    `insert into kymo.placement (session_id, device_id, segment, org_id) values ($1, $2, 'x', $3)`,
    [other.session.id, device.deviceId, clinic.tenant.orgId],
  );
  expect(await codeOf(clinic.progress.start(clinic.ann, other.session.id))).toBe('conflict');
  expect(await commandsIn([device])).toHaveLength(1);
});

test('a session ends at once when asked to, is told once and is summarised, also when a device is away', async () => {
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  expect(await codeOf(clinic.progress.end(clinic.ann, session.id, { now: true }))).toBe('conflict');
  const device = await clinic.newDevice();
  const recording = await clinic.record(device, session.id);
  clinic.ended.length = 0;
  const ended = await clinic.progress.end(clinic.ann, session.id, { now: true });
  expect(ended.visit.session.state).toBe('ended');
  expect(ended.asked).toMatchObject([{ deviceId: device.deviceId }]);
  expect(clinic.ended).toEqual([session.id]);
  expect((await clinic.progress.end(clinic.ann, session.id, { now: true })).asked).toEqual([]);
  expect(await clinic.endStream(recording)).toBeNull();
  expect(clinic.ended).toEqual([session.id]);
  const jobs = await clinic.owner.query(`select kind from kymo.job where session_id = $1`, [session.id]);
  expect(jobs.rows).toEqual([{ kind: 'session-summary' }]);
  // What the device still has is stored all the same.
  await clinic.store(recording, 10);
  expect((await clinic.visits.read(clinic.ann, session.id)).session).toMatchObject({
    state: 'ended',
    storedReadings: 20,
  });
});

test('nothing of this is there for another organisation, and none of its things can be used', async () => {
  const foreigner = person(clinic.other.orgId, { role: 'owner' });
  const { id } = await clinic.endedSession();
  const theirs = await createPatient(clinic.pools.app, clinic.other.orgId);
  const tried = [
    clinic.visits.read(foreigner, id),
    clinic.visits.bind(foreigner, id, { patientId: theirs, revision: 2 }),
    clinic.visits.change(foreigner, id, { ...emptyPlan, revision: 2 }),
    clinic.visits.cancel(foreigner, id, 2),
    clinic.placements.assign(foreigner, id, { revision: 2, placements: [] }),
    clinic.placements.history(foreigner, clinic.tenant.device.deviceId, { limit: 9, cursor: null }),
    clinic.progress.start(foreigner, id),
    clinic.progress.end(foreigner, id, { now: true }),
    clinic.progress.seal(foreigner, id, 2),
    clinic.annotations.list(foreigner, id, { limit: 9, cursor: null }),
    clinic.summaries.read(foreigner, id),
  ].map(codeOf);
  expect(new Set(await Promise.all(tried))).toEqual(new Set(['not-found']));
  expect(await codeOf(clinic.visits.change(foreigner, id, { ...emptyPlan, revision: null }))).toBe(
    'conflict',
  );
  expect(await codeOf(clinic.visits.plan(clinic.ann, { ...emptyPlan, patientId: theirs }))).toBe(
    'invalid-field',
  );
  const protocol = await clinic.protocols.create(foreigner, {
    name: 'x',
    description: '',
    tasks: [],
    segments: [],
  });
  expect(await codeOf(clinic.visits.plan(clinic.ann, { ...emptyPlan, protocolId: protocol.id }))).toBe(
    'invalid-field',
  );
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  await expect(clinic.place(session.id, 1, [clinic.other.device, 'left-foot'])).rejects.toMatchObject({
    code: 'invalid-field',
  });
  expect((await clinic.visits.read(clinic.ann, id)).session.state).toBe('ended');
});

test('a role does what it may: assistants plan and do not sign off, patients read their own', async () => {
  const patientId = await createPatient(clinic.pools.app, clinic.tenant.orgId);
  const own = await clinic.visits.plan(clinic.ann, { ...emptyPlan, patientId });
  const foreign = await clinic.visits.plan(clinic.ann, emptyPlan);
  const patient = person(clinic.tenant.orgId, { role: 'patient', patientId });
  const assistant = person(clinic.tenant.orgId, { role: 'assistant' });
  expect((await clinic.visits.read(patient, own.session.id)).session.patient).toMatchObject({
    id: patientId,
  });
  expect(await codeOf(clinic.visits.read(patient, foreign.session.id))).toBe('not-found');
  expect(await codeOf(clinic.annotations.list(patient, foreign.session.id, { limit: 9, cursor: null }))).toBe(
    'not-found',
  );
  const sessions = createSessionQueries(clinic.pools.app);
  const page = { limit: 100, cursor: null, filter: { state: 'all' } } as const;
  expect((await sessions.list(patient, page))!.sessions.map(({ id }) => id)).toEqual([own.session.id]);
  const tried = [
    clinic.visits.plan(patient, emptyPlan),
    clinic.visits.bind(patient, own.session.id, { patientId: null, revision: 1 }),
    clinic.placements.assign(patient, own.session.id, { revision: 1, placements: [] }),
    clinic.progress.start(patient, own.session.id),
    clinic.progress.end(patient, own.session.id, { now: true }),
    clinic.progress.seal(assistant, own.session.id, 1),
    clinic.protocols.list(patient, { limit: 9, cursor: null }),
    clinic.protocols.archive(assistant, own.session.id),
  ].map(codeOf);
  expect(new Set(await Promise.all(tried))).toEqual(new Set(['forbidden']));
  expect((await clinic.visits.plan(assistant, emptyPlan)).session.state).toBe('planned');
});

test('lists are filtered by patient, state and time, and pages of each hold together', async () => {
  const tenantC = await createTenant(clinic.ownerUrl, clinic.pools, 'C');
  const eve = person(tenantC.orgId);
  const patientId = await createPatient(clinic.pools.app, tenantC.orgId);
  const made: Record<string, string[]> = { planned: [], live: [], ended: [], sealed: [] };
  for (let i = 0; i < 3; i++)
    for (const state of Object.keys(made)) {
      const { session } = await clinic.visits.plan(eve, {
        ...emptyPlan,
        patientId: i === 0 ? null : patientId,
      });
      if (state !== 'planned') {
        const recording = await clinic.record(tenantC.device, session.id);
        if (state !== 'live') await clinic.endStream(recording);
        if (state === 'sealed') await clinic.progress.seal(eve, session.id, 1);
      }
      made[state]!.unshift(session.id);
    }
  const sessions = createSessionQueries(clinic.pools.app);
  type Filter = NonNullable<Parameters<typeof sessions.list>[1]['filter']>;
  const idsOf = async (filter: Filter): Promise<string[]> => {
    const ids: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await sessions.list(eve, { limit: 2, cursor, filter });
      ids.push(...page!.sessions.map(({ id }) => id));
      cursor = page!.next;
    } while (cursor !== null);
    return ids;
  };
  const sorted = (...lists: (string[] | undefined)[]): string[] =>
    lists.flatMap((list) => list ?? []).toSorted();
  for (const state of ['planned', 'live', 'ended', 'sealed'] as const) {
    expect((await idsOf({ state })).toSorted()).toEqual(sorted(made[state]));
    expect((await idsOf({ state, patientId })).toSorted()).toEqual(sorted(made[state]!.slice(0, 2)));
  }
  expect(await idsOf({ state: 'idle' })).toEqual([]);
  expect((await idsOf({})).toSorted()).toEqual(sorted(made['live'], made['ended'], made['sealed']));
  expect(await idsOf({ state: 'all' })).toHaveLength(12);
  const ids = made['ended']!;
  const { rows } = await clinic.owner.query<{ at: Date }>(
    'select started_at as at from kymo.session where id = $1',
    [ids[1]],
  );
  await clinic.owner.query(
    `update kymo.session set started_at = date_trunc('milliseconds', started_at) where id = $1`,
    [ids[1]],
  );
  const from = new Date(rows[0]!.at.getTime());
  expect(await idsOf({ state: 'ended', from })).toEqual(ids.slice(0, 2));
  expect(await idsOf({ state: 'ended', to: from })).toEqual(ids.slice(2));
});
