/** Owns the page of one session: what it is, and its streams. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { AppError } from '#base/errors.ts';
import { formatCount, formatSegment } from '#web/format.ts';
import { NotFound, ProblemState } from '#web/page-states.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';

/** A stream that a device opens later is seen within this time. */
const REFRESH_MS = 2000;

export function SessionPage({ id }: { id: string }) {
  const detail = useQuery({
    queryKey: ['session', id],
    queryFn: ({ signal }) => server.session(id, signal),
    refetchInterval: REFRESH_MS,
  });
  usePageTitle(detail.data?.session.label ?? 'Session');
  if (detail.isLoadingError) {
    if (detail.error instanceof AppError && detail.error.code === 'not-found') return <NotFound />;
    return <ProblemState error={detail.error} retry={() => void detail.refetch()} />;
  }
  if (detail.data === undefined) return <div className="page" aria-busy="true" />;
  const { session, streams } = detail.data;
  return (
    <div className="page">
      <div className="page-head">
        <h1>{session.label}</h1>
        <p className="muted">
          <Link to="/">All sessions</Link>
        </p>
      </div>
      <table className="sessions">
        <thead>
          <tr>
            <th scope="col">Stream</th>
            <th scope="col" className="number">
              Readings stored
            </th>
          </tr>
        </thead>
        <tbody>
          {streams.map(({ definition, epochs }) => (
            <tr key={definition.stream}>
              <td>{formatSegment(definition.segment)}</td>
              <td className="number">
                {formatCount(epochs.reduce((total, epoch) => total + epoch.stored, 0))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
