-- People and programs that read with plain SQL (store/readers.ts, docs/sql.md). Each has a login role of its own, a member
-- of kymo_reader, and is bound to one organisation by a row of kymo.sql_reader, which only the owner can read or change.
-- A setting would not do: a role may change its own settings. Nothing is granted but what is listed here, so a table that
-- is made later is not readable until a migration says so.

create table kymo.sql_reader (
  role_name name primary key,
  org_id uuid not null references kymo.organisation,
  created_at timestamptz not null default now()
);
alter table kymo.sql_reader enable row level security;
create policy own_rows on kymo.sql_reader for select to kymo_app using (org_id = kymo.current_org());
grant select on kymo.sql_reader to kymo_app;

-- The organisation of whoever logged in, whatever SET ROLE says since. Runs as its owner, for kymo.sql_reader.
create function kymo.reader_org() returns uuid language sql stable parallel safe security definer
  set search_path = pg_catalog, pg_temp
  return (select r.org_id from kymo.sql_reader r where r.role_name = session_user);
revoke execute on function kymo.reader_org() from public;
grant execute on function kymo.reader_org() to kymo_reader;

grant usage on schema kymo to kymo_reader;

-- The sub-select is computed once a statement, not once a row.
create policy reader_rows on kymo.session for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.stream for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.stream_epoch for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.loss for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.chunk for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.sealed_chunk for select to kymo_reader using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.rollup for select to kymo_reader using (org_id = (select kymo.reader_org()));
grant select on kymo.session, kymo.stream, kymo.stream_epoch, kymo.loss to kymo_reader;
grant select on kymo.chunk, kymo.sealed_chunk, kymo.stored_chunk, kymo.reading to kymo_reader;
grant select on kymo.rollup, kymo.rollup_bucket to kymo_reader;

-- Which entry of an array of values is the axis of this name: "values"[kymo.axis(stream_id, 'acc_z')].
create function kymo.axis(stream uuid, name text) returns integer language sql stable strict parallel safe
  return (select a.position::integer
            from kymo.stream s, jsonb_array_elements(s.axes) with ordinality as a(axis, position)
           where s.id = $1 and a.axis ->> 'name' = $2);
comment on function kymo.axis is 'position of an axis in arrays of values, from 1; null when the stream has none of this name';
