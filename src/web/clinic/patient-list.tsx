/** Owns the page of patients: all by their codes, found by code or by exactly what names them, and a new one. */

import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useDeferredValue, useState } from 'react';

import type { PatientPage, PatientSummary } from '#contract/clinic.ts';
import { useMay } from '#web/account/account-context.ts';
import { sideWords } from '#web/clinic/clinic-words.ts';
import { NewPatient } from '#web/clinic/new-patient.tsx';
import { SearchResults } from '#web/clinic/search-results.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { DASH } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { usePageTitle } from '#web/page-title.ts';

export type PatientListState = 'active' | 'archived';

export interface PatientListProps {
  readonly state: PatientListState;
  readonly setState: (state: PatientListState) => void;
}

export function PatientList({ state, setState }: PatientListProps) {
  usePageTitle('Patients');
  const may = useMay();
  const [isAdding, setIsAdding] = useState(false);
  // Never in the address: it may be somebody's name.
  const [text, setText] = useState('');
  const wanted = useDeferredValue(text.trim());
  const add = may('patient.write') && (
    <Button variant="default" className="primary" onClick={() => setIsAdding(true)}>
      New patient
    </Button>
  );
  return (
    <div className="page">
      <div className="page-head">
        <h1>Patients</h1>
        <span className="shell-space" />
        {add}
      </div>
      <div className="list-tools">
        <input
          type="search"
          className="input"
          aria-label="Find a patient, session or note"
          placeholder="Code, exact name, record number, session, words of a note"
          maxLength={120}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <label className="muted">
          Show{' '}
          <select
            className="input"
            value={state}
            onChange={(event) => setState(event.currentTarget.value as PatientListState)}
          >
            <option value="active">in care</option>
            <option value="archived">archived</option>
          </select>
        </label>
      </div>
      {wanted === '' ? <AllPatients state={state} add={add} /> : <SearchResults text={wanted} />}
      <Dialog title="New patient" isOpen={isAdding} close={() => setIsAdding(false)} isWide>
        <NewPatient close={() => setIsAdding(false)} />
      </Dialog>
    </div>
  );
}

function AllPatients({ state, add }: { state: PatientListState; add: React.ReactNode }) {
  const pages = usePages({
    key: ['patients', state],
    path: `/v1/patients?state=${state}`,
    rowsOf: (page: PatientPage) => page.patients,
  });
  return (
    <RecordTable
      caption="Patients, newest first"
      columns={columns}
      pages={pages}
      keyOf={({ id }) => id}
      empty={
        state === 'active' ? (
          <>
            <h2>No patient yet</h2>
            <p>
              A patient is a code here; a name is kept encrypted beside it and shown only when it is asked
              for. With a patient, a session can be planned, recorded and followed over time.
            </p>
            <div className="form-foot">{add}</div>
          </>
        ) : (
          <p>No record is archived.</p>
        )
      }
    />
  );
}

const columns: readonly Column<PatientSummary>[] = [
  {
    head: 'Code',
    cell: ({ id, code }) => (
      <Link to="/patients/$id" params={{ id }} className="session-link">
        {code}
      </Link>
    ),
  },
  { head: 'Diagnosis', cell: ({ diagnosis }) => (diagnosis === '' ? <Nothing /> : diagnosis) },
  {
    head: 'Affected',
    kind: 'wide-only',
    cell: ({ affectedSide }) => (affectedSide === null ? <Nothing /> : sideWords[affectedSide]),
  },
  { head: 'Born', kind: 'wide-only', cell: ({ birthYear }) => birthYear ?? <Nothing /> },
  {
    head: 'Recording',
    kind: 'wide-only',
    cell: ({ consents }) =>
      consents.includes('recording') ? (
        <span className="muted">consented</span>
      ) : (
        <span className="needs-attention">no consent</span>
      ),
  },
  { head: 'Last session', cell: ({ lastSessionAt }) => <Instant at={lastSessionAt} /> },
];

function Nothing() {
  return <span className="muted">{DASH}</span>;
}
