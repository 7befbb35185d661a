-- Webhooks: where an organisation wants to be told of events, and every telling of it with its attempts. A delivery is made in
-- the transaction of its event, so an event that happened is told at least once, and one that did not never.

create table kymo.webhook_endpoint (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  url text not null check (length(url) between 8 and 2000),
  description text not null default '' check (length(description) <= 200),
  -- Empty: of all events.
  events text[] not null default '{}' check (cardinality(events) <= 32),
  -- Of https://www.standardwebhooks.com: whsec_ and 32 bytes in base64. The previous one signs too until its time is over.
  secret text not null check (length(secret) between 30 and 200),
  previous_secret text check (length(previous_secret) between 30 and 200),
  previous_until timestamptz,
  is_enabled boolean not null default true,
  -- Why it was switched off by Kymo; null: it was not.
  disabled_reason text check (length(disabled_reason) <= 200),
  -- Since when every attempt failed; null: the last did not.
  failing_since timestamptz,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default ''
);
create index webhook_endpoint_by_org on kymo.webhook_endpoint (org_id, created_at desc, id desc);

create table kymo.webhook_delivery (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  endpoint_id uuid not null references kymo.webhook_endpoint on delete cascade,
  -- Of the patient whom the event is about: gone with the patient.
  patient_id uuid references kymo.patient on delete cascade,
  -- The same for all endpoints, attempts and redeliveries of an event: receivers know by it what they have had.
  event_id uuid not null,
  type text not null check (length(type) between 1 and 64),
  -- As it is signed and sent. Ids and codes only.
  payload text not null check (octet_length(payload) <= 16384),
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  attempts smallint not null default 0,
  -- Null unless it is pending.
  next_attempt_at timestamptz default now(),
  created_at timestamptz not null default now(),
  delivered_at timestamptz,
  check ((state = 'pending') = (next_attempt_at is not null))
) with (fillfactor = 70);
create index webhook_delivery_by_endpoint on kymo.webhook_delivery (endpoint_id, created_at desc, id desc);
create index webhook_delivery_due on kymo.webhook_delivery (org_id, next_attempt_at) where state = 'pending';
create index webhook_delivery_by_age on kymo.webhook_delivery (org_id, created_at);
create index webhook_delivery_by_patient on kymo.webhook_delivery (patient_id) where patient_id is not null;

create table kymo.webhook_attempt (
  delivery_id uuid not null references kymo.webhook_delivery on delete cascade,
  attempt smallint not null,
  org_id uuid not null,
  at timestamptz not null default now(),
  -- Of HTTP; null: there was no answer, and `error` says why.
  status smallint,
  error text check (length(error) <= 500),
  duration_ms integer not null,
  primary key (delivery_id, attempt)
);

alter table kymo.webhook_endpoint enable row level security;
alter table kymo.webhook_delivery enable row level security;
alter table kymo.webhook_attempt enable row level security;
-- A patient's account has nothing to do with them.
create policy own_rows on kymo.webhook_endpoint to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
create policy own_rows on kymo.webhook_delivery to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
create policy own_rows on kymo.webhook_attempt to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
grant select, insert, update, delete on kymo.webhook_endpoint, kymo.webhook_delivery, kymo.webhook_attempt to kymo_app;

-- Makes a delivery of the current organisation for each endpoint that wants the event, and a job that sends them. In the
-- transaction of the event, whoever causes it: also a patient's account, which sees no endpoint.
create function kymo.tell_webhooks(event uuid, event_type text, patient uuid, body text, job uuid, job_options jsonb)
  returns integer language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  org uuid := kymo.current_org();
  made integer;
begin
  insert into kymo.webhook_delivery (id, org_id, endpoint_id, patient_id, event_id, type, payload)
    select gen_random_uuid(), org, e.id, $3, $1, $2, $4 from kymo.webhook_endpoint e
     where e.org_id = org and e.is_enabled and (e.events = '{}' or $2 = any (e.events));
  get diagnostics made = row_count;
  if made > 0 then
    perform kymo.enqueue($5, 'webhook-deliveries', '{}', $6);
  end if;
  return made;
end $$;
revoke execute on function kymo.tell_webhooks from public;
grant execute on function kymo.tell_webhooks to kymo_app;

-- Beside input_revision: which analysis of those readings it was. Both rise; the newer pair wins.
alter table kymo.session_summary add column analysis_run integer not null default 0;
