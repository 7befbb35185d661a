/** Owns the page's connection to the REST API: one client, one query cache, and how a key is found. */

import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';

import { AppError } from '#base/errors.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import { accessKey, forgetKey, rememberKey } from '#web/access-key.ts';

export const server = createHttpClient({ origin: '', key: accessKey });

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
    const { key: demoKey } = await server.demoSignIn();
    rememberKey(demoKey);
    return demoKey;
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof AppError && error.code === 'unauthenticated';
}

/** Drops the refused key and looks for another. */
export function signInAgain(): void {
  forgetKey();
  void queryClient.resetQueries({ queryKey: ['access'] });
}
