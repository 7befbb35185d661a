/** Owns the list of sessions: live ones first, refreshed by itself, and the first step where there is none yet. */

import { ActionIcon, Button, CopyButton, Skeleton } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, Navigate } from '@tanstack/react-router';

import type { SessionSummary } from '#contract/rest.ts';
import { useAccount } from '#web/account/account-context.ts';
import { formatCount, formatLocal, formatUtc } from '#web/format.ts';
import { CommandLine, describeProblem, ProblemState } from '#web/page-states.tsx';
import { NewsList } from '#web/news-list.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { QrCode } from '#web/qr-code.tsx';
import { server } from '#web/server.ts';

/** A screen of rows; the next page is one button away. */
const PAGE_ROWS = 50;
/** A new session is seen within this time; the answer comes from one indexed query. */
const REFRESH_MS = 2000;
const SKELETON_ROWS = 3;

const stateOrder = { live: 0, idle: 1, planned: 2, ended: 3, sealed: 3 } as const;
const stateWords = {
  planned: 'Planned',
  live: 'Recording',
  idle: 'Quiet',
  ended: 'Ended',
  sealed: 'Signed off',
} as const;

export function SessionList() {
  const { role, patientId } = useAccount();
  // An account of a patient has one record, and no list of the organisation.
  if (role === 'patient' && patientId !== null)
    return <Navigate to="/patients/$id" params={{ id: patientId }} replace />;
  return <AllSessions />;
}

function AllSessions() {
  usePageTitle('Sessions');
  const list = useInfiniteQuery({
    queryKey: ['sessions'],
    queryFn: ({ pageParam, signal }) => server.sessions(PAGE_ROWS, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: REFRESH_MS,
  });
  if (list.isLoadingError) return <ProblemState error={list.error} retry={() => void list.refetch()} />;
  // The sort is stable: within a state the server's order (newest first) stays.
  const sessions = list.data?.pages
    .flatMap((page) => page.sessions)
    .toSorted((a, b) => stateOrder[a.state] - stateOrder[b.state]);
  if (sessions?.length === 0) return <NoSessions />;
  return (
    <div className="page">
      <div className="page-head">
        <h1>Sessions</h1>
        <Summary sessions={sessions} />
      </div>
      {list.isRefetchError && <StaleNotice error={list.error} updatedAtMs={list.dataUpdatedAt} />}
      <table className="list sessions" aria-busy={list.isPending}>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Session</th>
            <th scope="col">Started</th>
            <th scope="col" className="number wide-only">
              Streams
            </th>
            <th scope="col" className="number wide-only">
              Readings stored
            </th>
            <th scope="col" className="number">
              Lost
            </th>
            <th scope="col" className="wide-only">
              Id
            </th>
          </tr>
        </thead>
        <tbody>
          {sessions === undefined
            ? Array.from({ length: SKELETON_ROWS }, (_, i) => <SkeletonRow key={i} />)
            : sessions.map((session) => (
                <SessionRow
                  key={session.id}
                  session={session}
                  nowMs={list.dataUpdatedAt}
                  isStale={list.isRefetchError}
                />
              ))}
        </tbody>
      </table>
      {list.hasNextPage && (
        <div className="list-foot">
          <Button
            variant="default"
            loading={list.isFetchingNextPage}
            onClick={() => void list.fetchNextPage()}
          >
            Show older sessions
          </Button>
        </div>
      )}
      <NewsList />
    </div>
  );
}

function Summary({ sessions }: { sessions: readonly SessionSummary[] | undefined }) {
  if (sessions === undefined) return null;
  const live = sessions.filter((session) => session.state === 'live').length;
  return (
    <p className="muted" role="status">
      {live === 0 ? 'None is recording now' : `${formatCount(live)} recording now`}
    </p>
  );
}

interface SessionRowProps {
  readonly session: SessionSummary;
  /** When the list was asked for. */
  readonly nowMs: number;
  readonly isStale: boolean;
}

function SessionRow({ session, nowMs, isStale }: SessionRowProps) {
  const started = new Date(session.startedAt);
  return (
    <tr>
      <td>
        <StateMark state={session.state} isStale={isStale} />
      </td>
      <td>
        <span className="session-name">
          <Link to="/sessions/$id" params={{ id: session.id }} className="session-link">
            {session.label === '' ? 'No label' : session.label}
          </Link>
          {session.patient !== null && <span className="tag">{session.patient.code}</span>}
          {session.synthetic && <span className="tag">synthetic</span>}
          <AmendedTag session={session} />
        </span>
      </td>
      <td>
        <time dateTime={session.startedAt} title={formatUtc(started)}>
          {formatLocal(started, new Date(nowMs))}
        </time>
      </td>
      <td className="number wide-only">{formatCount(session.streamCount)}</td>
      <td className="number wide-only">{formatCount(session.storedReadings)}</td>
      <td className={session.lostReadings > 0 ? 'number needs-attention' : 'number muted'}>
        {formatCount(session.lostReadings)}
      </td>
      <td className="wide-only">
        <ShortId id={session.id} />
      </td>
    </tr>
  );
}

export interface StateMarkProps {
  readonly state: SessionSummary['state'];
  /** The server does not answer: what was true may not be so any more. */
  readonly isStale?: boolean;
}

/** Green is for recording and for nothing else. */
export function StateMark({ state, isStale = false }: StateMarkProps) {
  const isUnknown = isStale && (state === 'live' || state === 'idle');
  return (
    <span className="state" data-state={isUnknown ? 'unknown' : state}>
      <span className="state-word">
        {isUnknown ? `${stateWords[state]} when last seen` : stateWords[state]}
      </span>
    </span>
  );
}

/** Says that the recording is not what it was when its session ended. */
export function AmendedTag({ session }: { session: SessionSummary }) {
  if (!session.amended) return null;
  return (
    <span
      className="tag"
      title="Readings came after it had ended, or something was changed after it was signed off"
    >
      amended
    </span>
  );
}

/** The end of a UUIDv7 is its random part: eight digits tell neighbours apart. */
export function ShortId({ id }: { id: string }) {
  return (
    <span className="session-id">
      <code className="muted small" title={id}>
        {id.slice(-8)}
      </code>
      <CopyButton value={id}>
        {({ copied, copy }) => (
          <ActionIcon
            variant="subtle"
            color="gray"
            size={24}
            onClick={copy}
            aria-label={copied ? 'Copied' : `Copy the id that ends in ${id.slice(-8)}`}
          >
            <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
              {copied ? (
                <path d="M2 7.5l3.5 3.5L12 3.5" fill="none" stroke="currentColor" strokeWidth="1.5" />
              ) : (
                <path d="M4.5 4.5h7v7h-7zM9.5 2.5h-7v7" fill="none" stroke="currentColor" strokeWidth="1.2" />
              )}
            </svg>
          </ActionIcon>
        )}
      </CopyButton>
    </span>
  );
}

function SkeletonRow() {
  const cell = (width: number) => <Skeleton height={12} width={width} animate={false} />;
  return (
    <tr>
      <td>{cell(72)}</td>
      <td>{cell(140)}</td>
      <td>{cell(64)}</td>
      <td className="wide-only">{cell(24)}</td>
      <td className="wide-only">{cell(72)}</td>
      <td>{cell(24)}</td>
      <td className="wide-only">{cell(80)}</td>
    </tr>
  );
}

function StaleNotice({ error, updatedAtMs }: { error: unknown; updatedAtMs: number }) {
  const updatedAt = new Date(updatedAtMs);
  const { title, safe } = describeProblem(error);
  return (
    <div className="notice" role="status">
      <strong>{title}.</strong>
      <span>
        This list is from {formatLocal(updatedAt, updatedAt)}. {safe}
      </span>
    </div>
  );
}

/** Names that lead to the machine itself: of no use to a phone. */
const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

function NoSessions() {
  const { origin, hostname } = location;
  const isLoopback = loopbackNames.includes(hostname);
  const line =
    `curl -X POST ${origin}/v1/readings -H "Authorization: Bearer kd_..."` +
    ` -H "Content-Type: application/json"` +
    ` -d '{"segment":"left-foot","units":{"acc_x":"m/s2"},"readings":[{"values":{"acc_x":9.81}}]}'`;
  return (
    <div className="page">
      <div className="statement first-device">
        <div>
          <h1>No session yet</h1>
          <p>
            A session begins with the first reading that a device sends. Make a device; its key is printed:
          </p>
          <CommandLine text="npm run kymo -- device add mine" label="the command that makes a device" />
          <p>Then send a reading, with that key in place of kd_...:</p>
          <CommandLine text={line} label="the command that sends a reading" />
          <p className="muted">The session appears here by itself within two seconds.</p>
        </div>
        <figure>
          <QrCode text={origin} label={`QR code of this server's address, ${origin}`} />
          <figcaption className="muted small">
            {isLoopback
              ? 'The address of this server. It leads here only from this machine: start Kymo with --host and TLS for phones and sensors.'
              : 'The address of this server, for a phone or a sensor to scan. It carries no key.'}
          </figcaption>
        </figure>
      </div>
    </div>
  );
}
