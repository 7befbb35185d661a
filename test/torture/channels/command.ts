/** Owns `npm run torture -- channels`: options in, progress on standard error, a summary line on standard output. */

import { randomInt } from 'node:crypto';

import { parseOptions, type OptionTable } from '#bench/support/command-options.ts';
import { startEmbeddedDatabase } from '#app/embedded-database.ts';
import { createTemporaryDirectory } from '#test/support/temporary-directory.ts';
import { runChannels, summaryOf } from '#test/torture/channels/channels-run.ts';

const usage =
  'npm run torture -- channels: two servers and Redis as real processes; publishers, and subscribers that change server\n' +
  'and transport (WebSocket, event stream, long poll) all the time, while connections to Redis are cut, Redis halts\n' +
  'and is lost, and servers are killed.\n' +
  'Exit code 1 unless every subscriber saw every message once, in order, or was told of the gap.';

const table = {
  publications: {
    kind: 'integer',
    default: 1_000_000,
    quick: 20_000,
    min: 1,
    max: 100_000_000,
    doc: 'messages that are published in all',
  },
  seed: {
    kind: 'integer',
    default: -1,
    min: -1,
    max: 2 ** 31 - 1,
    doc: 'draws servers, transports and times; -1: by chance',
  },
  rooms: { kind: 'integer', default: 8, min: 1, max: 1_000, doc: 'channels, a publisher each' },
  subscribers: { kind: 'integer', default: 12, min: 1, max: 1_000, doc: 'subscribers that roam' },
  'rooms-each': { kind: 'integer', default: 2, min: 1, max: 64, doc: 'channels that a subscriber follows' },
  'cut-ms': {
    kind: 'integer',
    default: 2_000,
    quick: 1_000,
    min: 10,
    max: 3_600_000,
    doc: 'mean time between cuts of connections to Redis',
  },
  'empty-ms': {
    kind: 'integer',
    default: 60_000,
    quick: 8_000,
    min: 0,
    max: 3_600_000,
    doc: 'mean time between losses of all that Redis holds; 0: never',
  },
  'halt-ms': {
    kind: 'integer',
    default: 30_000,
    quick: 10_000,
    min: 0,
    max: 3_600_000,
    doc: 'mean time between halts of Redis, with its connections open; 0: never',
  },
  'kill-ms': {
    kind: 'integer',
    default: 60_000,
    quick: 0,
    min: 0,
    max: 3_600_000,
    doc: 'mean time between deaths of a server; 0: never',
  },
  'stay-ms': {
    kind: 'integer',
    default: 3_000,
    quick: 1_500,
    min: 10,
    max: 600_000,
    doc: 'longest life of a connection',
  },
} as const satisfies OptionTable;

/** Resolves to the exit code. */
export async function tortureChannels(args: readonly string[]): Promise<number> {
  const parsed = parseOptions(table, args, usage);
  if (parsed.outcome !== 'values') {
    const isHelp = parsed.outcome === 'help';
    process[isHelp ? 'stdout' : 'stderr'].write(isHelp ? parsed.text : `${parsed.message}\n`);
    return isHelp ? 0 : 2;
  }
  const options = parsed.values;
  const seed = options.seed >= 0 ? options.seed : randomInt(2 ** 31);
  const startedMs = performance.now();
  const say = (text: string): void => {
    const atS = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(7);
    process.stderr.write(`${atS} s  ${text}\n`);
  };
  say(`seed ${seed}`);
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => interrupted.abort());
  const directory = createTemporaryDirectory();
  const data = createTemporaryDirectory();
  const database = await startEmbeddedDatabase({ dataDir: data.path, onStep: (text) => say(text) });
  try {
    const outcome = await runChannels({
      publications: options.publications,
      rooms: options.rooms,
      subscribers: options.subscribers,
      roomsPerSubscriber: options['rooms-each'],
      cutMs: options['cut-ms'],
      emptyMs: options['empty-ms'],
      haltMs: options['halt-ms'],
      killMs: options['kill-ms'],
      stayMs: options['stay-ms'],
      seed,
      databaseUrl: database.ownerUrl,
      directory: directory.path,
      say,
      signal: interrupted.signal,
    });
    for (const text of [...outcome.violations, ...outcome.unfinished]) process.stdout.write(`${text}\n`);
    for (const [title, counts] of Object.entries({
      subscribers: outcome.failures,
      publishers: outcome.troubles,
    }))
      for (const [reason, count] of Object.entries(counts)) say(`${title}: ${reason}, ${count} times`);
    process.stdout.write(`seed ${seed}: ${summaryOf(outcome)}\n`);
    return outcome.isGood ? 0 : 1;
  } finally {
    await database.stop();
    for (const { remove } of [data, directory]) remove();
  }
}
