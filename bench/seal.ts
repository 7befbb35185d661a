/**
 * Owns `npm run bench -- seal`: how small sealed readings are, against simpler ways and against raw float32, what packing
 * and unpacking cost, what they take on disk, and how long one long stream takes to read, hot and sealed.
 */

import { fileURLToPath } from 'node:url';

import { messageOf } from '#base/errors.ts';
import { migrate } from '#store/migrate.ts';
import { createBenchDatabase } from '#bench/support/bench-database.ts';
import { startBenchPostgres } from '#bench/support/bench-postgres.ts';
import { readOptions, type OptionTable } from '#bench/support/command-options.ts';
import { describeMachine } from '#bench/support/machine.ts';
import { createProgress, formatFigure, formatTable, printResult, rounded } from '#bench/support/report.ts';
import { withRunScope, type RunScope } from '#bench/support/run-scope.ts';
import { candidates } from '#bench/seal/candidates.ts';
import { folderSet, folderSets, walkerSet, type ReadingSet } from '#bench/seal/sets.ts';
import { openSealStore, type ReadTimes, type StoredFigures } from '#bench/seal/stored.ts';

const usage = `Usage: npm run bench -- seal [options]

How small sealed readings are, what sealing costs, and how fast they are read.`;

const options = {
  data: {
    kind: 'text',
    default: '',
    doc: 'a folder of folders with recordings (manifest.json), besides our own',
  },
  minutes: {
    kind: 'integer',
    default: 10,
    quick: 2,
    min: 1,
    max: 120,
    doc: 'length of the synthetic streams',
  },
  repeats: {
    kind: 'integer',
    default: 30,
    quick: 5,
    min: 1,
    max: 1_000,
    doc: 'times the long stream is read',
  },
} as const satisfies OptionTable;

interface CandidateRow {
  readonly set: string;
  readonly candidate: string;
  readonly bytesPerReading: number | null;
  /** Of the readings as float32, without times. */
  readonly ofFloat32: number | null;
  readonly packMBPerS: number | null;
  readonly unpackMBPerS: number | null;
}

async function main(scope: RunScope): Promise<void> {
  const values = readOptions(options, usage);
  const progress = createProgress();
  const machine = describeMachine();
  const walker = walkerSet('float32', values.minutes * 60);
  const sets = [
    folderSet(fileURLToPath(new URL('../data/gaitmap/', import.meta.url)), 'gaitmap'),
    ...(values.data === '' ? [] : folderSets(values.data).filter((set) => set.name !== 'gaitmap')),
    walker,
    walkerSet('int16', values.minutes * 60),
  ];
  const rows: CandidateRow[] = [];
  for (const set of sets)
    for (const candidate of candidates) {
      progress.say(`${set.name}: ${candidate.name}`);
      // The second time is measured: the first one compiles.
      await measureCandidate(set, candidate);
      rows.push(await measureCandidate(set, candidate));
    }
  progress.say('starting PostgreSQL');
  const { databases } = await startBenchPostgres(scope);
  const database = await createBenchDatabase(scope, databases, `seal_bench_${process.pid}`);
  await migrate(database.url);
  const store = await openSealStore(scope, database);
  const stored: ({ readonly set: string } & ReturnType<typeof perReading>)[] = [];
  for (const set of sets) {
    progress.say(`${set.name}: storing and sealing`);
    stored.push({ set: set.name, ...perReading(await store.measure(set)) });
  }
  progress.say('reading a long stream');
  const read = await store.read(walker, values.repeats);
  progress.end();
  const timesOf = ({ ms, cpuMs, databaseCpuMs }: ReadTimes) => ({
    msP50: rounded(ms[Math.floor(ms.length / 2)]!, 1),
    msMax: rounded(ms.at(-1)!, 1),
    cpuMs: rounded(cpuMs, 1),
    databaseCpuMs: rounded(databaseCpuMs, 1),
  });
  const reading = { readings: read.readings, hot: timesOf(read.hot), sealed: timesOf(read.sealed) };
  process.stdout.write(
    `${formatTable(
      ['set', 'way', 'bytes a reading', 'of float32', 'pack MB/s', 'unpack MB/s'],
      rows.map(({ set, candidate, ...figures }) => [
        set,
        candidate,
        ...Object.values(figures).map(formatFigure),
      ]),
    )}\non disk, with indexes and times\n\n${formatTable(
      [
        'set',
        'readings',
        'hot, bytes a reading',
        'sealed',
        'of hot',
        'seal, CPU us a reading',
        'longest step, ms',
      ],
      stored.map(({ set, ...figures }) => [set, ...Object.values(figures).map(formatFigure)]),
    )}\nreading ${formatFigure(read.readings)} readings of 9 axes, decoded\n\n${formatTable(
      ['form', 'ms p50', 'ms max', 'CPU ms', 'CPU ms of the database'],
      (['hot', 'sealed'] as const).map((form) => [form, ...Object.values(reading[form]).map(formatFigure)]),
    )}`,
  );
  printResult({ bench: 'seal', machine, database: database.durability, candidates: rows, stored, reading });
}

async function measureCandidate(
  set: ReadingSet,
  candidate: (typeof candidates)[number],
): Promise<CandidateRow> {
  let [bytes, plainBytes, floatBytes, readings, packMs, unpackMs] = [0, 0, 0, 0, 0, 0];
  for (const stream of set.streams) {
    const figures = await candidate.measure(stream);
    bytes += figures.bytes;
    packMs += figures.packMs;
    unpackMs += figures.unpackMs;
    plainBytes += stream.data.length;
    floatBytes += stream.n * stream.axisCount * 4;
    readings += stream.n;
  }
  return {
    set: set.name,
    candidate: candidate.name,
    bytesPerReading: rounded(bytes / readings),
    ofFloat32: rounded(bytes / floatBytes, 3),
    packMBPerS: rounded(plainBytes / 1000 / packMs, 0),
    unpackMBPerS: rounded(plainBytes / 1000 / unpackMs, 0),
  };
}

function perReading({ readings, hotBytes, sealedBytes, sealCpuS, longestStepMs }: StoredFigures) {
  return {
    readings,
    hotBytesPerReading: rounded(hotBytes / readings),
    sealedBytesPerReading: rounded(sealedBytes / readings),
    sealedOfHot: rounded(sealedBytes / hotBytes, 3),
    sealCpuUsPerReading: rounded((sealCpuS * 1e6) / readings),
    longestStepMs: rounded(longestStepMs, 0),
  };
}

try {
  await withRunScope(main);
} catch (error) {
  process.stderr.write(`\nseal: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
