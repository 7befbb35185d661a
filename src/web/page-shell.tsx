/** Owns what surrounds every page: skip link, bar, colour scheme, sign-in gate, and the focus of a new page. */

import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useRef, useSyncExternalStore } from 'react';

import { maySomebodyBeSignedIn, onceSecret, watchOnceSecret } from '#web/access-key.ts';
import { AccountContext } from '#web/account/account-context.ts';
import { OncePage } from '#web/account/once-page.tsx';
import { SignInPage } from '#web/account/sign-in-page.tsx';
import { Navigation } from '#web/navigation.tsx';
import { ProblemState } from '#web/page-states.tsx';
import { accountQuery, isUnauthenticated } from '#web/server.ts';

export function PageShell() {
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const firstPath = useRef(path);
  // The documentation is for anybody: whoever is not signed in is not asked for there, which would only be refused.
  const isOpen = path === '/docs';
  const account = useQuery({ ...accountQuery, enabled: !isOpen || maySomebodyBeSignedIn() });
  useEffect(() => {
    // A screen reader and the tab key go on from the new page, not from a link that is gone.
    if (firstPath.current !== path) main.current?.focus();
    firstPath.current = '';
  }, [path]);
  return (
    <>
      <a className="skip-link" href="#main">
        Skip to the content
      </a>
      <header className="shell-bar">
        <Link to="/" className="shell-mark">
          <Mark />
          Kymo
        </Link>
        {account.data === undefined ? (
          <span className="shell-space" />
        ) : (
          <Navigation account={account.data} />
        )}
        {account.data?.role !== 'patient' && (
          <Link to="/docs" className="small">
            API
          </Link>
        )}
        <ColourSchemeToggle />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {isOpen ? <Outlet /> : <Gate />}
      </main>
    </>
  );
}

/** Nothing of the organisation is asked for before it is known who asks. */
function Gate() {
  const account = useQuery(accountQuery);
  const once = useSyncExternalStore(watchOnceSecret, onceSecret);
  if (once !== null) return <OncePage key={once.secret} once={once} />;
  if (account.isSuccess)
    return (
      <AccountContext value={account.data}>
        <Outlet />
      </AccountContext>
    );
  if (account.isPending) return <div className="page" aria-busy="true" />;
  if (isUnauthenticated(account.error)) return <SignInPage />;
  return <ProblemState error={account.error} retry={() => void account.refetch()} />;
}

function Mark() {
  return (
    <svg width="28" height="20" viewBox="0 0 28 20" aria-hidden="true">
      <path
        d="M1 11h5l3-8 5 15 4-10 2 3h7"
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}

function ColourSchemeToggle() {
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  const scheme = useComputedColorScheme('dark', { getInitialValueInEffect: false });
  const other = scheme === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon
      variant="default"
      size={32}
      aria-label={`Use ${other} colours`}
      title={`Use ${other} colours`}
      onClick={() => setColorScheme(other)}
    >
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" strokeWidth="1.5" />
        <path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor" />
      </svg>
    </ActionIcon>
  );
}
