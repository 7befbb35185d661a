/**
 * Owns the runs of the machine: one for each log of the store, found again when the store adds or forgets logs, and
 * the change of a stream to a new epoch. Invariant: numbers that another copy of this store may have used are left
 * behind, and readings that were never sent get new ones.
 */

import { AppError } from '#base/errors.ts';
import type { RangeSet } from '#base/ranges.ts';
import { newRun, type Run } from '#sdk/device-sender.ts';
import type { MachineState } from '#sdk/device-state.ts';
import { storeLimits, type DeviceLog } from '#sdk/device-store.ts';

/** A server that asks for one epoch after the other would otherwise make the device copy its store for ever. */
export const EPOCH_INTERVAL_MS = 60_000;

/** Makes the runs match the store's logs. */
export function syncRuns(state: MachineState): void {
  const logs = state.store.logs();
  const ids = new Set(logs.map((log) => log.id));
  for (const [id, run] of state.runs) {
    if (ids.has(id)) continue;
    state.runs.delete(id);
    if (run.channel !== null) state.connection?.runsByRef.delete(run.channel.ref);
  }
  state.currentByStream.clear();
  for (const log of logs) {
    const run = state.runs.get(log.id) ?? newRun(log);
    state.runs.set(log.id, run);
    if (log.phase === 'recording') state.currentByStream.set(log.definition.stream, run);
  }
  state.runList = [...state.runs.values()];
}

/**
 * True when the server has readings under numbers that this store has never sent: it was restored from an older copy,
 * or is one of two copies, and what it numbers from there on would be taken for what the server has.
 */
export function hasDiverged(run: Run, settled: RangeSet): boolean {
  const { phase } = run.log;
  if (phase !== 'recording' && phase !== 'ended') return false;
  const last = settled.at(-1);
  return last !== undefined && last.to > run.sentTo;
}

/** Moves the unsettled readings from `fromSeq` on to a new epoch; null when this stream changed epoch just
 * now, or the store has no place for another log. */
export function changeEpoch(state: MachineState, run: Run, fromSeq: number, reason: string): Run | null {
  const nowMs = state.options.clock.monotonicMs();
  if (nowMs - run.startedEpochAtMs < EPOCH_INTERVAL_MS) return null;
  if (fromSeq > 0 && state.store.logs().length >= storeLimits.logs) return null;
  const log = startEpoch(state, run, fromSeq);
  if (log === null) return null;
  run.fresh = [];
  syncRuns(state);
  const next = state.runs.get(log.id)!;
  next.startedEpochAtMs = nowMs;
  state.effects.report({ type: 'epoch', from: run.log, to: log, reason });
  return next;
}

/** Null when the store cannot take the copies now: the disk is full. */
function startEpoch(state: MachineState, run: Run, fromSeq: number): DeviceLog | null {
  try {
    return state.store.startEpoch(run.log, fromSeq);
  } catch (thrown) {
    if (thrown instanceof AppError) return null;
    throw thrown;
  }
}
