/** Owns the deliberate bugs of the gateway: sessions, buffers, acknowledgements, credit, and the way to live display. */

import type { Mutation } from '#test/simulation/mutations/mutation.ts';

const gateway = 'src/ingest/gateway.ts';
const session = 'src/ingest/gateway-session.ts';
const streams = 'src/ingest/open-streams.ts';
const buffer = 'src/ingest/stream-buffer.ts';
const credit = 'src/ingest/credit.ts';
const publisher = 'src/ingest/live-publisher.ts';

export const ingestMutations: readonly Mutation[] = [
  {
    name: 'fencing-off',
    what: 'The older connection of a device stays open beside the newer one.',
    profile: 'overlap',
    from: 2,
    edits: [
      {
        file: gateway,
        find: `      older.transport.close('superseded');
      older.leave();`,
        replace: '',
      },
    ],
  },
  {
    name: 'newest-closed-for-oldest',
    what: 'Of two connections of a device the one with the older generation stays.',
    from: 30,
    edits: [
      {
        file: gateway,
        find: 'other.order > member.order ? member : other;',
        replace: 'other.order < member.order ? member : other;',
      },
    ],
  },
  {
    name: 'server-acknowledges-from-memory',
    what: 'A server acknowledges what its buffer has ever seen settled, not what the database says now.',
    from: 16,
    edits: [
      {
        file: buffer,
        find: `      buffer.listener?.settled(buffer, progress);
      observer`,
        replace: `      known = { committed: union(known.committed, progress.committed), lost: progress.lost };
      buffer.listener?.settled(buffer, known);
      observer`,
      },
      {
        file: buffer,
        find: `  let waitingReadings = 0;
  /** Bytes`,
        replace: `  let waitingReadings = 0;
  let known: EpochProgress = { committed: [], lost: [] };
  /** Bytes`,
      },
      {
        file: buffer,
        find: `import { frameBytes } from`,
        replace: `import { union } from '#base/ranges.ts';
import { frameBytes } from`,
      },
    ],
  },
  {
    name: 'stream-opened-from-memory',
    what: 'A stream that is opened again is told what this server remembers of it, not what the database has.',
    profile: 'return',
    from: 2,
    edits: [
      {
        file: 'src/ingest/stream-buffers.ts',
        find: '    committed: options.committed,',
        replace: `    committed(handle, progress) {
      remembered.set(handle.key, progress);
      options.committed(handle, progress);
    },`,
      },
      {
        file: 'src/ingest/stream-buffers.ts',
        find: '  const buffers = new Map<string, StreamBuffer>();',
        replace: `  const buffers = new Map<string, StreamBuffer>();
  const remembered = new Map<string, EpochProgress>();`,
      },
      {
        file: 'src/ingest/stream-buffers.ts',
        find: 'const { handle, progress } = found.value;',
        replace: `const { handle } = found.value;
      const progress = remembered.get(handle.key) ?? found.value.progress;`,
      },
    ],
  },
  {
    name: 'changed-database-unnoticed',
    what: 'Devices that stay connected never learn that the database was restored or another one took over.',
    profile: 'return',
    from: 13,
    edits: [
      {
        file: 'src/ingest/incarnation-watch.ts',
        find: 'options.onChange(found);',
        replace: '',
      },
    ],
  },
  {
    name: 'epochs-share-a-buffer',
    what: 'What is acknowledged of one epoch of a stream is what was stored of another.',
    from: 3,
    edits: [
      {
        file: 'src/ingest/stream-buffers.ts',
        find: `    const known = buffers.get(handle.key);
    const isOwn`,
        replace: `    const known = [...buffers.values()].find((b) => b.handle.definition.stream === handle.definition.stream);
    const isOwn`,
      },
    ],
  },
  {
    name: 'unknown-stream-taken-for-erased',
    what: 'A stream that the database does not know any more is discarded on its device.',
    profile: 'return',
    from: 8,
    edits: [
      {
        file: gateway,
        find: 'if (isErased === true) return session.erased(buffer);',
        replace: 'if (isErased !== null) return session.erased(buffer);',
      },
    ],
  },
  {
    name: 'resume-unchecked',
    what: 'A copy of a device store goes on under numbers that the other copy used.',
    profile: 'medium',
    from: 2,
    edits: [
      {
        file: 'src/ingest/resume-check.ts',
        find: 'if (stored !== null && stored.crc32 !== proof.crc32)',
        replace: 'if (stored === null)',
      },
      {
        file: 'src/ingest/resume-check.ts',
        find: 'return ok(newest === null ? null : { seq, ...newest });',
        replace: 'return ok(null);',
      },
    ],
  },
  {
    name: 'acknowledged-one-too-many',
    what: 'An acknowledgement names the reading behind the last one that is stored.',
    edits: [
      {
        file: streams,
        find: 'next: startsAtZero ? first.to : 0,',
        replace: 'next: startsAtZero ? first.to + 1 : 0,',
      },
    ],
  },
  {
    name: 'gaps-acknowledged',
    what: 'An acknowledgement states the numbers up to the last stored one, gaps included.',
    from: 2,
    edits: [
      {
        file: streams,
        find: 'next: startsAtZero ? first.to : 0,',
        replace: 'next: settled.at(-1)?.to ?? 0,',
      },
    ],
  },
  {
    name: 'ended-before-settled',
    what: 'A recording is ended while readings of it are still on the device.',
    edits: [
      {
        file: streams,
        find: 'closing === null || stream.isEnding || settledOf(stream.progress).next < closing.next',
        replace: 'closing === null || stream.isEnding',
      },
      {
        file: 'src/sdk/device-dialogue.ts',
        find: 'channel.isCloseSent || !isSettled(log)) return;',
        replace: 'channel.isCloseSent) return;',
      },
    ],
  },
  {
    name: 'tombstone-dropped',
    what: 'A declared loss is not handed to the store.',
    from: 16,
    edits: [{ file: session, find: 'stream.buffer.declareLost({ from, to, reason });', replace: '' }],
  },
  {
    name: 'replay-shown-as-live',
    what: 'What is sent again from a device store is shown to viewers as if it were now.',
    profile: 'watch',
    from: 3,
    edits: [
      {
        file: session,
        find: 'if (!mark.historical) output.live(buffer, stamped);',
        replace: 'output.live(buffer, stamped);',
      },
    ],
  },
  {
    name: 'live-only-stored',
    what: 'Readings that were sent for display only are stored without credit.',
    from: 50,
    edits: [
      {
        file: session,
        find: `if (mark.liveOnly) counters.liveOnlyFrames++;
    else {`,
        replace: `{`,
      },
    ],
  },
  {
    name: 'device-time-for-clockless',
    what: 'Readings of a device without a clock are stored with its time instead of that of their arrival.',
    edits: [
      {
        file: 'src/ingest/received-frame.ts',
        find: `const hasClock = handle.definition.clock === 'device';`,
        replace: 'const hasClock = true;',
      },
    ],
  },
  {
    name: 'clockless-compared-by-time',
    what: 'A device without a clock takes its own readings for those of another store.',
    from: 18,
    edits: [
      {
        file: streams,
        find: `handle.definition.clock === 'none' ? { seq, crc32 } : { seq, timeUs, crc32 };`,
        replace: `handle.definition.clock === 'none' ? { seq, timeUs, crc32 } : { seq, timeUs, crc32 };`,
      },
    ],
  },
  {
    name: 'credit-beyond-pool',
    what: 'More credit is granted than the server has memory for.',
    from: 77,
    edits: [
      {
        file: credit,
        find: 'const got = Math.max(0, Math.min(bytes, limitBytes - reservedBytes));',
        replace: 'const got = bytes + 0 * limitBytes;',
      },
    ],
  },
  {
    name: 'credit-never-returned',
    what: 'Bytes that settled go on counting as held, until nothing more may be sent.',
    from: 15,
    edits: [
      {
        file: credit,
        find: `      leave(bytes);
      topUp();`,
        replace: '      topUp();',
      },
    ],
  },
  {
    name: 'credit-kept-by-the-dead',
    what: 'A connection that goes keeps the credit which it never used.',
    from: 120,
    edits: [{ file: credit, find: 'pool.release(grantedBytes - receivedBytes);', replace: '' }],
  },
  {
    name: 'credit-free-when-asked',
    what: 'What a device is asked to give back is taken from it before it has answered.',
    profile: 'credit',
    from: 210,
    edits: [
      {
        file: credit,
        find: `      return reclaimedTo;
`,
        replace: `      pool.release(grantedBytes - reclaimedTo);
      grantedBytes = reclaimedTo;
      return reclaimedTo;
`,
      },
    ],
  },
  {
    name: 'frame-of-another-session',
    what: 'Frames of one session are published with those of another.',
    profile: 'watch',
    edits: [
      {
        file: publisher,
        find: 'bus.publish(readingsTopic(session), encodeLiveFrames(frames));',
        replace: 'bus.publish(readingsTopic((published ??= session)), encodeLiveFrames(frames));',
      },
      {
        file: publisher,
        find: '  let isScheduled = false;',
        replace: '  let isScheduled = false;\n  let published: string | undefined;',
      },
    ],
  },
  {
    name: 'progress-ahead-of-commit',
    what: 'Viewers are told that readings are stored when they have only arrived.',
    profile: 'watch',
    edits: [
      {
        file: buffer,
        find: `      waitingReadings += frame.count;
      if (frame.historical) {`,
        replace: `      waitingReadings += frame.count;
      observer.committed(handle, { committed: [{ from: 0, to: frame.firstSeq + frame.count }], lost: [] });
      if (frame.historical) {`,
      },
    ],
  },
];
