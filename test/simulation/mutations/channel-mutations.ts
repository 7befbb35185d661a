/** Owns the deliberate bugs of channels: what a hub gives, what it reads, what a client believes, and who is there. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const sync = 'src/live/channel-sync.ts';
const event = 'src/live/event-channel.ts';
const pages = 'src/live/history-pages.ts';
const tail = 'src/live/publication-tail.ts';
const subscriptions = 'src/live/viewer-subscriptions.ts';
const client = 'src/sdk/live-channels.ts';

const profile = 'channels';

export const channelMutations: readonly Mutation[] = [
  {
    name: 'last-message-not-looked-for',
    what: 'A channel that hears nothing never asks whether the last message was lost on the way.',
    profile,
    edits: [
      {
        file: sync,
        find: 'if (epoch === null || nowMs - heardMs < limits.lookMs) return;',
        replace: 'if (nowMs > 0) return;',
      },
      {
        file: sync,
        find: `        counters.resumes++;
        if (epoch !== null) request();`,
        replace: '        counters.resumes++;',
      },
    ],
  },
  {
    name: 'epoch-change-unnoticed',
    what: 'A history that was replaced is read on as if it were the old one.',
    profile,
    edits: [
      {
        file: sync,
        find: 'if (page.epoch !== epoch || page.newest < tail.newest) {',
        replace: 'if (page.newest < 0) {',
      },
    ],
  },
  {
    name: 'reset-not-told',
    what: 'Viewers are not told that the history they follow is another one.',
    profile,
    edits: [
      {
        file: event,
        find: `          if (!add(batch, item)) return 'more';
          counters.resets++;
          cursor.offset`,
        replace: `          counters.resets++;
          cursor.offset`,
      },
    ],
  },
  {
    name: 'tail-gives-newest',
    what: 'A viewer that misses several publications is given the newest only.',
    profile,
    edits: [
      {
        file: tail,
        find: 'items[offset - newest + items.length - 1] ?? null',
        replace: '(offset > 0 ? items.at(-1) : null) ?? null',
      },
    ],
  },
  {
    name: 'slow-viewer-skips',
    what: 'A viewer that is too slow for class event loses messages instead of its connection.',
    profile,
    from: 60,
    edits: [
      {
        file: event,
        find: `if (isSlow(cursor)) return 'behind';`,
        replace: `if (isSlow(cursor)) {
          cursor.offset = tail.newest;
          return 'all';
        }`,
      },
      {
        file: event,
        find: 'cursor.offset + 1 < tail.first,',
        replace: 'cursor.offset + 1 < tail.first - 1e9,',
      },
    ],
  },
  {
    name: 'key-not-kept',
    what: 'The key of a publication is not given to the broker, so that sent again it is published twice.',
    profile,
    edits: [
      {
        file: 'src/live/channel-publishing.ts',
        find: 'await broker.publish({ address, payload, history: historyOf(definition), key });',
        replace:
          'await broker.publish({ address, payload, history: historyOf(definition), key: key && null });',
      },
    ],
  },
  {
    name: 'member-never-leaves',
    what: 'Who gave a subscription up is still there for the others.',
    profile,
    edits: [{ file: subscriptions, find: 'if (one.memberId !== null)', replace: `if (one.memberId === '')` }],
  },
  {
    name: 'client-forgets-position',
    what: 'A client that comes back begins with the newest, and gives up what it missed.',
    profile,
    edits: [{ file: client, find: ': { position: first[1] }),', replace: ': {}),' }],
  },
  {
    name: 'recovery-one-late',
    what: 'The first message after the position of a client that comes back is left out.',
    profile,
    edits: [
      {
        file: event,
        find: 'const offset = await oldestAfter(position.offset);',
        replace: 'const offset = await oldestAfter(Math.min(tail.newest, position.offset + 1));',
      },
    ],
  },
  {
    name: 'recovery-from-page-of-others',
    what: 'A page of the history is taken to begin where it was asked for, wherever it begins.',
    profile,
    from: 2,
    edits: [
      {
        file: pages,
        find: 'const first = publications[0]?.offset ?? newest + 1;',
        replace: 'const first = after + 1;',
      },
    ],
  },
  {
    name: 'pending-lost',
    what: 'What comes while the history is read is forgotten.',
    profile,
    edits: [
      {
        file: sync,
        find: `      takePending();
      if (pending.length === 0`,
        replace: `      pending = [];
      announced = 0;
      if (pending.length === 0`,
      },
      {
        file: sync,
        find: 'if (epoch === null || nowMs - heardMs < limits.lookMs) return;',
        replace: 'if (nowMs > 0) return;',
      },
    ],
  },
  {
    name: 'client-keeps-old-epoch',
    what: 'A client takes the offsets of another history for those of its own.',
    profile,
    from: 2,
    edits: [
      {
        file: client,
        find: 'position.epoch === known.epoch && position.offset <= known.offset;',
        replace: 'position.offset <= known.offset;',
      },
      {
        file: client,
        find: '(told.recovered !== false || position.offset === known.offset)',
        replace: 'true',
      },
    ],
  },
];
