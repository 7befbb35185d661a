/**
 * Owns when one connection is asked to give back credit (ADR 14): it has sent nothing for a while and others need it.
 * Invariant: one question at a time, and an answer counts only while it is waited for. A device that knows no such
 * question ignores it, keeps what it has, and is not asked again.
 */

import { createAllowance, type Allowance } from '#base/allowance.ts';
import type { DeviceMessage, ServerMessage } from '#protocol/messages.ts';
import type { CreditLedger } from '#ingest/credit.ts';
import type { GatewayCounters } from '#ingest/gateway-output.ts';

/** Quiet connections that a process asks a second, a few milliseconds of writing: with the defaults 7 MiB come back. */
const ASKED = { burst: 256, perSecond: 256 } as const;

export const createReclaimAllowance = (): Allowance => createAllowance(ASKED);

export interface CreditReclaim {
  /** A data message came. True when that grew the grant. */
  heard(nowMs: number): boolean;
  /** What to ask now, if anything. */
  tick(nowMs: number): Extract<ServerMessage, { type: 'reclaim' }> | null;
  /** False when no device can mean this answer. One that nobody waits for is ignored. */
  answered(answer: Extract<DeviceMessage, { type: 'reclaimed' }>): boolean;
}

export interface ReclaimOptions {
  readonly ledger: CreditLedger;
  readonly counters: GatewayCounters;
  readonly startedMs: number;
  /** Without a data message for so long a connection is quiet. */
  readonly quietAfterMs: number;
  /** An answer that takes longer does not come. */
  readonly answerMs: number;
  /** Whether this one may be asked now: all connections of a process share how many are asked at once. */
  readonly mayAsk: (nowMs: number) => boolean;
}

export function createCreditReclaim(options: ReclaimOptions): CreditReclaim {
  const { ledger, counters } = options;
  let heardMs = options.startedMs;
  let isDeaf = false;
  let asked = 0;
  let waiting: { readonly id: number; readonly sinceMs: number } | null = null;
  return {
    heard(nowMs) {
      heardMs = nowMs;
      return ledger.wake();
    },
    tick(nowMs) {
      if (waiting !== null && nowMs - waiting.sinceMs >= options.answerMs) {
        waiting = null;
        isDeaf = true;
        ledger.reclaimFailed();
      }
      if (isDeaf || waiting !== null || nowMs - heardMs < options.quietAfterMs) return null;
      if (!ledger.hasIdle || !options.mayAsk(nowMs)) return null;
      waiting = { id: ++asked, sinceMs: nowMs };
      return { type: 'reclaim', id: asked, durable: ledger.reclaim() };
    },
    answered({ id, durable }) {
      if (waiting === null || id !== waiting.id) return true;
      const before = ledger.grantedBytes;
      if (!ledger.reclaimed(durable)) return false;
      waiting = null;
      counters.reclaimedBytes += before - durable;
      // It may have sent meanwhile, and be quiet no longer.
      ledger.topUp();
      return true;
    },
  };
}
