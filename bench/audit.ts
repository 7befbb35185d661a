/**
 * Owns `npm run bench -- audit`: what recording an access costs. Entries come in open loop at even rates, as requests do, are
 * recorded by the server's own log in a real database, sealed as the server does it, and verified at the end. CPU of the
 * recording process, of PostgreSQL, and the time that a request waits; less an empty loop at the same rate.
 */

import pg from 'pg';

import { systemClock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { silentLog } from '#base/log.ts';
import { createBenchDatabase, type BenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { createLatencyHistogram } from '#bench/support/latency-histogram.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { verifyAudit } from '#app/verify-audit-command.ts';
import { createAuditLog, type AuditLog } from '#clinic/audit-log.ts';
import { startAuditSealer } from '#clinic/audit-sealer.ts';
import type { AuditEntry } from '#contract/audit.ts';
import { openAuditStore } from '#store/audit-store.ts';
import { migrate } from '#store/migrate.ts';
import { openPools } from '#store/pools.ts';

const usage = `Usage: npm run bench -- audit [options]

What recording an access in the audit log costs, at several rates.`;

const options = {
  seconds: { kind: 'integer', default: 20, quick: 5, min: 1, max: 600, doc: 'of each rate' },
} as const satisfies OptionTable;
const ratesHz = [200, 2_000, 5_000];
const TICK_MS = 2;

interface Row {
  readonly rateHz: number;
  readonly recorderCpuUsPerEntry: number | null;
  readonly databaseCpuUsPerEntry: number | null;
  readonly waitMsP50: number | null;
  readonly waitMsP95: number | null;
  readonly waitMsP99: number | null;
  readonly entriesPerCommit: number | null;
}

async function main(scope: RunScope): Promise<void> {
  const { seconds } = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  progress.say('starting PostgreSQL');
  const { databases } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `audit_bench_${process.pid}`);
  await migrate(database.url);
  const pools = await openPools(database.url, () => undefined);
  const store = openAuditStore(pools.auditUrl);
  const log = createAuditLog({ store, clock: systemClock });
  const sealer = startAuditSealer({ store, clock: systemClock, log: silentLog, keepDays: 0 });
  const owner = new pg.Pool({ connectionString: database.url, max: 1 });
  scope.defer('the audit log', async () => {
    await sealer.stop();
    await Promise.all([store.close(), pools.close(), owner.end()]);
  });
  await pace(500, 2, (i) => void log.record(entry(i)).catch(() => undefined));
  const rows: Row[] = [];
  for (const rateHz of ratesHz) {
    progress.say(`${rateHz} entries/s`);
    rows.push(await measure({ log, database, rateHz, seconds }));
  }
  await log.flush();
  while ((await store.seal(16_384)).unsealed > 0);
  const { refused, failed } = log.counters;
  if (refused + failed > 0)
    progress.say(`${refused} entries refused, ${failed} failed: the machine was too busy`);
  const { entries, count } = await verifyAudit(owner, []);
  if (count > 0 || entries !== log.counters.recorded)
    throw new AppError('internal', `${entries} of ${log.counters.recorded} entries, ${count} wrong`);
  progress.end();
  const columns = ['recorder CPU us', 'database CPU us', 'wait ms p50', 'p95', 'p99', 'entries a commit'];
  process.stdout.write(
    `${formatTable(
      ['entries/s', ...columns],
      rows.map((row) => Object.values(row).map((value: number | null) => formatFigure(value))),
    )}\n`,
  );
  printResult({ bench: 'audit', machine, database: database.durability, seconds, rows });
}

interface Measurement {
  readonly log: AuditLog;
  readonly database: BenchDatabase;
  readonly rateHz: number;
  readonly seconds: number;
}

async function measure({ log, database, rateHz, seconds }: Measurement): Promise<Row> {
  const idleStart = process.cpuUsage();
  await pace(rateHz, Math.min(5, seconds), (i) => void entry(i));
  const idle = process.cpuUsage(idleStart);
  const idleUsPerEntry = (idle.user + idle.system) / (rateHz * Math.min(5, seconds));
  const waits = createLatencyHistogram();
  const commitsBefore = log.counters.commits;
  const recordedBefore = log.counters.recorded;
  const databaseBefore = database.usage();
  const cpuBefore = process.cpuUsage();
  await pace(rateHz, seconds, (i) => {
    const startedMs = performance.now();
    // Who is refused is counted by the log; it shows in the entries that are verified.
    log.record(entry(i)).then(
      () => waits.record((performance.now() - startedMs) * 1000),
      () => undefined,
    );
  });
  await log.flush();
  const cpu = process.cpuUsage(cpuBefore);
  const databaseCpuS = database.usage().cpuS - databaseBefore.cpuS;
  const recorded = log.counters.recorded - recordedBefore;
  return {
    rateHz,
    recorderCpuUsPerEntry: rounded((cpu.user + cpu.system) / recorded - idleUsPerEntry),
    databaseCpuUsPerEntry: rounded((databaseCpuS * 1e6) / recorded),
    waitMsP50: rounded(waits.quantileMs(0.5)),
    waitMsP95: rounded(waits.quantileMs(0.95)),
    waitMsP99: rounded(waits.quantileMs(0.99)),
    entriesPerCommit: rounded(recorded / (log.counters.commits - commitsBefore)),
  };
}

/** Calls `act` at an even rate, a few at each tick, whatever becomes of what it began. */
async function pace(rateHz: number, seconds: number, act: (i: number) => void): Promise<void> {
  const startedMs = performance.now();
  for (let done = 0; done < rateHz * seconds;) {
    const due = Math.min(rateHz * seconds, ((performance.now() - startedMs) / 1000) * rateHz);
    for (; done < due; done++) act(done);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, TICK_MS);
    });
  }
}

/** As the mixed load has them: four of ten about a patient, one of ten a list. */
function entry(i: number): AuditEntry {
  const id = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
  const isList = i % 10 === 0;
  return {
    orgId: id(1),
    actor: { kind: 'user', role: 'clinician', subject: id(1_000 + (i % 200)) },
    action: 'patient.read',
    route: isList ? 'GET /v1/patients' : 'GET /v1/patients/:id',
    requestId: crypto.randomUUID(),
    patientId: i % 10 < 5 && !isList ? id(100_000 + ((i * 7_919) % 50_000)) : null,
    resource: i % 10 < 5 ? null : { kind: 'session', id: id(900_000 + i) },
    ...(isList
      ? { patients: Array.from({ length: 20 }, (_, n) => id(100_000 + ((i * 31 + n) % 50_000))) }
      : {}),
    status: 200,
    address: '192.168.17.4',
  };
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\naudit: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
