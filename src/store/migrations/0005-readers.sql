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
create policy reader_rows on kymo.rollup_progress for select to kymo_reader
  using (org_id = (select kymo.reader_org()));
create policy reader_rows on kymo.rollup for select to kymo_reader using (org_id = (select kymo.reader_org()));
grant select on kymo.session, kymo.stream, kymo.stream_epoch, kymo.loss to kymo_reader;
grant select on kymo.chunk, kymo.sealed_chunk, kymo.stored_chunk, kymo.reading to kymo_reader;
grant select on kymo.rollup, kymo.rollup_progress, kymo.rollup_bucket to kymo_reader;

-- Which entry of an array of values is the axis of this name: "values"[kymo.axis(stream_id, 'acc_z')].
create function kymo.axis(stream uuid, name text) returns integer language sql stable strict parallel safe
  return (select a.position::integer
            from kymo.stream s, jsonb_array_elements(s.axes) with ordinality as a(axis, position)
           where s.id = $1 and a.axis ->> 'name' = $2);
comment on function kymo.axis is 'position of an axis in arrays of values, from 1; null when the stream has none of this name';

-- Device times are microseconds since 1970. Both keep the microseconds.
create function kymo.us("time" timestamptz) returns bigint language sql immutable strict parallel safe
  return (extract(epoch from $1) * 1000000)::bigint;
comment on function kymo.us(timestamptz) is 'device time in microseconds since 1970';
create function kymo.us(length interval) returns bigint language sql immutable strict parallel safe
  return (extract(epoch from $1) * 1000000)::bigint;
comment on function kymo.us(interval) is 'length in microseconds, such as that of a bucket';

-- kymo.reading with all the conditions that make it fast.
create function kymo.readings(stream uuid, "from" timestamptz, "to" timestamptz) returns setof kymo.reading
language sql stable parallel safe begin atomic
  select r.* from kymo.reading r
   where r.stream_id = $1 and r.last_us >= kymo.us($2) and r.first_us < kymo.us($3)
     and r.time_us >= kymo.us($2) and r.time_us < kymo.us($3);
end;
comment on function kymo.readings is
  'One row a reading of a stream that is not sealed, in a range of device time; in no order';

-- kymo.rollup_bucket for one axis. Only rows of the range are read: each holds 60 buckets from start_us on.
create function kymo.buckets(stream uuid, axis text, bucket interval, "from" timestamptz, "to" timestamptz)
returns table (
  "time" timestamptz, epoch bigint, count bigint, min double precision, mean double precision, max double precision,
  lag_us bigint
) language sql stable parallel safe begin atomic
  select to_timestamp((r.start_us + b.slot * r.bucket_us) / 1e6), r.epoch, r.counts[b.i],
         nullif(r.mins[p.at], 'NaN'), r.sums[p.at] / nullif(coalesce(r.finites[p.at], r.counts[b.i]), 0),
         nullif(r.maxs[p.at], 'NaN'), r.lags_us[b.i]
    from kymo.rollup r
    join kymo.stream s on s.id = r.stream_id
   cross join lateral unnest(r.slots) with ordinality b(slot, i)
   cross join lateral (select ((b.i - 1) * jsonb_array_length(s.axes) + kymo.axis($1, $2))::integer as at) p
   where r.stream_id = $1 and r.bucket_us = kymo.us($3)
     and r.start_us > kymo.us($4) - 60 * kymo.us($3) and r.start_us < kymo.us($5)
     and r.start_us + b.slot * r.bucket_us >= kymo.us($4) and r.start_us + b.slot * r.bucket_us < kymo.us($5);
end;
comment on function kymo.buckets is
  'Roll-ups of one axis of a stream, one row a bucket and epoch, for buckets that begin in a range of device time; in no order';
