/** Owns the form of what was done of a programme on a day: how often, how much it hurt, how hard it was, and words. */

import { Button } from '@mantine/core';
import { useState } from 'react';

import type { Programme, ProgrammeEntry } from '#contract/care.ts';
import { numberOf } from '#web/clinic/clinic-words.ts';
import { today } from '#web/clinic/day-words.ts';
import { writeEntry, type EntryPlace, type ProgrammeAddress } from '#web/clinic/programme-entries-query.ts';
import { AreaField, ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';

export interface DoneFormProps {
  readonly programme: Programme;
  readonly address: ProgrammeAddress;
  /** What it begins with; null: today, the first exercise. */
  readonly place: EntryPlace | null;
  /** What was written down of `place`; null: nothing yet. */
  readonly entry: ProgrammeEntry | null;
  readonly close: () => void;
}

const fields = ['/day', '/times', '/pain', '/effort', '/comment'];
const textOf = (value: number | null): string => (value === null ? '' : String(value));

export function DoneForm({ programme, address, place, entry, close }: DoneFormProps) {
  const [day, setDay] = useState(place?.day ?? today());
  const [exercise, setExercise] = useState(place?.exercise ?? programme.exercises[0]?.id ?? '');
  const [times, setTimes] = useState(textOf(entry?.times ?? 1));
  const [pain, setPain] = useState(textOf(entry?.pain ?? null));
  const [effort, setEffort] = useState(textOf(entry?.effort ?? null));
  const [comment, setComment] = useState(entry?.comment ?? '');
  const submission = useSubmit(async () => {
    const body = {
      times: wholeNumber(times, { field: '/times', most: 50 }) ?? 1,
      pain: wholeNumber(pain, { field: '/pain', most: 10 }),
      effort: wholeNumber(effort, { field: '/effort', most: 10 }),
      comment: comment.trim(),
    };
    await writeEntry(address, { day, exercise }, body);
    close();
  }, fields);
  const removal = useSubmit(async () => {
    await writeEntry(address, { day, exercise }, null);
    close();
  });
  const field = (name: string, value: string, onChange: (text: string) => void) => ({
    value,
    onChange,
    problem: submission.problemOf(name),
  });
  return (
    <Form submission={submission}>
      <div className="field-row">
        <ChoiceField
          label="Exercise"
          value={exercise}
          onChange={setExercise}
          isDisabled={entry !== null}
          choices={programme.exercises.map(({ id, name }) => ({ value: id, label: name }))}
        />
        <TextField label="Day" type="date" isDisabled={entry !== null} {...field('/day', day, setDay)} />
      </div>
      <div className="field-row">
        <TextField
          label="Times"
          hint="On this day"
          inputMode="numeric"
          {...field('/times', times, setTimes)}
        />
        <TextField
          label="Pain"
          isOptional
          hint="0 none, 10 worst"
          inputMode="numeric"
          {...field('/pain', pain, setPain)}
        />
        <TextField
          label="Effort"
          isOptional
          hint="0 none, 10 most"
          inputMode="numeric"
          {...field('/effort', effort, setEffort)}
        />
      </div>
      <AreaField
        label="In words"
        isOptional
        rows={2}
        maxLength={500}
        {...field('/comment', comment, setComment)}
      />
      <FormFoot submission={submission} label="Write it down" cancel={close} isDisabled={day === ''}>
        {entry !== null && (
          <Button variant="default" className="danger" disabled={removal.isBusy} onClick={removal.run}>
            It was not done
          </Button>
        )}
      </FormFoot>
      {removal.general !== null && (
        <p className="needs-action small" role="alert">
          {removal.general}
        </p>
      )}
    </Form>
  );
}

/** Null for nothing. */
function wholeNumber(
  text: string,
  { field, most }: { readonly field: string; readonly most: number },
): number | null {
  const value = numberOf(text);
  if (value === null || (Number.isInteger(value) && value >= 0 && value <= most)) return value;
  throw wrong(field, `A whole number from 0 to ${most}`);
}
