/** Owns whose recording a session is: the way to the record, and binding one that a device began by itself. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import type { PatientPage } from '#contract/clinic.ts';
import type { Visit } from '#contract/visit.ts';
import { useMay } from '#web/account/account-context.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { server } from '#web/server.ts';
import { visitCalls, visitChanged } from '#web/visit/visit-queries.ts';

export function VisitPatient({ visit }: { visit: Visit }) {
  const may = useMay();
  const [isBinding, setIsBinding] = useState(false);
  const { patient } = visit.session;
  if (patient !== null)
    return (
      <Link to="/patients/$id" params={{ id: patient.id }} className="visit-patient">
        {patient.code}
      </Link>
    );
  if (!may('session.write') || !may('patient.read')) return <span className="muted">No patient</span>;
  return (
    <>
      <button type="button" className="text-button" onClick={() => setIsBinding(true)}>
        Say whose it is
      </button>
      <Dialog title="Whose recording is it" isOpen={isBinding} close={() => setIsBinding(false)}>
        <BindPatient visit={visit} close={() => setIsBinding(false)} />
      </Dialog>
    </>
  );
}

function BindPatient({ visit, close }: { visit: Visit; close: () => void }) {
  const [code, setCode] = useState('');
  const [chosen, setChosen] = useState('');
  const wanted = code.trim();
  const found = useQuery({
    queryKey: ['patients', 'by-code', wanted],
    queryFn: ({ signal }) => {
      const query = new URLSearchParams({ limit: '20', ...(wanted === '' ? {} : { code: wanted }) });
      return server.call<PatientPage>('GET', `/v1/patients?${query.toString()}`, { signal });
    },
    placeholderData: (before) => before,
  });
  const patients = found.data?.patients ?? [];
  const shown = patients.find(({ id }) => id === chosen) ?? patients[0];
  const submission = useSubmit(async () => {
    const body = { patientId: shown?.id ?? null, revision: visit.revision };
    await visitChanged(await visitCalls.bind(visit.session.id, body));
    close();
  });
  return (
    <Form submission={submission}>
      <TextField label="Code begins with" isOptional isFirst maxLength={32} value={code} onChange={setCode} />
      <ChoiceField
        label="Patient"
        value={shown?.id ?? ''}
        onChange={setChosen}
        hint={found.isSuccess && patients.length === 0 ? 'No patient has such a code' : ''}
        choices={patients.map(({ id, code: own, diagnosis }) => ({
          value: id,
          label: diagnosis === '' ? own : `${own}, ${diagnosis}`,
        }))}
      />
      <FormFoot
        submission={submission}
        label="It is this patient’s"
        cancel={close}
        isDisabled={shown === undefined}
      />
    </Form>
  );
}
