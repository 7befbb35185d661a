/** Owns the deliberate bugs of the device store on files: what it writes and what it believes when it is opened again. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const load = 'src/sdk/file-store-load.ts';
const store = 'src/sdk/file-store.ts';

export const diskMutations: readonly Mutation[] = [
  {
    name: 'corrupt-record-believed',
    what: 'Bytes of the device store that changed on its disk are taken for readings.',
    from: 3,
    edits: [
      {
        file: 'src/sdk/file-store-record.ts',
        find: 'if (crc32(bytes.subarray(start, end)) !== view.getUint32(offset + 4, true)) return null;',
        replace: 'if (crc32(bytes.subarray(start, end)) < 0) return null;',
      },
    ],
  },
  {
    name: 'damage-keeps-epoch',
    what: 'A store whose end is damaged goes on in its epoch, and gives numbers a second time.',
    profile: 'medium',
    from: 21,
    edits: [{ file: store, find: 'return isDamaged || (header', replace: 'return (header' }],
  },
  {
    name: 'power-loss-keeps-epoch',
    what: 'A store that may have lost its end with the power goes on in its epoch, and gives numbers a second time.',
    from: 88,
    edits: [{ file: store, find: '!isSameBoot(header.boot, boot));', replace: 'boot === null);' }],
  },
  {
    name: 'full-disk-reuses-numbers',
    what: 'The number of a reading that a full disk refused is given to the next one.',
    profile: 'store-overflow',
    from: 3,
    edits: [
      {
        file: store,
        find: 'oweNumbers(state, log, frame.firstSeq);',
        replace: 'log.nextSeq = frame.firstSeq;',
      },
    ],
  },
  {
    name: 'full-disk-loss-forgotten',
    what: 'Readings that a full disk refused are not declared.',
    profile: 'store-overflow',
    from: 3,
    edits: [
      {
        file: store,
        find: 'oweNumbers(state, log, frame.firstSeq);',
        replace: '',
      },
    ],
  },
  {
    name: 'full-disk-death-unsaid',
    what: 'What a full disk refused to a process that died then is forgotten, and its numbers are given again.',
    profile: 'medium',
    from: 5075,
    edits: [
      {
        file: 'src/sdk/file-store-write.ts',
        find: `state.disk.remove(join(state.directory, 'store.json'));`,
        replace: '',
      },
    ],
  },
  {
    name: 'reopened-store-forgets-next-number',
    what: 'A store that is opened again numbers from what its last statement says, not from the frames behind it.',
    profile: 'medium',
    from: 2,
    edits: [
      {
        file: load,
        find: 'log.nextSeq = log.cutAt ?? Math.max(log.nextSeq, extent.end);',
        replace: 'log.nextSeq = log.cutAt ?? Math.max(log.nextSeq, extent.first);',
      },
    ],
  },
];
