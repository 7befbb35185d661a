/** Owns the addresses of the pages. An address restores its page: what a person chose is in its search part. */

import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';

import { NotFound } from '#web/page-states.tsx';
import { PageShell } from '#web/page-shell.tsx';
import { SessionPage } from '#web/session-page.tsx';
import { SessionList } from '#web/session-list.tsx';

const rootRoute = createRootRoute({ component: PageShell, notFoundComponent: NotFound });

const listRoute = createRoute({ getParentRoute: () => rootRoute, path: '/', component: SessionList });

const sessionRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sessions/$id',
  component: function SessionRoute() {
    return <SessionPage id={sessionRoute.useParams().id} />;
  },
});

export function createPageRouter() {
  return createRouter({ routeTree: rootRoute.addChildren([listRoute, sessionRoute]), defaultPreload: false });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPageRouter>;
  }
}
