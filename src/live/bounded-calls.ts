/**
 * Owns the calling of what others wrote (rules, handlers, brokers): each call ends within `callMs` for its caller, and
 * whatever it throws becomes a coded error. What runs on after it was given up is counted for its definition; a
 * definition with `abandonedPerDefinition` of them is called no more until one comes back.
 */

import { AppError } from '#base/errors.ts';
import type { Clock } from '#base/clock.ts';
import { fail, ok, type Result } from '#base/result.ts';
import { errorCodes, type ErrorCode } from '#protocol/codes.ts';
import type { WireError } from '#protocol/data-codec.ts';
import type { ChannelCounters } from '#live/channel-counters.ts';
import type { ChannelLimits } from '#live/channel-limits.ts';

export interface BoundedCallOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly limits: ChannelLimits;
  readonly counters: ChannelCounters;
  /** Told of what nobody expected, with whose it was. */
  readonly onFailure: (cause: unknown, owner: string) => void;
}

export interface BoundedCalls {
  run<T>(owner: string, call: () => T | Promise<T>): Promise<Result<T, WireError>>;
  /** Counts and tells of a failure, and gives what the client hears of it. */
  unexpected(owner: string, cause: unknown): WireError;
}

export function createBoundedCalls(options: BoundedCallOptions): BoundedCalls {
  const { clock, limits, counters, onFailure } = options;
  const abandonedBy = new Map<string, number>();

  const unexpected = (owner: string, cause: unknown): WireError => {
    counters.failures++;
    onFailure(cause, owner);
    return { code: 'internal', message: 'an unexpected failure; it was logged' };
  };
  const errorOf = (owner: string, cause: unknown): WireError => {
    if (!(cause instanceof AppError) || !isErrorCode(cause.code)) return unexpected(owner, cause);
    const { code, message, field } = cause;
    return field === undefined ? { code, message } : { code, message, field };
  };
  const abandon = (owner: string, step: number): void => {
    counters.abandoned += step;
    const count = (abandonedBy.get(owner) ?? 0) + step;
    if (count > 0) abandonedBy.set(owner, count);
    else abandonedBy.delete(owner);
  };
  const inTime = <T>(owner: string, running: Promise<T>): Promise<Result<T, WireError>> =>
    new Promise((resolve) => {
      let isAbandoned = false;
      const stopTimer = clock.after(limits.callMs, () => {
        isAbandoned = true;
        abandon(owner, 1);
        resolve(fail({ code: 'timed-out', message: `not done within ${limits.callMs} ms` }));
      });
      const end = (result: Result<T, WireError>): void => {
        if (isAbandoned) abandon(owner, -1);
        stopTimer();
        resolve(result);
      };
      running.then(
        (value) => end(ok(value)),
        (cause: unknown) => end(fail(errorOf(owner, cause))),
      );
    });
  return {
    unexpected,
    async run(owner, call) {
      if ((abandonedBy.get(owner) ?? 0) >= limits.abandonedPerDefinition)
        return fail({ code: 'overloaded', message: 'too many calls of this channel have not come back' });
      try {
        const outcome = call();
        return isThenable(outcome) ? await inTime(owner, Promise.resolve(outcome)) : ok(outcome);
      } catch (cause) {
        return fail(errorOf(owner, cause));
      }
    },
  };
}

/** What extensions return need not be a Promise of this realm. */
function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

function isErrorCode(code: string): code is ErrorCode {
  return code !== 'internal' && Object.hasOwn(errorCodes, code);
}
