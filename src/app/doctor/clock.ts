/**
 * Owns the check of the clock: whether something keeps it right, whether it can be right at all, and how far it is from
 * the database's. Readings carry their devices' time; the server's clock decides about lateness, partitions and keys.
 */

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { ok, problem, warning, type Check, type DoctorContext, type Finding } from '#app/doctor/finding.ts';

const ASK_MS = 2_000;
/** This program cannot have been installed before it was written. */
const WRITTEN_MS = Date.UTC(2025, 0, 1);
/** A server clock this far off moves commits into another day now and then. */
const WARN_OFFSET_MS = 1_000;
const PROBLEM_OFFSET_MS = 60_000;
/** Names of the processes that set the clock (proc(5): at most 15 characters). */
const timeServices: ReadonlySet<string> = new Set([
  'chronyd',
  'ntpd',
  'openntpd',
  'systemd-timesyn',
  'ptp4l',
  'phc2sys',
]);
/** Clock sources whose reading costs microseconds, each a system call (kernel documentation, timekeeping.rst). */
const slowSources: ReadonlySet<string> = new Set(['hpet', 'acpi_pm', 'jiffies', 'refined-jiffies', 'pit']);

export interface ClockFacts {
  readonly nowMs: number;
  /** What the system says of synchronisation; null: it does not say. */
  readonly isSynchronised: boolean | null;
  readonly service: string | null;
  readonly isContainer: boolean;
  readonly source: string | null;
  /** The database's clock minus ours, and how uncertain that is; null: not asked. */
  readonly database: { readonly offsetMs: number; readonly uncertaintyMs: number } | null;
  /** The newest time of commit in the database, as far as known. */
  readonly newestCommitMs: number | null;
}

export const checkClock: Check = async (context) => judgeClock(await readFacts(context));

export function judgeClock(facts: ClockFacts): Finding[] {
  if (facts.nowMs < WRITTEN_MS)
    return [
      problem(
        'clock',
        `The clock says ${dateOf(facts.nowMs)}, which cannot be.`,
        'sudo timedatectl set-ntp true',
      ),
    ];
  const findings = [judgeSynchronisation(facts)];
  if (facts.source !== null && slowSources.has(facts.source))
    findings.push(
      warning(
        'clock',
        `The system reads its time from "${facts.source}", which is slow at thousands of readings a second.`,
        'cat /sys/devices/system/clocksource/clocksource0/available_clocksource, and boot with clocksource=tsc if it is there',
      ),
    );
  if (facts.database !== null) findings.push(judgeOffset(facts.database));
  if (facts.newestCommitMs !== null && facts.newestCommitMs > facts.nowMs + PROBLEM_OFFSET_MS)
    findings.push(
      problem(
        'clock',
        `The clock has gone back: the database holds data stored ${dateOf(facts.newestCommitMs)}, later than now.`,
        'sudo timedatectl set-ntp true, and compare with another machine',
      ),
    );
  return findings;
}

function judgeSynchronisation({ isSynchronised, service, isContainer }: ClockFacts): Finding {
  if (isSynchronised === true)
    return ok('clock', `The clock is synchronised${service === null ? '' : ` (${service})`}.`);
  if (isSynchronised === false)
    return warning(
      'clock',
      'The system says that its clock is not synchronised.',
      'sudo timedatectl set-ntp true',
    );
  if (service !== null) return ok('clock', `${service} keeps the clock.`);
  if (isContainer)
    return ok('clock', 'This is a container: its host keeps the clock, which cannot be seen from here.');
  return warning(
    'clock',
    'Nothing was found that keeps the clock right.',
    'sudo apt-get install systemd-timesyncd, or chrony',
  );
}

function judgeOffset({ offsetMs, uncertaintyMs }: { offsetMs: number; uncertaintyMs: number }): Finding {
  const size = Math.max(0, Math.abs(offsetMs) - uncertaintyMs);
  if (size < WARN_OFFSET_MS)
    return ok(
      'clock',
      `The database's clock agrees within ${Math.max(1, Math.round(size + uncertaintyMs))} ms.`,
    );
  const way = offsetMs > 0 ? 'ahead of' : 'behind';
  const text = `The database's clock is ${(size / 1000).toFixed(1)} s ${way} this machine's.`;
  const fix = 'sudo timedatectl set-ntp true, on both machines';
  return size >= PROBLEM_OFFSET_MS ? problem('clock', text, fix) : warning('clock', text, fix);
}

async function readFacts(context: DoctorContext): Promise<ClockFacts> {
  const nowMs = context.clock.nowUs() / 1000;
  return {
    nowMs,
    isSynchronised: await askSystem(),
    service: findService(),
    isContainer: existsSync('/.dockerenv') || existsSync('/run/.containerenv'),
    source: readText('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    ...(await askDatabase(context)),
  };
}

/** timedatectl reads the kernel's own flag (adjtimex(2)); without systemd there is none to ask. */
async function askSystem(): Promise<boolean | null> {
  if (existsSync('/run/systemd/timesync/synchronized')) return true;
  try {
    const words = ['show', '--property=NTPSynchronized', '--value'];
    const { stdout } = await promisify(execFile)('timedatectl', words, { timeout: ASK_MS });
    return stdout.trim() === '' ? null : stdout.trim() === 'yes';
  } catch {
    return null;
  }
}

function findService(): string | null {
  if (process.platform !== 'linux') return null;
  return (
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => readText(`/proc/${name}/comm`) ?? '')
      .find((name) => timeServices.has(name)) ?? null
  );
}

async function askDatabase({
  database,
  clock,
}: DoctorContext): Promise<Pick<ClockFacts, 'database' | 'newestCommitMs'>> {
  if (database.kind !== 'connected') return { database: null, newestCommitMs: null };
  const before = clock.monotonicMs();
  const { rows } = await database.client.query<{ now: string }>(
    'select extract(epoch from clock_timestamp()) * 1000 as now',
  );
  const roundTripMs = clock.monotonicMs() - before;
  const offsetMs = Number(rows[0]?.now) - (clock.nowUs() / 1000 - roundTripMs / 2);
  // A planned session has its time ahead of it; a schema from before has none.
  const { rows: found } = await database.client.query<{ there: boolean; has_plans: boolean }>(
    `select to_regclass('kymo.session') is not null as there, exists (
       select from pg_attribute where attrelid = to_regclass('kymo.session') and attname = 'is_planned') as has_plans`,
  );
  const newest =
    found[0]?.there === true
      ? await database.client.query<{ at: string | null }>(
          `select extract(epoch from max(started_at)) * 1000 as at from kymo.session
            ${found[0].has_plans ? 'where not is_planned' : ''}`,
        )
      : null;
  const at = newest?.rows[0]?.at ?? null;
  return {
    database: { offsetMs, uncertaintyMs: roundTripMs / 2 + 1 },
    newestCommitMs: at === null ? null : Number(at),
  };
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return null;
  }
}
