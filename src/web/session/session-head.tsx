/** Owns the head of a session's page: what it is, and room for the controls of its view. */

import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import type { SessionSummary } from '#contract/rest.ts';
import { useAccount } from '#web/account/account-context.ts';
import { formatLocal, formatUtc } from '#web/format.ts';
import { AmendedTag, ShortId, StateMark } from '#web/session-list.tsx';

export interface SessionHeadProps {
  readonly session: SessionSummary;
  /** When the session was asked for: whether it started today. */
  readonly nowMs: number;
  readonly isStale: boolean;
  readonly children?: ReactNode;
}

/** Where the session is listed: among all of them, or in the record of the patient who looks. */
export function SessionsCrumb() {
  const { role } = useAccount();
  return (
    <Link to="/" className="crumb">
      {role === 'patient' ? 'My record' : 'Sessions'}
    </Link>
  );
}

export function SessionHead({ session, nowMs, isStale, children }: SessionHeadProps) {
  const started = new Date(session.startedAt);
  return (
    <div className="page-head">
      <h1>
        <SessionsCrumb />{' '}
        <span className="muted" aria-hidden="true">
          /
        </span>{' '}
        {session.label === '' ? 'No label' : session.label}
      </h1>
      <StateMark state={session.state} isStale={isStale} />
      {session.synthetic && <span className="tag">synthetic</span>}
      <AmendedTag session={session} />
      {(session.state !== 'planned' || session.plannedFor !== null) && (
        <span className="muted">
          {session.state === 'planned' ? 'for' : 'started'}{' '}
          <time dateTime={session.startedAt} title={formatUtc(started)}>
            {formatLocal(started, new Date(nowMs))}
          </time>
        </span>
      )}
      <ShortId id={session.id} />
      {children}
    </div>
  );
}
