/** Owns who a patient is: asked for by a request of its own, which the audit log has, and gone again with the page. */

import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import type { Patient, PatientIdentifiers } from '#contract/clinic.ts';
import { useMay } from '#web/account/account-context.ts';
import { AreaField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

const identifierWords: Readonly<Record<keyof PatientIdentifiers, string>> = {
  name: 'Name',
  birthDate: 'Date of birth',
  recordNumber: 'Record number',
  phone: 'Telephone',
  email: 'E-mail address',
  address: 'Address',
};
const identifierNames = Object.keys(identifierWords) as (keyof PatientIdentifiers)[];

export function IdentityCard({ patient, isOwn }: { patient: Patient; isOwn: boolean }) {
  const [isShown, setIsShown] = useState(false);
  const path = `/v1/patients/${patient.id}/identifiers`;
  const identity = useQuery({
    queryKey: ['identifiers', patient.id],
    queryFn: ({ signal }) => server.call<PatientIdentifiers>('GET', path, { signal }),
    enabled: isShown,
    // Who looked is written down, so nothing is asked for that nobody looks at, and nothing is kept.
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  return (
    <section className="card" aria-labelledby="identity-title">
      <div className="card-head">
        <h2 id="identity-title">{isOwn ? 'Your name and contact' : 'Who it is'}</h2>
        {isShown && (
          <Button variant="default" size="xs" onClick={() => setIsShown(false)}>
            Hide
          </Button>
        )}
      </div>
      {!isShown && (
        <>
          <p className="muted list-note">
            {isOwn
              ? 'Stored apart from everything else, and encrypted under a key that is yours alone. Who looks is written down.'
              : 'Name and contact are encrypted under a key of this patient. That you look is written into the audit log.'}
          </p>
          <div className="form-foot">
            <Button variant="default" size="xs" onClick={() => setIsShown(true)}>
              {isOwn ? 'Show it' : 'Show who it is'}
            </Button>
          </div>
        </>
      )}
      {isShown && identity.isError && (
        <ProblemNotice error={identity.error} retry={() => void identity.refetch()} />
      )}
      {isShown && identity.data !== undefined && (
        <IdentityForm path={path} stored={identity.data} read={() => identity.refetch()} />
      )}
    </section>
  );
}

interface IdentityFormProps {
  readonly path: string;
  readonly stored: PatientIdentifiers;
  readonly read: () => Promise<unknown>;
}

function IdentityForm({ path, stored, read }: IdentityFormProps) {
  const mayWrite = useMay()('patient.write');
  const [draft, setDraft] = useState<PatientIdentifiers>(stored);
  const changed = identifierNames.filter((name) => (draft[name] ?? '') !== (stored[name] ?? ''));
  const submission = useSubmit(
    async () => {
      const body = Object.fromEntries(
        changed.map((name) => {
          const text = (draft[name] ?? '').trim();
          return [name, text === '' ? null : text];
        }),
      );
      await server.call('PATCH', path, { body });
      await read();
    },
    identifierNames.map((name) => `/${name}`),
  );
  return (
    <Form submission={submission}>
      {identifierNames.map((name) => {
        const field = {
          label: identifierWords[name],
          isDisabled: !mayWrite,
          value: draft[name] ?? '',
          onChange: (text: string) => setDraft({ ...draft, [name]: text }),
          problem: submission.problemOf(`/${name}`),
        };
        if (name === 'address') return <AreaField key={name} rows={2} maxLength={500} {...field} />;
        return <TextField key={name} type={name === 'birthDate' ? 'date' : 'text'} {...field} />;
      })}
      {mayWrite && <FormFoot submission={submission} label="Save" isDisabled={changed.length === 0} />}
    </Form>
  );
}
