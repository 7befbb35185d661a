/** Owns the command line of `npm run torture`, and how hard a run of its length is. */

import type { OptionTable } from '#bench/support/command-options.ts';

export const usage =
  'npm run torture -- --minutes M: devices, servers and a database as real processes, attacked for M minutes; then every\n' +
  'reading is compared with what was made and acknowledged. Leaves torture.svg and torture.json. Exit code 1 unless\n' +
  'nothing is lost, doubled or different. `npm run torture -- channels --help` is the same for channels.';

export const tortureOptions = {
  minutes: {
    kind: 'number',
    default: 5,
    quick: 0.5,
    min: 0.1,
    max: 1440,
    doc: 'how long it records under attack',
  },
  seed: {
    kind: 'integer',
    default: -1,
    min: -1,
    max: 2 ** 31 - 1,
    doc: 'draws faults, targets and times; -1 takes one by chance and prints it',
  },
  devices: { kind: 'integer', default: 8, quick: 4, min: 2, max: 200, doc: 'devices, a proxy each' },
  streams: {
    kind: 'integer',
    default: 4,
    quick: 2,
    min: 1,
    max: 32,
    doc: 'streams of a device, 200 Hz, six axes',
  },
  servers: { kind: 'integer', default: 2, min: 2, max: 8, doc: 'server processes on the one database' },
  'heartbeat-ms': {
    kind: 'integer',
    default: 1000,
    min: 100,
    max: 60_000,
    doc: 'heartbeat of devices and viewers; three missed ones end a connection. The product takes 5000',
  },
  faults: {
    kind: 'text',
    default: '',
    doc: 'only faults whose name or group contains this text, such as `database` or `killed`',
  },
  out: { kind: 'text', default: 'dist/torture', doc: 'folder for torture.svg, torture.json and the logs' },
} as const satisfies OptionTable;
