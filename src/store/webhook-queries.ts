/**
 * Owns endpoints of webhooks and the log of deliveries: lists by keyset, changes against a revision, claims that no two senders
 * share, and what an attempt did to its delivery and endpoint. Each call is one transaction under row-level security.
 */

import { AppError } from '#base/errors.ts';
import type { WebhookDelivery, WebhookEndpoint } from '#contract/webhooks.ts';
import { runAsOrg, type OrgScope, type RolePool, type Statement } from '#store/pools.ts';
import {
  claimStatement,
  dropDisabledStatement,
  forgetStatement,
  nextDueStatement,
  recordStatements,
  replaceSecretStatement,
  webhookLimits,
  type AttemptOutcome,
  type Claimed,
} from '#store/webhook-statements.ts';

export interface NewEndpoint {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly events: readonly string[];
  readonly secret: string;
  readonly createdBy: string;
}

export interface EndpointChange {
  readonly revision: number;
  readonly url?: string;
  readonly description?: string;
  readonly events?: readonly string[];
  readonly isEnabled?: boolean;
}

export interface WebhookQueries {
  /** Newest first; null: the cursor is none. */
  list(scope: OrgScope, page: Page): Promise<{ endpoints: WebhookEndpoint[]; next: string | null } | null>;
  /** Throws AppError `limit-exceeded`. */
  create(scope: OrgScope, endpoint: NewEndpoint): Promise<WebhookEndpoint>;
  /** Null: there is none. Throws AppError `outdated`. */
  change(scope: OrgScope, id: string, change: EndpointChange): Promise<WebhookEndpoint | null>;
  rotate(
    scope: OrgScope,
    id: string,
    rotation: { secret: string; graceSeconds: number },
  ): Promise<WebhookEndpoint | null>;
  remove(scope: OrgScope, id: string): Promise<boolean>;
  /** Null: the cursor is none, undefined: there is no such endpoint. */
  deliveries(
    scope: OrgScope,
    id: string,
    page: Page & { readonly state: WebhookDelivery['state'] | null },
  ): Promise<{ deliveries: WebhookDelivery[]; next: string | null } | null | undefined>;
  /** Makes a delivery of the event of another again, with `also` in the transaction; false: there is none. */
  redeliver(scope: OrgScope, again: Redelivery, also: readonly Statement[]): Promise<boolean>;
  /** A delivery to this endpoint alone, with `also`; false: there is none. */
  test(scope: OrgScope, test: TestDelivery, also: readonly Statement[]): Promise<boolean>;
  /** Those that are due, oldest first; nobody else gets them while the claim lasts. */
  claim(orgId: string, limit: number): Promise<readonly Claimed[]>;
  record(orgId: string, claimed: Claimed, outcome: AttemptOutcome): Promise<void>;
  /** Keeps a secret in another form, unless it was exchanged meanwhile. */
  replaceSecret(orgId: string, endpointId: string, secret: { before: string; after: string }): Promise<void>;
  /** Seconds until the next is due; null: none is pending. Forgets what is too old. */
  nextDue(orgId: string): Promise<number | null>;
}

export interface Page {
  readonly limit: number;
  readonly cursor: string | null;
}

export interface Redelivery {
  readonly id: string;
  readonly endpointId: string;
  readonly deliveryId: string;
}

export interface TestDelivery {
  readonly id: string;
  readonly eventId: string;
  readonly endpointId: string;
  readonly payload: string;
}

export function createWebhookQueries(app: RolePool): WebhookQueries {
  const ask = async <Row>(scope: OrgScope | string, statements: readonly Statement[]): Promise<Row[][]> => {
    const results = await runAsOrg(app, scope, { statements, mode: 'change' });
    return results.map(({ rows }) => rows as Row[]);
  };
  return {
    async list(scope, { limit, cursor }) {
      const after = parseCursor(cursor);
      if (after === undefined) return null;
      const [rows] = await ask<EndpointRow>(scope, [endpointsStatement(limit + 1, after)]);
      return { endpoints: rows!.slice(0, limit).map(endpointOf), next: nextOf(rows!, limit) };
    },
    async create(scope, endpoint) {
      const [rows] = await ask<EndpointRow>(scope, [createStatement(scope.orgId, endpoint)]);
      if (rows![0] === undefined)
        throw new AppError(
          'limit-exceeded',
          `an organisation has at most ${webhookLimits.endpoints} webhooks`,
        );
      return endpointOf(rows![0]);
    },
    async change(scope, id, change) {
      const [rows, found] = await ask<EndpointRow>(scope, [changeStatement(id, change), existsStatement(id)]);
      if (rows![0] !== undefined) return endpointOf(rows![0]);
      if (found![0] === undefined) return null;
      throw new AppError('outdated', 'the webhook has changed since: read it again', { field: '/revision' });
    },
    async rotate(scope, id, rotation) {
      const [rows] = await ask<EndpointRow>(scope, [rotateStatement(id, rotation)]);
      return rows![0] === undefined ? null : endpointOf(rows![0]);
    },
    async remove(scope, id) {
      const statement = {
        text: 'delete from kymo.webhook_endpoint where id = $1 returning id',
        values: [id],
      };
      return (await ask(scope, [statement]))[0]!.length === 1;
    },
    async deliveries(scope, id, { limit, cursor, state }) {
      const after = parseCursor(cursor);
      if (after === undefined) return null;
      const statement = deliveriesStatement(id, { limit: limit + 1, after, state });
      const [found, rows] = await ask<DeliveryRow>(scope, [existsStatement(id), statement]);
      if (found![0] === undefined) return undefined;
      return { deliveries: rows!.slice(0, limit).map(deliveryOf), next: nextOf(rows!, limit) };
    },
    async redeliver(scope, again, also) {
      return (await ask(scope, [redeliverStatement(again), ...also]))[0]!.length === 1;
    },
    async test(scope, test, also) {
      return (await ask(scope, [testStatement(test), ...also]))[0]!.length === 1;
    },
    async claim(orgId, limit) {
      const [, rows] = await ask<ClaimedRow>(orgId, [dropDisabledStatement, claimStatement(limit)]);
      return rows!.map((row) => ({
        id: row.id,
        eventId: row.event_id,
        payload: row.payload,
        url: row.url,
        endpointId: row.endpoint_id,
        secrets: [row.secret, ...(row.previous_secret === null ? [] : [row.previous_secret])],
        attempt: row.attempts,
      }));
    },
    async record(orgId, claimed, outcome) {
      await ask(orgId, recordStatements(orgId, claimed, outcome));
    },
    async replaceSecret(orgId, endpointId, { before, after }) {
      await ask(orgId, [replaceSecretStatement(endpointId, before, after)]);
    },
    async nextDue(orgId) {
      const [, rows] = await ask<{ seconds: number | null }>(orgId, [forgetStatement, nextDueStatement]);
      return rows![0]?.seconds ?? null;
    },
  };
}

interface EndpointRow {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly events: WebhookEndpoint['events'];
  readonly is_enabled: boolean;
  readonly disabled_reason: string | null;
  readonly failing_since: Date | null;
  readonly previous_until: Date | null;
  readonly revision: number;
  readonly created_at: Date;
}

interface DeliveryRow {
  readonly id: string;
  readonly event_id: string;
  readonly type: string;
  readonly state: WebhookDelivery['state'];
  readonly attempts: number;
  readonly created_at: Date;
  readonly next_attempt_at: Date | null;
  readonly delivered_at: Date | null;
  readonly status: number | null;
  readonly error: string | null;
  readonly duration_ms: number | null;
}

interface ClaimedRow {
  readonly id: string;
  readonly event_id: string;
  readonly payload: string;
  readonly url: string;
  readonly endpoint_id: string;
  readonly secret: string;
  readonly previous_secret: string | null;
  readonly attempts: number;
}

function endpointOf(row: EndpointRow): WebhookEndpoint {
  return {
    id: row.id,
    url: row.url,
    description: row.description,
    events: row.events,
    isEnabled: row.is_enabled,
    disabledReason: row.disabled_reason,
    failingSince: row.failing_since?.toISOString() ?? null,
    previousSecretUntil: row.previous_until?.toISOString() ?? null,
    revision: row.revision,
    createdAt: row.created_at.toISOString(),
  };
}

function deliveryOf(row: DeliveryRow): WebhookDelivery {
  return {
    id: row.id,
    eventId: row.event_id,
    type: row.type,
    state: row.state,
    attempts: row.attempts,
    createdAt: row.created_at.toISOString(),
    nextAttemptAt: row.next_attempt_at?.toISOString() ?? null,
    deliveredAt: row.delivered_at?.toISOString() ?? null,
    lastStatus: row.status,
    lastError: row.error,
    lastDurationMs: row.duration_ms,
  };
}

const endpointColumns = `id, url, description, events, is_enabled, disabled_reason, failing_since,
  case when previous_until > now() then previous_until end as previous_until, revision, created_at`;

interface Cursor {
  readonly at: Date;
  readonly id: string;
}

function endpointsStatement(limit: number, after: Cursor | null): Statement {
  return {
    text: `select ${endpointColumns} from kymo.webhook_endpoint
      where $2::timestamptz is null or (date_trunc('milliseconds', created_at), id) < ($2, $3::uuid)
      order by date_trunc('milliseconds', created_at) desc, id desc limit $1`,
    values: [limit, after?.at ?? null, after?.id ?? null],
  };
}

function createStatement(orgId: string, endpoint: NewEndpoint): Statement {
  const { id, url, description, events, secret, createdBy } = endpoint;
  return {
    text: `insert into kymo.webhook_endpoint (id, org_id, url, description, events, secret, created_by)
      select $1, $2, $3, $4, $5, $6, $7
       where (select count(*) from kymo.webhook_endpoint) < ${webhookLimits.endpoints} returning ${endpointColumns}`,
    values: [id, orgId, url, description, events, secret, createdBy],
  };
}

/** Switched on again, it begins without its past failures. */
function changeStatement(
  id: string,
  { revision, url, description, events, isEnabled }: EndpointChange,
): Statement {
  return {
    text: `update kymo.webhook_endpoint set url = coalesce($3, url), description = coalesce($4, description),
        events = coalesce($5, events), is_enabled = coalesce($6, is_enabled), revision = revision + 1,
        disabled_reason = case when $6 then null else disabled_reason end,
        failing_since = case when $6 or $3 is not null then null else failing_since end
      where id = $1 and revision = $2 returning ${endpointColumns}`,
    values: [id, revision, url ?? null, description ?? null, events ?? null, isEnabled ?? null],
  };
}

function existsStatement(id: string): Statement {
  return { text: 'select id from kymo.webhook_endpoint where id = $1', values: [id] };
}

function rotateStatement(id: string, rotation: { secret: string; graceSeconds: number }): Statement {
  return {
    text: `update kymo.webhook_endpoint set previous_secret = secret, secret = $2, revision = revision + 1,
        previous_until = now() + $3 * interval '1 second'
      where id = $1 returning ${endpointColumns}`,
    values: [id, rotation.secret, rotation.graceSeconds],
  };
}

function deliveriesStatement(
  id: string,
  { limit, after, state }: { limit: number; after: Cursor | null; state: string | null },
): Statement {
  return {
    text: `select d.id, d.event_id, d.type, d.state, d.attempts, d.created_at, d.next_attempt_at, d.delivered_at,
        a.status, a.error, a.duration_ms
      from kymo.webhook_delivery d
      left join kymo.webhook_attempt a on a.delivery_id = d.id and a.attempt = d.attempts
     where d.endpoint_id = $1 and ($5::text is null or d.state = $5)
       and ($3::timestamptz is null or (date_trunc('milliseconds', d.created_at), d.id) < ($3, $4::uuid))
     order by date_trunc('milliseconds', d.created_at) desc, d.id desc limit $2`,
    values: [id, limit, after?.at ?? null, after?.id ?? null, state],
  };
}

/** Of the same event, so the receiver knows it; whatever became of the first. */
function redeliverStatement({ id, endpointId, deliveryId }: Redelivery): Statement {
  return {
    text: `insert into kymo.webhook_delivery (id, org_id, endpoint_id, patient_id, event_id, type, payload)
      select $1, d.org_id, d.endpoint_id, d.patient_id, d.event_id, d.type, d.payload
        from kymo.webhook_delivery d where d.id = $3 and d.endpoint_id = $2 returning id`,
    values: [id, endpointId, deliveryId],
  };
}

function testStatement({ id, eventId, endpointId, payload }: TestDelivery): Statement {
  return {
    text: `insert into kymo.webhook_delivery (id, org_id, endpoint_id, event_id, type, payload)
      select $1, e.org_id, e.id, $2, 'endpoint.test', $4 from kymo.webhook_endpoint e where e.id = $3 returning id`,
    values: [id, eventId, endpointId, payload],
  };
}

function nextOf(rows: readonly { created_at: Date; id: string }[], limit: number): string | null {
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return null;
  return Buffer.from(`${last.created_at.getTime()}.${last.id}`).toString('base64url');
}

/** Undefined: it is no cursor. */
function parseCursor(text: string | null): Cursor | null | undefined {
  if (text === null) return null;
  const match = /^(\d{1,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(
    Buffer.from(text, 'base64url').toString('latin1'),
  );
  return match === null ? undefined : { at: new Date(Number(match[1])), id: match[2]! };
}
