/**
 * Owns what this process knows of the database's incarnation. Another one means that the database was restored or a
 * standby took over, and may lack what was acknowledged: `onChange` then makes everyone begin anew. It is asked for every
 * LOOK_MS, and at once when a device was greeted with one that is news. Bound: one question at a time.
 */

import { messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';

/** How long idle devices may not know of a failover; the question costs the database less than a millisecond. */
const LOOK_MS = 2_000;

export interface IncarnationWatch {
  /** About once a second: asks when it is time. */
  tick(nowMs: number): void;
  /** Whether this is the incarnation now; asks when it is another than the known one. Throws what `ask` throws. */
  confirm(incarnation: string): Promise<boolean>;
  /** Readings are missing whose commit this process has seen: whatever the database says of itself, it went back. */
  doubt(): void;
  /** Asks now: whether what the database said before this call was said by the one that is known. Throws what `ask` throws. */
  isUnchanged(): Promise<boolean>;
  readonly counters: { changes: number };
}

export interface IncarnationWatchOptions {
  /** `gone`: the incarnation that cannot be the one of now. */
  ask(gone?: string): Promise<string>;
  /** Not called for the first incarnation. */
  onChange(incarnation: string): void;
  readonly log: Log;
}

export function createIncarnationWatch(options: IncarnationWatchOptions): IncarnationWatch {
  const counters = { changes: 0 };
  let known: string | null = null;
  let underWay: Promise<void> | null = null;
  let lookAtMs = Number.NEGATIVE_INFINITY;
  /** The incarnation under which the missing commits were seen. */
  let gone: string | null = null;

  async function ask(): Promise<void> {
    const found = gone === null ? await options.ask() : await options.ask(gone);
    if (found !== gone) gone = null;
    if (found === known) return;
    const isFirst = known === null;
    known = found;
    if (isFirst) return;
    counters.changes++;
    options.onChange(found);
  }

  function look(): Promise<void> {
    underWay ??= ask().finally(() => (underWay = null));
    return underWay;
  }

  function lookSoon(): void {
    look().catch((error: unknown) =>
      options.log.debug('the incarnation could not be asked for', { error: messageOf(error) }),
    );
  }

  return {
    counters,
    tick(nowMs) {
      if (nowMs < lookAtMs) return;
      lookAtMs = nowMs + LOOK_MS;
      lookSoon();
    },
    doubt() {
      gone = known;
      lookSoon();
    },
    async isUnchanged() {
      const before = known;
      // A question that is under way may have been answered before the database changed.
      await underWay?.catch(() => undefined);
      await look();
      return known === before;
    },
    async confirm(incarnation) {
      if (incarnation !== known) await look();
      return incarnation === known;
    },
  };
}
