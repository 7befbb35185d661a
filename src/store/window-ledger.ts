/**
 * Owns the ledger of windows: it takes in what was committed or declared lost since it looked last, session by session,
 * each visit in one transaction, outside the flushes. What is to do is `committed - covered`, so nothing is counted twice
 * or forgotten; a ledger that dies leaves nothing behind. Bounds: READINGS and WINDOWS a visit, about STEP_MS a call.
 */

import type pg from 'pg';

import { AppError } from '#base/errors.ts';
import type { Clock } from '#base/clock.ts';
import { rangesOf, sizeOf, subtract, type Range, type RangeSet } from '#base/ranges.ts';
import { chunkStatement, unpackChunks } from '#store/chunk-reader.ts';
import { decodeTimes } from '#store/chunk-codec.ts';
import type { Statement } from '#store/pools.ts';
import { underSessionLock } from '#store/session-lock.ts';
import type { UpkeepTask } from '#store/upkeep.ts';
import { WINDOW_US } from '#store/window-grid.ts';
import { takeSpans, type TimedReadings } from '#store/window-spans.ts';
import { awaitingOf, lastBeforeGap } from '#store/window-standing.ts';
import {
  analyseStatement,
  clearUncoveredStatement,
  closeStatement,
  coverStatement,
  dueSessionsStatement,
  epochsStatement,
  joinStatement,
  ledgerEpoch,
  ledgerStatement,
  loseStatement,
  numberStatement,
  recountStatement,
  spansStatement,
  visitStatement,
  type Coverage,
  type LedgerEpoch,
  type LedgerPolicy,
  type SessionName,
  type Span,
} from '#store/window-statements.ts';

/** Seven sensors at 200 Hz for a minute and a half; their chunks are 5 MB. */
const READINGS = 130_000;
/** Rows that one visit writes, times the streams; only a clock that jumps about reaches it. */
const WINDOWS = 1_024;
const CHUNKS_PER_FETCH = 1_000;
/** Sessions looked up at once. */
const CANDIDATES = 32;
const STEP_MS = 150;
const IDLE_MS = 1_000;
/** A window is closed, settled or not, when the newest reading of its session is so much later than its end. */
const GRACE_US = WINDOW_US;
const LOCK_MS = 2_000;
const IDLE_IN_STEP_MS = 5_000;
const ledgerPolicy: LedgerPolicy = { liveS: 5, quietS: 60 };

export interface LedgerBounds {
  readonly readings: number;
  readonly windows: number;
}

export interface WindowTaskOptions {
  readonly clock: Clock;
  readonly policy?: LedgerPolicy;
  readonly bounds?: LedgerBounds;
}

interface LedgerCounters {
  /** Visits that met damaged readings. */
  failures: number;
  readings: number;
  visits: number;
  /** Windows that were closed, revised or settled. */
  changes: number;
  [name: string]: number;
}

export function createWindowTask(options: WindowTaskOptions): UpkeepTask {
  const { clock, policy = ledgerPolicy, bounds = { readings: READINGS, windows: WINDOWS } } = options;
  const counters: LedgerCounters = { failures: 0, readings: 0, visits: 0, changes: 0 };
  return {
    name: 'windows',
    everyMs: IDLE_MS,
    counters,
    async step(db, signal) {
      const startedMs = clock.monotonicMs();
      const client = await db.connect();
      let broken: Error | undefined;
      try {
        const { rows } = await query(client, dueSessionsStatement(policy, CANDIDATES));
        const found = rows as { session_id: string; org_id: string }[];
        for (const { session_id: sessionId, org_id: orgId } of found) {
          const visit: Visit = { client, name: { sessionId, orgId }, policy, bounds, counters };
          for (let left: boolean | null = true; left === true;) {
            if (signal.aborted) return 'idle';
            if (clock.monotonicMs() - startedMs > STEP_MS) return 'more';
            left = await underSessionLock(client, { kind: 'windows', sessionId }, () => visitOrLeave(visit));
          }
        }
        return found.length === CANDIDATES ? 'more' : 'idle';
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error));
        throw error;
      } finally {
        client.release(broken);
      }
    },
  };
}

interface Visit {
  readonly client: pg.ClientBase;
  readonly name: SessionName;
  readonly policy: LedgerPolicy;
  readonly bounds: LedgerBounds;
  readonly counters: LedgerCounters;
}

/** Readings that are damaged hold up their own session and no other: it waits for its next turn. */
async function visitOrLeave(visit: Visit): Promise<boolean> {
  try {
    return await inTransaction(visit);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    visit.counters.failures++;
    await query(visit.client, visitStatement(visit.name));
    return false;
  }
}

/** One visit, whole or not at all; true: there is more to take in. */
async function inTransaction(visit: Visit): Promise<boolean> {
  const { client } = visit;
  await client.query(`begin; set local synchronous_commit = off; set local lock_timeout = ${LOCK_MS};
    set local idle_in_transaction_session_timeout = ${IDLE_IN_STEP_MS}`);
  try {
    const outcome = await visitSession(visit);
    await client.query(outcome === 'gone' ? 'rollback' : 'commit');
    return outcome === 'more';
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function visitSession(visit: Visit): Promise<'done' | 'more' | 'gone'> {
  const { client, name, policy, counters } = visit;
  const [ledger] = (await query(client, visitStatement(name))).rows as {
    is_stale: boolean;
    is_ended: boolean;
  }[];
  if (ledger === undefined) return 'gone';
  if (ledger.is_stale) await query(client, recountStatement(name));
  const epochs = (await query(client, epochsStatement(name, policy))).rows.map(ledgerEpoch);
  const taken = await takeFresh(visit, epochs);
  if (taken.windows.size > 0) await query(client, joinStatement(name, taken.windows));
  if (taken.spans.length > 0) await query(client, spansStatement(name, taken.spans));
  const coverages: Coverage[] = [];
  for (const { epoch, covered } of taken.epochs) coverages.push(await coverEpoch(visit, epoch, covered));
  const standing = standingOf(taken.epochs, coverages);
  await query(client, closeStatement(name, standing));
  const [numbered] = (await query(client, numberStatement(name))).rows as {
    changed: number;
    inputs: number;
  }[];
  const { changed = 0, inputs = 0 } = numbered ?? {};
  await query(
    client,
    ledgerStatement(name, {
      isOpen: standing.isOpen || taken.isMore,
      isStale: false,
      isEnded: standing.isEnded,
      settledUs: finite(standing.settledUs),
    }),
  );
  if (inputs > 0 || standing.isEnded !== ledger.is_ended) await query(client, analyseStatement(name));
  // Locks guard rows, which flushes wait for, and so comes last.
  const changedCoverages = coverages.filter((_, i) => taken.epochs[i]!.epoch.isUncovered);
  if (changedCoverages.length > 0) {
    await query(client, coverStatement(name, changedCoverages));
    const { rowCount } = await query(client, clearUncoveredStatement(changedCoverages));
    if (rowCount !== changedCoverages.length) return 'gone';
  }
  counters.visits++;
  counters.changes += changed;
  counters.readings += taken.readings;
  return taken.isMore ? 'more' : 'done';
}

interface Taken {
  readonly epochs: readonly { readonly epoch: LedgerEpoch; readonly covered: CoveredEpoch }[];
  /** Readings that join a window, by its start. */
  readonly windows: ReadonlyMap<number, number>;
  readonly spans: readonly Span[];
  readonly readings: number;
  readonly isMore: boolean;
}

interface CoveredEpoch {
  readonly ranges: RangeSet;
  /** The last reading that was read; most often the newest, whose time is asked for. */
  readonly last: { readonly seq: number; readonly timeUs: number } | null;
  readonly newestUs: number | null;
}

/** Reads the times of what no window contains yet, until one of the bounds is reached. */
async function takeFresh({ client, bounds }: Visit, epochs: readonly LedgerEpoch[]): Promise<Taken> {
  const windows = new Map<number, number>();
  const spans: Span[] = [];
  const covered: Taken['epochs'][number][] = [];
  let readings = 0;
  for (const epoch of epochs) {
    const { streamId } = epoch;
    let ranges = epoch.covered;
    let newestUs = epoch.newestUs;
    let last: CoveredEpoch['last'] = null;
    const fresh = [...subtract(epoch.committed, epoch.covered)];
    for (let range = fresh.shift(); range !== undefined; range = fresh.shift()) {
      if (readings >= bounds.readings || windows.size >= bounds.windows) break;
      const blocks = await readTimes(client, {
        streamId,
        epoch: epoch.epoch,
        range,
        maxReadings: bounds.readings - readings,
      });
      const taking = takeSpans(range, blocks, bounds.windows - windows.size);
      // Without a reading there: retention has dropped them before they were seen.
      const to = blocks.length === 0 ? range.to : taking.endSeq;
      for (const [startUs, seqs] of taking.windows) {
        const size = sizeOf(seqs);
        windows.set(startUs, (windows.get(startUs) ?? 0) + size);
        spans.push({ streamId, epoch: epoch.epoch, startUs, seqs });
        readings += size;
      }
      last = readingBefore(to, blocks) ?? last;
      if (taking.windows.size > 0) newestUs = Math.max(newestUs ?? taking.newestUs, taking.newestUs);
      ranges = rangesOf([...ranges, { from: range.from, to }]);
      if (to < range.to) fresh.unshift({ from: to, to: range.to });
    }
    covered.push({ epoch, covered: { ranges, newestUs, last } });
  }
  const isMore = covered.some(
    ({ epoch, covered: { ranges } }) => subtract(epoch.committed, ranges).length > 0,
  );
  return { epochs: covered, windows, spans: mergeSpans(spans), readings, isMore };
}

function readingBefore(to: number, blocks: readonly TimedReadings[]): CoveredEpoch['last'] {
  const block = blocks.findLast(({ firstSeq, n }) => firstSeq < to && to <= firstSeq + n);
  return block === undefined ? null : { seq: to - 1, timeUs: block.times[to - 1 - block.firstSeq]! };
}

/** One row a window and epoch: a statement may meet each row once only. */
function mergeSpans(spans: readonly Span[]): Span[] {
  const byRow = Map.groupBy(spans, ({ streamId, epoch, startUs }) => `${streamId}/${epoch}/${startUs}`);
  return [...byRow.values()].map((of) => ({
    ...of[0]!,
    seqs: rangesOf(of.flatMap(({ seqs }) => [...seqs])),
  }));
}

interface TimeRange {
  readonly streamId: string;
  readonly epoch: string;
  readonly range: Range;
  readonly maxReadings: number;
}

async function readTimes(
  client: pg.ClientBase,
  { streamId, epoch, range, maxReadings }: TimeRange,
): Promise<TimedReadings[]> {
  const statement = chunkStatement(
    { streamId, epoch, fromSeq: range.from, toSeq: range.to, maxReadings },
    CHUNKS_PER_FETCH,
  );
  return unpackChunks((await query(client, statement)).rows).map((chunk) => ({
    firstSeq: chunk.firstSeq,
    n: chunk.n,
    times: decodeTimes(chunk),
  }));
}

/** Takes in what was declared lost of an epoch, and notes what the windows contain of it now. */
async function coverEpoch(visit: Visit, epoch: LedgerEpoch, covered: CoveredEpoch): Promise<Coverage> {
  const { client, name } = visit;
  const { streamId } = epoch;
  const timeOf = async (seq: number): Promise<number | null> => {
    if (covered.last?.seq === seq) return covered.last.timeUs;
    const range = { from: seq, to: seq + 1 };
    const [block] = await readTimes(client, { streamId, epoch: epoch.epoch, range, maxReadings: 1 });
    return block === undefined ? null : (block.times[seq - block.firstSeq] ?? null);
  };
  for (const { from, to } of subtract(epoch.lost, epoch.coveredLost)) {
    const before = covered.ranges.findLast((range) => range.to <= from);
    const after = covered.ranges.find((range) => range.from >= to);
    const times = [
      before === undefined ? null : await timeOf(before.to - 1),
      after === undefined ? null : await timeOf(after.from),
    ].filter((time) => time !== null);
    if (times.length > 0)
      await query(client, loseStatement(name, { fromUs: Math.min(...times), toUs: Math.max(...times) }));
  }
  const last = lastBeforeGap({ covered: covered.ranges, lost: epoch.lost });
  return {
    streamId,
    epoch: epoch.epoch,
    covered: covered.ranges,
    lost: epoch.lost,
    tailLost: epoch.tailLost,
    // Readings that retention has dropped leave the time that was known.
    settledUs: last === null ? null : ((epoch.isUncovered ? await timeOf(last) : null) ?? epoch.settledUs),
    newestUs: covered.newestUs,
  };
}

interface Standing {
  readonly settledUs: number;
  readonly closedUs: number;
  readonly isEnded: boolean;
  /** Time alone will change something. */
  readonly isOpen: boolean;
}

function standingOf(epochs: Taken['epochs'], coverages: readonly Coverage[]): Standing {
  let settledUs = Number.POSITIVE_INFINITY;
  let newestUs = Number.NEGATIVE_INFINITY;
  let isOpen = false;
  let isWholeSessionQuiet = true;
  for (const [i, { epoch, covered }] of epochs.entries()) {
    const isWhole = subtract(epoch.committed, covered.ranges).length === 0;
    const awaiting = awaitingOf({ ...epoch, covered: covered.ranges, isWhole });
    if (awaiting !== 'complete')
      settledUs = Math.min(settledUs, coverages[i]!.settledUs ?? Number.NEGATIVE_INFINITY);
    if (awaiting === 'open') isOpen = true;
    newestUs = Math.max(newestUs, covered.newestUs ?? Number.NEGATIVE_INFINITY);
    if (!isWhole || !(epoch.isQuiet || epoch.hasEnded)) isWholeSessionQuiet = false;
  }
  return {
    settledUs,
    closedUs: isWholeSessionQuiet ? Number.POSITIVE_INFINITY : newestUs - GRACE_US,
    isEnded: settledUs === Number.POSITIVE_INFINITY && epochs.every(({ epoch }) => epoch.hasEnded),
    isOpen,
  };
}

/** As a bigint holds it: what has no end is later than every device time. */
function finite(us: number): number | null {
  if (us === Number.NEGATIVE_INFINITY) return null;
  return us === Number.POSITIVE_INFINITY ? Number.MAX_SAFE_INTEGER : us;
}

function query(client: pg.ClientBase, { name, text, values = [] }: Statement): Promise<pg.QueryResult> {
  return client.query(
    name === undefined ? { text, values: [...values] } : { name, text, values: [...values] },
  );
}
