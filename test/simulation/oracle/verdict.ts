/**
 * Owns the first thing that was found wrong in a history. Nothing is thrown: what judges is called from within the
 * product, which catches, and a caught verdict would be none.
 */

export interface Violation {
  /** Which check; a failing history is shrunk as long as the same one fails. */
  readonly check: string;
  readonly message: string;
  readonly atMs: number;
}

export interface Verdict {
  readonly violation: Violation | null;
  /** Only the first counts: what follows is mostly its consequence. */
  fail(check: string, message: string): void;
}

export function createVerdict(nowMs: () => number): Verdict {
  let violation: Violation | null = null;
  return {
    get violation() {
      return violation;
    },
    fail(check, message) {
      violation ??= { check, message, atMs: nowMs() };
    },
  };
}
