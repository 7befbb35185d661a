-- How long readings are kept, what may not be dropped, and what was erased. Readings are partitioned by retention class
-- and commit day, so that keeping less is dropping a partition (store/retention.ts).

-- Rules of the whole server, made by its operator; no organisation's data. 0 exists always.
create table kymo.retention_class (
  class smallint primary key check (class between 0 and 7),
  name text not null unique check (length(name) between 1 and 64),
  -- Whole days that readings are kept after the day of their commit; null: for ever.
  raw_days integer check (raw_days between 1 and 36500),
  -- The same for roll-ups, which outlive the readings they were made of.
  rollup_days integer check (rollup_days between 1 and 36500),
  check (rollup_days is null or (raw_days is not null and rollup_days >= raw_days))
);
insert into kymo.retention_class (class, name) values (0, 'for ever');
grant select on kymo.retention_class to kymo_writer, kymo_auth, kymo_app;

-- The class of streams that open from now on. A stream keeps the one it was opened with.
alter table kymo.organisation
  add column retention_class smallint not null default 0 references kymo.retention_class;
grant update (retention_class) on kymo.organisation to kymo_app;
create policy own_class on kymo.organisation for update to kymo_app using (id = kymo.current_org());

-- A session under a legal hold is neither dropped nor erased. The reference keeps its row as well.
create table kymo.legal_hold (
  session_id uuid primary key references kymo.session,
  org_id uuid not null references kymo.organisation,
  reason text not null check (length(reason) between 1 and 500),
  held_at timestamptz not null default now()
);

-- What was erased, so that what a device still holds of it is neither asked for nor stored again. Ids and a time only.
create table kymo.erased (
  org_id uuid not null references kymo.organisation,
  kind text not null check (kind in ('session', 'stream')),
  id uuid not null,
  erased_at timestamptz not null default now(),
  primary key (org_id, kind, id)
);

alter table kymo.legal_hold enable row level security;
alter table kymo.erased enable row level security;
create policy own_rows on kymo.legal_hold to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.erased to kymo_app using (org_id = kymo.current_org());
grant select, insert, update (reason), delete on kymo.legal_hold to kymo_app;
grant select, insert on kymo.erased to kymo_app;
-- Retention locks the holds while it drops, and a flush never makes a guard row for what was erased.
alter table kymo.legal_hold owner to kymo_writer;
alter table kymo.erased owner to kymo_writer;
-- Retention runs as the writer and must know which streams a held session has, and which class a stream's roll-ups are of.
grant select (id, session_id, retention_class) on kymo.stream to kymo_writer;
create policy retention_reads on kymo.stream for select to kymo_writer using (true);

-- Erasing a session removes the clock observations that were made for it alone.
grant delete on kymo.clock_observation to kymo_app;
create index stream_by_device on kymo.stream (device_id, opened_at);
