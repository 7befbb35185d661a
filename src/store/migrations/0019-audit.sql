-- Who read or changed what, when and by which way: rows that nobody changes, chained in blocks per organisation. The role
-- kymo_audit may call the functions below and nothing else; kymo_app reads its organisation's rows. What is hashed, and how
-- another program checks it, is in docs/audit.md.

create table kymo.audit_entry (
  -- Order of recording. Gaps are usual: what a failed transaction drew is not drawn again.
  id bigint generated always as identity primary key,
  org_id uuid not null,
  at timestamptz not null,
  request_id uuid,
  -- Kind, role and subject of the Principal (contract/principal.ts); `system` for jobs and commands.
  actor_kind text not null,
  actor_role text not null,
  actor text not null,
  action text not null,
  -- The pattern of an address or channel, never the address itself.
  route text not null,
  -- Whose data it was, as far as it was one patient's.
  patient_id uuid,
  resource_kind text,
  resource_id uuid,
  -- Whose data a list showed.
  patients uuid[],
  -- HTTP status of the answer; null: was about to be done. What is changed has such a row before it changes.
  status smallint,
  address text
);
create index audit_by_org on kymo.audit_entry (org_id, at desc, id desc);
create index audit_by_patient on kymo.audit_entry (patient_id, at desc, id desc) where patient_id is not null;
create index audit_by_listed_patient on kymo.audit_entry using gin (patients) where patients is not null;
create index audit_by_actor on kymo.audit_entry (org_id, actor, at desc, id desc);

-- Each covers the organisation's rows that were recorded since the block before. `ids` and `digests` (32 bytes a row) say
-- which row is wrong; they go with their rows when retention ends, and the chain stays.
create table kymo.audit_block (
  org_id uuid not null,
  number bigint not null check (number >= 1),
  first_id bigint not null,
  last_id bigint not null,
  row_count integer not null check (row_count >= 1),
  sealed_at timestamptz not null,
  previous bytea not null check (length(previous) = 32),
  content bytea not null check (length(content) = 32),
  hash bytea not null check (length(hash) = 32),
  ids bigint[],
  digests bytea,
  primary key (org_id, number)
);
-- A third of the bytes of a digest would be lost by trying to compress it.
alter table kymo.audit_block alter column digests set storage external;
create index audit_block_kept on kymo.audit_block (sealed_at) where ids is not null;

-- One row: all entries up to `horizon` are committed or never will be; those up to `sealed_to` are in a block.
create table kymo.audit_standing (
  only_row boolean primary key default true check (only_row),
  horizon bigint not null default 0,
  sealed_to bigint not null default 0
);
insert into kymo.audit_standing default values;

alter table kymo.audit_entry enable row level security;
alter table kymo.audit_block enable row level security;
alter table kymo.audit_standing enable row level security;
create policy own_rows on kymo.audit_entry for select to kymo_app using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or patient_id = kymo.current_patient()));
create policy own_rows on kymo.audit_block for select to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
grant select on kymo.audit_entry, kymo.audit_block to kymo_app;

-- Against mistakes of those who own the tables; against others there are the grants.
create function kymo.refuse_audit_change() returns trigger language plpgsql as $$
begin
  if current_setting('kymo.audit_expiry', true) is distinct from 'on' then
    raise exception 'the audit log is only added to';
  end if;
  return case tg_op when 'UPDATE' then new else old end;
end $$;
create trigger only_added_to before update or delete on kymo.audit_entry
  for each row execute function kymo.refuse_audit_change();
create trigger only_added_to before update or delete on kymo.audit_block
  for each row execute function kymo.refuse_audit_change();
create trigger never_emptied before truncate on kymo.audit_entry
  for each statement execute function kymo.refuse_audit_change();
create trigger never_emptied before truncate on kymo.audit_block
  for each statement execute function kymo.refuse_audit_change();

-- Adds rows: [{"org", "at" (microseconds since 1970), "request", "kind", "role", "actor", "action", "route", "patient",
-- "of", "id", "patients", "status", "address"}]. Whose a session or stream is, is looked up here, so that no request waits
-- for it. The lock lets kymo.audit_mark() know that nobody is between drawing an id and its commit.
create function kymo.audit_append(entries json) returns void
language plpgsql security definer set search_path = kymo, pg_temp as $$
begin
  perform pg_advisory_xact_lock_shared(5962119);
  insert into kymo.audit_entry (org_id, at, request_id, actor_kind, actor_role, actor, action, route, patient_id,
                                resource_kind, resource_id, patients, status, address)
  select e.org, timestamptz 'epoch' + e.at * interval '1 microsecond', e.request, e.kind, e.role, e.actor, e.action, e.route,
         coalesce(e.patient, case e.of
           when 'session' then (select s.patient_id from kymo.session s where s.id = e.id and s.org_id = e.org)
           when 'stream' then (select s.patient_id from kymo.stream t join kymo.session s on s.id = t.session_id
                                where t.id = e.id and t.org_id = e.org) end),
         e.of, e.id, e.patients, e.status, e.address
    from json_to_recordset(entries) as e(org uuid, at bigint, request uuid, kind text, role text, actor text, action text,
           route text, patient uuid, of text, id uuid, patients uuid[], status smallint, address text);
end $$;

-- Moves the horizon to the newest row. False when another instance is at it, or an append takes longer than it may wait:
-- appends queue behind this lock.
create function kymo.audit_mark() returns boolean
language plpgsql security definer set search_path = kymo, pg_temp set lock_timeout = '200ms' as $$
begin
  perform from kymo.audit_standing for update skip locked;
  if not found then return false; end if;
  perform pg_advisory_xact_lock(5962119);
  update kymo.audit_standing set horizon = greatest(horizon, coalesce((select max(e.id) from kymo.audit_entry e), 0));
  return true;
exception when lock_not_available then
  return false;
end $$;

-- A value as a netstring: its length in bytes, a colon, itself, a comma. `-,` is null.
create function kymo.audit_field(value text) returns text language sql immutable parallel safe
  return coalesce(octet_length(convert_to(value, 'UTF8')) || ':' || value || ',', '-,');

create function kymo.audit_us(at timestamptz) returns text language sql immutable parallel safe
  return ((extract(epoch from at) * 1000000)::bigint)::text;

create function kymo.audit_digest(e kymo.audit_entry) returns bytea language sql immutable parallel safe
  return sha256(convert_to(
    kymo.audit_field(e.id::text) || kymo.audit_field(e.org_id::text) || kymo.audit_field(kymo.audit_us(e.at))
    || kymo.audit_field(e.request_id::text) || kymo.audit_field(e.actor_kind) || kymo.audit_field(e.actor_role)
    || kymo.audit_field(e.actor) || kymo.audit_field(e.action) || kymo.audit_field(e.route)
    || kymo.audit_field(e.patient_id::text) || kymo.audit_field(e.resource_kind)
    || kymo.audit_field(e.resource_id::text) || kymo.audit_field(array_to_string(e.patients, ','))
    || kymo.audit_field(e.status::text) || kymo.audit_field(e.address), 'UTF8'));

-- Puts at most `max_rows` rows below the horizon into blocks of at most 1,024. Returns how many were sealed, and how many
-- wait, counted to a million.
create function kymo.audit_seal(max_rows integer, out sealed bigint, out unsealed bigint)
language plpgsql security definer set search_path = kymo, pg_temp as $$
declare
  standing kymo.audit_standing;
  made record;
  before record;
  reached bigint;
  now_at timestamptz := date_trunc('milliseconds', clock_timestamp());
  content_hash bytea;
begin
  sealed := 0;
  select * into standing from kymo.audit_standing for update skip locked;
  if found then
    for made in
      with due as (
        select e.id, e.org_id, kymo.audit_digest(e) as digest from kymo.audit_entry e
         where e.id > standing.sealed_to and e.id <= standing.horizon order by e.id limit max_rows
      ), placed as (
        select due.*, (row_number() over (partition by org_id order by id) - 1) / 1024 as part from due
      )
      select org_id, part, array_agg(id order by id) as ids, string_agg(digest, '' order by id) as digests,
             count(*)::integer as n, min(id) as first_id, max(id) as last_id
        from placed group by org_id, part order by org_id, part
    loop
      select b.number, b.hash into before from kymo.audit_block b
       where b.org_id = made.org_id order by b.number desc limit 1;
      content_hash := sha256(made.digests);
      insert into kymo.audit_block (org_id, number, first_id, last_id, row_count, sealed_at, previous, content, hash, ids,
                                    digests)
      select made.org_id, n.number, made.first_id, made.last_id, made.n, now_at, n.previous, content_hash,
             sha256(convert_to(kymo.audit_field('kymo audit 1') || kymo.audit_field(made.org_id::text)
               || kymo.audit_field(n.number::text) || kymo.audit_field(made.first_id::text)
               || kymo.audit_field(made.last_id::text) || kymo.audit_field(made.n::text)
               || kymo.audit_field(kymo.audit_us(now_at)) || kymo.audit_field(encode(n.previous, 'hex'))
               || kymo.audit_field(encode(content_hash, 'hex')), 'UTF8')),
             made.ids, made.digests
        from (select coalesce(before.number, 0) + 1 as number,
                     coalesce(before.hash, decode(repeat('00', 32), 'hex')) as previous) n;
      sealed := sealed + made.n;
      reached := greatest(reached, made.last_id);
    end loop;
    update kymo.audit_standing set sealed_to = greatest(sealed_to, coalesce(reached, standing.horizon));
    standing.sealed_to := greatest(standing.sealed_to, coalesce(reached, standing.horizon));
  else
    select s.* into standing from kymo.audit_standing s;
  end if;
  select count(*) into unsealed
    from (select from kymo.audit_entry e where e.id > standing.sealed_to limit 1000000) waiting;
end $$;

-- Removes the rows of blocks older than `days`, at most `max_blocks` of them; a year is kept whoever asks. Returns how many
-- blocks gave their rows up.
create function kymo.audit_expire(days integer, max_blocks integer) returns integer
language plpgsql security definer set search_path = kymo, pg_temp as $$
declare
  block record;
  expired integer := 0;
begin
  perform set_config('kymo.audit_expiry', 'on', true);
  for block in
    select b.org_id, b.number, b.ids from kymo.audit_block b
     where b.ids is not null and b.sealed_at < now() - greatest(days, 365) * interval '1 day'
     order by b.sealed_at limit max_blocks for update skip locked
  loop
    delete from kymo.audit_entry where id = any (block.ids) and org_id = block.org_id;
    update kymo.audit_block set ids = null, digests = null
     where org_id = block.org_id and number = block.number;
    expired := expired + 1;
  end loop;
  perform set_config('kymo.audit_expiry', '', true);
  return expired;
end $$;

-- Entries about one patient and lists that showed it, newest first, older than (before_at, before_id). As the owner, since row
-- security would keep kymo_app from the index on lists; it looks at the caller's organisation itself.
create function kymo.audit_of_patient(patient uuid, who text, since timestamptz, before_at timestamptz, before_id bigint,
                                      most integer) returns setof kymo.audit_entry
language sql stable security definer set search_path = kymo, pg_temp as $$
  select * from (
    (select e.* from kymo.audit_entry e
      where e.patient_id = patient and e.org_id = kymo.current_org() and (who is null or e.actor = who)
        and e.at >= since and (e.at, e.id) < (before_at, before_id)
      order by e.at desc, e.id desc limit most)
    union all
    (select e.* from kymo.audit_entry e
      where e.patients @> array[patient] and e.patient_id is distinct from patient and e.org_id = kymo.current_org()
        and (who is null or e.actor = who) and e.at >= since and (e.at, e.id) < (before_at, before_id)
      order by e.at desc, e.id desc limit most)
  ) found
  where kymo.current_patient() is null or kymo.current_patient() = patient
  order by at desc, id desc limit most;
$$;

revoke all on function kymo.audit_of_patient(uuid, text, timestamptz, timestamptz, bigint, integer) from public;
grant execute on function kymo.audit_of_patient(uuid, text, timestamptz, timestamptz, bigint, integer) to kymo_app;
revoke all on function kymo.audit_append(json), kymo.audit_mark(), kymo.audit_seal(integer),
  kymo.audit_expire(integer, integer) from public;
grant usage on schema kymo to kymo_audit;
grant execute on function kymo.audit_append(json), kymo.audit_mark(), kymo.audit_seal(integer),
  kymo.audit_expire(integer, integer) to kymo_audit;
