/** Owns who is shown a page at all: what the account may not do is not asked for, so that nothing of it is half there. */

import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import type { Action } from '#contract/permissions.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { usePageTitle } from '#web/page-title.ts';

/** `action` is one that a whole organisation is asked with, which an account of role patient never is. */
export function Needs({ action, children }: { readonly action: Action; readonly children: ReactNode }) {
  const { role } = useAccount();
  const may = useMay();
  return may(action) && role !== 'patient' ? children : <NotYours />;
}

function NotYours() {
  const { role } = useAccount();
  usePageTitle('You may not see that');
  return (
    <div className="page">
      <div className="statement">
        <h1>You may not see that</h1>
        {role === 'patient' ? (
          <>
            <p>This page is for the people of your clinic. Your account reads your own record.</p>
            <p>
              <Link to="/">My record</Link>
            </p>
          </>
        ) : (
          <>
            <p>Your role does not include this page. An owner of your organisation can give you another.</p>
            <p>
              <Link to="/">All sessions</Link>
            </p>
          </>
        )}
      </div>
    </div>
  );
}
