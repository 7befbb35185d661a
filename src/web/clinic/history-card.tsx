/** Owns the medical history of a patient: what happened or was found when, and writing it down. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { HistoryEntry, HistoryPage } from '#contract/care.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { AreaField, ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';
import { server } from '#web/server.ts';

const kindWords: Readonly<Record<HistoryEntry['kind'], string>> = {
  diagnosis: 'Diagnosis',
  surgery: 'Surgery',
  injury: 'Injury',
  medication: 'Medication',
  fall: 'Fall',
  aid: 'Walking aid',
  other: 'Other',
};

export function HistoryCard({ patientId }: { patientId: string }) {
  const may = useMay();
  const { role } = useAccount();
  const client = useQueryClient();
  const [edited, setEdited] = useState<HistoryEntry | 'new' | null>(null);
  const [removed, setRemoved] = useState<HistoryEntry | null>(null);
  const path = `/v1/patients/${patientId}/history`;
  const pages = usePages({ key: ['history', patientId], path, rowsOf: (page: HistoryPage) => page.entries });
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['history', patientId] });
  return (
    <section className="card" aria-labelledby="history-title">
      <div className="card-head">
        <h2 id="history-title">History</h2>
        {may('patient.write') && (
          <Button variant="default" size="xs" onClick={() => setEdited('new')}>
            Add
          </Button>
        )}
      </div>
      <PlainPages
        pages={pages}
        keyOf={({ id }) => id}
        empty={
          role === 'patient'
            ? 'Your clinic has written nothing down here yet: diagnoses, surgery, falls, medication, walking aids.'
            : 'Nothing is written down yet: diagnoses, surgery, falls, medication, walking aids.'
        }
      >
        {(entry) => (
          <div className="note">
            <p className="muted small">
              {kindWords[entry.kind]}
              {entry.begunOn !== null && `, from ${entry.begunOn}`}
              {entry.endedOn !== null && ` to ${entry.endedOn}`}
            </p>
            <p className="talk-text">{entry.text}</p>
            {may('patient.write') && (
              <div className="note-actions">
                <button type="button" className="text-button small" onClick={() => setEdited(entry)}>
                  Change
                </button>
                <button type="button" className="text-button small" onClick={() => setRemoved(entry)}>
                  Remove
                </button>
              </div>
            )}
          </div>
        )}
      </PlainPages>
      <Dialog
        title={edited === 'new' ? 'Add to the history' : 'Change the entry'}
        isOpen={edited !== null}
        close={() => setEdited(null)}
      >
        <EntryForm
          entry={edited === 'new' ? null : edited}
          close={() => setEdited(null)}
          save={async (body) => {
            if (edited === 'new' || edited === null) await server.call('POST', path, { body });
            else
              await server.call('PUT', `${path}/${edited.id}`, {
                body: { ...body, revision: edited.revision },
              });
            await read();
          }}
        />
      </Dialog>
      <ConfirmDialog
        title="Remove the entry"
        isOpen={removed !== null}
        close={() => setRemoved(null)}
        label="Remove"
        act={async () => {
          await server.call('DELETE', `${path}/${removed?.id}`);
          await read();
        }}
      >
        <p>“{removed?.text}” is removed from the history.</p>
      </ConfirmDialog>
    </section>
  );
}

interface EntryFormProps {
  readonly entry: HistoryEntry | null;
  readonly close: () => void;
  readonly save: (body: object) => Promise<void>;
}

function EntryForm({ entry, close, save }: EntryFormProps) {
  const [kind, setKind] = useState<string>(entry?.kind ?? 'diagnosis');
  const [text, setText] = useState(entry?.text ?? '');
  const [begunOn, setBegunOn] = useState(entry?.begunOn ?? '');
  const [endedOn, setEndedOn] = useState(entry?.endedOn ?? '');
  const submission = useSubmit(async () => {
    await save({
      kind,
      text: text.trim(),
      begunOn: begunOn === '' ? null : begunOn,
      endedOn: endedOn === '' ? null : endedOn,
    });
    close();
  }, ['/text', '/begunOn', '/endedOn']);
  return (
    <Form submission={submission}>
      <ChoiceField
        label="Kind"
        value={kind}
        onChange={setKind}
        choices={Object.entries(kindWords).map(([value, label]) => ({ value, label }))}
      />
      <AreaField
        label="What"
        maxLength={2000}
        value={text}
        onChange={setText}
        problem={submission.problemOf('/text')}
      />
      <div className="field-row">
        <TextField
          label="From"
          type="date"
          isOptional
          value={begunOn}
          onChange={setBegunOn}
          problem={submission.problemOf('/begunOn')}
        />
        <TextField
          label="To"
          type="date"
          isOptional
          value={endedOn}
          onChange={setEndedOn}
          problem={submission.problemOf('/endedOn')}
        />
      </div>
      <FormFoot submission={submission} label="Save" cancel={close} isDisabled={text.trim() === ''} />
    </Form>
  );
}
