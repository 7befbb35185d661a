/** Owns the first look at a patient: recordings, how the walk changed since the first, and what is known of the body. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import type { Patient, PatientOverview, PatientSession } from '#contract/clinic.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { heightWords, massWords, sexWords, sideWords } from '#web/clinic/clinic-words.ts';
import { FigureText } from '#web/clinic/figure-text.tsx';
import { ChangeTable } from '#web/clinic/change-table.tsx';
import { MeasureFields } from '#web/clinic/measure-fields.tsx';
import { draftOfPatient, measureFields, measuresOf } from '#web/clinic/patient-form.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { DASH, formatCount } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { server } from '#web/server.ts';
import { StateMark } from '#web/session-list.tsx';

export function RecordPart({ overview }: { overview: PatientOverview }) {
  const { patient, sessions, sessionCount, progress } = overview;
  return (
    <div className="record">
      <section className="card" aria-labelledby="sessions-title">
        <h2 id="sessions-title">Sessions</h2>
        <PatientSessions sessions={sessions} />
        {sessionCount > sessions.length && (
          <p className="muted small list-note">
            The newest {sessions.length} of{' '}
            {sessionCount >= 1000 ? 'more than 1,000' : formatCount(sessionCount)}; progress shows the figures
            of all.
          </p>
        )}
      </section>
      <div className="record-side">
        <section className="card" aria-labelledby="change-title">
          <h2 id="change-title">Since the first session</h2>
          <ChangeTable first={progress.first} latest={progress.latest} />
        </section>
        <Measures patient={patient} />
      </div>
    </div>
  );
}

function PatientSessions({ sessions }: { sessions: readonly PatientSession[] }) {
  const { role } = useAccount();
  if (sessions.length === 0)
    return (
      <p className="muted">
        {role === 'patient'
          ? 'No session yet. What is planned with you or recorded of you is listed here.'
          : 'No session yet. Plan one: choose what to record, assign the sensors, and start it from its page.'}
      </p>
    );
  return (
    <ul className="plain-list sessions-of">
      {sessions.map((session) => (
        <li key={session.id}>
          <StateMark state={session.state} />
          <span className="sessions-of-name">
            <Link to="/sessions/$id" params={{ id: session.id }} className="session-link">
              {session.label === '' ? 'No label' : session.label}
            </Link>
          </span>
          <span className="muted small">
            {session.state === 'planned' && session.plannedFor === null ? (
              'no time yet'
            ) : (
              <Instant at={session.state === 'planned' ? session.plannedFor : session.startedAt} />
            )}
          </span>
          <span className="sessions-of-figure">
            <SpeedOf session={session} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function SpeedOf({ session: { state, figures } }: { session: PatientSession }) {
  if (figures === null)
    return (
      <span className="muted small">{state === 'ended' || state === 'sealed' ? 'not analysed' : ''}</span>
    );
  const speed = figures.find(({ metric, side }) => metric === 'speed' && side === null);
  return speed === undefined ? <span className="muted">{DASH}</span> : <FigureText figure={speed} />;
}

function Measures({ patient }: { patient: Patient }) {
  const may = useMay();
  const { role } = useAccount();
  const client = useQueryClient();
  const [asked, setAsked] = useState<'edit' | 'archive' | null>(null);
  const close = (): void => setAsked(null);
  const { code, revision, archivedAt } = patient;
  const change = async (body: object): Promise<void> => {
    await server.call('PATCH', `/v1/patients/${patient.id}`, { body: { revision, ...body } });
    await client.invalidateQueries({ queryKey: ['patient', patient.id] });
    await client.invalidateQueries({ queryKey: ['patients'] });
  };
  const rows: readonly (readonly [string, string | number])[] = [
    ['Diagnosis', patient.diagnosis === '' ? DASH : patient.diagnosis],
    ['Affected side', patient.affectedSide === null ? DASH : sideWords[patient.affectedSide]],
    ['Sex', patient.sex === null ? DASH : sexWords[patient.sex]],
    ['Year of birth', patient.birthYear ?? DASH],
    ['Height', heightWords(patient.heightM)],
    ['Mass', massWords(patient.massKg)],
  ];
  return (
    <section className="card" aria-labelledby="measures-title">
      <h2 id="measures-title">{role === 'patient' ? 'About you' : `Patient ${code}`}</h2>
      <dl className="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div>
          <dt>In Kymo since</dt>
          <dd>
            <Instant at={patient.createdAt} />
          </dd>
        </div>
      </dl>
      {may('patient.write') && (
        <div className="form-foot">
          <Button variant="default" size="xs" onClick={() => setAsked('edit')}>
            Change
          </Button>
          {archivedAt === null ? (
            <Button variant="default" size="xs" onClick={() => setAsked('archive')}>
              Archive
            </Button>
          ) : (
            <Button variant="default" size="xs" onClick={() => void change({ archived: false })}>
              Take out of the archive
            </Button>
          )}
        </div>
      )}
      <Dialog title={`Change ${code}`} isOpen={asked === 'edit'} close={close}>
        <EditMeasures patient={patient} close={close} change={change} />
      </Dialog>
      <ConfirmDialog
        title={`Archive ${code}`}
        isOpen={asked === 'archive'}
        close={close}
        label="Archive"
        act={() => change({ archived: true })}
      >
        <p>
          The record leaves the list of patients in care and takes no new sessions. Nothing is deleted, and it
          can be taken out again.
        </p>
      </ConfirmDialog>
    </section>
  );
}

interface EditMeasuresProps {
  readonly patient: Patient;
  readonly close: () => void;
  readonly change: (body: object) => Promise<void>;
}

function EditMeasures({ patient, close, change }: EditMeasuresProps) {
  const [code, setCode] = useState(patient.code);
  const [draft, setDraft] = useState(() => draftOfPatient(patient));
  const submission = useSubmit(async () => {
    await change({ code: code.trim(), ...measuresOf(draft) });
    close();
  }, measureFields);
  return (
    <Form submission={submission}>
      <TextField
        label="Code"
        isFirst
        maxLength={32}
        value={code}
        onChange={setCode}
        problem={submission.problemOf('/code')}
      />
      <MeasureFields draft={draft} setDraft={setDraft} submission={submission} />
      <FormFoot submission={submission} label="Save" cancel={close} isDisabled={code.trim() === ''} />
    </Form>
  );
}
