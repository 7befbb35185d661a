/** Owns the goals of a patient: in words, with a figure to reach where there is one, and whether it is reached. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { Goal, GoalPage, GoalRequest } from '#contract/care.ts';
import { metricCatalogue, metricOf } from '#motion/metric-catalogue.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { numberOf } from '#web/clinic/clinic-words.ts';
import { dayWords } from '#web/clinic/day-words.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';
import { formatFixed, unitWords, withUnit } from '#web/motion/metric-rows.ts';
import { server } from '#web/server.ts';

/** Figures that a person can aim at: one number each, the same in every session. */
const aims = metricCatalogue.filter(({ group }) => ['pace', 'time', 'distance'].includes(group));
const stateWords: Readonly<Record<Goal['state'], string>> = {
  open: 'open',
  reached: 'reached',
  dropped: 'dropped',
};

export function GoalsCard({ patientId }: { patientId: string }) {
  const may = useMay();
  const { role } = useAccount();
  const client = useQueryClient();
  const [edited, setEdited] = useState<Goal | 'new' | null>(null);
  const path = `/v1/patients/${patientId}/goals`;
  const pages = usePages({ key: ['goals', patientId], path, rowsOf: (page: GoalPage) => page.goals });
  const save = async (body: GoalRequest): Promise<void> => {
    if (edited === 'new' || edited === null) await server.call('POST', path, { body });
    else await server.call('PUT', `${path}/${edited.id}`, { body: { ...body, revision: edited.revision } });
    await client.invalidateQueries({ queryKey: ['goals', patientId] });
    setEdited(null);
  };
  return (
    <section className="card" aria-labelledby="goals-title">
      <div className="card-head">
        <h2 id="goals-title">Goals</h2>
        {may('patient.write') && (
          <Button variant="default" size="xs" onClick={() => setEdited('new')}>
            Add a goal
          </Button>
        )}
      </div>
      <PlainPages
        pages={pages}
        keyOf={({ id }) => id}
        empty={
          role === 'patient'
            ? 'No goal yet. What you and your clinic agree on stands here.'
            : 'No goal yet. A goal may have a figure to reach, and the newest session stands beside it.'
        }
      >
        {(goal) => (
          <div className="note">
            <p>
              <span className={goal.state === 'open' ? '' : 'muted'}>{goal.text}</span>{' '}
              {goal.state !== 'open' && <span className="tag">{stateWords[goal.state]}</span>}
            </p>
            <Aim goal={goal} />
            {may('patient.write') && (
              <div className="note-actions">
                <button type="button" className="text-button small" onClick={() => setEdited(goal)}>
                  Change
                </button>
              </div>
            )}
          </div>
        )}
      </PlainPages>
      <Dialog
        title={edited === 'new' ? 'Add a goal' : 'Change the goal'}
        isOpen={edited !== null}
        close={() => setEdited(null)}
      >
        <GoalForm goal={edited === 'new' ? null : edited} save={save} close={() => setEdited(null)} />
      </Dialog>
    </section>
  );
}

function Aim({ goal: { target, current, dueOn } }: { goal: Goal }) {
  const known = target === null ? null : metricOf(target.metric);
  const words = (value: number): string =>
    withUnit(formatFixed(value, known?.digits ?? 2), unitWords(known?.unit ?? ''));
  return (
    <p className="muted small">
      {target !== null && (
        <>
          {known?.label ?? target.metric}
          {target.side !== null && `, ${target.side}`} {target.direction.replace('-', ' ')}{' '}
          {words(target.value)}
          {'; '}
          {current === null ? (
            'not measured yet'
          ) : (
            <>
              now {words(current.value)} (<Instant at={current.startedAt} />)
            </>
          )}
        </>
      )}
      {dueOn !== null && `${target === null ? '' : ', '}until ${dayWords(dueOn)}`}
    </p>
  );
}

interface GoalFormProps {
  readonly goal: Goal | null;
  readonly save: (body: GoalRequest) => Promise<void>;
  readonly close: () => void;
}

function GoalForm({ goal, save, close }: GoalFormProps) {
  const target = goal?.target ?? null;
  const [text, setText] = useState(goal?.text ?? '');
  const [metric, setMetric] = useState(target?.metric ?? '');
  const [side, setSide] = useState(target?.side ?? '');
  const [direction, setDirection] = useState<string>(target?.direction ?? 'at-least');
  const [value, setValue] = useState(target === null ? '' : String(target.value));
  const [dueOn, setDueOn] = useState(goal?.dueOn ?? '');
  const [state, setState] = useState<string>(goal?.state ?? 'open');
  const submission = useSubmit(async () => {
    const aim = numberOf(value);
    if (metric !== '' && (aim === null || Number.isNaN(aim))) throw wrong('/target/value', 'A number');
    await save({
      text: text.trim(),
      target:
        metric === '' || aim === null
          ? null
          : {
              metric,
              side: side === '' ? null : (side as 'left' | 'right'),
              direction: direction as 'at-least' | 'at-most',
              value: aim,
            },
      dueOn: dueOn === '' ? null : dueOn,
      state: state as Goal['state'],
    });
  }, ['/text', '/target/value', '/dueOn']);
  const unit = unitWords(metricOf(metric)?.unit ?? '');
  return (
    <Form submission={submission}>
      <TextField
        label="Goal"
        hint="In the patient’s words, such as: walk to the shop without a stick"
        isFirst
        maxLength={500}
        value={text}
        onChange={setText}
        problem={submission.problemOf('/text')}
      />
      <ChoiceField
        label="Figure to reach"
        isOptional
        value={metric}
        onChange={setMetric}
        choices={[{ value: '', label: 'None' }, ...aims.map(({ name, label }) => ({ value: name, label }))]}
      />
      {metric !== '' && (
        <div className="field-row">
          <ChoiceField
            label="Side"
            value={side}
            onChange={setSide}
            choices={[
              { value: '', label: 'Whole body' },
              { value: 'left', label: 'Left' },
              { value: 'right', label: 'Right' },
            ]}
          />
          <ChoiceField
            label="Direction"
            value={direction}
            onChange={setDirection}
            choices={[
              { value: 'at-least', label: 'At least' },
              { value: 'at-most', label: 'At most' },
            ]}
          />
          <TextField
            label={unit === '' ? 'Value' : `Value, ${unit}`}
            inputMode="decimal"
            value={value}
            onChange={setValue}
            problem={submission.problemOf('/target/value')}
          />
        </div>
      )}
      <div className="field-row">
        <TextField
          label="Until"
          type="date"
          isOptional
          value={dueOn}
          onChange={setDueOn}
          problem={submission.problemOf('/dueOn')}
        />
        {goal !== null && (
          <ChoiceField
            label="State"
            value={state}
            onChange={setState}
            choices={Object.entries(stateWords).map(([name, label]) => ({ value: name, label }))}
          />
        )}
      </div>
      <FormFoot submission={submission} label="Save" cancel={close} isDisabled={text.trim() === ''} />
    </Form>
  );
}
