/**
 * Owns the deliberate bugs of what the product says in SQL. They are made in the modelled database, whose statements are
 * held to PostgreSQL's by test/integration/database-model.test.ts.
 */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const writer = 'test/simulation/database/writer-model.ts';
const catalogue = 'test/simulation/database/catalogue-statements.ts';

export const databaseMutations: readonly Mutation[] = [
  {
    name: 'guard-not-locked',
    what: 'Two writers read the guard of one stream at once, and both store what it lacks (FOR UPDATE left out).',
    profile: 'overlap',
    from: 50,
    edits: [
      {
        file: writer,
        find: `    const waiting = backends.lock(transaction, \`guard/\${key}\`, 'update');`,
        replace: `    const waiting = key === '' ? backends.lock(transaction, key, 'update') : null;`,
      },
    ],
  },
  {
    name: 'guard-read-before-lock',
    what: 'A flush that waited for the guard of a stream goes by what the guard said before it waited.',
    profile: 'overlap',
    from: 90,
    edits: [
      {
        file: writer,
        find: `    const record = epochs.get(key);
    const isThere =`,
        replace: `    const record = epochs.get(key) === undefined ? undefined : seen.get(key);
    const isThere =`,
      },
    ],
  },
  {
    name: 'commit-not-durable',
    what: 'Readings are acknowledged before the write-ahead log is on disk (synchronous_commit off).',
    from: 16,
    edits: [{ file: writer, find: `durability: 'disk',`, replace: `durability: 'later',` }],
  },
  {
    name: 'stored-stays-lost',
    what: 'Readings that arrive after they were declared lost stay declared (lost - committed left out).',
    profile: 'store-overflow',
    from: 16,
    edits: [
      {
        file: writer,
        find: 'lost: union(subtract(now.lost, committed), subtract(lost, now.committed)),',
        replace: 'lost: union(now.lost, subtract(lost, now.committed)),',
      },
    ],
  },
  {
    name: 'older-epochs-left-open',
    what: 'Opening after the loss of a store does not close the epochs before it (tail_lost left out).',
    profile: 'medium',
    from: 4,
    edits: [
      {
        file: catalogue,
        find: '(row) => row && { ...row, tailLost: true });',
        replace: '(row) => row);',
      },
    ],
  },
];
