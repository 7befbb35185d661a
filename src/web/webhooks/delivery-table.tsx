/** Owns the log of a webhook: what it was told, how often that was tried, what it answered, and telling it again. */

import { Button } from '@mantine/core';

import type { WebhookDelivery, WebhookDeliveryPage, WebhookEndpoint } from '#contract/webhooks.ts';
import { useSubmit } from '#web/form/submit-hook.ts';
import { DASH } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { usePages } from '#web/list/pages-query.ts';
import { RecordTable, type Column } from '#web/list/record-table.tsx';
import { queryClient, server } from '#web/server.ts';
import { ShortId } from '#web/session-list.tsx';
import { REFRESH_MS } from '#web/webhooks/webhook-queries.ts';
import {
  answerWords,
  deliveryStates,
  deliveryStateWords,
  eventWordsOf,
} from '#web/webhooks/webhook-words.ts';

export type DeliveryState = WebhookDelivery['state'];

export interface DeliveryTableProps {
  readonly endpoint: WebhookEndpoint;
  /** Undefined: all. */
  readonly state: DeliveryState | undefined;
  readonly setState: (state: DeliveryState | undefined) => void;
}

export function DeliveryTable({ endpoint, state, setState }: DeliveryTableProps) {
  const { id } = endpoint;
  const pages = usePages({
    key: ['deliveries', id, state ?? 'all'],
    path: `/v1/webhooks/${id}/deliveries${state === undefined ? '' : `?state=${state}`}`,
    rowsOf: (page: WebhookDeliveryPage) => page.deliveries,
    refreshMs: REFRESH_MS,
  });
  return (
    <section className="page-part" aria-labelledby="deliveries-title">
      <div className="page-head">
        <h2 id="deliveries-title" className="part-title">
          Deliveries
        </h2>
        <p className="muted small">Of the last 30 days</p>
        <span className="shell-space" />
        <label className="muted">
          Show{' '}
          <select
            className="input"
            value={state ?? ''}
            onChange={(event) => setState(deliveryStates.find((name) => name === event.currentTarget.value))}
          >
            <option value="">all</option>
            {deliveryStates.map((name) => (
              <option key={name} value={name}>
                {deliveryStateWords[name].toLowerCase()}
              </option>
            ))}
          </select>
        </label>
      </div>
      <RecordTable
        caption="Deliveries, newest first"
        columns={columnsOf(endpoint)}
        pages={pages}
        keyOf={(delivery) => delivery.id}
        empty={
          state === undefined ? (
            <>
              <h2>Nothing was sent yet</h2>
              <p>Send a test: it goes out at once, and what the receiver answered stands here.</p>
            </>
          ) : (
            <p>None is {deliveryStateWords[state].toLowerCase()}.</p>
          )
        }
      />
    </section>
  );
}

function columnsOf(endpoint: WebhookEndpoint): Column<WebhookDelivery>[] {
  return [
    {
      head: 'Event',
      cell: ({ type, eventId }) => (
        <span className="delivery-event">
          {eventWordsOf(type)} <ShortId id={eventId} />
        </span>
      ),
    },
    { head: 'When', kind: 'wide-only', cell: ({ createdAt }) => <Instant at={createdAt} /> },
    { head: 'State', cell: (delivery) => <StateWords delivery={delivery} /> },
    { head: 'Attempts', kind: 'number', cell: ({ attempts }) => attempts },
    { head: 'Answer', kind: 'wide-only', cell: (delivery) => answerWords(delivery) || DASH },
    {
      head: 'Next try',
      kind: 'wide-only',
      cell: ({ state, nextAttemptAt }) => <Instant at={state === 'pending' ? nextAttemptAt : null} />,
    },
    {
      head: 'Actions',
      kind: 'actions',
      cell: (delivery) =>
        delivery.state !== 'pending' && <SendAgain endpoint={endpoint} delivery={delivery} />,
    },
  ];
}

function StateWords({ delivery }: { delivery: WebhookDelivery }) {
  const { state, attempts, nextAttemptAt } = delivery;
  const look =
    state === 'failed' ? 'needs-action' : state === 'pending' && attempts > 0 ? 'needs-attention' : '';
  return (
    <>
      <span className={look}>
        {state === 'pending' && attempts > 0 ? 'Failed, tried again' : deliveryStateWords[state]}
      </span>
      <span className="narrow-only small muted">
        {answerWords(delivery)}
        {state === 'pending' && attempts > 0 && (
          <>
            ; next <Instant at={nextAttemptAt} />
          </>
        )}
      </span>
    </>
  );
}

function SendAgain({ endpoint, delivery }: { endpoint: WebhookEndpoint; delivery: WebhookDelivery }) {
  const submission = useSubmit(async () => {
    await server.call('POST', `/v1/webhooks/${endpoint.id}/deliveries/${delivery.id}/redeliver`, {
      body: {},
    });
    await queryClient.invalidateQueries({ queryKey: ['deliveries', endpoint.id] });
  });
  return (
    <div className="row-actions">
      <span className="needs-action small" role="status">
        {submission.general}
      </span>
      <Button
        variant="default"
        size="xs"
        disabled={submission.isBusy || !endpoint.isEnabled}
        title={endpoint.isEnabled ? 'With the same webhook-id' : 'Nothing is sent while it is paused'}
        aria-label={`Send again: ${eventWordsOf(delivery.type)}, ${delivery.eventId.slice(-8)}`}
        onClick={submission.run}
      >
        Send again
      </Button>
    </div>
  );
}
