/** Owns the way from one part of the application to another: what the account may not see is not offered. */

import { Link, useRouterState } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';

import type { Account } from '#contract/account.ts';
import type { Action } from '#contract/permissions.ts';
import { showChosen } from '#web/show-chosen.ts';

interface Place {
  readonly to: '/' | '/patients' | '/protocols' | '/jobs' | '/devices' | '/people' | '/webhooks' | '/audit';
  readonly words: string;
  readonly needs: Action;
}

const places: readonly Place[] = [
  { to: '/', words: 'Sessions', needs: 'session.read' },
  { to: '/patients', words: 'Patients', needs: 'patient.read' },
  { to: '/protocols', words: 'Protocols', needs: 'session.write' },
  { to: '/jobs', words: 'Jobs', needs: 'job.read' },
  { to: '/devices', words: 'Devices', needs: 'device.read' },
  { to: '/people', words: 'People', needs: 'organisation.manage' },
  { to: '/webhooks', words: 'Webhooks', needs: 'organisation.manage' },
  { to: '/audit', words: 'Audit', needs: 'audit.read' },
];

export function Navigation({ account }: { account: Account }) {
  const { role, patientId, permissions } = account;
  const nav = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (state) => state.location.pathname });
  // On a phone the places are wider than the screen: the one that is shown is in view.
  useEffect(() => showChosen(nav.current, path), [path]);
  return (
    <nav ref={nav} className="shell-nav" aria-label="Parts of Kymo">
      {role === 'patient' && patientId !== null ? (
        <Link to="/patients/$id" params={{ id: patientId }} activeProps={{ 'aria-current': 'page' }}>
          My record
        </Link>
      ) : (
        places
          .filter(({ needs }) => permissions.includes(needs))
          .map(({ to, words }) => (
            <Link
              key={to}
              to={to}
              activeOptions={{ exact: to === '/', includeSearch: false }}
              activeProps={{ 'aria-current': 'page' }}
            >
              {words}
            </Link>
          ))
      )}
      <Link to="/account" activeProps={{ 'aria-current': 'page' }}>
        Account
      </Link>
    </nav>
  );
}
