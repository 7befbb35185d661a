/** Owns the options of the ingest benchmark and what they mean for a run. */

import type { OptionTable, OptionValues } from '#bench/support/command-options.ts';

export const ingestUsage = `Usage: npm run bench -- ingest [options]

Devices stream at their true rate into the server and PostgreSQL; peers do the same work in the same run.`;

export const ingestOptions = {
  sessions: { kind: 'integer', default: 500, min: 1, max: 10_000, doc: 'connections, one device each' },
  sensors: { kind: 'integer', default: 1, min: 1, max: 256, doc: 'streams of each session' },
  rate: { kind: 'number', default: 200, min: 0.1, max: 50_000, doc: 'readings a second of each stream' },
  'readings-per-frame': {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 500,
    doc: 'readings that a device collects before it sends them',
  },
  seconds: {
    kind: 'number',
    default: 30,
    quick: 4,
    min: 1,
    max: 3_600,
    doc: 'measured time of each storing side',
  },
  rounds: {
    kind: 'integer',
    default: 3,
    quick: 1,
    min: 1,
    max: 20,
    doc: 'turns into which that time is divided',
  },
  'warm-up-seconds': {
    kind: 'number',
    default: 15,
    quick: 2,
    min: 0,
    max: 600,
    doc: 'before the first measured time of each storing side; later ones have a fifth',
  },
  'receive-seconds': {
    kind: 'number',
    default: 5,
    quick: 1.5,
    min: 1,
    max: 600,
    doc: 'measured time of each receiving side in a round',
  },
  viewers: { kind: 'integer', default: 20, min: 0, max: 5_000, doc: 'connections that watch a session each' },
  generators: { kind: 'integer', default: 1, min: 1, max: 64, doc: 'processes that play the devices' },
  'motion-workers': {
    kind: 'integer',
    default: 1,
    min: 0,
    max: 64,
    doc: 'threads of the server that recognise motion in what is sent',
  },
  seed: { kind: 'integer', default: 1, min: 0, max: 2 ** 31, doc: 'of the readings' },
  'find-max': {
    kind: 'flag',
    doc: 'raise the rate until it is not sustained any more, instead of comparing',
  },
  'without-peers': { kind: 'flag', doc: 'only the server itself' },
  'database-url': {
    kind: 'text',
    default: '',
    doc: "a superuser's address of a PostgreSQL on this machine, instead of the embedded one",
  },
  'profile-dir': { kind: 'text', default: '', doc: "a folder for the server's CPU profile" },
} as const satisfies OptionTable;

export type IngestOptions = OptionValues<typeof ingestOptions>;
