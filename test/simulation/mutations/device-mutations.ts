/** Owns the deliberate bugs of the device: what it takes for settled, sends, numbers, keeps and finds again on its disk. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const dialogue = 'src/sdk/device-dialogue.ts';
const sender = 'src/sdk/device-sender.ts';
const channel = 'src/sdk/device-channel.ts';
const epoch = 'src/sdk/device-epoch.ts';
const comparison = 'src/sdk/device-comparison.ts';
const log = 'src/sdk/device-log.ts';
const frames = 'src/sdk/memory-frames.ts';

export const deviceMutations: readonly Mutation[] = [
  {
    name: 'device-resumes-from-memory',
    what: 'A device never takes back what it was once acknowledged, though the server was restored without it.',
    profile: 'return',
    from: 7,
    edits: [
      {
        file: dialogue,
        find: 'settle(state, run, { settled: settledSet(settled.next, settled.ranges), isWhole: true });',
        replace: `settle(state, run, {
      settled: union(run.log.settled, settledSet(settled.next, settled.ranges)),
      isWhole: false,
    });`,
      },
    ],
  },
  {
    name: 'restored-server-not-asked',
    what: 'A device asks a restored server only for streams with unacknowledged readings.',
    profile: 'return',
    from: 10,
    edits: [
      {
        file: dialogue,
        find: 'const isNewServer = welcome.incarnation !== state.store.incarnation;',
        replace: 'const isNewServer = false;',
      },
    ],
  },
  {
    name: 'settled-one-too-many',
    what: 'A device takes one reading more for settled than the server stated.',
    from: 9,
    edits: [
      {
        file: dialogue,
        find: 'return rangesOfPairs([[0, next], ...ranges]);',
        replace: 'return rangesOfPairs([[0, next + 1], ...ranges]);',
      },
    ],
  },
  {
    name: 'losses-never-stated',
    what: 'A device does not tell the server which readings are lost.',
    from: 16,
    edits: [
      {
        file: dialogue,
        find: `send(state, { type: 'tombstone', ref: channel.ref, ...loss });`,
        replace: 'void loss;',
      },
    ],
  },
  {
    name: 'temporary-refusal-final',
    what: 'A stream that the server could not open at the moment is not asked for again.',
    profile: 'return',
    from: 36,
    edits: [
      { file: dialogue, find: 'if (isTemporary) {', replace: 'if (isTemporary && state.attempt < 0) {' },
    ],
  },
  {
    name: 'unstored-taken-for-common',
    what: 'A copy of a store goes on under numbers that nobody has stored yet, below those that another has used.',
    profile: 'twins',
    from: 436,
    edits: [{ file: comparison, find: 'fromSeq: unsure[0]?.from ?? anothers', replace: 'fromSeq: anothers' }],
  },
  {
    name: 'copied-store-goes-on',
    what: 'A device goes on under numbers that another copy of its store has used.',
    from: 49,
    edits: [
      {
        file: dialogue,
        find: `if (found.type === 'own' || renumber`,
        replace: `if (found.type !== null || renumber`,
      },
      {
        file: epoch,
        find: 'return last !== undefined && last.to > run.sentTo;',
        replace: 'return last !== undefined && last.to < 0;',
      },
    ],
  },
  {
    name: 'credit-ignored',
    what: 'A device sends readings to be stored beyond the credit that it was granted.',
    profile: 'credit',
    edits: [
      { file: sender, find: 'if (frameBytes(frame) > durableLeft(sender)) break;', replace: '' },
      {
        file: sender,
        find: `assert(sender.used.durable <= sender.granted.durable, 'the durable credit is never overdrawn');`,
        replace: '',
      },
    ],
  },
  {
    name: 'live-only-taken-for-sent',
    what: 'Readings that went out for display only are not sent again to be stored.',
    profile: 'store-overflow',
    from: 30,
    edits: [
      {
        file: sender,
        find: 'for (const { frame } of fresh.slice(first)) batch.add(channel.ref, frame);',
        replace: `for (const { frame } of fresh.slice(first)) {
    batch.add(channel.ref, frame);
    markSent(channel, frame.firstSeq, frame.firstSeq + frame.count);
  }`,
      },
    ],
  },
  {
    name: 'new-epoch-leaves-readings-behind',
    what: 'A change of epoch forgets the first of the readings that were to move.',
    from: 49,
    edits: [
      {
        file: log,
        find: 'for (const range of subtract([{ from: fromSeq, to: from.nextSeq }], from.settled)) {',
        replace: 'for (const range of subtract([{ from: fromSeq + 1, to: from.nextSeq }], from.settled)) {',
      },
    ],
  },
  {
    name: 'old-epoch-closed-in-silence',
    what: 'The epoch of a store that was lost is not closed: nobody learns that its end is missing.',
    profile: 'medium',
    from: 4,
    edits: [
      {
        file: channel,
        find: '...(log.previousStoreLost ? { previousStoreLost: true } : {}),',
        replace: '',
      },
    ],
  },
  {
    name: 'dropped-undeclared',
    what: 'A full device store drops readings and does not count them as lost.',
    from: 16,
    edits: [
      { file: frames, find: 'if (!isEntrySettled(oldest)) declareDropped(state, oldest);', replace: '' },
    ],
  },
  {
    name: 'cut-frame-shifted',
    what: 'A part of a frame is sent with the values of its beginning.',
    from: 3,
    edits: [
      {
        file: 'src/sdk/device-frame.ts',
        find: 'payload: frame.payload.subarray(skipped * readingBytes, (skipped + count) * readingBytes),',
        replace: 'payload: frame.payload.subarray(0, count * readingBytes),',
      },
    ],
  },
  {
    name: 'never-comes-back',
    what: 'A device whose attempt to connect failed makes no other.',
    from: 2,
    edits: [
      {
        file: 'src/sdk/device-machine.ts',
        find: 'state.reconnectAtMs = nowMs(state) + delayMs;',
        replace: 'state.reconnectAtMs = state.attempt > 0 ? NEVER : nowMs(state) + delayMs;',
      },
    ],
  },
];
