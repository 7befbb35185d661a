/** Owns the fields of what is measured of a patient; none of it names anybody. */

import { sexWords, sideWords } from '#web/clinic/clinic-words.ts';
import type { MeasuresDraft } from '#web/clinic/patient-form.ts';
import { ChoiceField, TextField, type Choice } from '#web/form/fields.tsx';
import type { Submission } from '#web/form/submit-hook.ts';

export interface MeasureFieldsProps {
  readonly draft: MeasuresDraft;
  readonly setDraft: (draft: MeasuresDraft) => void;
  readonly submission: Submission;
}

export function MeasureFields({ draft, setDraft, submission }: MeasureFieldsProps) {
  const change = (over: Partial<MeasuresDraft>): void => setDraft({ ...draft, ...over });
  return (
    <>
      <TextField
        label="Diagnosis"
        hint="A short clinical label, never a name"
        isOptional
        maxLength={200}
        value={draft.diagnosis}
        onChange={(diagnosis) => change({ diagnosis })}
        problem={submission.problemOf('/diagnosis')}
      />
      <div className="field-row">
        <ChoiceField
          label="Affected side"
          isOptional
          value={draft.affectedSide}
          onChange={(affectedSide) => change({ affectedSide })}
          choices={withNothing(sideWords)}
        />
        <ChoiceField
          label="Sex"
          isOptional
          hint="Norms differ by it"
          value={draft.sex}
          onChange={(sex) => change({ sex })}
          choices={withNothing(sexWords)}
        />
        <TextField
          label="Year of birth"
          isOptional
          inputMode="numeric"
          hint="Norms differ by age"
          value={draft.birthYear}
          onChange={(birthYear) => change({ birthYear })}
          problem={submission.problemOf('/birthYear')}
        />
        <TextField
          label="Height, cm"
          isOptional
          inputMode="decimal"
          value={draft.height}
          onChange={(height) => change({ height })}
          problem={submission.problemOf('/heightM')}
        />
        <TextField
          label="Mass, kg"
          isOptional
          inputMode="decimal"
          value={draft.mass}
          onChange={(mass) => change({ mass })}
          problem={submission.problemOf('/massKg')}
        />
      </div>
    </>
  );
}

function withNothing(words: Readonly<Record<string, string>>): Choice[] {
  const known = Object.entries(words).map(([value, label]) => ({ value, label }));
  return [{ value: '', label: 'Not known' }, ...known];
}
