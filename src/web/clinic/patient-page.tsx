/** Owns the page of one patient: who it is by code, and the parts of the record, each with an address of its own. */

import { Button, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';

import { AppError } from '#base/errors.ts';
import type { PatientOverview } from '#contract/clinic.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { bodyWords, sideWords } from '#web/clinic/clinic-words.ts';
import { ConsentPart } from '#web/clinic/consent-part.tsx';
import { GoalsPart } from '#web/clinic/goals-part.tsx';
import { NotesPart } from '#web/clinic/notes-part.tsx';
import {
  ownPartWords,
  patientParts,
  partWords,
  type PatientPart,
  type PatientSearch,
} from '#web/clinic/patient-parts.ts';
import { PlanSession } from '#web/clinic/plan-session.tsx';
import { ProgressPart } from '#web/clinic/progress-part.tsx';
import { RecordPart } from '#web/clinic/record-part.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { NotFound, ProblemState } from '#web/page-states.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';
import { showChosen } from '#web/show-chosen.ts';

/** A session that begins or was analysed is seen within this time. */
const REFRESH_MS = 10_000;

export interface PatientPageProps {
  readonly id: string;
  readonly search: PatientSearch;
  readonly setSearch: (search: PatientSearch) => void;
}

export function PatientPage({ id, search, setSearch }: PatientPageProps) {
  const overview = useQuery({
    queryKey: ['patient', id],
    queryFn: ({ signal }) => server.call<PatientOverview>('GET', `/v1/patients/${id}`, { signal }),
    refetchInterval: REFRESH_MS,
  });
  const { data, error } = overview;
  usePageTitle(data === undefined ? 'Patient' : `Patient ${data.patient.code}`);
  if (overview.isLoadingError) {
    const isMissing = error instanceof AppError && ['not-found', 'invalid-field'].includes(error.code);
    return isMissing ? <NotFound /> : <ProblemState error={error} retry={() => void overview.refetch()} />;
  }
  return (
    <div className="page patient" aria-busy={data === undefined}>
      <PatientHead overview={data} />
      <Parts id={id} part={search.part ?? 'record'} />
      {data === undefined ? (
        <div className="card">
          <Skeleton height={240} animate={false} />
        </div>
      ) : (
        <PartShown overview={data} search={search} setSearch={setSearch} />
      )}
    </div>
  );
}

function Parts({ id, part }: { id: string; part: PatientPart }) {
  const { role } = useAccount();
  const nav = useRef<HTMLElement>(null);
  // On a phone the parts are wider than the screen too.
  useEffect(() => showChosen(nav.current, part), [part]);
  return (
    <nav ref={nav} className="parts" aria-label="Parts of the record">
      {patientParts.map((name) => (
        <Link
          key={name}
          to="/patients/$id"
          params={{ id }}
          search={name === 'record' ? {} : { part: name }}
          activeOptions={{ exact: true }}
          aria-current={name === part ? 'page' : undefined}
        >
          {(role === 'patient' ? ownPartWords : partWords)[name]}
        </Link>
      ))}
    </nav>
  );
}

interface PartShownProps {
  readonly overview: PatientOverview;
  readonly search: PatientSearch;
  readonly setSearch: (search: PatientSearch) => void;
}

function PartShown({ overview, search, setSearch }: PartShownProps) {
  const { patient } = overview;
  switch (search.part ?? 'record') {
    case 'record':
      return <RecordPart overview={overview} />;
    case 'progress':
      return (
        <ProgressPart
          patientId={patient.id}
          metric={search.metric ?? 'speed'}
          setMetric={(metric) => setSearch({ ...search, metric })}
        />
      );
    case 'notes':
      return <NotesPart patientId={patient.id} />;
    case 'goals':
      return <GoalsPart patientId={patient.id} />;
    case 'consent':
      return <ConsentPart patient={patient} />;
  }
}

function PatientHead({ overview }: { overview: PatientOverview | undefined }) {
  const may = useMay();
  const { role } = useAccount();
  const [isPlanning, setIsPlanning] = useState(false);
  const patient = overview?.patient;
  return (
    <div className="page-head">
      <h1>
        {role !== 'patient' && (
          <>
            <Link to="/patients" className="crumb">
              Patients
            </Link>{' '}
            <span className="muted" aria-hidden="true">
              /
            </span>{' '}
          </>
        )}
        {patient?.code ?? <span className="muted">reading</span>}
      </h1>
      {patient !== undefined && patient.archivedAt !== null && <span className="tag">archived</span>}
      {patient !== undefined && (
        <p className="muted">
          {[
            patient.diagnosis,
            patient.affectedSide === null ? '' : `affected: ${sideWords[patient.affectedSide].toLowerCase()}`,
            bodyWords(patient),
          ]
            .filter((words) => words !== '')
            .join(' · ')}
        </p>
      )}
      <span className="shell-space" />
      {patient !== undefined && patient.archivedAt === null && may('session.write') && (
        <Button variant="default" className="primary" onClick={() => setIsPlanning(true)}>
          Plan a session
        </Button>
      )}
      {patient !== undefined && (
        <Dialog
          title={`Plan a session for ${patient.code}`}
          isOpen={isPlanning}
          close={() => setIsPlanning(false)}
        >
          <PlanSession patient={patient} close={() => setIsPlanning(false)} />
        </Dialog>
      )}
    </div>
  );
}
