/** Owns the page of webhooks: where the organisation is told of events, how each is, and adding one. */

import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import type { WebhookEndpoint, WebhookSecret } from '#contract/webhooks.ts';
import { Dialog } from '#web/form/dialog.tsx';
import { SecretOnce } from '#web/form/secret-once.tsx';
import { Instant } from '#web/list/instant.tsx';
import { pagesOf } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { server } from '#web/server.ts';
import { WebhookForm } from '#web/webhooks/webhook-form.tsx';
import { readWebhooks, webhooksQuery } from '#web/webhooks/webhook-queries.ts';
import { WebhookState } from '#web/webhooks/webhook-state.tsx';
import { eventsWords, hostOf } from '#web/webhooks/webhook-words.ts';

export function WebhookList() {
  usePageTitle('Webhooks');
  const [isAdding, setIsAdding] = useState(false);
  const list = useQuery(webhooksQuery);
  const close = (): void => setIsAdding(false);
  return (
    <div className="page">
      <div className="page-head">
        <h1>Webhooks</h1>
        <p className="muted">Addresses of yours that Kymo tells of events, with ids only.</p>
        <span className="shell-space" />
        <Button variant="default" className="primary" onClick={() => setIsAdding(true)}>
          Add a webhook
        </Button>
      </div>
      <RecordTable
        caption="Webhooks of the organisation, newest first"
        columns={columns}
        pages={pagesOf(list, ({ endpoints }) => endpoints)}
        keyOf={({ id }) => id}
        empty={
          <>
            <h2>No webhook yet</h2>
            <p>
              Add the address of a program of yours. It is sent a signed message when a session ended, a
              report is ready or a job was given up, and asks the API for the rest with a key of its own.
            </p>
          </>
        }
      />
      <Dialog title="Add a webhook" isOpen={isAdding} close={close}>
        <AddWebhook close={close} />
      </Dialog>
    </div>
  );
}

const columns: readonly Column<WebhookEndpoint>[] = [
  {
    head: 'Address',
    cell: ({ id, url, description }) => (
      <>
        <Link to="/webhooks/$id" params={{ id }} className="session-link" title={url}>
          {hostOf(url)}
        </Link>
        <span className="small muted webhook-about">{description}</span>
      </>
    ),
  },
  { head: 'State', cell: (endpoint) => <WebhookState endpoint={endpoint} /> },
  { head: 'Told of', kind: 'wide-only', cell: ({ events }) => eventsWords(events) },
  { head: 'Added', kind: 'wide-only', cell: ({ createdAt }) => <Instant at={createdAt} /> },
];

function AddWebhook({ close }: { close: () => void }) {
  const [made, setMade] = useState<WebhookSecret | null>(null);
  if (made !== null) return <ShowSecret made={made} close={close} />;
  return (
    <WebhookForm
      endpoint={null}
      label="Add it"
      close={close}
      save={async (body) => {
        setMade(await server.call<WebhookSecret>('POST', '/v1/webhooks', { body }));
        await readWebhooks();
      }}
    />
  );
}

/** Also of a secret that was made anew. */
export function ShowSecret({ made, close }: { made: WebhookSecret; close: () => void }) {
  return (
    <>
      <SecretOnce
        secret={made.secret}
        name="the secret"
        words="Give this secret to the receiver, which checks every message with it:"
        kept="It is shown this once. Any library of standardwebhooks.com takes it as it is."
      />
      <div className="form-foot">
        <Button variant="default" onClick={close}>
          Close
        </Button>
      </div>
    </>
  );
}
