/** Owns the page of one session: its live signals, or its recording when it has ended or when that is asked for. */

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { AppError } from '#base/errors.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { LiveConnection } from '#web/live-connection.tsx';
import { NotFound, ProblemState } from '#web/page-states.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';
import { ReviewSession } from '#web/review/review-session.tsx';
import { LiveSession } from '#web/session/live-session.tsx';
import { SessionCircle } from '#web/session/session-circle.tsx';
import { SessionsCrumb } from '#web/session/session-head.tsx';
import type { ViewSearch } from '#web/session/view-search.ts';
import { PlannedSession } from '#web/visit/planned-session.tsx';

/** A stream that a device opens later, or a declared loss, is seen within this time. */
const REFRESH_MS = 2000;

export interface SessionPageProps {
  readonly id: string;
  readonly search: ViewSearch;
  /** Puts a choice into the address. */
  readonly setSearch: (change: Partial<ViewSearch>) => void;
}

export function SessionPage({ id, search, setSearch }: SessionPageProps) {
  const detail = useQuery({
    queryKey: ['session', id],
    queryFn: ({ signal }) => server.session(id, signal),
    refetchInterval: REFRESH_MS,
  });
  usePageTitle(titleOf(detail.data));
  // Who watched a session live goes on looking at it when it ends, until they ask for the recording.
  const [wasLive, setWasLive] = useState<string | null>(null);
  if (detail.isLoadingError) {
    const isMissing = detail.error instanceof AppError && isNotThere(detail.error.code);
    return isMissing ? (
      <NotFound />
    ) : (
      <ProblemState error={detail.error} retry={() => void detail.refetch()} />
    );
  }
  if (detail.data === undefined) return <SessionSkeleton />;
  const { session } = detail.data;
  const isEnded = session.state === 'ended' || session.state === 'sealed';
  if (session.state === 'planned')
    return (
      <div className="page session">
        <PlannedSession session={session} nowMs={detail.dataUpdatedAt} isStale={detail.isRefetchError} />
      </div>
    );
  const isReview = isEnded ? wasLive !== id : search.view === 'stored';
  if (!isEnded && !isReview && wasLive !== id) setWasLive(id);
  const shown = { detail: detail.data, nowMs: detail.dataUpdatedAt, isStale: detail.isRefetchError };
  return (
    <div className="page session">
      {isEnded && !isReview && (
        <div className="notice" role="status">
          <strong>This session has ended.</strong>
          <span>What was recorded is kept.</span>
          <button type="button" className="text-button" onClick={() => setWasLive(null)}>
            Show the recording
          </button>
        </div>
      )}
      <LiveConnection waiting={<SessionFrame />}>
        {isReview ? (
          <ReviewSession key={id} {...shown} search={search} setSearch={setSearch} />
        ) : (
          <LiveSession
            key={id}
            {...shown}
            search={search}
            setSearch={setSearch}
            refresh={() => void detail.refetch()}
          />
        )}
        <SessionCircle key={`circle ${id}`} detail={detail.data} shown={isReview ? shownOf(search) : null} />
      </LiveConnection>
    </div>
  );
}

/** The part of a recording that the address names. */
function shownOf({ from, to }: ViewSearch): { fromUs: number; toUs: number } | null {
  return from === undefined || to === undefined ? null : { fromUs: from, toUs: to };
}

const titleWords = {
  planned: 'planned',
  live: 'live',
  idle: 'live',
  ended: 'recording',
  sealed: 'recording',
} as const;

function titleOf(detail: SessionDetail | undefined): string {
  if (detail === undefined) return 'Session';
  const { label, state } = detail.session;
  const name = label === '' ? 'Session without a label' : label;
  return `${name}, ${titleWords[state]}`;
}

/** An id that is no UUID was never a session either. */
function isNotThere(code: string): boolean {
  return code === 'not-found' || code === 'invalid-field';
}

/** Keeps the place of what comes: nothing moves when it does. */
function SessionSkeleton() {
  return (
    <div className="page session" aria-busy="true">
      <SessionFrame />
    </div>
  );
}

function SessionFrame() {
  return (
    <>
      <div className="page-head">
        <h1>
          <SessionsCrumb />
        </h1>
      </div>
      <div className="health" />
    </>
  );
}
