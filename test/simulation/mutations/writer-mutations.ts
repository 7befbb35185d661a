/** Owns the deliberate bugs of the writer: what a flush stores, what it takes for committed, and how it fails. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const driver = 'src/store/writer.ts';
const machine = 'src/store/writer-machine.ts';
const plan = 'src/store/flush-plan.ts';
const standing = 'src/store/guard-standing.ts';

export const writerMutations: readonly Mutation[] = [
  {
    name: 'acknowledge-before-commit',
    what: 'A reading is acknowledged once it is written, whether or not its transaction commits.',
    edits: [
      {
        file: machine,
        find: `assert(phase === 'writing', 'written answers write');`,
        replace: `assert(phase === 'writing', 'written answers write');
          for (const item of batch) item.source.settled(plans.get(item)!.progress);`,
      },
    ],
  },
  {
    name: 'failed-batch-settled',
    what: 'What a transaction that failed was to store counts as settled.',
    from: 9,
    edits: [
      {
        file: machine,
        find: `    counters.failures[kind]++;
    plans = new Map();`,
        replace: `    counters.failures[kind]++;
    for (const [item, { progress }] of plans) item.source.settled(progress);
    plans = new Map();`,
      },
    ],
  },
  {
    name: 'failed-batch-dropped',
    what: 'The batch of a transaction that failed is not tried again.',
    from: 7,
    edits: [
      {
        file: machine,
        find: `      wantPartitions = kind === 'partition';`,
        replace: `      wantPartitions = kind === 'partition';
      batch = [];`,
      },
    ],
  },
  {
    name: 'refused-stream-untold',
    what: 'A stream that the database refuses is dropped, and its device is told nothing.',
    from: 82,
    edits: [
      {
        file: machine,
        find: `batch[0]?.source.refused('the database refuses what this stream sends');`,
        replace: '',
      },
    ],
  },
  {
    name: 'full-disk-refuses-streams',
    what: 'A full disk of the database is taken for faulty readings, and their streams are refused for good.',
    from: 52,
    edits: [
      {
        file: driver,
        find: `if (category === '22' || category === '23' || category === '54') return 'data';`,
        replace: `if (category === '22' || category === '23' || category === '53') return 'data';`,
      },
    ],
  },
  {
    name: 'partition-never-made',
    what: 'A day whose partition is missing is never given one, and nothing is stored any more.',
    from: 18,
    edits: [
      {
        file: machine,
        find: `if (wantPartitions) effects.push({ type: 'makePartitions' });`,
        replace: '',
      },
    ],
  },
  {
    name: 'unknown-outcome-taken-as-committed',
    what: 'A COMMIT whose answer was lost counts as committed.',
    from: 15,
    edits: [
      {
        file: driver,
        find: 'await connected().commit();',
        replace: 'await connected().commit().catch(() => undefined);',
      },
    ],
  },
  {
    name: 'late-answer-heard',
    what: 'The answer of a step that was given up is taken for that of the step which runs now.',
    from: 27,
    edits: [{ file: driver, find: '      if (isOver) return;\n', replace: '' }],
  },
  {
    name: 'guard-skipped',
    what: 'Readings are stored without asking what of them is stored already.',
    from: 9,
    edits: [
      { file: plan, find: 'const fresh = committed.missing(range);', replace: 'const fresh = [range];' },
    ],
  },
  {
    name: 'older-connection-still-writes',
    what: 'A connection writes on after a newer one of its device has written (the generation is no fence).',
    profile: 'twins',
    from: 5,
    edits: [
      {
        file: standing,
        find: `if (claim.generation < generation) return 'superseded';`,
        replace: `if (claim.generation < generation) return 'current';`,
      },
    ],
  },
  {
    name: 'claim-unchecked',
    what: 'A connection writes for the first time although others have written since it opened the stream.',
    profile: 'twins',
    from: 9,
    edits: [
      {
        file: standing,
        find: `isEqual(lost, progress.lost) ? 'claims' : 'outdated';`,
        replace: `isEqual(lost, progress.lost) ? 'claims' : 'claims';`,
      },
    ],
  },
  {
    name: 'range-off-by-one',
    what: 'The guard notes one reading more than was stored.',
    edits: [
      {
        file: plan,
        find: 'return { from: frame.firstSeq, to: frame.firstSeq + frame.count };',
        replace: 'return { from: frame.firstSeq, to: frame.firstSeq + frame.count + 1 };',
      },
    ],
  },
  {
    name: 'declared-beats-stored',
    what: 'A declared loss is noted although its readings are stored by the same flush.',
    profile: 'store-overflow',
    from: 16,
    edits: [
      {
        file: plan,
        find: 'declare(input.losses, committed.ranges(), stillLost)',
        replace: 'declare(input.losses, progress.committed, progress.lost)',
      },
    ],
  },
  {
    name: 'tombstone-acknowledged-unwritten',
    what: 'A declared loss that comes without readings is acknowledged and never written.',
    profile: 'store-overflow',
    from: 3,
    edits: [
      {
        file: plan,
        find: 'declared: declaration.declared,',
        replace: 'declared: added.length === 0 ? emptyRanges : declaration.declared,',
      },
    ],
  },
  {
    name: 'gap-stored-as-readings',
    what: 'Readings on both sides of a gap become one chunk, and those behind it get the numbers of the gap.',
    from: 9,
    edits: [
      {
        file: plan,
        find: '(piece.firstSeq === first.firstSeq + count &&',
        replace: '(piece.firstSeq >= first.firstSeq + count &&',
      },
    ],
  },
];
