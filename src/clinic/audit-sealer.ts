/**
 * Owns the background work on the audit log: every `everyMs` what was committed is put into blocks (the database hashes
 * and chains them), and once an hour entries whose time is over are removed. One step is under way at a time, each is bounded in
 * rows, and several instances may do it at once: the database lets one at a time.
 */

import type { Clock } from '#base/clock.ts';
import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { AuditStore } from '#store/audit-store.ts';

export const sealerLimits = {
  /** How long an entry stands outside the chain; a block a while and organisation costs 200 bytes. */
  everyMs: 5_000,
  /** Of one step: 100 ms of the database's time, 3,276 entries/s when it falls behind. */
  stepRows: 16_384,
  expireEveryMs: 3_600_000,
  /** 128 blocks hold at most 131,072 entries. */
  expireBlocks: 128,
} as const;

export interface AuditSealer {
  readonly counters: {
    readonly sealed: number;
    /** Entries in no block yet, as the last step found it. */
    readonly unsealed: number;
    readonly expiredBlocks: number;
    readonly failures: number;
  };
  stop(): Promise<void>;
}

export interface SealerParts {
  readonly store: Pick<AuditStore, 'seal' | 'expire'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Entries are kept this many days; 0: for ever. */
  readonly keepDays: number;
}

export function startAuditSealer({ store, clock, log, keepDays }: SealerParts): AuditSealer {
  const counters = { sealed: 0, unsealed: 0, expiredBlocks: 0, failures: 0 };
  let isStopped = false;
  let expiredMs = Number.NEGATIVE_INFINITY;
  let hasFailed = false;
  let step: Promise<void> = Promise.resolve();
  let cancel = clock.after(sealerLimits.everyMs, begin);

  function begin(): void {
    step = work()
      .then(
        () => {
          hasFailed = false;
        },
        (cause: unknown) => {
          counters.failures++;
          // Tried again soon, told once.
          if (!hasFailed)
            log.error('entries of the audit log could not be sealed', { error: messageOf(cause) });
          hasFailed = true;
        },
      )
      .then(() => {
        if (isStopped) return;
        const isBehind = !hasFailed && counters.unsealed >= sealerLimits.stepRows;
        cancel = clock.after(isBehind ? 0 : sealerLimits.everyMs, begin);
      });
  }

  async function work(): Promise<void> {
    const { sealed, unsealed } = await store.seal(sealerLimits.stepRows);
    counters.sealed += sealed;
    counters.unsealed = unsealed;
    if (keepDays === 0 || clock.monotonicMs() - expiredMs < sealerLimits.expireEveryMs) return;
    expiredMs = clock.monotonicMs();
    let expired = sealerLimits.expireBlocks as number;
    while (expired === sealerLimits.expireBlocks && !isStopped) {
      expired = await store.expire(keepDays, sealerLimits.expireBlocks);
      counters.expiredBlocks += expired;
    }
  }

  return {
    counters,
    async stop() {
      isStopped = true;
      cancel();
      await step;
    },
  };
}
