/** Owns what a session is to the clinic, above its signals: whose it is, how far its life is, and the next step of it. */

import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { AppError } from '#base/errors.ts';
import type { Visit } from '#contract/visit.ts';
import { useMay } from '#web/account/account-context.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { ReportButton } from '#web/visit/report-button.tsx';
import { visitCalls, visitChanged, visitQuery } from '#web/visit/visit-queries.ts';
import { VisitPatient } from '#web/visit/visit-patient.tsx';
import { VisitSteps } from '#web/visit/visit-steps.tsx';
import { VisitWarnings } from '#web/visit/visit-warnings.tsx';

export function VisitBar({ session }: { session: string }) {
  const may = useMay();
  const query = useQuery(visitQuery(session));
  const visit = query.data;
  if (query.error instanceof AppError && query.error.code === 'not-found') return null;
  return (
    <section className="visit" aria-label="Session" aria-busy={visit === undefined}>
      {visit !== undefined && (
        <>
          <div className="visit-line">
            <VisitPatient visit={visit} />
            <VisitSteps session={visit.session} />
            <span className="shell-space" />
            <VisitActions visit={visit} />
          </div>
          {may('session.write') && <VisitWarnings warnings={visit.warnings} />}
        </>
      )}
    </section>
  );
}

function VisitActions({ visit }: { visit: Visit }) {
  const may = useMay();
  switch (visit.session.state) {
    case 'planned':
      return may('session.write') ? <StartButton visit={visit} /> : null;
    case 'live':
    case 'idle':
      return may('session.write') ? <EndButton visit={visit} /> : null;
    case 'ended':
      return (
        <>
          {may('job.run') && <ReportButton session={visit.session.id} />}
          {may('session.seal') && <SealButton visit={visit} />}
        </>
      );
    case 'sealed':
      return may('job.run') ? <ReportButton session={visit.session.id} /> : null;
  }
}

function StartButton({ visit }: { visit: Visit }) {
  const start = useSubmit(async () => visitChanged((await visitCalls.start(visit.session.id)).visit));
  return (
    <>
      <span className={start.general === null ? 'muted small' : 'needs-action small'} role="status">
        {start.general ?? (visit.startAskedAt === null ? '' : 'The sensors were asked to start')}
      </span>
      <Button
        variant="default"
        className="primary"
        disabled={start.isBusy || visit.placements.length === 0}
        title={visit.placements.length === 0 ? 'Assign a sensor first' : undefined}
        onClick={start.run}
      >
        {visit.startAskedAt === null ? 'Start' : 'Start again'}
      </Button>
    </>
  );
}

function EndButton({ visit }: { visit: Visit }) {
  const [isAsking, setIsAsking] = useState(false);
  const end = useSubmit(async () => visitChanged((await visitCalls.end(visit.session.id, false)).visit));
  const wasAsked = visit.endAskedAt !== null;
  return (
    <>
      <span className={end.general === null ? 'muted small' : 'needs-action small'} role="status">
        {end.general ?? (wasAsked ? 'The sensors were asked to stop' : '')}
      </span>
      <Button
        variant="default"
        className="primary"
        disabled={end.isBusy}
        onClick={wasAsked ? () => setIsAsking(true) : end.run}
      >
        {wasAsked ? 'End without them' : 'Stop'}
      </Button>
      <ConfirmDialog
        title="End the session now"
        isOpen={isAsking}
        close={() => setIsAsking(false)}
        label="End it now"
        act={async () => visitChanged((await visitCalls.end(visit.session.id, true)).visit)}
      >
        <p>
          Not all sensors have said that they stopped. What they still hold is kept there and comes late: the
          session is then marked as amended.
        </p>
      </ConfirmDialog>
    </>
  );
}

function SealButton({ visit }: { visit: Visit }) {
  const [isAsking, setIsAsking] = useState(false);
  return (
    <>
      <Button variant="default" onClick={() => setIsAsking(true)}>
        Sign off
      </Button>
      <ConfirmDialog
        title="Sign the session off"
        isOpen={isAsking}
        close={() => setIsAsking(false)}
        label="Sign off"
        act={async () => visitChanged(await visitCalls.seal(visit.session.id, visit.revision))}
      >
        <p>
          From then on it counts as it is. What is changed later, and readings that come late, need a reason
          and mark it as amended.
        </p>
      </ConfirmDialog>
    </>
  );
}
