/** Owns the page's connection to the REST API: one client, one query cache, and how a key is found. */

import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';

import { AppError, messageOf } from '#base/errors.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import { accessKey, forgetKey, rememberKey } from '#web/access-key.ts';

export const server = createHttpClient({ origin: '', key: accessKey });

/** A document that anybody may read. Throws AppError `unreachable` or `internal`. */
export async function readDocument<T>(path: string): Promise<T> {
  const response = await fetch(path).catch((cause: unknown) => {
    throw new AppError('unreachable', messageOf(cause), { temporary: true, cause });
  });
  if (!response.ok) throw new AppError('internal', `it answered ${response.status}`, { temporary: true });
  return (await response.json()) as T;
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // The key was revoked, or belonged to a server that is gone: find another, or ask for one.
      if (query.queryKey[0] === 'access' || !isUnauthenticated(error)) return;
      signInAgain();
    },
  }),
  defaultOptions: {
    queries: {
      retry: (count, error) => count < 2 && error instanceof AppError && error.temporary,
      retryDelay: (attempt) => Math.min(4000, 500 * 2 ** attempt),
      refetchOnWindowFocus: true,
    },
  },
});

/** Resolves once there is a key: the one of the address or tab, or the demo's. Fails where a person must bring one. */
export const accessQuery = queryOptions({
  queryKey: ['access'],
  queryFn: async () => {
    const key = accessKey();
    if (key !== null) return key;
    const { demo } = await server.about();
    if (!demo) throw new AppError('unauthenticated', 'this server gives no key to visitors');
    const { key: demoKey } = await server.demoSignIn();
    rememberKey(demoKey);
    return demoKey;
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof AppError && error.code === 'unauthenticated';
}

/** A second refusal within this time is not for want of a new key, and asking on would only flood the server. */
const SIGN_IN_AGAIN_MS = 5_000;
let signedInAgainAtMs = Number.NEGATIVE_INFINITY;

/** Drops the refused key and looks for another. */
export function signInAgain(): void {
  const nowMs = performance.now();
  if (nowMs - signedInAgainAtMs < SIGN_IN_AGAIN_MS) return;
  signedInAgainAtMs = nowMs;
  forgetKey();
  void queryClient.resetQueries({ queryKey: ['access'] });
}
