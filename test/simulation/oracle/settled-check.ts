/**
 * Owns the judgement of what is said to be settled: by a server to a device, by a device's store to itself, and to viewers.
 * All of it is stored or declared lost in the database at that moment, but for what a restore or a promotion took since:
 * that is learnt with the next statement, and by the end nobody may believe it any more.
 */

import { intersect, subtract, union, type RangeSet } from '#base/ranges.ts';
import { limits } from '#protocol/limits.ts';
import type { ServerMessage } from '#protocol/messages.ts';
import type { Progress } from '#contract/live-messages.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import type { Tables } from '#test/simulation/database/database-types.ts';
import { keyOf } from '#test/simulation/oracle/device-book.ts';
import { rangeText, statedSet, type EpochTruth, type Truth } from '#test/simulation/oracle/truth.ts';
import type { Verdict } from '#test/simulation/oracle/verdict.ts';

export interface SettledCheck {
  serverSaid(message: ServerMessage, streamKey: (ref: number) => string | null): void;
  /** What the device's store takes for settled. `isAtRest`: no restore excuses anything any more. */
  believed(name: string, store: DeviceStore, isAtRest: boolean): void;
  shown(name: string, progress: readonly Progress[]): void;
}

export interface SettledCheckOptions {
  readonly truth: Truth;
  readonly verdict: Verdict;
  readonly tables: () => Tables;
  readonly wasErased: (streamId: string) => boolean;
  readonly isErased: (streamId: string) => boolean;
  /** When the database went back in time last; -Infinity: never. */
  readonly wentBackMs: () => number;
  readonly nowMs: () => number;
}

/**
 * An answer that was on its way when the database went back may still be passed on: the way from the database to a
 * server, which a stopped server takes as long as it is stopped for, and from there to the device.
 */
const STALE_MS = 1000;

export function createSettledCheck(options: SettledCheckOptions): SettledCheck {
  const { truth, verdict, tables, wasErased } = options;

  function missing(epoch: EpochTruth, stated: RangeSet): RangeSet {
    const table = tables().epochs.get(epoch.key);
    if (table === undefined) return stated;
    const first = table.committed[0];
    const said = stated[0];
    // The common case: one range from the start, within another.
    if (stated.length === 1 && first !== undefined && said!.from >= first.from && said!.to <= first.to)
      return [];
    return subtract(stated, table.lost.length === 0 ? table.committed : union(table.committed, table.lost));
  }

  function check(who: string, epoch: EpochTruth, stated: RangeSet): void {
    const absent = missing(epoch, stated);
    if (absent.length === 0) return;
    const unexcused = subtract(absent, epoch.taken);
    if (unexcused.length > 0)
      verdict.fail(
        'acknowledged is stored',
        `${who} ${rangeText(unexcused)} of ${epoch.key} settled; it is neither stored nor declared`,
      );
  }

  function heard(key: string | null, next: number, ranges: readonly (readonly [number, number])[]): void {
    if (key === null) return;
    const epoch = truth.epoch(key);
    if (next === limits.seqExclusive - 1) {
      if (!wasErased(epoch.streamId))
        verdict.fail('acknowledged is stored', `${key} is stated as wholly settled, and was never erased`);
      return;
    }
    // What was stored before its erasure may be stated until the server has heard of it.
    if (wasErased(epoch.streamId)) return;
    const set = statedSet(next, ranges);
    check('a server calls', epoch, set);
    if (options.nowMs() - options.wentBackMs() > STALE_MS) {
      const stale = intersect(missing(epoch, set), epoch.taken);
      if (stale.length > 0)
        verdict.fail(
          'acknowledged is stored',
          `a server still calls ${rangeText(stale)} of ${key} settled, long after it was taken back`,
        );
    }
    epoch.acknowledged = union(epoch.acknowledged, set);
  }

  return {
    serverSaid(message, streamKey) {
      if (message.type === 'ack')
        for (const { ref, next, ranges } of message.streams) heard(streamKey(ref), next, ranges);
      else if (message.type === 'opened')
        heard(streamKey(message.ref), message.settled.next, message.settled.ranges);
      else if (message.type === 'closed') {
        const key = streamKey(message.ref);
        if (key === null) return;
        const { streamId } = truth.epoch(key);
        const isEnded = tables().streams.get(streamId)?.isEnded ?? false;
        const isFresh = options.nowMs() - options.wentBackMs() > STALE_MS;
        if (!isEnded && isFresh && !wasErased(streamId))
          verdict.fail('end is stored', `a server calls ${key} closed; its end is not in the database`);
      }
    },
    believed(name, store, isAtRest) {
      for (const log of store.logs()) {
        if (log.settled.length === 0) continue;
        const epoch = truth.epoch(keyOf(log));
        if (wasErased(epoch.streamId)) continue;
        const given: RangeSet = [{ from: 0, to: log.nextSeq }];
        // Beyond what it numbered itself, the store only repeats what it was told.
        const own =
          log.settled.length === 1 && log.settled[0]!.to <= log.nextSeq
            ? log.settled
            : intersect(log.settled, given);
        check(`${name} takes`, epoch, own);
        if (!isAtRest || (log.phase !== 'recording' && log.phase !== 'ended')) continue;
        const stale = missing(epoch, own);
        if (stale.length > 0)
          verdict.fail(
            'acknowledged is stored',
            `${name} still takes ${rangeText(stale)} of ${epoch.key} for settled; a restore took it`,
          );
      }
    },
    shown(name, progress) {
      for (const { stream, epoch: number, next, ranges } of progress) {
        const epoch = truth.epoch(`${stream}/${number}`);
        if (wasErased(stream)) continue;
        check(`${name} is shown`, epoch, statedSet(next, ranges));
      }
    },
  };
}
