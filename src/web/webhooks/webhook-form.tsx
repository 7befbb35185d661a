/** Owns the form of a webhook: where it goes, what it is told of, and what it is for. */

import { useState } from 'react';

import type { WebhookEndpoint, WebhookEndpointRequest } from '#contract/webhooks.ts';
import { CheckField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit, wrong } from '#web/form/submit-hook.ts';
import { eventChoices, eventWords, type WebhookEventType } from '#web/webhooks/webhook-words.ts';

export interface WebhookFormProps {
  /** Null: a new one. */
  readonly endpoint: WebhookEndpoint | null;
  readonly label: string;
  readonly save: (body: Required<WebhookEndpointRequest>) => Promise<void>;
  readonly close: () => void;
}

export function WebhookForm({ endpoint, label, save, close }: WebhookFormProps) {
  const [url, setUrl] = useState(endpoint?.url ?? '');
  const [description, setDescription] = useState(endpoint?.description ?? '');
  const [isAll, setIsAll] = useState(endpoint === null || endpoint.events.length === 0);
  const [chosen, setChosen] = useState<readonly WebhookEventType[]>(endpoint?.events ?? []);
  const submission = useSubmit(async () => {
    if (!isAll && chosen.length === 0) throw wrong('/events', 'Choose at least one event, or all');
    await save({ url: url.trim(), description: description.trim(), events: isAll ? [] : [...chosen] });
  }, ['/url', '/description']);
  return (
    <Form submission={submission}>
      <TextField
        label="Address"
        type="url"
        hint="Of your receiver: https, reachable from the internet"
        placeholder="https://hooks.example.org/kymo"
        isFirst
        maxLength={2000}
        value={url}
        onChange={setUrl}
        problem={submission.problemOf('/url')}
      />
      <TextField
        label="What it is for"
        isOptional
        maxLength={200}
        value={description}
        onChange={setDescription}
        problem={submission.problemOf('/description')}
      />
      <fieldset className="checks">
        <legend>It is told of</legend>
        <CheckField label="Everything, also what is added later" isChecked={isAll} onChange={setIsAll} />
        {eventChoices.map((type) => (
          <CheckField
            key={type}
            label={
              <>
                {eventWords[type]} <code className="muted small">{type}</code>
              </>
            }
            isChecked={isAll || chosen.includes(type)}
            isDisabled={isAll}
            onChange={(isChecked) =>
              setChosen(isChecked ? [...chosen, type] : chosen.filter((other) => other !== type))
            }
          />
        ))}
      </fieldset>
      <FormFoot submission={submission} label={label} cancel={close} isDisabled={url.trim() === ''} />
    </Form>
  );
}
