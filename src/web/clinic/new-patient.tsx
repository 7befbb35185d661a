/** Owns the making of a patient: a code for everybody, measures, consent, and what names the person kept apart. */

import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import { consentPurposes, type ConsentPurpose, type Patient, type PatientRequest } from '#contract/clinic.ts';
import { purposeWords } from '#web/clinic/clinic-words.ts';
import { MeasureFields } from '#web/clinic/measure-fields.tsx';
import { emptyMeasures, measureFields, measuresOf } from '#web/clinic/patient-form.ts';
import { CheckField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { server } from '#web/server.ts';

export function NewPatient({ close }: { close: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  // Sent again after a lost answer, it makes no second patient.
  const [id] = useState(() => uuidv7(systemClock));
  const [code, setCode] = useState('');
  const [measures, setMeasures] = useState(emptyMeasures);
  const [identity, setIdentity] = useState({ name: '', birthDate: '', recordNumber: '' });
  const [consents, setConsents] = useState<readonly ConsentPurpose[]>([]);
  const submission = useSubmit(async () => {
    const known = Object.entries(identity).filter(([, text]) => text.trim() !== '');
    const body: PatientRequest = {
      id,
      ...(code.trim() === '' ? {} : { code: code.trim() }),
      ...measuresOf(measures),
      ...(known.length === 0 ? {} : { identifiers: Object.fromEntries(known) }),
      consents: [...consents],
    };
    const patient = await server.call<Patient>('POST', '/v1/patients', { body });
    await client.invalidateQueries({ queryKey: ['patients'] });
    close();
    await navigate({ to: '/patients/$id', params: { id: patient.id } });
  }, [...measureFields, '/identifiers/name', '/identifiers/birthDate', '/identifiers/recordNumber']);
  return (
    <Form submission={submission}>
      <TextField
        label="Code"
        hint="What everybody says and writes instead of the name; Kymo makes one where it is left out"
        isOptional
        isFirst
        maxLength={32}
        value={code}
        onChange={setCode}
        problem={submission.problemOf('/code')}
      />
      <MeasureFields draft={measures} setDraft={setMeasures} submission={submission} />
      <fieldset className="checks">
        <legend>Consent given for</legend>
        {consentPurposes.map((purpose) => (
          <CheckField
            key={purpose}
            label={purposeWords[purpose]}
            isChecked={consents.includes(purpose)}
            onChange={(isGiven) =>
              setConsents(isGiven ? [...consents, purpose] : consents.filter((other) => other !== purpose))
            }
          />
        ))}
      </fieldset>
      <details className="identity-fields">
        <summary>Who it is: kept encrypted, shown only when asked for</summary>
        <div className="field-row">
          <TextField
            label="Name"
            isOptional
            maxLength={200}
            value={identity.name}
            onChange={(name) => setIdentity({ ...identity, name })}
            problem={submission.problemOf('/identifiers/name')}
          />
          <TextField
            label="Date of birth"
            type="date"
            isOptional
            value={identity.birthDate}
            onChange={(birthDate) => setIdentity({ ...identity, birthDate })}
            problem={submission.problemOf('/identifiers/birthDate')}
          />
          <TextField
            label="Record number"
            isOptional
            maxLength={64}
            value={identity.recordNumber}
            onChange={(recordNumber) => setIdentity({ ...identity, recordNumber })}
            problem={submission.problemOf('/identifiers/recordNumber')}
          />
        </div>
      </details>
      <FormFoot submission={submission} label="Create the patient" cancel={close} />
    </Form>
  );
}
