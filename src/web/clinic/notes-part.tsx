/** Owns what is written about a patient: notes, each with its revisions kept, and the medical history. */

import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { careLimits, type Note, type NotePage } from '#contract/care.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { useAuthorWords } from '#web/clinic/author-words.ts';
import { HistoryCard } from '#web/clinic/history-card.tsx';
import { AreaField, CheckField, Form, FormFoot } from '#web/form/fields.tsx';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';
import { server } from '#web/server.ts';

export function NotesPart({ patientId }: { patientId: string }) {
  return (
    <div className="record">
      <Notes patientId={patientId} />
      <HistoryCard patientId={patientId} />
    </div>
  );
}

interface NotesProps {
  readonly patientId: string;
  /** Only of this session, and new ones are about it. */
  readonly session?: string;
}

function Notes({ patientId, session }: NotesProps) {
  const may = useMay();
  const { role } = useAccount();
  const client = useQueryClient();
  const authorWords = useAuthorWords();
  const [edited, setEdited] = useState<Note | null>(null);
  const [withdrawn, setWithdrawn] = useState<Note | null>(null);
  const path = `/v1/patients/${patientId}/notes`;
  const pages = usePages({ key: ['notes', patientId], path, rowsOf: (page: NotePage) => page.notes });
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['notes', patientId] });
  return (
    <section className="card" aria-labelledby="notes-title">
      <h2 id="notes-title">Notes</h2>
      {may('patient.write') && (
        <NoteForm
          label="New note"
          button="Write the note"
          save={async (text, shared) => {
            const about = session === undefined ? {} : { session };
            await server.call('POST', path, { body: { text, shared, ...about } });
            await read();
          }}
        />
      )}
      <PlainPages
        pages={pages}
        keyOf={({ id }) => id}
        empty={role === 'patient' ? 'Your clinic has shared no note with you yet.' : 'No note yet.'}
      >
        {(note) => (
          <article className="note" data-withdrawn={note.withdrawnAt !== null}>
            <p className="muted small">
              <Instant at={note.createdAt} />, {authorWords(note.createdBy)}
              {note.revision > 1 && <span title="Earlier texts are kept">, changed</span>}
              {note.shared && role !== 'patient' && (
                <span className="tag note-tag">the patient reads it</span>
              )}
              {note.session !== null && (
                <>
                  {' '}
                  <Link to="/sessions/$id" params={{ id: note.session }}>
                    its session
                  </Link>
                </>
              )}
            </p>
            {note.withdrawnAt === null ? (
              <p className="talk-text">{note.text}</p>
            ) : (
              <p className="muted">Withdrawn; the text is kept in its revisions.</p>
            )}
            {note.withdrawnAt === null && may('patient.write') && (
              <div className="note-actions">
                <button type="button" className="text-button small" onClick={() => setEdited(note)}>
                  Change
                </button>
                <button type="button" className="text-button small" onClick={() => setWithdrawn(note)}>
                  Withdraw
                </button>
              </div>
            )}
          </article>
        )}
      </PlainPages>
      <Dialog title="Change the note" isOpen={edited !== null} close={() => setEdited(null)} isWide>
        {edited !== null && (
          <NoteForm
            label="Text"
            button="Save"
            note={edited}
            cancel={() => setEdited(null)}
            save={async (text, shared) => {
              const body = { text, shared, revision: edited.revision };
              await server.call('PUT', `${path}/${edited.id}`, { body });
              await read();
              setEdited(null);
            }}
          />
        )}
      </Dialog>
      <ConfirmDialog
        title="Withdraw the note"
        isOpen={withdrawn !== null}
        close={() => setWithdrawn(null)}
        label="Withdraw"
        act={async () => {
          await server.call('DELETE', `${path}/${withdrawn?.id}?revision=${withdrawn?.revision}`);
          await read();
        }}
      >
        <p>It is not shown and not found any more. That there was one, and what it said, stays on record.</p>
      </ConfirmDialog>
    </section>
  );
}

interface NoteFormProps {
  readonly label: string;
  readonly button: string;
  readonly note?: Note;
  readonly cancel?: () => void;
  readonly save: (text: string, shared: boolean) => Promise<void>;
}

function NoteForm({ label, button, note, cancel, save }: NoteFormProps) {
  const [text, setText] = useState(note?.text ?? '');
  const [shared, setShared] = useState(note?.shared ?? false);
  const submission = useSubmit(async () => {
    await save(text.trim(), shared);
    setText('');
  }, ['/text']);
  return (
    <Form submission={submission}>
      <AreaField
        label={label}
        rows={note === undefined ? 3 : 10}
        maxLength={careLimits.noteCharacters}
        value={text}
        onChange={setText}
        problem={submission.problemOf('/text')}
      />
      <FormFoot
        submission={submission}
        label={button}
        isDisabled={text.trim() === ''}
        {...(cancel === undefined ? {} : { cancel })}
      >
        <CheckField label="The patient’s own account reads it" isChecked={shared} onChange={setShared} />
      </FormFoot>
    </Form>
  );
}
