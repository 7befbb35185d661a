/**
 * Owns the difference between a connection that breaks, which is connected again, and a watcher's own code that throws,
 * which ends the watcher: what comes of the latter is wrapped on its way through the former's handling.
 */

export class HandlerFailure extends Error {
  override readonly name = 'HandlerFailure';
}

/** Calls what a watcher wrote; what it throws comes out as HandlerFailure with it as cause. */
export async function callHandler<A extends readonly unknown[]>(
  handle: ((...args: A) => Promise<void> | void) | undefined,
  ...args: A
): Promise<void> {
  try {
    await handle?.(...args);
  } catch (cause) {
    throw new HandlerFailure('a handler of a watcher failed', { cause });
  }
}
