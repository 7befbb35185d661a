/**
 * Owns the two places at which one history happens, PostgreSQL and the model of it: what an actor can do there, how a place
 * comes to rest, and what is then stored, in a form that two places can be compared in.
 */

import { createHash } from 'node:crypto';

import { AppError, messageOf } from '#base/errors.ts';
import type { RangeSet } from '#base/ranges.ts';
import type { Catalogue } from '#store/catalogue.ts';
import type { ErasureOutcome, ErasureTarget } from '#store/erasure.ts';
import { rowName } from '#store/rollup-levels.ts';
import type { RollupRow } from '#store/rollup-rows.ts';
import type { EpochName } from '#store/rollup-statements.ts';
import type { RollOutcome } from '#store/rollup-step.ts';
import { failureKindOf } from '#store/writer.ts';
import type { WriterDatabase } from '#store/writer-connection.ts';

/** Writers have a connection each; all others use the pools, or what they open for themselves. */
export const actors = [
  'writer A',
  'writer B',
  'opener',
  'eraser',
  'keeper',
  'other keeper',
  'reader',
] as const;
export type Actor = (typeof actors)[number];
export type WriterActor = 'writer A' | 'writer B';

/** Somebody waits for a lock that others hold, or are before in the queue for. */
export interface Waiting {
  readonly who: Actor;
  readonly for: readonly Actor[];
}

/** Sorted. */
export interface Standing {
  readonly waiting: readonly Waiting[];
  /** Whose backends are in a transaction: one entry each. */
  readonly inTransaction: readonly Actor[];
}

export interface Place {
  readonly writers: Readonly<Record<WriterActor, WriterDatabase>>;
  catalogueOf(actor: Actor): Catalogue;
  generation(deviceId: string): Promise<{ generation: number; incarnation: string } | null>;
  erase(orgId: string, target: ErasureTarget): Promise<ErasureOutcome>;
  roll(actor: Actor, name: EpochName): Promise<RollOutcome>;
  dirtyEpochs(): Promise<EpochName[]>;
  /** Lets things happen for a moment, and says how they stand. */
  look(): Promise<Standing>;
  /** Ends the backends of an actor, as pg_terminate_backend. */
  kill(actor: Actor): Promise<void>;
  /** All that is stored of these streams and sessions. */
  stored(ids: StoredIds): Promise<Stored>;
}

export interface StoredIds {
  readonly streams: readonly string[];
  readonly sessions: readonly string[];
}

/** In plain values, sorted. */
export interface Stored {
  readonly epochs: Readonly<Record<string, StoredEpoch>>;
  readonly streams: Readonly<Record<string, unknown>>;
  readonly sessions: Readonly<Record<string, boolean>>;
  readonly erased: readonly string[];
}

export interface StoredEpoch {
  readonly guard: {
    readonly committed: RangeSet;
    readonly lost: RangeSet;
    readonly tailLost: boolean;
    readonly isDirty: boolean;
    readonly hasDay: boolean;
    readonly generation: number;
  } | null;
  readonly chunks: readonly string[];
  readonly losses: readonly string[];
  readonly rolled: RangeSet | null;
  readonly rollups: readonly string[];
}

/** What came of what an actor did: a plain value, or how it failed. */
export async function answerOf(what: Promise<unknown>, isWriter: boolean): Promise<unknown> {
  try {
    return { answer: await what };
  } catch (error) {
    return { failed: isWriter ? failureKindOf(error) : failureOf(error) };
  }
}

/** Of the pools and the keeper. */
function failureOf(error: unknown): string {
  if (error instanceof AppError) return error.code;
  const code = (error as { code?: unknown }).code;
  if (code === '57P01' || code === '57P02' || /connection/i.test(messageOf(error))) return 'connection lost';
  return typeof code === 'string' ? code : `bug: ${messageOf(error)}`;
}

export function chunkText(chunk: {
  readonly firstSeq: number;
  readonly n: number;
  readonly timesUs: Float64Array;
  readonly payload: Uint8Array;
}): string {
  const { firstSeq, n, timesUs, payload } = chunk;
  return `${firstSeq} ${n} ${digest(timesUs, payload)}`;
}

export function rollupText(row: RollupRow): string {
  const seqs = row.seqs.map(({ from, to }) => `${from}-${to}`).join();
  return `${rowName(row)} ${seqs} ${digest(row.counts, row.lags, row.finites, row.mins, row.maxs, row.sums)}`;
}

function digest(...arrays: readonly (Float64Array | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays)
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('base64url');
}
