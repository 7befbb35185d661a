/** Owns the programmes of exercises of a patient: what is asked for, how much of it was done, and writing down today's. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import {
  careLimits,
  type Exercise,
  type Programme,
  type ProgrammePage,
  type ProgrammeRequest,
} from '#contract/care.ts';
import { useMay } from '#web/account/account-context.ts';
import { numberOf } from '#web/clinic/clinic-words.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { AreaField, ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { DASH } from '#web/format.ts';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';
import { server } from '#web/server.ts';

type Asked =
  | { readonly name: 'edit'; readonly programme: Programme | null }
  | { readonly name: 'done'; readonly programme: Programme };

export function ProgrammesCard({ patientId }: { patientId: string }) {
  const may = useMay();
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
        <h2 id="programmes-title">Programmes</h2>
        {may('patient.write') && (
          <Button variant="default" size="xs" onClick={() => setAsked({ name: 'edit', programme: null })}>
            Add a programme
          </Button>
        )}
      </div>
      <PlainPages
        pages={pages}
        keyOf={({ id }) => id}
        empty="No programme yet: exercises with how often a week, and what was done of them."
      >
        {(programme) => (
          <div className="note">
            <ProgrammeWords programme={programme} />
            {may('patient.write') && (
              <div className="note-actions">
                {programme.state === 'active' && (
                  <button
                    type="button"
                    className="text-button small"
                    onClick={() => setAsked({ name: 'done', programme })}
                  >
                    Write down what was done
                  </button>
                )}
                <button
                  type="button"
                  className="text-button small"
                  onClick={() => setAsked({ name: 'edit', programme })}
                >
                  Change
                </button>
              </div>
            )}
          </div>
        )}
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
        {asked?.name === 'done' && <DoneForm {...{ path, saved, close }} programme={asked.programme} />}
      </Dialog>
    </section>
  );
}

function ProgrammeWords({ programme }: { programme: Programme }) {
  const { title, state, beginsOn, endsOn, exercises, adherence } = programme;
  const { asked, done, share, lastDoneOn } = adherence;
  return (
    <>
      <p>
        <strong>{title}</strong> {state !== 'active' && <span className="tag">{state}</span>}{' '}
        <span className="muted small">
          from {beginsOn}
          {endsOn !== null && ` to ${endsOn}`}
        </span>
      </p>
      <ul className="exercises small">
        {exercises.map((exercise) => (
          <li key={exercise.id}>
            {exercise.name} <span className="muted">{amountWords(exercise)}</span>
          </li>
        ))}
      </ul>
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
                ({done} of {asked} times{lastDoneOn !== null && `, last on ${lastDoneOn}`})
              </span>
            </>
          )}
        </span>
      </div>
    </>
  );
}

function amountWords({ sets, repetitions, durationS, timesPerWeek }: Exercise): string {
  const parts = [
    sets === null ? null : `${sets} sets`,
    repetitions === null ? null : `${repetitions} times`,
    durationS === null ? null : `${durationS}\u202fs`,
    `${timesPerWeek} a week`,
  ];
  return parts.filter((part) => part !== null).join(', ');
}

interface ExerciseDraft {
  readonly id: string;
  readonly name: string;
  readonly sets: string;
  readonly repetitions: string;
  readonly timesPerWeek: string;
  readonly durationS: number | null;
}

const newExercise = (id: string): ExerciseDraft => ({
  id,
  name: '',
  sets: '3',
  repetitions: '10',
  timesPerWeek: '5',
  durationS: null,
});

function draftOf({ id, name, sets, repetitions, timesPerWeek, durationS }: Exercise): ExerciseDraft {
  return {
    id,
    name,
    sets: sets === null ? '' : String(sets),
    repetitions: repetitions === null ? '' : String(repetitions),
    timesPerWeek: String(timesPerWeek),
    durationS,
  };
}

function exerciseOf(draft: ExerciseDraft, index: number): Exercise {
  const count = (text: string, name: string): number | null => {
    const value = numberOf(text);
    if (value !== null && !Number.isInteger(value))
      throw wrong(`/exercises/${index}/${name}`, 'A whole number, or nothing');
    return value;
  };
  const timesPerWeek = count(draft.timesPerWeek, 'timesPerWeek');
  if (timesPerWeek === null) throw wrong(`/exercises/${index}/timesPerWeek`, 'How often a week');
  if (draft.name.trim() === '') throw wrong(`/exercises/${index}/name`, 'What is done');
  return {
    id: draft.id,
    name: draft.name.trim(),
    sets: count(draft.sets, 'sets'),
    repetitions: count(draft.repetitions, 'repetitions'),
    durationS: draft.durationS,
    timesPerWeek,
  };
}

interface ProgrammeFormProps {
  readonly path: string;
  readonly saved: () => Promise<void>;
  readonly close: () => void;
}

const exerciseFields = ['name', 'sets', 'repetitions', 'timesPerWeek'];

function ProgrammeForm({
  programme,
  path,
  saved,
  close,
}: ProgrammeFormProps & { programme: Programme | null }) {
  const [title, setTitle] = useState(programme?.title ?? '');
  const [instructions, setInstructions] = useState(programme?.instructions ?? '');
  const [beginsOn, setBeginsOn] = useState(programme?.beginsOn ?? today());
  const [state, setState] = useState<string>(programme?.state ?? 'active');
  const [exercises, setExercises] = useState<readonly ExerciseDraft[]>(
    programme?.exercises.map(draftOf) ?? [newExercise('exercise-1')],
  );
  const fields = exercises.flatMap((_, i) => exerciseFields.map((name) => `/exercises/${i}/${name}`));
  const submission = useSubmit(async () => {
    const body: ProgrammeRequest = {
      title: title.trim(),
      instructions,
      beginsOn,
      endsOn: programme?.endsOn ?? null,
      state: state as Programme['state'],
      exercises: exercises.map(exerciseOf),
      ...(programme === null ? {} : { revision: programme.revision }),
    };
    if (programme === null) await server.call('POST', path, { body });
    else await server.call('PUT', `${path}/${programme.id}`, { body });
    await saved();
  }, ['/title', '/beginsOn', '/instructions', ...fields]);
  return (
    <Form submission={submission}>
      <div className="field-row">
        <TextField
          label="Title"
          isFirst
          maxLength={120}
          value={title}
          onChange={setTitle}
          problem={submission.problemOf('/title')}
        />
        <TextField
          label="From"
          type="date"
          value={beginsOn}
          onChange={setBeginsOn}
          problem={submission.problemOf('/beginsOn')}
        />
        {programme !== null && (
          <ChoiceField
            label="State"
            value={state}
            onChange={setState}
            choices={['active', 'paused', 'ended'].map((name) => ({ value: name, label: name }))}
          />
        )}
      </div>
      {exercises.map((exercise, i) => (
        <ExerciseFields
          key={exercise.id}
          exercise={exercise}
          problemOf={(name) => submission.problemOf(`/exercises/${i}/${name}`)}
          change={(over) =>
            setExercises(exercises.map((other, at) => (at === i ? { ...other, ...over } : other)))
          }
        />
      ))}
      {exercises.length < careLimits.exercises && (
        <button
          type="button"
          className="text-button"
          onClick={() => setExercises([...exercises, newExercise(freeId(exercises))])}
        >
          Another exercise
        </button>
      )}
      <AreaField
        label="Instructions"
        isOptional
        maxLength={4000}
        value={instructions}
        onChange={setInstructions}
        problem={submission.problemOf('/instructions')}
      />
      <FormFoot submission={submission} label="Save" cancel={close} isDisabled={title.trim() === ''} />
    </Form>
  );
}

/** Entries name an exercise by its id, so one that was taken out never lends its id to another. */
function freeId(exercises: readonly ExerciseDraft[]): string {
  const numbers = exercises.map(({ id }) => Number(/^exercise-(\d+)$/.exec(id)?.[1] ?? 0));
  return `exercise-${Math.max(0, ...numbers) + 1}`;
}

/** In the time zone of the person, as a form takes it. */
function today(): string {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

interface ExerciseFieldsProps {
  readonly exercise: ExerciseDraft;
  readonly problemOf: (name: string) => string | null;
  readonly change: (over: Partial<ExerciseDraft>) => void;
}

function ExerciseFields({ exercise, problemOf, change }: ExerciseFieldsProps) {
  return (
    <div className="field-row exercise-row">
      <TextField
        label="Exercise"
        maxLength={120}
        value={exercise.name}
        onChange={(name) => change({ name })}
        problem={problemOf('name')}
      />
      <TextField
        label="Sets"
        inputMode="numeric"
        value={exercise.sets}
        onChange={(sets) => change({ sets })}
        problem={problemOf('sets')}
      />
      <TextField
        label="Times each"
        inputMode="numeric"
        value={exercise.repetitions}
        onChange={(repetitions) => change({ repetitions })}
        problem={problemOf('repetitions')}
      />
      <TextField
        label="A week"
        inputMode="numeric"
        value={exercise.timesPerWeek}
        onChange={(timesPerWeek) => change({ timesPerWeek })}
        problem={problemOf('timesPerWeek')}
      />
    </div>
  );
}

function DoneForm({ programme, path, saved, close }: ProgrammeFormProps & { programme: Programme }) {
  const [day, setDay] = useState(today());
  const [exercise, setExercise] = useState(programme.exercises[0]?.id ?? '');
  const [times, setTimes] = useState('1');
  const [pain, setPain] = useState('');
  const submission = useSubmit(async () => {
    const [count, level] = [numberOf(times), numberOf(pain)];
    if (count === null || !Number.isInteger(count)) throw wrong('/times', 'How many times on this day');
    if (level !== null && !Number.isInteger(level)) throw wrong('/pain', 'From 0 (none) to 10, or nothing');
    const address = `${path}/${programme.id}/entries/${day}/${exercise}`;
    await server.call('PUT', address, { body: { times: count, pain: level } });
    await saved();
  }, ['/times', '/pain']);
  return (
    <Form submission={submission}>
      <ChoiceField
        label="Exercise"
        value={exercise}
        onChange={setExercise}
        choices={programme.exercises.map(({ id, name }) => ({ value: id, label: name }))}
      />
      <div className="field-row">
        <TextField label="Day" type="date" value={day} onChange={setDay} />
        <TextField
          label="Times"
          inputMode="numeric"
          value={times}
          onChange={setTimes}
          problem={submission.problemOf('/times')}
        />
        <TextField
          label="Pain"
          isOptional
          hint="0 to 10"
          inputMode="numeric"
          value={pain}
          onChange={setPain}
          problem={submission.problemOf('/pain')}
        />
      </div>
      <FormFoot submission={submission} label="Write it down" cancel={close} isDisabled={day === ''} />
    </Form>
  );
}
