/** Owns runners of jobs for tests: with tasks that wait for the test, and a way to wait for what becomes of a job. */

import { Type } from 'typebox';

import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { JobNews } from '#contract/jobs.ts';
import { startRunner, type Runner, type RunnerOptions } from '#jobs/runner.ts';
import { defineTask, type Task, type TaskContext, type TaskOutcome } from '#jobs/task.ts';
import { enqueueStatements, type NewJob } from '#store/job-queue.ts';
import { runAsOrg, type Pools } from '#store/pools.ts';

export interface TestRunner extends Runner {
  readonly news: readonly (JobNews & { readonly orgId: string })[];
}

export function startTestRunner(
  pools: Pools,
  tasks: readonly Task[],
  overrides: Partial<RunnerOptions> = {},
): TestRunner {
  const news: (JobNews & { orgId: string })[] = [];
  const runner = startRunner({
    jobsUrl: pools.jobsUrl,
    app: pools.app,
    tasks,
    schedules: [],
    workers: 2,
    otherShards: [],
    pollMs: 200,
    clock: systemClock,
    random: () => 0.5,
    log: silentLog,
    onChange: ({ orgId, news: one }) => news.push({ ...one, orgId }),
    ...overrides,
  });
  return {
    get counters() {
      return runner.counters;
    },
    stop: () => runner.stop(),
    news,
  };
}

/** A quick task of any input that does `run`. */
export function testTask(
  run: (context: TaskContext<Record<string, unknown>>) => Promise<TaskOutcome | void>,
  overrides: Partial<Task> = {},
): Task {
  return defineTask({
    kind: 'test-task',
    input: Type.Record(Type.String(), Type.Unknown()),
    lane: 'quick',
    action: null,
    about: () => ({}),
    backOffMs: () => 10,
    run,
    ...overrides,
  });
}

export async function enqueueTestJob(
  pools: Pools,
  orgId: string,
  overrides: Partial<NewJob> = {},
): Promise<string> {
  const job: NewJob = {
    id: uuidv7(systemClock),
    kind: 'test-task',
    input: {},
    lane: 'quick',
    maxAttempts: 3,
    ...overrides,
  };
  const [result] = await runAsOrg(pools.app, orgId, {
    statements: enqueueStatements(job),
    mode: 'change',
  });
  return (result!.rows[0] as { id: string }).id;
}

/** The row of a job, as its organisation sees it. */
export async function jobRow(
  pools: Pools,
  orgId: string,
  jobId: string,
): Promise<Record<string, unknown> | undefined> {
  const [result] = await runAsOrg(pools.app, orgId, {
    statements: [{ text: 'select * from kymo.job where id = $1', values: [jobId] }],
    mode: 'snapshot',
  });
  return result!.rows[0] as Record<string, unknown> | undefined;
}
