import { expect, test } from 'vitest';

import type { AuditEntry } from '#contract/audit.ts';
import { createAuditLog } from '#clinic/audit-log.ts';
import { createManualClock } from '#test/support/manual-clock.ts';

const entry: AuditEntry = {
  orgId: '01900000-0000-7000-8000-00000000000a',
  actor: { kind: 'user', role: 'clinician', subject: 'someone' },
  action: 'session.read',
  route: 'GET /v1/sessions/:id',
  requestId: null,
  patientId: null,
  resource: null,
  status: 200,
  address: null,
};

interface Commit {
  readonly rows: readonly Record<string, unknown>[];
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

function setUp(limits = {}) {
  const clock = createManualClock();
  const commits: Commit[] = [];
  const append = (entries: string): Promise<void> =>
    new Promise((resolve, reject) => {
      commits.push({ rows: JSON.parse(entries) as Commit['rows'], resolve, reject });
    });
  return { clock, commits, log: createAuditLog({ store: { append }, clock, limits }) };
}

/** Lets promises that are due settle. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

test('entries of one turn are committed together, and nobody is told before the commit', async () => {
  const { log, commits } = setUp();
  let told = 0;
  for (let i = 0; i < 3; i++) void log.record(entry).then(() => told++);
  await settle();
  expect(commits.map(({ rows }) => rows.length)).toEqual([3]);
  expect(told).toBe(0);
  commits[0]!.resolve();
  await settle();
  expect(told).toBe(3);
  expect(log.counters).toEqual({ recorded: 3, commits: 1, refused: 0, failed: 0 });
});

test('one commit is under way at a time, and what comes meanwhile goes with the next', async () => {
  const { log, commits, clock } = setUp({ gatherMs: 4, maxGatherMs: 50 });
  void log.record(entry);
  await settle();
  for (let i = 0; i < 5; i++) void log.record(entry);
  clock.advance(100);
  await settle();
  expect(commits).toHaveLength(1);
  commits[0]!.resolve();
  await settle();
  expect(commits.map(({ rows }) => rows.length)).toEqual([1, 5]);
});

test('commits start no closer to each other than it takes to collect', async () => {
  const { log, commits, clock } = setUp({ gatherMs: 4 });
  void log.record(entry);
  await settle();
  commits[0]!.resolve();
  await settle();
  void log.record(entry);
  clock.advance(3);
  await settle();
  expect(commits).toHaveLength(1);
  clock.advance(1);
  expect(commits).toHaveLength(2);
});

test('a full queue refuses as overloaded, and a failed commit fails those who wait for it alone', async () => {
  const { log, commits } = setUp({ maxPending: 3, commitEntries: 2, gatherMs: 0 });
  const outcomes: string[] = [];
  const record = (): void =>
    void log.record(entry).then(
      () => outcomes.push('recorded'),
      (error: { code: string }) => outcomes.push(error.code),
    );
  for (let i = 0; i < 4; i++) record();
  await settle();
  expect(outcomes).toEqual(['overloaded']);
  commits[0]!.reject(Object.assign(new Error('away'), { code: 'store-unavailable' }));
  await settle();
  commits[1]!.resolve();
  await settle();
  expect(outcomes).toEqual(['overloaded', 'store-unavailable', 'store-unavailable', 'recorded']);
  expect(log.counters).toEqual({ recorded: 1, commits: 2, refused: 1, failed: 2 });
  expect(log.pending).toBe(0);
});

test('what PostgreSQL would refuse in one entry does not fail the entries beside it', async () => {
  const { log, commits } = setUp();
  void log.record({
    ...entry,
    actor: { kind: 'token', role: 'service', subject: `a\u0000b\uD800${'c'.repeat(300)}` },
    requestId: 'none',
    patientId: 'P-17',
    resource: { kind: 'session', id: '../../x' },
    patients: ['x', entry.orgId],
  });
  await settle();
  const [row] = commits[0]!.rows;
  expect(row).toMatchObject({ request: null, patient: null, id: null, patients: [entry.orgId] });
  expect(row!['actor']).toMatch(/^a\uFFFDb\uFFFDc{196}$/);
});

test('a database that takes longer gets fewer and larger commits', async () => {
  const { log, commits, clock } = setUp({ gatherMs: 4, maxGatherMs: 50 });
  void log.record(entry);
  await settle();
  clock.advance(10);
  commits[0]!.resolve();
  await settle();
  void log.record(entry);
  clock.advance(9);
  expect(commits).toHaveLength(1);
  clock.advance(1);
  expect(commits).toHaveLength(2);
});
