/** Owns the statements by which deliveries of webhooks are sent: claimed by one sender at a time, noted, switched off, forgotten. */

import type { Statement } from '#store/pools.ts';

export const webhookLimits = {
  /** Of an organisation: an event makes a row for each. */
  endpoints: 16,
  /** How long a claim lasts: many times what an attempt may take. */
  claimSeconds: 60,
  /** Deliveries are kept so long (30 days, as jobs are). */
  keptDays: 30,
  /** Failing for so long, an endpoint is switched off. */
  failingDays: 5,
} as const;

export interface Claimed {
  readonly id: string;
  readonly eventId: string;
  readonly payload: string;
  readonly url: string;
  readonly endpointId: string;
  /** As they are kept, the newest first. */
  readonly secrets: readonly string[];
  /** This one, from 1. */
  readonly attempt: number;
}

export interface AttemptOutcome {
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
  /** Wait before the next attempt; null: there is none. */
  readonly againMs: number | null;
  /** The receiver wants no more (410 Gone). */
  readonly isGone: boolean;
}

export const dropDisabledStatement: Statement = {
  name: 'webhooks-drop-disabled',
  text: `update kymo.webhook_delivery d set state = 'failed', next_attempt_at = null
    where d.state = 'pending' and d.next_attempt_at <= now()
      and not (select e.is_enabled from kymo.webhook_endpoint e where e.id = d.endpoint_id)`,
};

export function claimStatement(limit: number): Statement {
  return {
    name: 'webhooks-claim',
    text: `with due as (
        select id from kymo.webhook_delivery where state = 'pending' and next_attempt_at <= now()
         order by next_attempt_at limit $1 for update skip locked)
      update kymo.webhook_delivery d
         set attempts = attempts + 1, next_attempt_at = now() + ${webhookLimits.claimSeconds} * interval '1 second'
        from due, kymo.webhook_endpoint e
       where d.id = due.id and e.id = d.endpoint_id
      returning d.id, d.event_id, d.payload, d.attempts, d.endpoint_id, e.url, e.secret,
        case when e.previous_until > now() then e.previous_secret end as previous_secret`,
    values: [limit],
  };
}

/** Keeps a secret in another form; nothing when it was exchanged meanwhile. */
export function replaceSecretStatement(endpointId: string, before: string, after: string): Statement {
  return {
    name: 'webhooks-replace-secret',
    text: `update kymo.webhook_endpoint set
        secret = case when secret = $2 then $3 else secret end,
        previous_secret = case when previous_secret = $2 then $3 else previous_secret end
      where id = $1 and $2 in (secret, previous_secret)`,
    values: [endpointId, before, after],
  };
}

export function recordStatements(
  orgId: string,
  { id, attempt }: Claimed,
  outcome: AttemptOutcome,
): Statement[] {
  const { status, error, durationMs, againMs, isGone } = outcome;
  return [
    {
      name: 'webhooks-attempt',
      text: `insert into kymo.webhook_attempt (delivery_id, attempt, org_id, status, error, duration_ms)
        select id, $2, $3, $4, $5, $6 from kymo.webhook_delivery where id = $1 on conflict do nothing`,
      values: [id, attempt, orgId, status, error, durationMs],
    },
    {
      // An attempt whose claim ran out changes nothing more: another is under way.
      name: 'webhooks-outcome',
      text: `update kymo.webhook_delivery set
          state = case when $3 then 'delivered' when $4::float8 is null then 'failed' else 'pending' end,
          delivered_at = case when $3 then now() end,
          next_attempt_at = case when not $3 then now() + $4::float8 * interval '1 millisecond' end
        where id = $1 and attempts = $2 and state = 'pending'`,
      values: [id, attempt, error === null, error === null ? null : againMs],
    },
    {
      name: 'webhooks-endpoint-outcome',
      text: `update kymo.webhook_endpoint e set
          failing_since = case when $2 then null else coalesce(failing_since, now()) end,
          is_enabled = is_enabled and ($2 or not (${isOver})),
          revision = revision + (not $2 and is_enabled and (${isOver}))::int,
          disabled_reason = case when $2 or not (${isOver}) then disabled_reason
            when $3 then 'the receiver answered 410: it wants no more'
            else 'every delivery failed for ${webhookLimits.failingDays} days' end
        where id = (select endpoint_id from kymo.webhook_delivery where id = $1)
          and (not $2 or failing_since is not null)`,
      values: [id, error === null, isGone],
    },
  ];
}

const isOver = `$3 or coalesce(failing_since < now() - ${webhookLimits.failingDays} * interval '1 day', false)`;

export const forgetStatement: Statement = {
  name: 'webhooks-forget',
  text: `delete from kymo.webhook_delivery
    where state <> 'pending' and created_at < now() - ${webhookLimits.keptDays} * interval '1 day'`,
};

export const nextDueStatement: Statement = {
  name: 'webhooks-next-due',
  text: `select extract(epoch from min(next_attempt_at) - now())::float8 as seconds
    from kymo.webhook_delivery where state = 'pending'`,
};
