/** Owns the options of the API benchmark and what they mean for a run. */

import type { OptionTable, OptionValues } from '#bench/support/command-options.ts';

export const apiUsage = `Usage: npm run bench -- api [options]

Clinicians work on patients, lists, progress and notes (bench/api/scenario.json) at rising rates; peers do the same work.`;

export const apiOptions = {
  patients: {
    kind: 'integer',
    default: 50_000,
    quick: 5_000,
    min: 5_000,
    max: 1_000_000,
    doc: 'patients with 20 sessions each; made once and kept',
  },
  seconds: { kind: 'number', default: 12, quick: 2, min: 1, max: 600, doc: 'measured time of one rate' },
  'warm-up-seconds': {
    kind: 'number',
    default: 40,
    quick: 4,
    min: 0,
    max: 600,
    doc: 'a few requests at a time before the first measurement of each side; later ones have an eighth',
  },
  rate: {
    kind: 'integer',
    default: 1_300,
    quick: 400,
    min: 1,
    max: 100_000,
    doc: 'the rate that all sides are given',
  },
  steps: {
    kind: 'integer',
    default: 8,
    quick: 0,
    min: 0,
    max: 20,
    doc: 'rates tried to find the highest at each limit; 0: only the asked rate and a flood',
  },
  rounds: {
    kind: 'integer',
    default: 2,
    quick: 1,
    min: 1,
    max: 10,
    doc: 'turns of all sides at the asked rate',
  },
  sides: {
    kind: 'text',
    default: '',
    doc: 'only these, separated by commas: kymo, kymo-uncached, fastapi, fastapi-uncached, bare-node, bare-node-uncached',
  },
  pinned: {
    kind: 'flag',
    doc: 'servers and their database on the first core, load on the last, instead of all on any',
  },
  folder: {
    kind: 'text',
    default: '',
    doc: 'where the records are kept between runs; default: the temporary folder',
  },
  serve: {
    kind: 'flag',
    doc: 'only the records and the server, until Ctrl-C: for other generators (deploy/k6)',
  },
  k6: { kind: 'flag', doc: 'afterwards the same load by k6, where it is installed (deploy/k6)' },
  'profile-dir': { kind: 'text', default: '', doc: "a folder for the CPU profile of Kymo's server" },
} as const satisfies OptionTable;

export type ApiBenchOptions = OptionValues<typeof apiOptions>;
