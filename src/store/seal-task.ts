/**
 * Owns when readings are sealed: those of streams that ended a while ago, and of commit days that are over. Each step
 * seals one piece (sealing.ts), so a day of one stream takes many steps. What fails is left for the next round, and the
 * rest goes on. One sealer works on a database at a time; a second one would be safe but do the same work.
 */

import type pg from 'pg';

import { underAdvisoryLock } from '#store/advisory-lock.ts';
import type { DayShift } from '#store/partitions.ts';
import {
  nextHotPiece,
  noteSealed,
  PIECE_COLUMNS,
  pieceOf,
  sealNext,
  type PieceRow,
  type SealPiece,
} from '#store/sealing.ts';
import type { UpkeepTask } from '#store/upkeep.ts';

export const sealTiming = {
  /** A stream that ended may still have a flush under way, and is often looked at right away. */
  afterEndMs: 60_000,
  /** What the last flush before midnight wrote is committed by now. */
  afterDayMs: 600_000,
  /** Pause when nothing is left to seal. */
  everyMs: 15_000,
} as const;

/** Ended streams fetched at once, and looked at in one step when nothing of them is hot. */
const STREAMS_PER_LOOK = 64;
/** Of the database's advisory locks; the number is arbitrary. */
const SEALER_LOCK = 5_962_119;

export interface SealTaskOptions {
  /** Instead of `sealTiming.afterEndMs`. */
  readonly afterEndMs?: number;
  readonly dayShift?: DayShift;
}

export interface SealTask extends UpkeepTask {
  readonly counters: Readonly<{
    readings: number;
    chunks: number;
    blocks: number;
    /** Bytes of the packed columns before and after. */
    plainBytes: number;
    sealedBytes: number;
    /** Pieces that someone else changed while they were packed, or that are held or gone. */
    lost: number;
    /** Pieces that could not be sealed. */
    failed: number;
  }>;
}

export function createSealTask(options: SealTaskOptions = {}): SealTask {
  const counters = {
    readings: 0,
    chunks: 0,
    blocks: 0,
    plainBytes: 0,
    sealedBytes: 0,
    lost: 0,
    failed: 0,
  };
  const finder = createFinder(options);
  let piece: SealPiece | null = null;

  async function seal(client: pg.PoolClient, from: SealPiece): Promise<void> {
    try {
      const outcome = await sealNext(client, from);
      for (const name of ['readings', 'chunks', 'blocks', 'plainBytes', 'sealedBytes'] as const)
        counters[name] += outcome[name];
      if (outcome.state === 'lost') {
        counters.lost++;
        finder.leave(from);
      }
      piece = outcome.state === 'sealed' ? { ...from, fromSeq: outcome.nextSeq } : null;
    } catch (error) {
      counters.failed++;
      finder.leave(from);
      piece = null;
      throw error;
    }
  }

  return {
    name: 'seal',
    everyMs: sealTiming.everyMs,
    counters,
    async step(db, signal) {
      return underAdvisoryLock(db, SEALER_LOCK, async (client) => {
        if (piece === null) {
          const found = await finder.next(client);
          if (found === 'idle' || found === 'more') return found;
          piece = found;
        }
        if (!signal.aborted) await seal(client, piece);
        return 'more';
      });
    },
  };
}

interface Finder {
  /** The beginning of hot readings that are due; `idle` at the end of a round, `more` when there is more to look at. */
  next(client: pg.ClientBase): Promise<SealPiece | 'idle' | 'more'>;
  /** Nothing more of this stream (of this epoch, when found by its day) in this round. */
  leave(piece: SealPiece): void;
}

const START = { streamId: '00000000-0000-0000-0000-000000000000', epoch: '-9223372036854775808', seq: '-1' };
const LAST_SEQ = '9223372036854775807';

function createFinder({ afterEndMs = sealTiming.afterEndMs, dayShift = () => 0 }: SealTaskOptions): Finder {
  /** Streams that ended, oldest end first. What ended before yesterday has its days sealed. */
  const ended: string[] = [];
  let endedCursor: { at: string; id: string } | null = null;
  let past = START;

  async function fetchEnded(client: pg.ClientBase): Promise<boolean> {
    const { rows } = await client.query<{ id: string; at: string }>(ENDED_SQL, [
      endedCursor?.at ?? null,
      endedCursor?.id ?? START.streamId,
      afterEndMs,
    ]);
    const last = rows.at(-1);
    if (last === undefined) return false;
    endedCursor = last;
    ended.push(...rows.map((row) => row.id));
    return true;
  }

  /** The first hot readings of the streams that have ended. */
  async function nextEnded(client: pg.ClientBase): Promise<SealPiece | 'idle' | 'more'> {
    for (let looks = 0; looks < STREAMS_PER_LOOK; looks++) {
      const streamId = ended[0];
      if (streamId === undefined) {
        if (!(await fetchEnded(client))) return 'idle';
        continue;
      }
      const piece = await nextHotPiece(client, streamId);
      if (piece !== null) return piece;
      await noteSealed(client, streamId);
      ended.shift();
    }
    return 'more';
  }

  async function nextPast(client: pg.ClientBase): Promise<SealPiece | 'idle'> {
    const { rows } = await client.query<PieceRow>(PAST_SQL, [
      past.streamId,
      past.epoch,
      past.seq,
      sealTiming.afterDayMs,
      dayShift(),
    ]);
    const found = rows[0];
    past =
      found === undefined ? START : { streamId: found.stream_id, epoch: found.epoch, seq: found.first_seq };
    return found === undefined ? 'idle' : pieceOf(found);
  }

  return {
    async next(client) {
      const found = await nextEnded(client);
      return found === 'idle' ? nextPast(client) : found;
    },
    leave({ streamId, epoch }) {
      if (ended[0] === streamId) ended.shift();
      else past = { streamId, epoch, seq: LAST_SEQ };
    },
  };
}

const ENDED_SQL = `
  select id, ended_at::text as at from kymo.stream
   where (ended_at, id) > (coalesce($1::timestamptz, now() - interval '1 day'), $2::uuid)
     and ended_at < now() - $3 * interval '1 millisecond'
   order by ended_at, id limit ${STREAMS_PER_LOOK}`;

const PAST_SQL = `
  select ${PIECE_COLUMNS} from kymo.chunk c
   where c.commit_day < ((now() - $4 * interval '1 millisecond') at time zone 'utc')::date + $5::int
     and (c.stream_id, c.epoch, c.first_seq) > ($1::uuid, $2::int8, $3::int8)
     and not exists (select from kymo.seal_hold h where h.stream_id = c.stream_id)
   order by c.stream_id, c.epoch, c.first_seq limit 1`;
