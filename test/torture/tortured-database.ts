/**
 * Owns the PostgreSQL of a torture run: the product's embedded one with its settings, on a disk of its own where that is
 * permitted, ended in every way that PostgreSQL knows, frozen, its backends killed, its disk filled, and started again.
 */

import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';

import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { processesWorkingIn, processStart } from '#app/embedded-processes.ts';
import { systemClock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import { mountPrivateDisk, type PrivateDisk } from '#test/torture/private-disk.ts';
import type { RunGuard } from '#test/torture/run-guard.ts';

/** A gigabyte of programs, log and work, and what an hour of the largest fleet stores. */
const DISK_MIB = 3 * 1024;
/** An embedded log of 2 GB would fill such a disk by itself; a checkpoint every 128 MB also writes under load. */
const SETTINGS = { max_wal_size: '256MB', min_wal_size: '64MB' };
const ANSWER_MS = 60_000;
/** Twice what it keeps for later at most: 256 MB in files of 16. */
const MAX_LOG_FILES = 32;

export interface TorturedDatabase {
  readonly ownerUrl: string;
  /** What its disk is, for people. */
  readonly medium: string;
  /** Null where no disk of its own was permitted. */
  readonly disk: PrivateDisk | null;
  readonly noDisk: string;
  /** Signals the postmaster and waits until it is gone: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate. */
  end(name: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void>;
  /** Kills every process of it at once. */
  crash(): Promise<void>;
  /** Starts it when it is down; resolves when it answers. */
  start(): Promise<void>;
  /** Stops every process of it, or lets them go on. */
  freeze(isFrozen: boolean): void;
  /** Signals a backend that a server writes with; false when there was none. */
  signalBackend(name: 'SIGTERM' | 'SIGKILL', pick: (count: number) => number): Promise<boolean>;
  /** Makes it begin new files of its log until it has no room for one: then it panics. */
  useUpLog(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTorturedDatabase(
  guard: RunGuard,
  onStep: (text: string) => void,
): Promise<TorturedDatabase> {
  const mounted = join(guard.directory, 'disk');
  mkdirSync(mounted);
  const disk = mountPrivateDisk(guard, {
    directory: mounted,
    imageFile: join(guard.directory, 'disk.image'),
    mebibytes: DISK_MIB,
    kinds: ['ext4', 'tmpfs'],
  });
  const embedded = await startEmbeddedDatabase({
    dataDir: join(mounted, 'kymo'),
    settings: SETTINGS,
    onStep,
  });
  const cluster = realpathSync(join(embedded.dataDir, 'pg18'));
  const everyProcess = (name: NodeJS.Signals): void => {
    for (const pid of processesWorkingIn(cluster)) signal(pid, name);
  };
  return {
    ownerUrl: embedded.ownerUrl,
    medium: 'absent' in disk ? "the machine's disk" : disk.kind,
    disk: 'absent' in disk ? null : disk,
    noDisk: 'absent' in disk ? disk.absent : '',
    async end(name) {
      const pid = embedded.postmasterPid();
      if (pid === undefined) return;
      const start = processStart(pid);
      signal(pid, name);
      while (processStart(pid) === start) await pause(10);
    },
    async crash() {
      while (processesWorkingIn(cluster).length > 0) {
        everyProcess('SIGKILL');
        await pause(10);
      }
    },
    async start() {
      const giveUpAtMs = systemClock.monotonicMs() + ANSWER_MS;
      for (;;) {
        try {
          await embedded.ensureRunning();
          await ask(embedded.ownerUrl, 'select 1');
          return;
        } catch (error) {
          if (systemClock.monotonicMs() > giveUpAtMs)
            throw new Error(`the database does not come back: ${messageOf(error)}`, { cause: error });
          await pause(50);
        }
      }
    },
    freeze: (isFrozen) => everyProcess(isFrozen ? 'SIGSTOP' : 'SIGCONT'),
    async signalBackend(name, pick) {
      const rows = await ask<{ pid: number }>(
        embedded.superuserUrl,
        `select pid from pg_stat_activity where usename = 'kymo_writer' and pid <> pg_backend_pid()
          order by state = 'active' desc, pid`,
      );
      const pid = rows[pick(rows.length)]?.pid;
      if (pid === undefined) return false;
      signal(pid, name);
      return true;
    },
    async useUpLog() {
      const step = "select pg_logical_emit_message(false, 'torture', 'fill'), pg_switch_wal()";
      for (let file = 0; file < MAX_LOG_FILES; file++) {
        try {
          await ask(embedded.superuserUrl, step);
        } catch {
          return;
        }
      }
    },
    stop() {
      everyProcess('SIGCONT');
      return embedded.stop();
    },
  };
}

async function ask<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  });
  // It may die at any moment; the query says so too.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<T>(sql)).rows;
  } finally {
    void client.end().catch(() => undefined);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
