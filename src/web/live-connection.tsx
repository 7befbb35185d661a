/**
 * Owns the connection over which parts of a page follow channels: made when the first such part is shown, closed when it
 * goes. Readings have their own, in the worker that draws them.
 */

import { useEffect, useState, type ReactNode } from 'react';

import { closeCodes } from '#protocol/codes.ts';
import type { LiveClient } from '#sdk/live-api.ts';
import { connectLive } from '#sdk/live-client.ts';
import { LiveProvider } from '#sdk/react-hooks.ts';
import { liveCredential, signInAgain } from '#web/server.ts';

function connect(): LiveClient {
  return connectLive({
    url: `${location.origin.replace(/^http/, 'ws')}/v1/live`,
    ...liveCredential(),
    onState(state) {
      if (state.name === 'closed' && state.code === closeCodes.unauthenticated) signInAgain();
    },
  });
}

/** `children` may use the hooks of #sdk/react-hooks.ts; until they can, `waiting` keeps their place. */
export function LiveConnection({ children, waiting }: { children: ReactNode; waiting: ReactNode }) {
  const [client, setClient] = useState<LiveClient | null>(null);
  useEffect(() => {
    const made = connect();
    let isShown = true;
    queueMicrotask(() => {
      if (isShown) setClient(made);
    });
    return () => {
      isShown = false;
      made.close();
      setClient(null);
    };
  }, []);
  return client === null ? waiting : <LiveProvider client={client}>{children}</LiveProvider>;
}
