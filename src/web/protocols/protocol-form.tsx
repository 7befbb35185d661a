/** Owns the form of a protocol: sensors by segment, tasks in their order. Sessions keep the revision they were planned by. */

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import { visitLimits, type Protocol, type ProtocolRequest } from '#contract/visit.ts';
import { segments } from '#motion/body-model.ts';
import { AreaField, CheckField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { formatSegment } from '#web/format.ts';
import { server } from '#web/server.ts';
import { tasksOf, tasksText } from '#web/protocols/task-text.ts';

type Segments = ProtocolRequest['segments'];

export function ProtocolForm({ protocol, close }: { protocol: Protocol | null; close: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState(protocol?.name ?? '');
  const [description, setDescription] = useState(protocol?.description ?? '');
  const [tasks, setTasks] = useState(() => tasksText(protocol?.tasks ?? []));
  const [chosen, setChosen] = useState<Segments>(protocol?.segments ?? []);
  const submission = useSubmit(async () => {
    const content: ProtocolRequest = {
      name: name.trim(),
      description,
      tasks: tasksOf(tasks, protocol?.tasks ?? []),
      segments: chosen,
    };
    if (protocol === null) await server.call('POST', '/v1/protocols', { body: content });
    else
      await server.call('PUT', `/v1/protocols/${protocol.id}`, {
        body: { ...content, revision: protocol.revision },
      });
    await client.invalidateQueries({ queryKey: ['protocols'] });
    close();
  }, ['/name', '/description', '/tasks']);
  // What a protocol asks for that this page does not know stays in it.
  const known = [...segments, ...chosen.map(({ segment }) => segment)];
  return (
    <Form submission={submission}>
      <TextField
        label="Name"
        isFirst
        maxLength={visitLimits.protocolNameCharacters}
        value={name}
        onChange={setName}
        problem={submission.problemOf('/name')}
      />
      <fieldset className="checks">
        <legend>Sensors that it needs</legend>
        {[...new Set<string>(known)].map((segment) => (
          <CheckField
            key={segment}
            label={formatSegment(segment)}
            isChecked={chosen.some((one) => one.segment === segment)}
            onChange={(isNeeded) =>
              setChosen(
                isNeeded
                  ? [...chosen, { segment, isRequired: true }]
                  : chosen.filter((one) => one.segment !== segment),
              )
            }
          />
        ))}
      </fieldset>
      <AreaField
        label="Tasks"
        isOptional
        rows={5}
        hint="One a line, with its seconds behind it where it has some: Walk 10 metres, 30"
        value={tasks}
        onChange={setTasks}
        problem={submission.problemOf('/tasks')}
      />
      <AreaField
        label="Description"
        isOptional
        rows={2}
        maxLength={visitLimits.textCharacters}
        value={description}
        onChange={setDescription}
        problem={submission.problemOf('/description')}
      />
      <FormFoot submission={submission} label="Save" cancel={close} isDisabled={name.trim() === ''} />
    </Form>
  );
}
