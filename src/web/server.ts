/** Owns the page's connection to the REST API: one client, one query cache, and how the page shows who looks at it. */

import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';

import { AppError, messageOf } from '#base/errors.ts';
import type { Account } from '#contract/account.ts';
import { createHttpClient } from '#sdk/http-client.ts';
import type { LiveOptions } from '#sdk/live-api.ts';
import { accessKey, forgetKey, rememberSignedIn } from '#web/access-key.ts';

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
      // The key or sign-in was revoked, or belonged to a server that is gone: ask for another.
      if (query.queryKey[0] === 'account' || !isUnauthenticated(error)) return;
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

/** Who looks at the page: by the key of the address or tab, or else by the cookie of a sign-in. Fails where there is neither. */
export const accountQuery = queryOptions({
  queryKey: ['account'],
  queryFn: async ({ signal }) => {
    try {
      const account = await server.call<Account>('GET', '/v1/account', { signal });
      rememberSignedIn(true);
      return account;
    } catch (error) {
      if (isUnauthenticated(error)) rememberSignedIn(false);
      throw error;
    }
  },
  // A role that was changed is seen when the page is looked at again.
  staleTime: 60_000,
});

/** How a live connection shows who it is: the key, or a single-use ticket that the cookie is worth. */
export function liveCredential(): Pick<LiveOptions, 'token' | 'ticket'> {
  const key = accessKey();
  if (key !== null) return { token: () => accessKey() ?? key };
  return { ticket: async () => (await server.ticket()).ticket };
}

/** Somebody signed in, switched or signed out: nothing that was shown may stay. */
export async function accountChanged(): Promise<void> {
  await queryClient.cancelQueries();
  queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'account' });
  await queryClient.resetQueries({ queryKey: ['account'] });
}

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof AppError && error.code === 'unauthenticated';
}

/** A second refusal within this time is not for want of a new key, and asking on would only flood the server. */
const SIGN_IN_AGAIN_MS = 5_000;
let signedInAgainAtMs = Number.NEGATIVE_INFINITY;

/** Drops the refused key and asks who is there now. */
export function signInAgain(): void {
  const nowMs = performance.now();
  if (nowMs - signedInAgainAtMs < SIGN_IN_AGAIN_MS) return;
  signedInAgainAtMs = nowMs;
  forgetKey();
  void queryClient.resetQueries({ queryKey: ['account'] });
}
