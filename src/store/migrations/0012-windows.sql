-- Windows: every session cut into equal pieces of device time, as its committed readings have them (store/window-ledger.ts,
-- role kymo_writer, outside the flushes). What is derived from readings is derived window by window, and says from which
-- revision. The length of a window is that of store/window-grid.ts; it is never changed.

-- Set by whatever changes ranges, cleared when the ledger has taken them in. Only finds the work: what the work is follows
-- from committed, lost, and what is covered.
alter table kymo.stream_epoch add column is_uncovered boolean not null default false;
update kymo.stream_epoch set is_uncovered = true where committed <> '{}' or lost <> '{}';
create index stream_epoch_uncovered on kymo.stream_epoch (stream_id, epoch) where is_uncovered;
comment on column kymo.stream_epoch.is_uncovered is 'ranges changed that the windows do not know of yet';

-- One row a session that the ledger has seen.
create table kymo.window_ledger (
  session_id uuid primary key references kymo.session on delete cascade,
  org_id uuid not null,
  visited_at timestamptz not null default now(),
  -- Windows wait to be closed.
  is_open boolean not null default true,
  -- A stream was erased: windows have fewer readings than they say.
  is_stale boolean not null default false,
  -- Every window that ends at or before this is settled; null: none is.
  settled_us bigint,
  -- All streams ended and nothing is missing.
  is_ended boolean not null default false
) with (fillfactor = 50);
create index window_ledger_waiting on kymo.window_ledger (session_id) where is_open or is_stale;

-- What the windows contain of an epoch.
create table kymo.window_coverage (
  stream_id uuid not null,
  epoch bigint not null,
  org_id uuid not null,
  covered int8multirange not null default '{}',
  covered_lost int8multirange not null default '{}',
  -- Device time of the last reading before the first gap, and of the newest one.
  settled_us bigint,
  newest_us bigint,
  primary key (stream_id, epoch)
) with (fillfactor = 50);
alter table kymo.window_coverage
  alter column covered set storage external, alter column covered_lost set storage external;

-- Which readings of an epoch are in a window: exactly these numbers.
create table kymo.window_span (
  org_id uuid not null,
  session_id uuid not null references kymo.session on delete cascade,
  start_us bigint not null,
  stream_id uuid not null,
  epoch bigint not null,
  seqs int8multirange not null,
  primary key (stream_id, epoch, start_us)
) with (fillfactor = 80);
create index window_span_by_window on kymo.window_span (session_id, start_us);

create table kymo.session_window (
  org_id uuid not null,
  session_id uuid not null references kymo.session on delete cascade,
  start_us bigint not null,
  -- 0 until it is closed, then 1; rises whenever the committed readings in it change.
  revision integer not null default 0,
  -- False: a gap before its end is open, and may still be filled.
  is_settled boolean not null default false,
  readings bigint not null,
  -- Of kymo.window_counter, when anything of the row changed last, and when the revision did.
  change bigint not null default 0,
  input_change bigint not null default 0,
  changed_at timestamptz not null default now(),
  primary key (session_id, start_us)
) with (fillfactor = 80);
create index session_window_by_change on kymo.session_window (org_id, change) where revision > 0;
comment on table kymo.session_window is
  'One row: a window of device time of a session in which readings are committed. Closed ones have a revision above 0.';
comment on column kymo.session_window.start_us is 'device time at which it begins, microseconds since 1970';

-- Locked until the transaction that changes windows ends, so that changes stand in the order of commits and have no holes:
-- who follows by them misses nothing.
create table kymo.window_counter (
  org_id uuid primary key references kymo.organisation,
  newest bigint not null default 0
) with (fillfactor = 50);

-- What was derived from a window, by which algorithm, of which input: the newest revision wins, so one row. `run` counts
-- what else the result follows from (body models, repetitions that were asked for) and goes before the revision.
create table kymo.window_result (
  org_id uuid not null,
  session_id uuid not null references kymo.session on delete cascade,
  algorithm text not null check (length(algorithm) between 1 and 80),
  version integer not null check (version >= 1),
  start_us bigint not null,
  run integer not null default 0,
  revision bigint not null,
  -- JSON as text: what was stored comes back byte by byte.
  payload text not null check (octet_length(payload) <= 1048576),
  made_at timestamptz not null default now(),
  primary key (session_id, algorithm, version, start_us)
);
comment on table kymo.window_result is
  'One row: what an algorithm found in a window. Revision: that of the window, or for motion the newest change up to it.';

-- How far a processor of an extension has come with the windows of an organisation (app/extensions/processors.ts).
create table kymo.processor_progress (
  org_id uuid not null references kymo.organisation,
  algorithm text not null check (length(algorithm) between 1 and 80),
  version integer not null,
  change bigint not null default 0,
  primary key (org_id, algorithm, version)
) with (fillfactor = 50);

alter table kymo.window_ledger enable row level security;
alter table kymo.window_coverage enable row level security;
alter table kymo.window_span enable row level security;
alter table kymo.session_window enable row level security;
alter table kymo.window_counter enable row level security;
alter table kymo.window_result enable row level security;
alter table kymo.processor_progress enable row level security;
create policy own_rows on kymo.window_ledger for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.window_coverage for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.window_span for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.session_window for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.window_counter for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.window_result to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.processor_progress to kymo_app using (org_id = kymo.current_org());
grant select on kymo.window_ledger, kymo.window_coverage, kymo.window_span, kymo.session_window, kymo.window_counter
  to kymo_app;
grant select, insert, update on kymo.window_result, kymo.processor_progress to kymo_app;
alter table kymo.window_ledger owner to kymo_writer;
alter table kymo.window_coverage owner to kymo_writer;
alter table kymo.window_span owner to kymo_writer;
alter table kymo.session_window owner to kymo_writer;
alter table kymo.window_counter owner to kymo_writer;
alter table kymo.window_result owner to kymo_writer;
alter table kymo.processor_progress owner to kymo_writer;

-- With a stream go its spans (store/erasure.ts removes rows of streams from every table of the writer); the windows that
-- had some of them are found by the ledger. Here, so that no way of removing a stream forgets it.
create function kymo.note_removed_stream() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update kymo.window_ledger set is_stale = true where session_id = old.session_id and not is_stale;
  return null;
end $$;
revoke execute on function kymo.note_removed_stream() from public;
alter function kymo.note_removed_stream() owner to kymo_writer;
create trigger note_removed_stream after delete on kymo.stream
  for each row execute function kymo.note_removed_stream();
