/** Owns the deliberate bugs of live display and of roll-ups. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

export const liveMutations: readonly Mutation[] = [
  {
    name: 'viewer-joins-another-channel',
    what: 'A viewer is given the channel of another session.',
    profile: 'watch',
    edits: [
      {
        file: 'src/live/open-channels.ts',
        find: 'const opened = channels.get(address) ?? open(address, found);',
        replace: 'const opened = channels.values().next().value ?? open(address, found);',
      },
    ],
  },
  {
    name: 'viewer-not-woken',
    what: 'A viewer is not given what its channel has new.',
    profile: 'watch',
    edits: [
      {
        file: 'src/live/open-channels.ts',
        find: 'for (const viewer of viewers) readyViewers.add(viewer);',
        replace: '',
      },
    ],
  },
  {
    name: 'viewer-deaf-after-reconnect',
    what: 'A viewer that comes back does not subscribe again.',
    profile: 'watch',
    from: 2,
    edits: [
      {
        file: 'src/sdk/live-machine.ts',
        find: 'm.channels.attachAll();',
        replace: 'if (m.attempt === 0) m.channels.attachAll();',
      },
    ],
  },
  {
    name: 'roll-up-twice',
    what: 'What the roll-ups contain is rolled up again with what is new.',
    edits: [
      {
        file: 'src/store/rollup-step.ts',
        find: 'const [range] = subtract(progress.committed, progress.rolled);',
        replace: 'const [range] = progress.committed;',
      },
    ],
  },
  {
    name: 'roll-up-made-anew-on-top',
    what: 'A bucket that is made anew keeps what it had.',
    from: 9,
    edits: [
      {
        file: 'src/store/rollup-plan.ts',
        find: 'if (isWhole) clearBucket(row, slot);',
        replace: '',
      },
    ],
  },
  {
    name: 'roll-up-out-of-order',
    what: 'Readings that come behind others are added up after them, and not in the order of their numbers.',
    from: 22,
    edits: [
      {
        file: 'src/store/rollup-plan.ts',
        find: 'const isBehind = firstSeq >= (row.seqs.at(-1)?.to ?? 0);',
        replace: 'const isBehind = firstSeq >= 0;',
      },
    ],
  },
];
