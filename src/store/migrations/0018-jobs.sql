-- Jobs: what is done outside of requests. A row here is the truth about a job; graphile_worker (installed by
-- store/job-schema.ts, beside these migrations) holds tickets that say when somebody should look at it, and loses nothing
-- that kymo.mend_jobs() does not make again.

create table kymo.job (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  kind text not null check (kind ~ '^[a-z][a-z-]{0,62}$'),
  -- queued: not begun, or waiting for the next attempt at run_at; failed: given up, until somebody asks for another try.
  state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed', 'cancelled')),
  -- Ids and choices only: no names of people.
  input jsonb not null check (octet_length(input::text) <= 16384),
  -- Whom and what it is about, and whoever may see it therefore.
  -- A job and what it made go with either.
  patient_id uuid references kymo.patient on delete cascade,
  session_id uuid references kymo.session on delete cascade,
  -- Principal's subject; empty: Kymo itself.
  requested_by text not null default '' check (length(requested_by) <= 200),
  -- Asked for twice under one key, it is one job.
  idempotency_key text check (length(idempotency_key) between 1 and 200),
  -- As long as a job with this key waits for its first attempt, another is not needed.
  coalesce_key text check (length(coalesce_key) between 1 and 200),
  -- slow: takes seconds to minutes; quick ones never wait for a free worker behind those.
  lane text not null check (lane in ('quick', 'slow')),
  -- Which of the queues of its lane: always the same for one organisation.
  shard smallint not null,
  priority smallint not null,
  progress real not null default 0 check (progress between 0 and 1),
  stage text not null default '' check (length(stage) <= 200),
  result jsonb check (octet_length(result::text) <= 16384),
  -- Of the last attempt that failed: a code of docs/protocol.md and a sentence.
  error_code text,
  error_detail text,
  attempts smallint not null default 0,
  max_attempts smallint not null check (max_attempts between 1 and 1000),
  run_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  cancel_asked_at timestamptz,
  -- The attempt under way: whoever holds another run_id than this has lost the job and changes nothing more.
  run_id uuid,
  runner text,
  lease_until timestamptz,
  -- The file that came of it: its pieces are those of this run.
  file_run uuid,
  file_name text check (length(file_name) between 1 and 200),
  file_type text check (length(file_type) between 1 and 100),
  file_bytes bigint,
  file_expires_at timestamptz
) with (fillfactor = 70);
create unique index job_by_idempotency_key on kymo.job (org_id, idempotency_key) where idempotency_key is not null;
create unique index job_by_coalesce_key on kymo.job (org_id, coalesce_key) where coalesce_key is not null;
create index job_by_org on kymo.job (org_id, created_at desc, id desc);
create index job_by_patient on kymo.job (patient_id, created_at desc, id desc) where patient_id is not null;
create index job_by_session on kymo.job (session_id, created_at desc, id desc) where session_id is not null;
create index job_by_state on kymo.job (org_id, state, created_at desc, id desc);
create index job_open on kymo.job (kind, state, run_at) where state in ('queued', 'running');
create index job_failed on kymo.job (finished_at) where state = 'failed';
create index job_by_file_expiry on kymo.job (file_expires_at) where file_expires_at is not null;
create index job_by_end on kymo.job (finished_at) where finished_at is not null;

-- What a job made, in pieces of 1 MiB, so that any instance serves it.
create table kymo.job_file_part (
  job_id uuid not null references kymo.job on delete cascade,
  run_id uuid not null,
  part integer not null check (part >= 0),
  org_id uuid not null,
  bytes bytea not null check (octet_length(bytes) <= 1048576),
  primary key (job_id, run_id, part)
);
alter table kymo.job_file_part alter column bytes set storage external;

alter table kymo.job enable row level security;
alter table kymo.job_file_part enable row level security;
create policy own_rows on kymo.job to kymo_app using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or patient_id = kymo.current_patient()));
create policy own_rows on kymo.job_file_part to kymo_app using (
  org_id = kymo.current_org() and exists (select from kymo.job j where j.id = job_id));

-- New jobs come from kymo.enqueue() alone.
grant select, delete on kymo.job to kymo_app;
grant update (state, progress, stage, result, error_code, error_detail, attempts, run_at, started_at, finished_at,
  cancel_asked_at, run_id, runner, lease_until, file_run, file_name, file_type, file_bytes, file_expires_at, coalesce_key)
  on kymo.job to kymo_app;
grant select, insert, delete on kymo.job_file_part to kymo_app;

-- The ticket of a job that waits. With an owner's rights: the application may not write to the queue itself.
create function kymo.give_job_ticket(wanted kymo.job) returns void language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  perform graphile_worker.add_job(
    wanted.kind, json_build_object('org', wanted.org_id, 'job', wanted.id), wanted.lane || '-' || wanted.shard,
    wanted.run_at, 25, wanted.id::text, wanted.priority::integer, array[wanted.lane, 'shard-' || wanted.shard]);
end $$;
revoke execute on function kymo.give_job_ticket from public;

-- Puts a job of the current organisation into its queue, in the caller's transaction. Options: patient, session,
-- requestedBy, idempotencyKey, coalesceKey, lane, shards, outlives (the patient, whom it erases), maxAttempts, delayMs, most (open jobs of the organisation beyond
-- which it is refused). SQLSTATEs: KY001 the key stands for another job, KY002 too many are open, KY003 no such patient or
-- session here.
create function kymo.enqueue(job_id uuid, job_kind text, job_input jsonb, options jsonb)
  returns table (id uuid, is_new boolean)
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  org uuid := kymo.current_org();
  only_patient uuid := kymo.current_patient();
  key text := options ->> 'idempotencyKey';
  about_session uuid := (options ->> 'session')::uuid;
  about_patient uuid := (options ->> 'patient')::uuid;
  open_jobs integer;
  made kymo.job;
  older kymo.job;
begin
  if org is null then
    raise exception 'no organisation is set' using errcode = '42501';
  end if;
  if about_session is not null then
    select coalesce(about_patient, s.patient_id) into about_patient
      from kymo.session s where s.id = about_session and s.org_id = org;
    if not found then
      raise exception 'there is no such session' using errcode = 'KY003';
    end if;
  end if;
  if about_patient is not null
     and not exists (select from kymo.patient p where p.id = about_patient and p.org_id = org)
     or only_patient is not null and about_patient is distinct from only_patient then
    raise exception 'there is no such patient' using errcode = 'KY003';
  end if;
  select count(*) into open_jobs from (
    select from kymo.job j where j.org_id = org and j.state in ('queued', 'running')
     limit (options ->> 'most')::integer) bounded;
  if key is not null then
    select * into older from kymo.job j where j.org_id = org and j.idempotency_key = key;
  end if;
  if older.id is null then
    if open_jobs >= (options ->> 'most')::integer then
      raise exception 'too many jobs are open' using errcode = 'KY002';
    end if;
    insert into kymo.job (id, org_id, kind, input, patient_id, session_id, requested_by, idempotency_key, coalesce_key,
        lane, shard, priority, max_attempts, run_at)
      values (job_id, org, job_kind, job_input,
        case when (options ->> 'outlives')::boolean then null else about_patient end, about_session, coalesce(options ->> 'requestedBy', ''), key,
        options ->> 'coalesceKey', options ->> 'lane',
        -- One organisation is always in the same queue of its lane, whose jobs run one after the other ...
        (hashtext(org::text)::bigint & 2147483647) % (options ->> 'shards')::integer,
        -- ... and whoever has many waiting lets others go first.
        least(open_jobs, 32767), (options ->> 'maxAttempts')::integer,
        now() + coalesce((options ->> 'delayMs')::double precision, 0) * interval '1 millisecond')
      on conflict do nothing
      returning * into made;
    if made.id is not null then
      perform kymo.give_job_ticket(made);
      return query select made.id, true;
      return;
    end if;
    select * into older from kymo.job j
     where j.org_id = org and (j.idempotency_key = key or j.coalesce_key = options ->> 'coalesceKey' or j.id = job_id)
     order by j.idempotency_key = key desc nulls last limit 1;
  end if;
  if older.kind is distinct from job_kind or (older.idempotency_key = key and older.input is distinct from job_input) then
    raise exception 'this key stands for another job' using errcode = 'KY001';
  end if;
  return query select older.id, false;
end $$;
revoke execute on function kymo.enqueue from public;
grant execute on function kymo.enqueue to kymo_app;

-- Another ticket for a job of the current organisation that waits: after a failed attempt, or for one asked for again.
create function kymo.requeue(job_id uuid) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  wanted kymo.job;
begin
  select * into wanted from kymo.job j where j.id = job_id and j.org_id = kymo.current_org() and j.state = 'queued';
  if wanted.id is not null then
    perform kymo.give_job_ticket(wanted);
  end if;
end $$;
revoke execute on function kymo.requeue from public;
grant execute on function kymo.requeue to kymo_app;

-- Throws unless this run still has the job, and nobody asked it to stop: first in every transaction that stores something
-- for it, which then comes before any change of the job.
create function kymo.hold_job(wanted_id uuid, wanted_run uuid) returns void language plpgsql as $$
begin
  perform from kymo.job
    where id = wanted_id and run_id = wanted_run and state = 'running' and cancel_asked_at is null for update;
  if not found then
    raise exception 'the job was taken over, cancelled or removed' using errcode = 'KY004';
  end if;
end $$;
revoke execute on function kymo.hold_job from public;
grant execute on function kymo.hold_job to kymo_app;

-- For the runners (role kymo_jobs), of all organisations: ids and counts, never what a job is about.

-- Gives back what runners held that are gone: their locks of the queue, their jobs, and tickets that are missing.
create function kymo.mend_jobs(lease_ms integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  oldest timestamptz := now() - lease_ms * interval '1 millisecond';
  lost text[];
  waiting kymo.job;
  mended integer;
begin
  -- One at a time is enough; the number is arbitrary.
  if not pg_try_advisory_xact_lock(5962131) then
    return 0;
  end if;
  select array_agg(distinct held.locked_by) into lost
    from (select locked_by, locked_at from graphile_worker._private_jobs
          union all select locked_by, locked_at from graphile_worker._private_job_queues) held
   where held.locked_at < oldest
     and not exists (select from kymo.job j
       where j.runner = held.locked_by and j.state = 'running' and j.lease_until > now());
  if lost is not null then
    perform graphile_worker.force_unlock_workers(lost);
  end if;
  update kymo.job set state = 'queued', run_id = null, runner = null, lease_until = null, run_at = now()
   where state = 'running' and lease_until < now();
  get diagnostics mended = row_count;
  delete from graphile_worker._private_jobs where attempts >= max_attempts and locked_at is null;
  for waiting in
    select j.* from kymo.job j
     where j.state = 'queued'
       and not exists (select from graphile_worker._private_jobs t where t.key = j.id::text)
     order by j.created_at limit 1000
  loop
    perform kymo.give_job_ticket(waiting);
    mended := mended + 1;
  end loop;
  return mended;
end $$;

-- How much waits, per kind: ready now, the oldest of those, later, under way, given up in the last day.
create function kymo.job_backlog()
  returns table (kind text, ready bigint, oldest_s double precision, later bigint, running bigint, failed bigint)
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select found.kind, sum(found.ready)::bigint, max(found.oldest_s), sum(found.later)::bigint, sum(found.running)::bigint,
         sum(found.failed)::bigint
    from (select j.kind,
                 count(*) filter (where j.state = 'queued' and j.run_at <= now()) as ready,
                 coalesce(extract(epoch from now() - min(j.run_at) filter (
                   where j.state = 'queued' and j.run_at <= now())), 0)::double precision as oldest_s,
                 count(*) filter (where j.state = 'queued' and j.run_at > now()) as later,
                 count(*) filter (where j.state = 'running') as running, 0::bigint as failed
            from kymo.job j where j.state in ('queued', 'running') group by j.kind
          union all
          select j.kind, 0, 0, 0, 0, count(*)
            from kymo.job j where j.state = 'failed' and j.finished_at > now() - interval '1 day' group by j.kind) found
   group by found.kind
$$;

-- Removes files whose time is over, pieces of attempts that ended without one, and jobs that ended long ago: at most
-- `most` of each. Returns how many.
create function kymo.expire_jobs(kept_days integer, most integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  expired uuid[];
  done integer;
  removed integer := 0;
begin
  select array_agg(e.id) into expired from (
    select j.id from kymo.job j where j.file_expires_at < now() limit most for update skip locked) e;
  delete from kymo.job_file_part p where p.job_id = any(expired);
  update kymo.job set file_run = null, file_expires_at = null where id = any(expired);
  removed := coalesce(cardinality(expired), 0);
  delete from kymo.job_file_part p where (p.job_id, p.run_id, p.part) in (
    select o.job_id, o.run_id, o.part from kymo.job_file_part o join kymo.job j on j.id = o.job_id
     where j.state <> 'running' and o.run_id is distinct from j.file_run limit most);
  get diagnostics done = row_count;
  removed := removed + done;
  delete from kymo.job where id in (
    select j.id from kymo.job j where j.finished_at < now() - kept_days * interval '1 day' limit most);
  get diagnostics done = row_count;
  return removed + done;
end $$;

-- For what is done once per organisation and day.
create function kymo.job_organisations() returns setof uuid
  language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select o.id from kymo.organisation o order by o.id
$$;

revoke execute on function kymo.mend_jobs, kymo.job_backlog, kymo.expire_jobs, kymo.job_organisations from public;
grant usage on schema kymo to kymo_jobs;
grant execute on function kymo.mend_jobs, kymo.job_backlog, kymo.expire_jobs, kymo.job_organisations to kymo_jobs;
