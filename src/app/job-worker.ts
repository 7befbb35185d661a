/**
 * Owns the thread in which jobs run: of low priority, with connections of its own, so that neither devices nor requests wait
 * for a report or an export. It tells every change, and its counters once a second, and ends when it is told to: attempts
 * under way go back into the queue.
 */

import { parentPort, workerData } from 'node:worker_threads';

import { assert } from '#base/assert.ts';
import { systemClock as clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { systemRandom } from '#base/random.ts';
import { createAuditLog } from '#clinic/audit-log.ts';
import { auditTasks } from '#jobs/audited-tasks.ts';
import type { JobChange } from '#jobs/job-rows.ts';
import { startRunner, type Runner, type RunnerCounters } from '#jobs/runner.ts';
import { openAuditStore, type AuditStore } from '#store/audit-store.ts';
import { openPoolsAt, type Pools } from '#store/pools.ts';
import { createSchedules, createTasks } from '#app/job-tasks.ts';
import { createLog } from '#app/log.ts';
import { openMasterKeys } from '#app/master-key-file.ts';
import { yieldToLive } from '#app/thread-priority.ts';

/** What the thread is started with. */
export interface JobWorkerData {
  readonly urls: Pools['urls'];
  readonly logLevel: string;
  readonly version: string;
  readonly workers: number;
  readonly otherShards: readonly number[];
  readonly webhooksPrivate: boolean;
  /** As configured, and where the file is when it is not (master-key-file.ts). */
  readonly masterKey: string;
  readonly stateDir: string;
  /** Mail is sent by some server, and links in it lead somewhere. */
  readonly sendsMail: boolean;
}

export type FromJobWorker =
  | { readonly counters: RunnerCounters }
  | { readonly change: JobChange }
  | { readonly forget: { readonly orgId: string; readonly tags: readonly string[] } }
  | 'opening';
type ToJobWorker = 'stop' | 'renew';

const TELL_MS = 1_000;
const OPEN_AGAIN_MS = 2_000;
/** A fifth of the time that a busy thread of usual priority gets: people wait for reports, but patients walk now. */
const NICENESS = 7;

assert(parentPort !== null, 'this file is the entry of a thread');
const port = parentPort;
yieldToLive(NICENESS);
const { urls, logLevel, version, workers, otherShards, ...given } = workerData as JobWorkerData;
const log = createLog(logLevel);
const say = (message: FromJobWorker): void => port.postMessage(message);
let isStopping = false;
let cancelWait = (): void => undefined;
interface Opened {
  readonly pools: Pools;
  readonly auditStore: AuditStore;
  readonly runner: Runner;
}

let opened: Opened | null = null;

/** A database that is away at the start is waited for. */
async function open(): Promise<void> {
  while (opened === null && !isStopping) {
    say('opening');
    try {
      const pools = await openPoolsAt(urls);
      const auditStore = openAuditStore(pools.auditUrl);
      const parts = {
        pools,
        clock,
        version,
        webhooksPrivate: given.webhooksPrivate,
        masters: openMasterKeys(given.masterKey, given.stateDir),
        forget: (orgId: string, tags: readonly string[]) => say({ forget: { orgId, tags } }),
      };
      const runner = startRunner({
        jobsUrl: pools.jobsUrl,
        app: pools.app,
        tasks: auditTasks(createTasks(parts), {
          audit: createAuditLog({ store: auditStore, clock }),
          onFailure: (error) =>
            log.error('the outcome of a job is missing in the audit log', { error: messageOf(error) }),
        }),
        schedules: createSchedules(parts, given.sendsMail),
        mailsEnds: given.sendsMail,
        workers,
        otherShards,
        clock,
        random: systemRandom.next,
        log,
        onChange: (change) => say({ change }),
      });
      opened = { pools, auditStore, runner };
    } catch (error) {
      log.debug('jobs wait for the database', { error: messageOf(error) });
      await new Promise<void>((resolve) => {
        const cancel = clock.after(OPEN_AGAIN_MS, resolve);
        cancelWait = () => {
          cancel();
          resolve();
        };
      });
    }
  }
}

let cancelTelling = clock.after(TELL_MS, keepTelling);
function keepTelling(): void {
  if (opened !== null) say({ counters: opened.runner.counters });
  cancelTelling = clock.after(TELL_MS, keepTelling);
}

async function stop(): Promise<void> {
  isStopping = true;
  cancelWait();
  await opening;
  if (opened === null) return;
  await close(opened);
}

async function close({ pools, auditStore, runner }: Opened): Promise<void> {
  await runner.stop();
  say({ counters: runner.counters });
  await Promise.all([auditStore.close(), pools.close()]);
}

/** A server that a standby has replaced may still answer: nothing goes on by connections to it, those of the queue neither. */
async function renew(): Promise<void> {
  await opening;
  if (opened === null || isStopping) return;
  const old = opened;
  opened = null;
  // What attempts write when they stop goes to the new one.
  old.pools.renew();
  await close(old);
  await open();
}

port.on('message', (message: ToJobWorker) => {
  if (message === 'renew') {
    opening = renew();
    return;
  }
  assert(message === 'stop', 'there is nothing else to be told');
  cancelTelling();
  // Nothing is left to wait for, so the thread ends.
  void stop().finally(() => port.close());
});
let opening = open();
