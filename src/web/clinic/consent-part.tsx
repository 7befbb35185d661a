/** Owns consent and identity: for what a patient has agreed, since when, and who it is, which is shown only when asked for. */

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { consentPurposes, type ConsentPurpose, type ConsentRecord, type Patient } from '#contract/clinic.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { useAuthorWords } from '#web/clinic/author-words.ts';
import { purposeWords } from '#web/clinic/clinic-words.ts';
import { IdentityCard } from '#web/clinic/identity-card.tsx';
import { PatientData } from '#web/clinic/patient-data.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

export function ConsentPart({ patient }: { patient: Patient }) {
  const { role } = useAccount();
  return (
    <div className="record">
      <Consent patient={patient} />
      <div className="record-side">
        <IdentityCard patient={patient} isOwn={role === 'patient'} />
        {role !== 'patient' && <PatientData patient={patient} />}
      </div>
    </div>
  );
}

interface Asked {
  readonly purpose: ConsentPurpose;
  readonly decision: 'granted' | 'withdrawn';
}

function Consent({ patient: { id } }: { patient: Patient }) {
  const may = useMay();
  const { role } = useAccount();
  const [asked, setAsked] = useState<Asked | null>(null);
  const record = useQuery({
    queryKey: ['consents', id],
    queryFn: ({ signal }) => server.call<ConsentRecord>('GET', `/v1/patients/${id}/consents`, { signal }),
  });
  const granted = record.data?.granted ?? [];
  return (
    <section className="card" aria-labelledby="consent-title" aria-busy={record.isPending}>
      <h2 id="consent-title">Consent</h2>
      {role === 'patient' && (
        <p className="muted list-note">
          What you have agreed to. You may withdraw it at any time, without a reason: tell your clinic, which
          writes it down here.
        </p>
      )}
      {record.isError && <ProblemNotice error={record.error} retry={() => void record.refetch()} />}
      <ul className="plain-list">
        {consentPurposes.map((purpose) => {
          const isGranted = granted.includes(purpose);
          return (
            <li key={purpose}>
              <span>
                {purposeWords[purpose]}{' '}
                <span className={isGranted ? 'tag' : 'muted small'}>
                  {record.data === undefined ? '' : isGranted ? 'granted' : 'not granted'}
                </span>
              </span>
              {may('patient.write') && record.data !== undefined && (
                <Button
                  variant="default"
                  size="xs"
                  aria-label={`${isGranted ? 'Withdraw' : 'Grant'}: ${purposeWords[purpose]}`}
                  onClick={() => setAsked({ purpose, decision: isGranted ? 'withdrawn' : 'granted' })}
                >
                  {isGranted ? 'Withdraw' : 'Grant'}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
      {record.data !== undefined && <ConsentHistory history={record.data.history} />}
      <Dialog
        title={asked?.decision === 'withdrawn' ? 'Consent is withdrawn' : 'Consent is given'}
        isOpen={asked !== null}
        close={() => setAsked(null)}
      >
        {asked !== null && <DecisionForm patientId={id} asked={asked} close={() => setAsked(null)} />}
      </Dialog>
    </section>
  );
}

function ConsentHistory({ history }: { history: ConsentRecord['history'] }) {
  const authorWords = useAuthorWords();
  if (history.length === 0) return <p className="muted list-note">No decision was written down yet.</p>;
  return (
    <>
      <h3 className="sub-title">Every decision</h3>
      <ol className="plain-list small" reversed>
        {history.map((consent) => (
          <li key={consent.id}>
            <span>
              {purposeWords[consent.purpose]}: {consent.decision}
              {consent.reference !== '' && `, ${consent.reference}`}
            </span>
            <span className="muted">
              <Instant at={consent.decidedAt} />, {authorWords(consent.recordedBy)}
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}

interface DecisionFormProps {
  readonly patientId: string;
  readonly asked: Asked;
  readonly close: () => void;
}

function DecisionForm({ patientId, asked, close }: DecisionFormProps) {
  const client = useQueryClient();
  const [reference, setReference] = useState('');
  const submission = useSubmit(async () => {
    const body = { ...asked, ...(reference.trim() === '' ? {} : { reference: reference.trim() }) };
    await server.call('POST', `/v1/patients/${patientId}/consents`, { body });
    await client.invalidateQueries({ queryKey: ['consents', patientId] });
    await client.invalidateQueries({ queryKey: ['patient', patientId] });
    close();
  }, ['/reference']);
  return (
    <Form submission={submission}>
      <div className="dialog-words">
        <p>
          {purposeWords[asked.purpose]}, from now on. The decision and its time are kept; nothing that was
          recorded before is deleted by it.
        </p>
      </div>
      <TextField
        label="Reference"
        hint="Such as the number of the signed form; never a name"
        isOptional
        isFirst
        maxLength={200}
        value={reference}
        onChange={setReference}
        problem={submission.problemOf('/reference')}
      />
      <FormFoot submission={submission} label="Write it down" cancel={close} />
    </Form>
  );
}
