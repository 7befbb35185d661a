/**
 * Owns the order of a flush: take frames, lock the guard rows, subtract what is committed, write, commit, and only then
 * settle. A state machine without I/O: events in, effects out, so that the simulator can run it against a model of the
 * database. Invariant: a source is told `settled` only by what the guard rows said in a transaction that committed.
 * Bound: one batch of at most `batchReadings` readings is held here; all else waits in the sources' own rings.
 */

import { assert } from '#base/assert.ts';
import type { RangeSet } from '#base/ranges.ts';
import type { EpochProgress, Frame, FrameSource, LossDeclaration } from '#contract/readings.ts';
import { planStream, type Chunk, type StreamPlan } from '#store/flush-plan.ts';
import { standingOf } from '#store/guard-standing.ts';

export interface WriterConfig {
  /** A flush starts this long after the first frame became due. */
  readonly flushIntervalMs: number;
  /** ... or as soon as one stream has this many readings waiting. */
  readonly flushReadings: number;
  /** Readings taken into one flush; the rest waits for the next. */
  readonly batchReadings: number;
  /** A flush that waits longer than this for guard rows has its blockers looked at. */
  readonly blockedAfterMs: number;
  /** First and longest pause after the database failed. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

export const defaultWriterConfig: WriterConfig = {
  // REQUIREMENTS S3.
  flushIntervalMs: 250,
  flushReadings: 500,
  // 200 k readings of nine axes are 7 MB of COPY: about 100 ms of database time (docs/benchmarks.md).
  batchReadings: 200_000,
  blockedAfterMs: 1_000,
  retryMinMs: 100,
  retryMaxMs: 5_000,
};

/** One stream's part of a batch: what was taken from the source and has to be settled, refused or rewound. */
interface Item {
  readonly source: FrameSource;
  readonly frames: Frame[];
  readonly losses: LossDeclaration[];
}

/** What a guard row says, as the lock step read it. `null`: there is no such row. */
export interface GuardRow {
  readonly key: string;
  readonly progress: EpochProgress | null;
  /** Of the connection that wrote last; 0: none has. */
  readonly generation: number;
}

/** New ranges of one guard row, and why some were declared lost. */
export interface RangeChange {
  readonly source: FrameSource;
  readonly committed: RangeSet;
  readonly lost: RangeSet;
  readonly losses: readonly LossDeclaration[];
}

/**
 * How a step failed. `gone`: the database or the connection; nothing is known of the outcome, the guard will tell.
 * `blocked`: a lock or a deadlock. `partition`: today's partition is missing. `data`: the database refuses the rows.
 */
export type FailureKind = 'gone' | 'blocked' | 'partition' | 'data';

export type WriterEvent =
  | { readonly type: 'due'; readonly source: FrameSource }
  /** The time asked for by a `wake` effect has come (or any other moment: it is harmless). */
  | { readonly type: 'tick' }
  | { readonly type: 'locked'; readonly rows: readonly GuardRow[] }
  | { readonly type: 'written' }
  | { readonly type: 'committed' }
  | { readonly type: 'failed'; readonly kind: FailureKind; readonly message: string }
  | { readonly type: 'rolledBack' }
  /** Flush what waits now, without the interval (drain). */
  | { readonly type: 'flush' };

export type WriterEffect =
  | { readonly type: 'wake'; readonly atMs: number }
  /** BEGIN, then lock the guard rows in (stream, epoch) order. */
  | { readonly type: 'lock'; readonly sources: readonly FrameSource[] }
  | { readonly type: 'write'; readonly chunks: readonly Chunk[]; readonly changes: readonly RangeChange[] }
  | { readonly type: 'commit' }
  /** End the transaction without effect; also when the connection is in an unknown state. */
  | { readonly type: 'rollback' }
  | { readonly type: 'terminateBlockers' }
  | { readonly type: 'makePartitions' };

export interface WriterCounters {
  flushes: number;
  storedReadings: number;
  duplicateReadings: number;
  declaredReadings: number;
  refusedStreams: number;
  unknownStreams: number;
  /** Streams of a connection when a newer one had written. */
  supersededStreams: number;
  /** Streams into which others wrote after they were opened and before their connection's first flush. */
  outdatedStreams: number;
  fragmentRefusals: number;
  failures: Record<FailureKind, number>;
  bisections: number;
}

export interface WriterMachine {
  handle(event: WriterEvent, nowMs: number): WriterEffect[];
  readonly counters: Readonly<WriterCounters>;
  /** True when nothing waits and nothing is in flight. */
  readonly isIdle: boolean;
  /** True while the database has failed and the batch waits for the next try. */
  readonly isStalled: boolean;
  readonly phase: WriterPhase;
  /** Of the batch and its halves. */
  readonly heldReadings: number;
}

export type WriterPhase = 'idle' | 'locking' | 'writing' | 'committing' | 'rollingBack' | 'waiting';

/** `random` spreads the retries of several writers; in [0, 1). */
export function createWriterMachine(config: WriterConfig, random: () => number): WriterMachine {
  const counters: WriterCounters = {
    flushes: 0,
    storedReadings: 0,
    duplicateReadings: 0,
    declaredReadings: 0,
    refusedStreams: 0,
    unknownStreams: 0,
    supersededStreams: 0,
    outdatedStreams: 0,
    fragmentRefusals: 0,
    failures: { gone: 0, blocked: 0, partition: 0, data: 0 },
    bisections: 0,
  };
  /** Bounded by the streams that are open, which the gateway bounds. */
  const due = new Set<FrameSource>();
  /** Parts of a refused batch that wait for their own transaction; together never more than one batch. */
  const halves: Item[][] = [];
  let phase: WriterPhase = 'idle';
  let batch: Item[] = [];
  let plans = new Map<Item, StreamPlan>();
  let firstDueMs = 0;
  let wakeAtMs = Number.POSITIVE_INFINITY;
  let lockedSinceMs = 0;
  let resumeAtMs = 0;
  let failuresInRow = 0;
  let wantPartitions = false;
  let flushNow = false;
  /** The last batch had no room for all that was due: the next one does not wait. */
  let isCut = false;

  const wake = (atMs: number, effects: WriterEffect[]): void => {
    if (atMs >= wakeAtMs) return;
    wakeAtMs = atMs;
    effects.push({ type: 'wake', atMs });
  };

  function onDue(source: FrameSource, nowMs: number): WriterEffect[] {
    const effects: WriterEffect[] = [];
    if (due.size === 0) firstDueMs = nowMs;
    due.add(source);
    if (phase === 'idle') {
      if (flushNow || source.pendingReadings() >= config.flushReadings) startFlush(nowMs, effects);
      else wake(firstDueMs + config.flushIntervalMs, effects);
    }
    return effects;
  }

  function startFlush(nowMs: number, effects: WriterEffect[]): void {
    assert(phase === 'idle', 'one flush at a time');
    const half = halves.pop();
    batch = half ?? takeBatch(nowMs);
    if (batch.length === 0) return;
    phase = 'locking';
    lockedSinceMs = nowMs;
    counters.flushes++;
    effects.push({ type: 'lock', sources: batch.map((item) => item.source) });
    wake(nowMs + config.blockedAfterMs, effects);
  }

  function takeBatch(nowMs: number): Item[] {
    const items: Item[] = [];
    const keys = new Set<string>();
    let room = config.batchReadings;
    for (const source of due) {
      if (room <= 0) break;
      // A second source of one stream would not see what the first adds, and store it again: it waits for the next flush.
      if (keys.has(source.handle.key)) continue;
      due.delete(source);
      const frames = source.take(room);
      const losses = source.takeLosses();
      // One that was emptied since it was due keeps nobody waiting.
      if (frames.length > 0 || losses.length > 0) {
        keys.add(source.handle.key);
        items.push({ source, frames, losses });
      }
      for (const frame of frames) room -= frame.count;
      if (source.pendingReadings() > 0) {
        // More than fits one flush: it stays due, behind the others.
        due.add(source);
        if (room <= 0) break;
      }
    }
    isCut = room <= 0 && due.size > 0;
    firstDueMs = nowMs;
    return items;
  }

  function onLocked(rows: readonly GuardRow[]): WriterEffect[] {
    assert(phase === 'locking', 'locked answers lock');
    const rowOf = new Map(rows.map((row) => [row.key, row]));
    const chunks: Chunk[] = [];
    const changes: RangeChange[] = [];
    plans = new Map();
    const present: Item[] = [];
    for (const item of batch) {
      const row = rowOf.get(item.source.handle.key);
      const standing = row === undefined ? 'unknown' : standingOf(item.source, row);
      if (standing !== 'current' && standing !== 'claims') {
        turnAway(item.source, standing);
        continue;
      }
      const progress = row!.progress!;
      present.push(item);
      const plan = planStream({
        handle: item.source.handle,
        progress,
        frames: item.frames,
        losses: item.losses,
      });
      plans.set(item, plan);
      for (const chunk of plan.chunks) chunks.push(chunk);
      // A claim is written even with nothing new: what is settled may be told only once nobody else can write.
      if (standing === 'claims' || plan.added.length > 0 || plan.declared.length > 0)
        changes.push({
          source: item.source,
          committed: plan.added,
          lost: plan.declared,
          losses: plan.losses,
        });
    }
    batch = present;
    if (changes.length === 0) {
      // Nothing new: the rows themselves, read under lock, are the proof that all of it was committed before.
      phase = 'committing';
      return [{ type: 'commit' }];
    }
    phase = 'writing';
    return [{ type: 'write', chunks, changes }];
  }

  function turnAway(source: FrameSource, standing: 'unknown' | 'superseded' | 'outdated'): void {
    counters[`${standing}Streams`]++;
    source[standing]();
  }

  function onCommitted(nowMs: number): WriterEffect[] {
    assert(phase === 'committing', 'committed answers commit');
    phase = 'idle';
    failuresInRow = 0;
    const settled = batch;
    batch = [];
    for (const item of settled) {
      const plan = plans.get(item);
      assert(plan !== undefined, 'every item of a committed batch has a plan');
      counters.storedReadings += plan.storedReadings;
      counters.duplicateReadings += plan.duplicateReadings;
      counters.declaredReadings += plan.declaredReadings;
      item.source.settled(plan.progress);
      if (plan.refusedFromSeq !== null) {
        counters.fragmentRefusals++;
        item.source.rewind(plan.refusedFromSeq);
      }
    }
    plans = new Map();
    return next(nowMs);
  }

  /** Goes on with what waits: the other half of a bisected batch at once, else by interval or count. */
  function next(nowMs: number): WriterEffect[] {
    const effects: WriterEffect[] = [];
    if (halves.length > 0) startFlush(nowMs, effects);
    else if (due.size > 0) {
      let full = flushNow || isCut;
      for (const source of due) if (source.pendingReadings() >= config.flushReadings) full = true;
      if (full || nowMs >= firstDueMs + config.flushIntervalMs) startFlush(nowMs, effects);
      else wake(firstDueMs + config.flushIntervalMs, effects);
    } else flushNow = false;
    return effects;
  }

  function onFailed(kind: FailureKind, nowMs: number): WriterEffect[] {
    assert(phase === 'locking' || phase === 'writing' || phase === 'committing', 'only a step can fail');
    counters.failures[kind]++;
    plans = new Map();
    phase = 'rollingBack';
    if (kind === 'data') {
      if (batch.length === 1) {
        counters.refusedStreams++;
        batch[0]?.source.refused('the database refuses what this stream sends');
        batch = [];
      } else {
        counters.bisections++;
        const middle = Math.ceil(batch.length / 2);
        halves.push(batch.slice(middle), batch.slice(0, middle));
        batch = [];
      }
      resumeAtMs = nowMs;
    } else {
      // The batch is kept and tried again: if its commit did happen, the guard will subtract all of it.
      const pauseMs = Math.min(config.retryMaxMs, config.retryMinMs * 2 ** Math.min(failuresInRow, 16));
      failuresInRow++;
      resumeAtMs = nowMs + pauseMs * (0.5 + random() / 2);
      wantPartitions = kind === 'partition';
    }
    return [{ type: 'rollback' }];
  }

  function onRolledBack(nowMs: number): WriterEffect[] {
    assert(phase === 'rollingBack', 'rolledBack answers rollback');
    const effects: WriterEffect[] = [];
    if (wantPartitions) effects.push({ type: 'makePartitions' });
    wantPartitions = false;
    phase = 'waiting';
    effects.push(...onTick(nowMs));
    return effects;
  }

  function onTick(nowMs: number): WriterEffect[] {
    const effects: WriterEffect[] = [];
    // The timer that was asked for may have fired a little early: it is asked for again below.
    wakeAtMs = Number.POSITIVE_INFINITY;
    if (phase === 'waiting') {
      if (nowMs < resumeAtMs) wake(resumeAtMs, effects);
      else {
        if (batch.length > 0) halves.push(batch);
        batch = [];
        phase = 'idle';
        effects.push(...next(nowMs));
      }
    } else if (phase === 'idle') effects.push(...next(nowMs));
    else if (phase === 'locking') {
      if (nowMs - lockedSinceMs >= config.blockedAfterMs) {
        effects.push({ type: 'terminateBlockers' });
        lockedSinceMs = nowMs;
      }
      wake(lockedSinceMs + config.blockedAfterMs, effects);
    }
    return effects;
  }

  return {
    handle(event, nowMs) {
      switch (event.type) {
        case 'due':
          return onDue(event.source, nowMs);
        case 'tick':
          return onTick(nowMs);
        case 'flush':
          flushNow = true;
          return phase === 'idle' ? next(nowMs) : [];
        case 'locked':
          return onLocked(event.rows);
        case 'written':
          assert(phase === 'writing', 'written answers write');
          phase = 'committing';
          return [{ type: 'commit' }];
        case 'committed':
          return onCommitted(nowMs);
        case 'failed':
          return onFailed(event.kind, nowMs);
        case 'rolledBack':
          return onRolledBack(nowMs);
      }
    },
    counters,
    get isIdle() {
      return phase === 'idle' && due.size === 0 && halves.length === 0;
    },
    get isStalled() {
      return failuresInRow > 0;
    },
    get phase() {
      return phase;
    },
    get heldReadings() {
      const frames = [batch, ...halves].flat().flatMap((item) => item.frames);
      return frames.reduce((sum, { count }) => sum + count, 0);
    },
  };
}
