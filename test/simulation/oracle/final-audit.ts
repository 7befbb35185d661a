/**
 * Owns the reckoning at the end of a history, when everything has healed and come to rest: what became of every reading
 * that was ever pushed. Each is stored, or declared lost for a reason that fits what happened to it, or was erased; what a
 * store lost with its medium has its epoch marked as one whose end is unknown. Silence is the only crime.
 */

import { contains, intersect, subtract, union, type RangeSet } from '#base/ranges.ts';
import type { LossDeclaration } from '#contract/readings.ts';
import type { LossReason } from '#sdk/device-store.ts';
import type { EpochTable, Tables } from '#test/simulation/database/database-types.ts';
import type { DeviceBook } from '#test/simulation/oracle/device-book.ts';
import { keyOf } from '#test/simulation/oracle/device-book.ts';
import { rangeText, type EpochTruth, type Reading, type Truth } from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface FinalAuditOptions {
  readonly truth: Truth;
  readonly verdict: Verdict;
  readonly tables: Tables;
  readonly books: readonly DeviceBook[];
  /** Now, or ever: a restore may have brought back what a device was told to drop. */
  readonly wasErased: (streamId: string) => boolean;
  /** The server refuses this epoch for good: its stream exists with another definition. */
  readonly isMismatched: (key: string) => boolean;
}

/** What became of the readings of a history. */
export interface Reckoning {
  pushed: number;
  stored: number;
  declared: number;
  /** In the frame builder of a process that died: no store had them yet. */
  ungathered: number;
  erased: number;
  /** Lost with a store, in an epoch whose end is marked as unknown, or of which no server ever heard. */
  unknownTail: number;
  /** Taken by a restore, and long forgotten by the device, which had been told that they were stored. */
  takenForGood: number;
  /** Kept on the device, whose program gave the stream other axes: the server takes no more of it, and the device says so. */
  refused: number;
}

export function auditReadings(options: FinalAuditOptions): Reckoning {
  const { truth, verdict } = options;
  const reckoning: Reckoning = {
    pushed: 0,
    stored: 0,
    declared: 0,
    ungathered: 0,
    erased: 0,
    unknownTail: 0,
    takenForGood: 0,
    refused: 0,
  };
  for (const reading of truth.readings.values()) {
    reckoning.pushed++;
    const fate = fateOf(reading, options);
    if (typeof fate === 'string') reckoning[fate]++;
    else verdict.fail(fate.check, fate.message);
  }
  for (const [key, table] of options.tables.epochs) {
    const epoch = truth.epoch(key);
    if (options.wasErased(epoch.streamId)) continue;
    auditLosses(epoch, table, options);
    auditGaps(epoch, table, options);
  }
  return reckoning;
}

/** A reading that is gone without a word. */
interface Silence {
  readonly check: string;
  readonly message: string;
}

/** One of the counts of the reckoning, or what is wrong. */
function fateOf(reading: Reading, options: FinalAuditOptions): keyof Reckoning | Silence {
  const { tables } = options;
  const { place, gone, stream, id } = reading;
  if (reading.stored.length > 0) return 'stored';
  if (options.wasErased(stream.id)) return 'erased';
  if (place === null) {
    if (gone === 'process') return 'ungathered';
    return { check: 'every reading is numbered', message: `reading ${id} was pushed and never numbered` };
  }
  const { epoch, seq } = place;
  const table = tables.epochs.get(epoch.key);
  if (table !== undefined && contains(table.lost, seq)) return 'declared';
  if (options.isMismatched(epoch.key)) return 'refused';
  const where = `reading ${id}, number ${seq} of ${epoch.key},`;
  if (options.books.some((book) => book.isKnown(reading))) {
    if (gone === null)
      return { check: 'what is held is delivered', message: `${where} is neither stored nor declared lost` };
    const message = `${where} was dropped by its store (${gone}), and that is not declared`;
    return { check: 'what is dropped is declared', message };
  }
  // Nobody knows the epoch any more: only the server can say that its end is unknown, if it has heard of it.
  const isOpenEnded =
    table === undefined || table.tailLost || tables.streams.get(stream.id)?.isEnded !== true;
  if (contains(epoch.everTaken, seq)) {
    if (isOpenEnded) return 'takenForGood';
    const message = `${where} was taken by a restore, and its stream counts as complete`;
    return { check: 'what is taken is not complete', message };
  }
  if (gone !== null && isOpenEnded) return 'unknownTail';
  if (gone === null)
    return { check: 'what is held is delivered', message: `${where} is forgotten by its device` };
  return {
    check: 'lost stores leave a mark',
    message: `${where} went with its store (${gone}), and nothing says so`,
  };
}

/** Every declaration has a reason that fits what happened. */
function auditLosses(epoch: EpochTruth, table: EpochTable, { verdict }: FinalAuditOptions): void {
  if (epoch.isBlurred) return;
  for (const loss of table.losses) {
    const fitting = fittingRange(epoch, loss);
    const wrong = subtract([loss], fitting);
    if (wrong.length > 0)
      verdict.fail(
        'reason fits',
        `${epoch.key} declares ${rangeText(wrong)} lost for ${loss.reason}, which did not happen to it`,
      );
  }
}

function fittingRange(epoch: EpochTruth, loss: LossDeclaration): RangeSet {
  switch (loss.reason as LossReason) {
    case 'sensor-fault':
      return epoch.skipped;
    case 'device-store-full':
      return epoch.dropped;
    case 'device-store-damaged':
      return epoch.damaged;
    case 'server-restored':
      return epoch.everTaken;
    case 'erased-on-device':
      return [];
  }
}

/** Below the last number that is stored every other is declared, unless the end of the epoch is marked as unknown. */
function auditGaps(epoch: EpochTruth, table: EpochTable, { verdict, books }: FinalAuditOptions): void {
  const last = table.committed.at(-1);
  if (last === undefined || table.tailLost) return;
  const gaps = subtract([{ from: 0, to: last.to }], union(table.committed, table.lost));
  // Taken by a restore, and forgotten by the device: pending for ever, and shown as that.
  const silent = isHeldByAny(epoch.key, books) ? gaps : subtract(gaps, epoch.everTaken);
  if (silent.length > 0)
    verdict.fail('gaps are explained', `${epoch.key} lacks ${rangeText(silent)}, and nothing says why`);
  const early = intersect(table.lost, table.committed);
  if (early.length > 0)
    verdict.fail('gaps are explained', `${epoch.key} declares what is stored: ${rangeText(early)}`);
}

function isHeldByAny(key: string, books: readonly DeviceBook[]): boolean {
  return books.some((book) => book.store?.logs().some((log) => keyOf(log) === key) === true);
}
