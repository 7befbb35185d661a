/** Owns the planning of a session for a patient: what it is called, what is to be recorded, and when. */

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import type { Patient } from '#contract/clinic.ts';
import { visitLimits } from '#contract/visit.ts';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { protocolsQuery, visitCalls, visitChanged } from '#web/visit/visit-queries.ts';

export function PlanSession({ patient, close }: { patient: Patient; close: () => void }) {
  const navigate = useNavigate();
  const protocols = useQuery(protocolsQuery);
  const [label, setLabel] = useState('');
  const [protocolId, setProtocolId] = useState('');
  const [plannedFor, setPlannedFor] = useState('');
  const submission = useSubmit(async () => {
    const visit = await visitCalls.plan({
      patientId: patient.id,
      protocolId: protocolId === '' ? null : protocolId,
      plannedFor: plannedFor === '' ? null : new Date(plannedFor).toISOString(),
      label: label.trim(),
    });
    await visitChanged(visit);
    close();
    await navigate({ to: '/sessions/$id', params: { id: visit.session.id } });
  }, ['/label', '/plannedFor', '/protocolId']);
  return (
    <Form submission={submission}>
      {!patient.consents.includes('recording') && (
        <p className="needs-attention list-note">
          {patient.code} has not consented to recordings of movement. The session can be planned; write the
          consent down before it starts.
        </p>
      )}
      <TextField
        label="Label"
        hint="What was done, such as: 10 metre walk. Never a name"
        isFirst
        maxLength={visitLimits.labelCharacters}
        value={label}
        onChange={setLabel}
        problem={submission.problemOf('/label')}
      />
      <ChoiceField
        label="Protocol"
        isOptional
        hint="Says which sensors are needed and what the patient does"
        value={protocolId}
        onChange={setProtocolId}
        problem={submission.problemOf('/protocolId')}
        choices={[
          { value: '', label: 'None: record what the sensors send' },
          ...(protocols.data?.protocols ?? [])
            .filter(({ archivedAt }) => archivedAt === null)
            .map(({ id, name }) => ({ value: id, label: name })),
        ]}
      />
      <TextField
        label="Time"
        type="datetime-local"
        isOptional
        hint="Left out: as soon as it is started"
        value={plannedFor}
        onChange={setPlannedFor}
        problem={submission.problemOf('/plannedFor')}
      />
      <FormFoot
        submission={submission}
        label="Plan the session"
        cancel={close}
        isDisabled={label.trim() === ''}
      />
    </Form>
  );
}
