/** Owns the form of a programme: its exercises, how much and how often each, from when, and what to mind. */

import { useState } from 'react';

import { careLimits, type Exercise, type Programme, type ProgrammeRequest } from '#contract/care.ts';
import { numberOf } from '#web/clinic/clinic-words.ts';
import { today } from '#web/clinic/day-words.ts';
import { AreaField, ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { server } from '#web/server.ts';

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

export interface ProgrammeFormProps {
  /** Null: a new one. */
  readonly programme: Programme | null;
  readonly path: string;
  readonly saved: () => Promise<void>;
  readonly close: () => void;
}

const exerciseFields = ['name', 'sets', 'repetitions', 'timesPerWeek'];

export function ProgrammeForm({ programme, path, saved, close }: ProgrammeFormProps) {
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
