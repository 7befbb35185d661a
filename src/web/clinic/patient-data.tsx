/** Owns what can be done with all of a patient's data: taking it out, destroying it, and an account that reads it. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import type { InvitationCreated } from '#contract/account.ts';
import type { Patient } from '#contract/clinic.ts';
import type { Job } from '#contract/jobs.ts';
import { useMay } from '#web/account/account-context.ts';
import { Invited } from '#web/account/invitations.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { server } from '#web/server.ts';

export function PatientData({ patient }: { patient: Patient }) {
  const may = useMay();
  const [asked, setAsked] = useState<'invite' | 'erase' | null>(null);
  const close = (): void => setAsked(null);
  if (!may('patient.export') && !may('patient.erase') && !may('organisation.manage')) return null;
  return (
    <section className="card" aria-labelledby="data-title">
      <h2 id="data-title">All data of {patient.code}</h2>
      <ul className="plain-list">
        {may('patient.export') && (
          <li>
            <span>A file with the whole record and all recordings</span>
            <ExportButton patient={patient} />
          </li>
        )}
        {may('organisation.manage') && (
          <li>
            <span>An account with which the patient reads this record</span>
            <Button variant="default" size="xs" onClick={() => setAsked('invite')}>
              Invite
            </Button>
          </li>
        )}
        {may('patient.erase') && (
          <li>
            <span>Destroy everything, for good</span>
            <Button variant="default" size="xs" className="danger" onClick={() => setAsked('erase')}>
              Erase
            </Button>
          </li>
        )}
      </ul>
      <Dialog title={`An account for ${patient.code}`} isOpen={asked === 'invite'} close={close}>
        <InvitePatient patient={patient} close={close} />
      </Dialog>
      <Dialog title={`Erase ${patient.code} for good`} isOpen={asked === 'erase'} close={close}>
        <ErasePatient patient={patient} close={close} />
      </Dialog>
    </section>
  );
}

function ExportButton({ patient }: { patient: Patient }) {
  const [job, setJob] = useState<Job | null>(null);
  const submission = useSubmit(async () => {
    const body = { kind: 'patient-export', input: { patient: patient.id } };
    setJob(await server.call<Job>('POST', '/v1/jobs', { body }));
  });
  if (job !== null) return <Link to="/jobs">It is being made: see Jobs</Link>;
  return (
    <span>
      <span className="needs-action small" role="status">
        {submission.general}
      </span>
      <Button variant="default" size="xs" disabled={submission.isBusy} onClick={submission.run}>
        Export
      </Button>
    </span>
  );
}

function InvitePatient({ patient, close }: { patient: Patient; close: () => void }) {
  const [email, setEmail] = useState('');
  const [made, setMade] = useState<InvitationCreated | null>(null);
  const submission = useSubmit(async () => {
    const body = { email: email.trim(), role: 'patient', patientId: patient.id };
    setMade(await server.call<InvitationCreated>('POST', '/v1/invitations', { body }));
  }, ['/email']);
  if (made !== null) return <Invited made={made} close={close} />;
  return (
    <Form submission={submission}>
      <TextField
        label="E-mail address of the patient"
        type="email"
        hint="The account reads this record and these recordings, and notes that are shared; nothing else"
        isFirst
        value={email}
        onChange={setEmail}
        problem={submission.problemOf('/email')}
      />
      <FormFoot submission={submission} label="Invite" cancel={close} isDisabled={email.trim() === ''} />
    </Form>
  );
}

function ErasePatient({ patient, close }: { patient: Patient; close: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [typed, setTyped] = useState('');
  const submission = useSubmit(async () => {
    if (typed.trim() !== patient.code) throw wrong('/code', `Type ${patient.code} to show that you mean it`);
    const body = { kind: 'patient-erasure', input: { patient: patient.id } };
    await server.call('POST', '/v1/jobs', { body });
    await client.invalidateQueries({ queryKey: ['patients'] });
    close();
    await navigate({ to: '/jobs' });
  }, ['/code']);
  return (
    <Form submission={submission}>
      <div className="dialog-words">
        <p>
          The record, all recordings and everything computed from them are destroyed, and the key of this
          patient with them, so that backups cannot be read either. Nothing brings them back. The audit log
          stays; it holds codes and times only.
        </p>
      </div>
      <TextField
        label={`Type ${patient.code}`}
        isFirst
        value={typed}
        onChange={setTyped}
        problem={submission.problemOf('/code')}
      />
      <FormFoot submission={submission} label="Erase for good" cancel={close} isDisabled={typed === ''} />
    </Form>
  );
}
