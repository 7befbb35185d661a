import { Type } from 'typebox';
import { expect, test } from 'vitest';

import { AppError } from '#base/errors.ts';
import { auditTasks } from '#jobs/audited-tasks.ts';
import { defineTask } from '#jobs/task.ts';
import { createRecordedAudit } from '#test/support/recorded-audit.ts';

const id = '01900000-0000-7000-8000-0000000000c2';

function setUp(run: () => Promise<void>) {
  const audit = createRecordedAudit();
  const task = defineTask({
    kind: 'patient-export',
    input: Type.Object({}),
    lane: 'slow',
    action: 'patient.export',
    about: () => ({}),
    run: async () => {
      await run();
      return {};
    },
  });
  const [audited] = auditTasks([task], { audit, onFailure: () => undefined });
  const start = (patientId: string | null) =>
    audited!.run({ job: { id, orgId: id, patientId, sessionId: null } } as never);
  return { audit, start };
}

test('what a job does with a patient’s data is recorded before it begins and when it ends', async () => {
  const { audit, start } = setUp(async () => {
    expect(audit.entries).toHaveLength(1);
  });
  await start(id);
  expect(audit.entries).toMatchObject([
    { action: 'patient.export', route: 'job patient-export', patientId: id, status: null },
    { actor: { kind: 'system' }, resource: { kind: 'job', id }, status: 200 },
  ]);
});

test('a job about nobody is not recorded', async () => {
  const { audit, start } = setUp(async () => undefined);
  await start(null);
  expect(audit.entries).toEqual([]);
});

test('a job that fails says so, and one that cannot be recorded does not begin', async () => {
  let runs = 0;
  const { audit, start } = setUp(async () => {
    runs++;
    throw new AppError('not-found', 'gone');
  });
  await expect(start(id)).rejects.toMatchObject({ code: 'not-found' });
  expect(audit.entries.map(({ status }) => status)).toEqual([null, 400]);
  audit.failure = new AppError('store-unavailable', 'away', { temporary: true });
  await expect(start(id)).rejects.toMatchObject({ code: 'store-unavailable' });
  expect(runs).toBe(1);
});
