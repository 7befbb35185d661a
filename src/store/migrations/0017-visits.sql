-- A session as a visit: what is to be recorded (protocols), which device is worn where (placements), what people wrote on
-- the time line (annotations), and how a session goes from planned to sealed.

create table kymo.protocol (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  -- The newest of kymo.protocol_revision: sessions keep the one that they were planned by.
  revision integer not null default 1 check (revision >= 1),
  created_at timestamptz not null default now(),
  created_by text not null default '',
  archived_at timestamptz
);
create index protocol_by_org on kymo.protocol (org_id, created_at desc, id desc) where archived_at is null;

create table kymo.protocol_revision (
  protocol_id uuid not null references kymo.protocol on delete cascade,
  revision integer not null,
  org_id uuid not null references kymo.organisation,
  name text not null check (length(name) between 1 and 100),
  description text not null default '' check (length(description) <= 2000),
  -- [{"code": ..., "name": ..., "instruction": ..., "durationS": number | null}] (contract/visit.ts)
  tasks jsonb not null,
  -- [{"segment": ..., "isRequired": boolean}]
  segments jsonb not null,
  made_at timestamptz not null default now(),
  made_by text not null default '',
  primary key (protocol_id, revision)
);

-- started_at of a planned session is the time that it is planned for (or when it was planned), until its first stream.
alter table kymo.session
  add column protocol_revision integer,
  -- Of what people decide about the session: plan, placements, patient. Two who change it at once meet here.
  add column plan_revision integer not null default 1,
  add column start_asked_at timestamptz,
  add column end_asked_at timestamptz,
  add column sealed_by text not null default '',
  -- What was stored when it was signed off; another number later means that it was amended.
  add column sealed_streams integer,
  add column sealed_readings bigint,
  -- An annotation was changed after it was signed off.
  add column amended_at timestamptz,
  add constraint session_protocol foreign key (protocol_id, protocol_revision) references kymo.protocol_revision,
  add constraint session_states check (
    (not is_planned or (ended_at is null and sealed_at is null))
    and (sealed_at is null or (ended_at is not null and sealed_streams is not null and sealed_readings is not null))
    and (amended_at is null or sealed_at is not null));

-- Lists by state. Each session stands in at most one of them.
create index session_planned on kymo.session (org_id, started_at desc, id desc) where is_planned;
create index session_going on kymo.session (org_id, started_at desc, id desc) where ended_at is null and not is_planned;
create index session_unsealed on kymo.session (org_id, started_at desc, id desc)
  where ended_at is not null and sealed_at is null;
create index session_sealed on kymo.session (org_id, started_at desc, id desc) where sealed_at is not null;

-- Where a device is now.
create index stream_open_by_device on kymo.stream (device_id) where ended_at is null;

create table kymo.placement (
  session_id uuid not null references kymo.session on delete cascade,
  device_id uuid not null references kymo.device,
  segment text not null check (length(segment) between 1 and 64),
  org_id uuid not null references kymo.organisation,
  assigned_at timestamptz not null default now(),
  assigned_by text not null default '',
  primary key (session_id, device_id, segment)
);
create index placement_by_device on kymo.placement (device_id, assigned_at desc, session_id desc, segment desc);

create table kymo.annotation (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  session_id uuid not null references kymo.session on delete cascade,
  kind text not null check (kind in ('note', 'task', 'event', 'artefact')),
  -- Device time in microseconds, as the time line of the session; without an end it is a point.
  from_us bigint not null,
  to_us bigint check (to_us > from_us),
  text text not null check (length(text) <= 2000),
  -- user:ID, access:ID or server:ID.
  author text not null,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- It is gone for readers; what it said stays in its revisions until the session is erased.
  removed_at timestamptz
);
create index annotation_by_session on kymo.annotation (session_id, from_us, id) where removed_at is null;

create table kymo.annotation_revision (
  annotation_id uuid not null references kymo.annotation on delete cascade,
  revision integer not null,
  org_id uuid not null references kymo.organisation,
  kind text not null,
  from_us bigint not null,
  to_us bigint,
  text text not null,
  is_removed boolean not null default false,
  -- Why, when the session was sealed already.
  reason text check (length(reason) <= 500),
  made_at timestamptz not null default now(),
  made_by text not null,
  primary key (annotation_id, revision)
);

alter table kymo.protocol enable row level security;
alter table kymo.protocol_revision enable row level security;
alter table kymo.placement enable row level security;
alter table kymo.annotation enable row level security;
alter table kymo.annotation_revision enable row level security;
create policy own_rows on kymo.protocol to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.protocol_revision to kymo_app using (org_id = kymo.current_org());
-- As streams: a patient's account sees what belongs to the sessions that it sees.
create policy own_rows on kymo.placement to kymo_app using (
  org_id = kymo.current_org()
  and (kymo.current_patient() is null or exists (select from kymo.session s where s.id = session_id)));
create policy own_rows on kymo.annotation to kymo_app using (
  org_id = kymo.current_org()
  and (kymo.current_patient() is null or exists (select from kymo.session s where s.id = session_id)));
create policy own_rows on kymo.annotation_revision to kymo_app using (
  org_id = kymo.current_org()
  and (kymo.current_patient() is null or exists (select from kymo.annotation a where a.id = annotation_id)));

grant select, insert, update on kymo.protocol, kymo.annotation to kymo_app;
grant select, insert on kymo.protocol_revision, kymo.annotation_revision to kymo_app;
grant select, insert, delete on kymo.placement to kymo_app;
