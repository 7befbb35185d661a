/** Owns the page of one webhook: where it goes and how it is, what can be done with it, and the log of its deliveries. */

import { Button, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';

import type { WebhookEndpoint, WebhookSecret } from '#contract/webhooks.ts';
import { ConfirmDialog } from '#web/form/confirm-dialog.tsx';
import { Dialog } from '#web/form/dialog.tsx';
import { ChoiceField, Form, FormFoot } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { Instant } from '#web/list/instant.tsx';
import { NotFound, ProblemState } from '#web/page-states.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { queryClient, server } from '#web/server.ts';
import { DeliveryTable, type DeliveryState } from '#web/webhooks/delivery-table.tsx';
import { WebhookForm } from '#web/webhooks/webhook-form.tsx';
import { ShowSecret } from '#web/webhooks/webhook-list.tsx';
import { changeWebhook, readWebhooks, webhooksQuery } from '#web/webhooks/webhook-queries.ts';
import { WebhookState } from '#web/webhooks/webhook-state.tsx';
import { eventsWords, hostOf } from '#web/webhooks/webhook-words.ts';

export interface WebhookPageProps {
  readonly id: string;
  readonly state: DeliveryState | undefined;
  readonly setState: (state: DeliveryState | undefined) => void;
}

export function WebhookPage({ id, state, setState }: WebhookPageProps) {
  const list = useQuery(webhooksQuery);
  const endpoint = list.data?.endpoints.find((one) => one.id === id);
  usePageTitle('Webhook');
  if (list.isLoadingError) return <ProblemState error={list.error} retry={() => void list.refetch()} />;
  if (list.data !== undefined && endpoint === undefined) return <NotFound />;
  return (
    <div className="page" aria-busy={endpoint === undefined}>
      <div className="page-head">
        <h1>
          <Link to="/webhooks" className="crumb">
            Webhooks
          </Link>{' '}
          <span className="muted" aria-hidden="true">
            /
          </span>{' '}
          {endpoint === undefined ? <span className="muted">reading</span> : hostOf(endpoint.url)}
        </h1>
        <span className="shell-space" />
        {endpoint !== undefined && <Actions endpoint={endpoint} />}
      </div>
      {endpoint === undefined ? (
        <div className="card">
          <Skeleton height={140} animate={false} />
        </div>
      ) : (
        <>
          <Facts endpoint={endpoint} />
          <DeliveryTable endpoint={endpoint} state={state} setState={setState} />
        </>
      )}
    </div>
  );
}

function Facts({ endpoint }: { endpoint: WebhookEndpoint }) {
  const { url, description, events, previousSecretUntil, createdAt } = endpoint;
  return (
    <section className="card" aria-label="This webhook">
      <dl className="facts webhook-facts">
        <div>
          <dt>State</dt>
          <dd>
            <WebhookState endpoint={endpoint} />
          </dd>
        </div>
        <div>
          <dt>Address</dt>
          <dd className="address">{url}</dd>
        </div>
        {description !== '' && (
          <div>
            <dt>What it is for</dt>
            <dd>{description}</dd>
          </div>
        )}
        <div>
          <dt>Told of</dt>
          <dd>{eventsWords(events)}</dd>
        </div>
        {previousSecretUntil !== null && (
          <div>
            <dt>Secret</dt>
            <dd>
              The one before signs too, until <Instant at={previousSecretUntil} />
            </dd>
          </div>
        )}
        <div>
          <dt>Added</dt>
          <dd>
            <Instant at={createdAt} />
          </dd>
        </div>
      </dl>
    </section>
  );
}

type Asked = 'change' | 'secret' | 'pause' | 'delete';

function Actions({ endpoint }: { endpoint: WebhookEndpoint }) {
  const navigate = useNavigate();
  const [asked, setAsked] = useState<Asked | null>(null);
  const close = (): void => setAsked(null);
  const { id, isEnabled } = endpoint;
  const name = hostOf(endpoint.url);
  const test = useSubmit(async () => {
    await server.call('POST', `/v1/webhooks/${id}/test`, { body: {} });
    await queryClient.invalidateQueries({ queryKey: ['deliveries', id] });
  });
  const resume = useSubmit(() => changeWebhook(endpoint, { isEnabled: true }));
  return (
    <div className="page-actions">
      <span className="needs-action small" role="status">
        {test.general ?? resume.general}
      </span>
      {isEnabled ? (
        <Button variant="default" className="primary" disabled={test.isBusy} onClick={test.run}>
          Send a test
        </Button>
      ) : (
        <Button variant="default" className="primary" disabled={resume.isBusy} onClick={resume.run}>
          Switch it on
        </Button>
      )}
      <Button variant="default" onClick={() => setAsked('change')}>
        Change
      </Button>
      <Button variant="default" onClick={() => setAsked('secret')}>
        New secret
      </Button>
      {isEnabled && (
        <Button variant="default" onClick={() => setAsked('pause')}>
          Pause
        </Button>
      )}
      <Button variant="default" className="danger" onClick={() => setAsked('delete')}>
        Delete
      </Button>
      <Dialog title={`Change ${name}`} isOpen={asked === 'change'} close={close}>
        <WebhookForm
          endpoint={endpoint}
          label="Save"
          close={close}
          save={async (body) => {
            await changeWebhook(endpoint, body);
            close();
          }}
        />
      </Dialog>
      <Dialog title="A new secret" isOpen={asked === 'secret'} close={close}>
        <NewSecret endpoint={endpoint} close={close} />
      </Dialog>
      <ConfirmDialog
        title={`Pause ${name}`}
        isOpen={asked === 'pause'}
        close={close}
        label="Pause it"
        act={() => changeWebhook(endpoint, { isEnabled: false })}
      >
        <p>
          It is told of nothing that happens meanwhile. What still waits is given up; the log keeps it, and it
          can be sent again from there when the webhook is on.
        </p>
      </ConfirmDialog>
      <ConfirmDialog
        title={`Delete ${name}`}
        isOpen={asked === 'delete'}
        close={close}
        label="Delete it"
        act={async () => {
          await server.call('DELETE', `/v1/webhooks/${id}`);
          await navigate({ to: '/webhooks' });
          await readWebhooks();
        }}
      >
        <p>
          It is told of nothing more, and the log of its deliveries goes with it. To stop for a while, pause
          it.
        </p>
      </ConfirmDialog>
    </div>
  );
}

/** How long the secret before signs too, so that a receiver changes over when it likes. */
const graces = [
  { value: '0', label: 'At once: the old one is not to be trusted' },
  { value: '3600', label: 'After an hour' },
  { value: '86400', label: 'After a day' },
  { value: '604800', label: 'After a week' },
] as const;

function NewSecret({ endpoint, close }: { endpoint: WebhookEndpoint; close: () => void }) {
  const [grace, setGrace] = useState('86400');
  const [made, setMade] = useState<WebhookSecret | null>(null);
  const submission = useSubmit(async () => {
    const body = { graceSeconds: Number(grace) };
    setMade(await server.call<WebhookSecret>('POST', `/v1/webhooks/${endpoint.id}/secret`, { body }));
    await readWebhooks();
  });
  if (made !== null) return <ShowSecret made={made} close={close} />;
  return (
    <Form submission={submission}>
      <div className="dialog-words">
        <p>Until the old one ends, every message is signed with both.</p>
      </div>
      <ChoiceField label="The old one ends" value={grace} onChange={setGrace} choices={graces} />
      <FormFoot submission={submission} label="Make a new secret" cancel={close} />
    </Form>
  );
}
