/**
 * Owns the judgement of every COMMIT and of what restores and promotions leave: each stored reading is one that a device
 * pushed, bit by bit and at its time, in its own stream, in order, under the number that its device gave it, once; and no
 * number is ever stored twice or declared lost while somebody holds it. Cost: what is new in each commit.
 */

import { intersect, sizeOf, subtract, union, type RangeSet } from '#base/ranges.ts';
import type { CommittedChange, StoredChunk, Tables } from '#test/simulation/database/database-types.ts';
import { idOf } from '#test/simulation/readings.ts';
import {
  difference,
  extend,
  rangeText,
  type EpochTruth,
  type Reading,
  type Truth,
} from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface StoredCheck {
  committed(change: CommittedChange): void;
  /** The database went back in time: what it has not any more is noted as taken. */
  wentBack(mayLose: boolean): void;
  /** Nothing that was committed may be gone. */
  nothingGone(why: string): void;
  /** Everything stored, from the rows and not from what the commits said. */
  audit(): void;
}

export interface StoredCheckOptions {
  readonly truth: Truth;
  readonly verdict: Verdict;
  readonly tables: () => Tables;
  readonly isErased: (streamId: string) => boolean;
  /** An erasure has run to its end, and no restore has brought it back. */
  readonly isEmptied: (streamId: string) => boolean;
  /** Whether the times of this stream's readings are those of its device. */
  readonly hasDeviceClock: (streamId: string) => boolean;
}

type Change = CommittedChange['epochs'][number];

export function createStoredCheck(options: StoredCheckOptions): StoredCheck {
  const { truth, verdict, tables, isErased } = options;

  /** The reading stored at `index` of a chunk, after everything about it was compared. */
  function readingAt(epoch: EpochTruth, chunk: StoredChunk, index: number, axes: number): Reading | null {
    const seq = chunk.firstSeq + index;
    const where = `${epoch.key} number ${seq}`;
    const id = idOf(chunk.payload, index * axes * 4, axes);
    const reading = id === null ? undefined : truth.reading(id);
    if (reading === undefined) {
      verdict.fail('stored bits', `${where} holds what no device pushed`);
      return null;
    }
    if (reading.stream.id !== epoch.streamId)
      verdict.fail('stored stream', `${where} holds reading ${id} of stream ${reading.stream.id}`);
    const timeUs = chunk.timesUs[index]!;
    if (options.hasDeviceClock(epoch.streamId) && timeUs !== reading.timeUs)
      verdict.fail('stored time', `${where} has time ${timeUs}, its reading ${reading.timeUs}`);
    return reading;
  }

  function store(epoch: EpochTruth, chunk: StoredChunk, axes: number): void {
    for (let i = 0; i < chunk.n; i++) {
      const seq = chunk.firstSeq + i;
      const reading = readingAt(epoch, chunk, i, axes);
      if (reading === null) return;
      const known = epoch.everStored[seq];
      if (known !== undefined && known !== reading)
        verdict.fail(
          'number stored for two',
          `${epoch.key} number ${seq} is reading ${reading.id} and was reading ${known.id}`,
        );
      const [before, after] = [epoch.everStored[seq - 1], epoch.everStored[seq + 1]];
      const isOutOfOrder =
        (before !== undefined && before.id >= reading.id) || (after !== undefined && after.id <= reading.id);
      if (isOutOfOrder)
        verdict.fail('stored order', `${epoch.key} number ${seq} is reading ${reading.id}, out of order`);
      epoch.everStored[seq] = reading;
      // A copy of a device cannot know what the other has delivered: what it is not sure of, it brings in an epoch of its own.
      if (reading.stored.length > 0 && (!reading.stream.isForked || reading.stored.includes(epoch))) {
        const first = reading.stored[0]!.key;
        verdict.fail(
          'stored twice',
          `reading ${reading.id} is in ${first} and again in ${epoch.key} number ${seq}`,
        );
      }
      reading.stored.push(epoch);
    }
  }

  /** A device without a clock sends times that mean nothing: of two readings, not both can be right by chance. */
  function hasTimesOfArrival(epoch: EpochTruth, chunk: StoredChunk, axes: number): void {
    for (let i = 0; i < chunk.n; i++) {
      const reading = readingAt(epoch, chunk, i, axes);
      if (reading === null || reading.timeUs !== chunk.timesUs[i]) return;
    }
    if (chunk.n > 1)
      verdict.fail(
        'stored time',
        `${epoch.key} from ${chunk.firstSeq} has the times of a device without a clock`,
      );
  }

  function commitEpoch({ key, added, declared, chunks }: Change): void {
    const epoch = truth.epoch(key);
    const stream = tables().streams.get(epoch.streamId);
    if (stream === undefined || isErased(epoch.streamId)) {
      // Between the tombstone and the end of the guard's row a flush may commit: what it stores goes with the rest.
      if ((chunks.length > 0 || added.length > 0) && options.isEmptied(epoch.streamId))
        verdict.fail('erased stays empty', `${key} was erased, and ${sizeOf(added)} readings were stored`);
      return;
    }
    const axes = stream.definition.axes.length;
    let rows: RangeSet = [];
    for (const chunk of chunks) {
      const range = { from: chunk.firstSeq, to: chunk.firstSeq + chunk.n };
      if (intersect(rows, [range]).length > 0)
        verdict.fail('stored twice', `${key} has two rows of one commit that overlap`);
      rows = union(rows, [range]);
      if (chunk.payload.length !== chunk.n * axes * 4 || chunk.timesUs.length !== chunk.n)
        return verdict.fail(
          'stored bits',
          `${key} has a row of ${chunk.n} readings in ${chunk.payload.length} bytes`,
        );
      store(epoch, chunk, axes);
      if (!options.hasDeviceClock(epoch.streamId)) hasTimesOfArrival(epoch, chunk, axes);
    }
    const apart = difference(rows, added);
    if (apart !== '') verdict.fail('guard and rows', `${key}: the rows and the guard differ: ${apart}`);
    const twice = intersect(epoch.committed, added);
    if (twice.length > 0) verdict.fail('stored twice', `${key} commits ${rangeText(twice)} again`);
    const unsent = subtract(added, epoch.sent);
    if (unsent.length > 0)
      verdict.fail(
        'stored unsent',
        `${key} stores ${rangeText(unsent)}, which was sent to be shown only, or never`,
      );
    epoch.committed = union(epoch.committed, added);
    epoch.declared = union(epoch.declared, declared);
    epoch.taken = subtract(epoch.taken, union(added, declared));
  }

  function nothingGone(why: string): void {
    for (const epoch of truth.epochs.values()) {
      if (isErased(epoch.streamId)) continue;
      const gone = subtract(epoch.committed, tables().epochs.get(epoch.key)?.committed ?? []);
      if (gone.length > 0)
        verdict.fail(
          'committed is durable',
          `${why}: ${rangeText(gone)} of ${epoch.key} were committed and are gone`,
        );
    }
  }

  /** A restore brings back what a promotion before it had lost. */
  function recall(epoch: EpochTruth, range: RangeSet): void {
    for (const { from, to } of range)
      for (let seq = from; seq < to; seq++) {
        const reading = epoch.everStored[seq];
        if (reading !== undefined && !reading.stored.includes(epoch)) reading.stored.push(epoch);
      }
  }

  /** Readings of `range` are stored no more. */
  function forget(epoch: EpochTruth, range: RangeSet): void {
    for (const { from, to } of range)
      for (let seq = from; seq < to; seq++) {
        const reading = epoch.everStored[seq];
        if (reading === undefined) continue;
        reading.stored = reading.stored.filter((other) => other !== epoch);
        // Of two copies of a device the other may bring its own reading of this number first.
        if (reading.stream.isForked) epoch.everStored[seq] = undefined;
      }
  }

  return {
    committed(change) {
      for (const epoch of change.epochs) commitEpoch(epoch);
    },
    wentBack(mayLose) {
      if (!mayLose) nothingGone('a synchronous standby took over');
      for (const epoch of truth.epochs.values()) {
        const table = tables().epochs.get(epoch.key);
        const committed = table?.committed ?? [];
        const lost = table?.lost ?? [];
        const gone = subtract(epoch.committed, committed);
        forget(epoch, gone);
        recall(epoch, subtract(committed, epoch.committed));
        const unsettled = subtract(union(gone, subtract(epoch.declared, lost)), union(committed, lost));
        epoch.taken = union(subtract(epoch.taken, union(committed, lost)), unsettled);
        epoch.everTaken = union(epoch.everTaken, unsettled);
        epoch.acknowledged = subtract(epoch.acknowledged, unsettled);
        epoch.committed = committed;
        epoch.declared = lost;
      }
    },
    nothingGone,
    audit() {
      for (const [key, table] of tables().epochs) {
        const epoch = truth.epoch(key);
        const stream = tables().streams.get(epoch.streamId);
        if (isErased(epoch.streamId)) {
          if (table.chunks.length > 0 || table.rollups.size > 0)
            verdict.fail('erased stays empty', `${key} was erased and holds ${table.chunks.length} rows`);
          continue;
        }
        if (stream === undefined) return verdict.fail('stored stream', `${key} is of no stream`);
        auditEpoch(epoch, table, stream.definition.axes.length);
      }
    },
  };

  function auditEpoch(
    epoch: EpochTruth,
    table: NonNullable<ReturnType<Tables['epochs']['get']>>,
    axes: number,
  ): void {
    const chunks = [...table.chunks].sort((a, b) => a.firstSeq - b.firstSeq);
    let rows: RangeSet = [];
    let newest = -1;
    for (const chunk of chunks) {
      if (chunk.firstSeq < (rows.at(-1)?.to ?? 0))
        return verdict.fail('stored twice', `${epoch.key} has rows that overlap at ${chunk.firstSeq}`);
      rows = extend(rows, chunk.firstSeq, chunk.firstSeq + chunk.n);
      for (let i = 0; i < chunk.n; i++) {
        const reading = readingAt(epoch, chunk, i, axes);
        if (reading === null) return;
        if (reading.id <= newest)
          return verdict.fail('stored order', `${epoch.key} has reading ${reading.id} after ${newest}`);
        newest = reading.id;
      }
    }
    const apart = difference(rows, table.committed);
    if (apart !== '') verdict.fail('guard and rows', `${epoch.key}: the rows and the guard differ: ${apart}`);
    const both = intersect(table.committed, table.lost);
    if (both.length > 0)
      verdict.fail('guard and rows', `${epoch.key}: ${rangeText(both)} is both stored and declared lost`);
    const noted = difference(epoch.committed, table.committed);
    if (noted !== '') verdict.fail('guard and rows', `${epoch.key}: commits and the guard differ: ${noted}`);
  }
}
