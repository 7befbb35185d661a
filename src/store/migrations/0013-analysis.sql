-- The analysis of motion: body models, how far it has come with each session, and the states from which it goes on
-- (store/motion-analysis.ts, role kymo_writer). Its results are rows of kymo.window_result under the name motion.

-- What a person said of the wearer and the sensors; the newest revision counts. Without a row the model follows from the
-- definitions of the streams, as revision 0.
create table kymo.body_model (
  org_id uuid not null references kymo.organisation,
  session_id uuid not null references kymo.session on delete cascade,
  revision integer not null check (revision >= 1),
  model jsonb not null,
  made_at timestamptz not null default now(),
  -- Who stored it, as shown to others: a key's name.
  made_by text not null check (length(made_by) <= 200),
  primary key (session_id, revision)
);
alter table kymo.body_model enable row level security;
create policy own_rows on kymo.body_model to kymo_app using (org_id = kymo.current_org());
create policy analysis_reads on kymo.body_model for select to kymo_writer using (true);
grant select, insert on kymo.body_model to kymo_app;
grant select on kymo.body_model to kymo_writer;

create table kymo.motion_analysis (
  session_id uuid primary key references kymo.session on delete cascade,
  org_id uuid not null,
  -- Something changed since it was looked at last; only finds the work.
  is_dirty boolean not null default true,
  -- Rises with every analysis from the beginning that was asked for.
  asked integer not null default 0,
  -- Of what is stored: version of the algorithm, model, and the analysis that was asked for, in the state they had then.
  version integer,
  model jsonb,
  model_revision integer not null default 0,
  answered integer not null default 0,
  -- Rises when any of these changes.
  run integer not null default 0,
  -- All windows that begin before this are analysed, as they were at `change` (of kymo.window_counter).
  next_us bigint,
  change bigint not null default 0,
  -- Everything was there, and the end of the session was taken into account.
  is_finished boolean not null default false,
  -- Figures over the whole session: JSON.
  summary text,
  -- Why it could not go on; null when it could.
  failure text,
  -- Attempts that ended without an answer, since the last that did not.
  attempts integer not null default 0,
  attempted_at timestamptz,
  done_at timestamptz
) with (fillfactor = 50);
create index motion_analysis_dirty on kymo.motion_analysis (attempted_at nulls first, session_id) where is_dirty;

-- The state of the chain before the window at `start_us`.
create table kymo.motion_checkpoint (
  session_id uuid not null references kymo.session on delete cascade,
  start_us bigint not null,
  org_id uuid not null,
  state bytea not null check (octet_length(state) <= 4194304),
  primary key (session_id, start_us)
);
alter table kymo.motion_checkpoint alter column state set storage external;

alter table kymo.motion_analysis enable row level security;
alter table kymo.motion_checkpoint enable row level security;
create policy own_rows on kymo.motion_analysis to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.motion_checkpoint for select to kymo_app using (org_id = kymo.current_org());
grant select, insert (session_id, org_id, asked), update (is_dirty, asked, failure, attempts) on kymo.motion_analysis
  to kymo_app;
alter table kymo.motion_analysis owner to kymo_writer;
alter table kymo.motion_checkpoint owner to kymo_writer;

-- The default model follows from what streams say of themselves, in the order in which they were opened.
grant select (segment, clock, opened_at) on kymo.stream to kymo_writer;
-- Of sessions the writer knows no more than this: sensors of a synthetic wearer sit exactly as their segments.
create function kymo.is_synthetic(session uuid) returns boolean language sql stable security definer
  set search_path = pg_catalog, pg_temp
  return (select s.synthetic from kymo.session s where s.id = $1);
revoke execute on function kymo.is_synthetic(uuid) from public;
grant execute on function kymo.is_synthetic(uuid) to kymo_writer;
