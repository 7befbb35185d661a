/** Owns the addresses of the pages. An address restores its page: what a person chose is in its search part. */

import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';

import { clinicPages } from '#web/clinic-pages.ts';
import { NotFound } from '#web/page-states.tsx';
import { PageShell } from '#web/page-shell.tsx';
import { SessionList } from '#web/session-list.tsx';
import { SessionPage } from '#web/session/session-page.tsx';
import { DEFAULT_WINDOW, parseViewSearch, type ViewSearch } from '#web/session/view-search.ts';

const rootRoute = createRootRoute({ component: PageShell, notFoundComponent: NotFound });

const listRoute = createRoute({ getParentRoute: () => rootRoute, path: '/', component: SessionList });

const sessionRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sessions/$id',
  validateSearch: parseViewSearch,
  component: SessionRoute,
});

function SessionRoute() {
  const { id } = sessionRoute.useParams();
  const search = sessionRoute.useSearch();
  const navigate = sessionRoute.useNavigate();
  const setSearch = (change: Partial<ViewSearch>): void => {
    const { window = DEFAULT_WINDOW, ...rest } = { ...search, ...change };
    // Choices of a view are no steps that the back button should undo one by one.
    void navigate({
      search: window === DEFAULT_WINDOW ? rest : { ...rest, window },
      replace: true,
      resetScroll: false,
    });
  };
  return <SessionPage id={id} search={search} setSearch={setSearch} />;
}
const docsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/docs',
  validateSearch: (search): { part?: 'messages' } =>
    search['part'] === 'messages' ? { part: 'messages' } : {},
  component: DocsRoute,
});

// As large as all other pages together, and few people open it.
const DocsPage = lazy(async () => ({ default: (await import('#web/docs/docs-page.tsx')).DocsPage }));

function DocsRoute() {
  const { part = 'http' } = docsRoute.useSearch();
  const navigate = docsRoute.useNavigate();
  return (
    <Suspense fallback={<div className="page" aria-busy="true" />}>
      <DocsPage
        part={part}
        setPart={(chosen) => void navigate({ search: chosen === 'messages' ? { part: chosen } : {} })}
      />
    </Suspense>
  );
}

export function createPageRouter() {
  return createRouter({
    routeTree: rootRoute.addChildren([listRoute, sessionRoute, docsRoute]),
    defaultPreload: false,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPageRouter>;
  }
}
