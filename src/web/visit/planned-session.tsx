/** Owns the page of a session that is planned: who wears which sensor where, what is to be done, and the start. */

import { useQuery } from '@tanstack/react-query';

import type { SessionSummary } from '#contract/rest.ts';
import type { Visit } from '#contract/visit.ts';
import { useMay } from '#web/account/account-context.ts';
import { formatSegment, formatSeconds } from '#web/format.ts';
import { ProblemNotice } from '#web/page-states.tsx';
import { SessionHead } from '#web/session/session-head.tsx';
import { PlacementForm } from '#web/visit/placement-form.tsx';
import { VisitBar } from '#web/visit/visit-bar.tsx';
import { visitQuery } from '#web/visit/visit-queries.ts';

export interface PlannedSessionProps {
  readonly session: SessionSummary;
  readonly nowMs: number;
  readonly isStale: boolean;
}

export function PlannedSession({ session, nowMs, isStale }: PlannedSessionProps) {
  const may = useMay();
  const query = useQuery(visitQuery(session.id));
  const { data: visit } = query;
  return (
    <>
      <SessionHead session={session} nowMs={nowMs} isStale={isStale} />
      <VisitBar session={session.id} />
      {query.isLoadingError && <ProblemNotice error={query.error} retry={() => void query.refetch()} />}
      <div className="halves planned" aria-busy={visit === undefined}>
        <section className="card" aria-labelledby="sensors-title">
          <h2 id="sensors-title">Sensors</h2>
          {visit !== undefined &&
            // What somebody else assigned meanwhile is another form.
            (may('device.read') ? (
              <PlacementForm key={visit.revision} visit={visit} isLocked={!may('session.write')} />
            ) : (
              <PlacesOnly visit={visit} />
            ))}
        </section>
        <section className="card" aria-labelledby="tasks-title">
          <h2 id="tasks-title">What is done</h2>
          {visit !== undefined && <Tasks protocol={visit.protocol} />}
        </section>
      </div>
    </>
  );
}

/** For who wears them. */
function PlacesOnly({ visit }: { visit: Visit }) {
  const places = visit.placements.map(({ segment }) => formatSegment(segment));
  return (
    <p className="list-note">
      {places.length === 0
        ? 'Which sensors you will wear is not settled yet.'
        : `You will wear sensors here: ${places.join(', ').toLowerCase()}.`}
    </p>
  );
}

function Tasks({ protocol }: { protocol: Visit['protocol'] }) {
  const may = useMay();
  if (protocol === null)
    return (
      <p className="muted list-note">
        {may('session.write')
          ? 'There is no protocol. The recording begins with Start, or by itself when an assigned sensor sends for this session.'
          : 'There is no protocol: you will be told what to do.'}
      </p>
    );
  return (
    <>
      <p className="muted list-note">
        {protocol.name}, revision {protocol.revision}
      </p>
      <ol className="tasks">
        {protocol.tasks.map(({ code, name, instruction, durationS }) => (
          <li key={code}>
            <strong>{name}</strong>{' '}
            {durationS !== null && <span className="muted small">{formatSeconds(durationS)}</span>}
            {instruction !== '' && <p className="muted">{instruction}</p>}
          </li>
        ))}
      </ol>
    </>
  );
}
