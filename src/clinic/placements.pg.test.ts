import { afterAll, beforeAll, expect, test } from 'vitest';

import { lockDevicesSql } from '#clinic/placements.ts';

import {
  codeOf,
  codesOf,
  emptyPlan,
  newId,
  openTestClinic,
  type TestClinic,
} from '#test/support/test-clinic.ts';

let clinic: TestClinic;
beforeAll(async () => {
  clinic = await openTestClinic();
});
afterAll(() => clinic.close());

test('a device that records another session is refused by name, and one that was recorded and ended is free', async () => {
  const device = await clinic.newDevice();
  const first = await clinic.visits.plan(clinic.ann, emptyPlan);
  const second = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.place(first.session.id, 1, [device, 'left-foot']);
  // Both may plan it; only one may have it at a time.
  await clinic.place(second.session.id, 1, [device, 'left-foot']);
  await clinic.progress.start(clinic.ann, first.session.id);
  await expect(clinic.progress.start(clinic.ann, second.session.id)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(first.session.id) as string,
  });
  const recording = await clinic.record(device, first.session.id);
  const third = await clinic.visits.plan(clinic.ann, emptyPlan);
  await expect(
    clinic.place(third.session.id, 1, [await clinic.newDevice(), 'pelvis'], [device, 'left-foot']),
  ).rejects.toMatchObject({
    code: 'conflict',
    field: '/placements/1/deviceId',
    message: expect.stringContaining(first.session.id) as string,
  });
  expect((await clinic.visits.read(clinic.ann, third.session.id)).placements).toEqual([]);
  // For tomorrow it may be had now.
  const plannedFor = new Date(Date.now() + 86_400_000).toISOString();
  const tomorrow = await clinic.visits.plan(clinic.ann, { ...emptyPlan, plannedFor });
  expect(codesOf(await clinic.place(tomorrow.session.id, 1, [device, 'left-foot']))).toEqual(['in-use-now']);
  await clinic.endStream(recording);
  await clinic.place(third.session.id, 1, [device, 'left-foot']);
  expect(codesOf(await clinic.visits.read(clinic.ann, third.session.id))).toEqual(['planned-elsewhere']);
  await clinic.progress.start(clinic.ann, second.session.id);
});

test('a device that records without a plan is in use too, and one whose recording went silent long ago is not', async () => {
  const device = await clinic.newDevice();
  const unplanned = newId();
  const recording = await clinic.record(device, unplanned);
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  await expect(clinic.place(session.id, 1, [device, 'left-foot'])).rejects.toThrow(unplanned);
  await clinic.owner.query(`update kymo.stream set opened_at = now() - interval '2 hours' where id = $1`, [
    recording.stream,
  ]);
  await expect(clinic.place(session.id, 1, [device, 'left-foot'])).rejects.toThrow(unplanned);
  await clinic.writer.query(
    `update kymo.stream_epoch set committed_at = now() - interval '2 hours' where stream_id = $1`,
    [recording.stream],
  );
  expect((await clinic.place(session.id, 1, [device, 'left-foot'])).placements).toHaveLength(1);
});

test('of two sessions that start with one device at the same instant, one does', async () => {
  for (let round = 0; round < 8; round++) {
    const device = await clinic.newDevice();
    const ids = await Promise.all(
      [0, 1].map(async () => {
        const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
        await clinic.place(session.id, 1, [device, 'left-foot'], [await clinic.newDevice(), 'pelvis']);
        return session.id;
      }),
    );
    const outcomes = await Promise.all(ids.map((id) => codeOf(clinic.progress.start(clinic.ann, id))));
    expect(outcomes.toSorted()).toEqual(['conflict', 'done']);
  }
});

test('who assigns a device waits for who starts a session with it at the same instant, and sees it', async () => {
  const device = await clinic.newDevice();
  const one = await clinic.visits.plan(clinic.ann, emptyPlan);
  const two = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.place(one.session.id, 1, [device, 'left-foot']);
  const starting = await clinic.owner.connect();
  await starting.query('begin');
  await starting.query(lockDevicesSql(`select '${device.deviceId}'::uuid as id`));
  await starting.query('update kymo.session set start_asked_at = now() where id = $1', [one.session.id]);
  const assigned = codeOf(clinic.place(two.session.id, 1, [device, 'pelvis']));
  const waiters = `select from pg_locks where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  await expect.poll(async () => (await clinic.owner.query(waiters)).rowCount).toBe(1);
  await starting.query('commit');
  starting.release();
  expect(await assigned).toBe('conflict');
});

test('a device that is worn in a session in progress is in use before it sends anything', async () => {
  const [worn, sending] = [await clinic.newDevice(), await clinic.newDevice()];
  const going = await clinic.visits.plan(clinic.ann, emptyPlan);
  await clinic.place(going.session.id, 1, [worn, 'pelvis'], [sending, 'left-foot']);
  const recording = await clinic.record(sending, going.session.id);
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  await expect(clinic.place(session.id, 1, [worn, 'pelvis'])).rejects.toThrow(going.session.id);
  await clinic.endStream(recording);
  await clinic.place(session.id, 1, [worn, 'pelvis']);
});

test('left and right are compared with the last time, with the name of the device, and with each other', async () => {
  const [a, b, named] = [
    await clinic.newDevice('7'),
    await clinic.newDevice('8'),
    await clinic.newDevice('Right Shank'),
  ];
  const before = await clinic.visits.plan(clinic.ann, emptyPlan);
  for (const [device, segment] of [
    [a, 'left-foot'],
    [b, 'right-foot'],
  ] as const)
    await clinic.endStream(await clinic.record(device, before.session.id, segment));
  const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
  const same = await clinic.place(session.id, 1, [a, 'left-foot'], [b, 'right-foot'], [named, 'right-shank']);
  expect(same.warnings).toEqual([]);
  const one = await clinic.place(session.id, 2, [a, 'right-foot'], [named, 'left-shank']);
  expect(one.warnings).toMatchObject([
    { code: 'other-side', segment: 'left-shank', deviceId: named.deviceId, sessionId: null },
    { code: 'other-side', segment: 'right-foot', deviceId: a.deviceId, sessionId: before.session.id },
  ]);
  const both = await clinic.place(session.id, 3, [a, 'right-foot'], [b, 'left-foot']);
  expect(both.warnings).toMatchObject([{ code: 'sides-swapped', sessionId: before.session.id }]);
  expect(codesOf(await clinic.place(session.id, 4, [a, 'pelvis'], [b, 'pelvis']))).toEqual(['segment-twice']);
  await clinic.place(session.id, 5, [a, 'left-foot']);
  await clinic.record(a, session.id, 'right-foot');
  expect(codesOf(await clinic.visits.read(clinic.ann, session.id))).toEqual(['streams-elsewhere']);
});

test('the history of a device says where it was, page by page', async () => {
  const device = await clinic.newDevice();
  const worn: [string, string][] = [];
  // The last as long as one may be, in characters that are pairs.
  for (const segment of ['left-foot', 'pelvis', '🦶'.repeat(62)]) {
    const { session } = await clinic.visits.plan(clinic.ann, emptyPlan);
    await clinic.place(session.id, 1, [device, segment], [device, `${segment} 2`]);
    worn.unshift([session.id, `${segment} 2`], [session.id, segment]);
  }
  const seen: [string, string][] = [];
  let cursor: string | null = null;
  do {
    const page = await clinic.placements.history(clinic.ann, device.deviceId, { limit: 1, cursor });
    seen.push(...page.placements.map(({ session, segment }): [string, string] => [session, segment]));
    cursor = page.next;
  } while (cursor !== null);
  const byText = (x: readonly string[], y: readonly string[]): number => (x.join() < y.join() ? -1 : 1);
  expect(seen.toSorted(byText)).toEqual(worn.toSorted(byText));
  const ofNoText = Buffer.from(`1.${device.deviceId}.a\u0000`).toString('base64url');
  for (const none of ['x', ofNoText])
    expect(
      await codeOf(clinic.placements.history(clinic.ann, device.deviceId, { limit: 4, cursor: none })),
    ).toBe('invalid-field');
});
