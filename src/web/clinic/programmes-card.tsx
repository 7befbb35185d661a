/** Owns the programmes of exercises of a patient: what is asked for, how much of it was done, and writing that down. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { Programme, ProgrammeEntry, ProgrammePage } from '#contract/care.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { dayWords } from '#web/clinic/day-words.ts';
import { DoneForm } from '#web/clinic/done-form.tsx';
import { EntryList } from '#web/clinic/entry-list.tsx';
import { ExerciseWeek } from '#web/clinic/exercise-week.tsx';
import type { EntryPlace } from '#web/clinic/programme-entries-query.ts';
import { ProgrammeForm } from '#web/clinic/programme-form.tsx';
import { amountWords } from '#web/clinic/programme-words.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { DASH } from '#web/format.ts';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';

interface AskedDone {
  readonly name: 'done';
  readonly programme: Programme;
  readonly place: EntryPlace | null;
  readonly entry: ProgrammeEntry | null;
}
type Asked = { readonly name: 'edit'; readonly programme: Programme | null } | AskedDone;

export function ProgrammesCard({ patientId }: { patientId: string }) {
  const may = useMay();
  const { role } = useAccount();
  const client = useQueryClient();
  const [asked, setAsked] = useState<Asked | null>(null);
  const path = `/v1/patients/${patientId}/programmes`;
  const pages = usePages({
    key: ['programmes', patientId],
    path,
    rowsOf: (page: ProgrammePage) => page.programmes,
  });
  const close = (): void => setAsked(null);
  const saved = async (): Promise<void> => {
    await client.invalidateQueries({ queryKey: ['programmes', patientId] });
    close();
  };
  return (
    <section className="card" aria-labelledby="programmes-title">
      <div className="card-head">
        <h2 id="programmes-title">{role === 'patient' ? 'Exercises' : 'Programmes'}</h2>
        {may('patient.write') && (
          <Button variant="default" size="xs" onClick={() => setAsked({ name: 'edit', programme: null })}>
            Add a programme
          </Button>
        )}
      </div>
      <PlainPages
        pages={pages}
        keyOf={({ id }) => id}
        empty={
          role === 'patient'
            ? 'No exercises yet. What your clinic asks you to do at home stands here, and you tick off what you did.'
            : 'No programme yet: exercises with how often a week, and what was done of them.'
        }
      >
        {(programme) => <ProgrammeShown {...{ programme, patientId, ask: setAsked }} />}
      </PlainPages>
      <Dialog
        title={asked?.programme === null ? 'Add a programme' : 'Change the programme'}
        isOpen={asked?.name === 'edit'}
        close={close}
        isWide
      >
        <ProgrammeForm programme={asked?.programme ?? null} path={path} saved={saved} close={close} />
      </Dialog>
      <Dialog title="What was done" isOpen={asked?.name === 'done'} close={close}>
        {asked?.name === 'done' && (
          <DoneForm {...asked} address={{ patientId, programmeId: asked.programme.id }} close={close} />
        )}
      </Dialog>
    </section>
  );
}

interface ProgrammeShownProps {
  readonly programme: Programme;
  readonly patientId: string;
  readonly ask: (asked: Asked) => void;
}

function ProgrammeShown({ programme, patientId, ask }: ProgrammeShownProps) {
  const may = useMay();
  const { title, state, beginsOn, endsOn, instructions, exercises } = programme;
  const address = { patientId, programmeId: programme.id };
  return (
    <div className="note programme">
      <p>
        <strong>{title}</strong> {state !== 'active' && <span className="tag">{state}</span>}{' '}
        <span className="muted small">
          from {dayWords(beginsOn)}
          {endsOn !== null && ` to ${dayWords(endsOn)}`}
        </span>
      </p>
      {instructions !== '' && <p className="talk-text">{instructions}</p>}
      <Adherence programme={programme} />
      {state === 'active' ? (
        <ExerciseWeek
          programme={programme}
          address={address}
          open={(place, entry) => ask({ name: 'done', programme, place, entry })}
        />
      ) : (
        <ul className="exercises small">
          {exercises.map((exercise) => (
            <li key={exercise.id}>
              {exercise.name} <span className="muted">{amountWords(exercise)}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="note-actions">
        {state === 'active' && may('programme.record') && (
          <button
            type="button"
            className="text-button small"
            onClick={() => ask({ name: 'done', programme, place: null, entry: null })}
          >
            Write down more
          </button>
        )}
        {may('patient.write') && (
          <button
            type="button"
            className="text-button small"
            onClick={() => ask({ name: 'edit', programme })}
          >
            Change
          </button>
        )}
      </div>
      <EntryList programme={programme} address={address} />
    </div>
  );
}

function Adherence({ programme: { title, adherence } }: { programme: Programme }) {
  const { asked, done, share, lastDoneOn } = adherence;
  return (
    <div className="adherence">
      <progress aria-label={`Done of ${title}`} max={1} value={share ?? 0} />
      <span className="small">
        {share === null ? (
          <span className="muted">{DASH} nothing was asked for yet</span>
        ) : (
          <>
            {Math.round(share * 100)}
            {'\u202f'}%{' '}
            <span className="muted">
              ({done} of {asked} times{lastDoneOn !== null && `, last on ${dayWords(lastDoneOn)}`})
            </span>
          </>
        )}
      </span>
    </div>
  );
}
