-- Organisations, keys, sessions, streams, the guard and the chunks. Runs as the owner, once, in one transaction.
-- Roles (kymo_writer, kymo_auth, kymo_app) are cluster-wide and made by store/roles.ts before this.
-- Every table of people's data carries org_id and row-level security; a missing kymo.org setting means no rows.

create schema kymo;
grant usage on schema kymo to kymo_writer, kymo_auth, kymo_app;
grant create on schema kymo to kymo_writer;

create function kymo.current_org() returns uuid language sql stable parallel safe
  return nullif(current_setting('kymo.org', true), '')::uuid;

-- One row. A restore or promotion draws a new incarnation, so that devices know that settled ranges may be smaller.
create table kymo.server (
  only_row boolean primary key default true check (only_row),
  incarnation uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now()
);
insert into kymo.server default values;
grant select on kymo.server to kymo_writer, kymo_auth, kymo_app;

create table kymo.organisation (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  created_at timestamptz not null default now()
);

create table kymo.device (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  name text not null check (length(name) between 1 and 64),
  key_hash bytea not null unique check (length(key_hash) = 32),
  generation bigint not null default 0,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz,
  revoked_at timestamptz
);
create index device_by_org on kymo.device (org_id, created_at desc, id desc);

-- Keys of people and programs that read: what identity's accounts will hand out later, and what `kymo start` prints.
create table kymo.access_key (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  name text not null check (length(name) between 1 and 64),
  key_hash bytea not null unique check (length(key_hash) = 32),
  scope text not null check (scope in ('read', 'admin')),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index access_key_by_org on kymo.access_key (org_id, created_at desc);

create table kymo.session (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  label text not null default '' check (length(label) <= 64),
  synthetic boolean not null default false,
  demo boolean not null default false,
  started_at timestamptz not null default now(),
  ended_at timestamptz
);
create index session_by_org on kymo.session (org_id, started_at desc, id desc);

create table kymo.stream (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  session_id uuid not null references kymo.session on delete cascade,
  device_id uuid not null references kymo.device,
  segment text not null,
  sensor text not null,
  -- [{"name": ..., "unit": ...}], in the order in which a reading packs them.
  axes jsonb not null,
  rate_hz double precision not null,
  encoding text not null check (encoding in ('float32', 'int16')),
  scale double precision[],
  clock text not null check (clock in ('device', 'none')),
  retention_class smallint not null default 0 check (retention_class between 0 and 7),
  opened_at timestamptz not null default now(),
  ended_at timestamptz
);
create index stream_by_session on kymo.stream (session_id);

-- Offsets that devices measured: server time = device time + offset_us, known to half the round trip.
create table kymo.clock_observation (
  org_id uuid not null,
  device_id uuid not null,
  observed_at timestamptz not null default now(),
  device_us bigint not null,
  offset_us bigint not null,
  round_trip_us bigint not null
);
create index clock_observation_by_device on kymo.clock_observation (device_id, observed_at);

alter table kymo.organisation enable row level security;
alter table kymo.device enable row level security;
alter table kymo.access_key enable row level security;
alter table kymo.session enable row level security;
alter table kymo.stream enable row level security;
alter table kymo.clock_observation enable row level security;

create policy own_rows on kymo.organisation for select to kymo_app using (id = kymo.current_org());
create policy own_rows on kymo.device to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.access_key to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.session to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.stream to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.clock_observation to kymo_app using (org_id = kymo.current_org());
-- Authentication looks a key up before it knows the organisation.
create policy any_key on kymo.device to kymo_auth using (true);
create policy any_key on kymo.access_key to kymo_auth using (true);

grant select on kymo.organisation to kymo_app;
grant select, insert, update, delete on kymo.device, kymo.access_key, kymo.session, kymo.stream to kymo_app;
grant select, insert on kymo.clock_observation to kymo_app;
grant select on kymo.device, kymo.access_key to kymo_auth;
grant update (generation, last_seen_at) on kymo.device to kymo_auth;

-- The guard: per (stream, epoch) what is committed and what is declared lost, disjoint. Outside the partitions, so
-- that it outlives the readings. Uniqueness of readings comes from here alone. No foreign keys: the writer owns this
-- table and may not read streams; rows are made when a stream opens and locked in (stream_id, epoch) order.
create table kymo.stream_epoch (
  stream_id uuid not null,
  epoch bigint not null,
  org_id uuid not null,
  committed int8multirange not null default '{}',
  lost int8multirange not null default '{}',
  first_commit_day date,
  last_commit_day date,
  -- The device lost this epoch's store: an unknown number of readings after the last committed one is lost.
  tail_lost boolean not null default false,
  opened_at timestamptz not null default now(),
  primary key (stream_id, epoch)
) with (
  fillfactor = 50, toast_tuple_target = 8160,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);
-- 256 fragments take 5 kB: compressed or moved out of the row, each change costs eleven times more (docs/benchmarks.md).
alter table kymo.stream_epoch
  alter column committed set storage external, alter column lost set storage external;

-- Why ranges were declared lost; one row a declaration that changed something.
create table kymo.loss (
  org_id uuid not null,
  stream_id uuid not null,
  epoch bigint not null,
  from_seq bigint not null,
  to_seq bigint not null,
  reason text not null,
  declared_at timestamptz not null default now()
);
create index loss_by_stream on kymo.loss (stream_id, epoch, from_seq);

-- One row: the readings [first_seq, first_seq + n) of one (stream, epoch) from one flush.
--   segments  24 bytes a received frame: u16 count, u16 zero, u32 period_ns, i64 first_us, i64 arrival_us (little endian)
--   deltas    null, or n x u32: microseconds of each reading after its segment's first_us
--   data      n readings, row by row, packed as the stream's encoding says (little endian)
create table kymo.chunk (
  org_id uuid not null,
  stream_id uuid not null,
  epoch bigint not null,
  first_seq bigint not null,
  first_us bigint not null,
  last_us bigint not null,
  n integer not null,
  commit_day date not null,
  retention_class smallint not null,
  segments bytea not null,
  deltas bytea,
  data bytea not null
) partition by list (retention_class);
-- Storage is inherited by the partitions made from here on (store/partitions.ts sets what is not).
alter table kymo.chunk alter column data set storage external, alter column segments set storage external;
create index chunk_by_seq on kymo.chunk (stream_id, epoch, first_seq);
create index chunk_by_time on kymo.chunk using brin (first_us, last_us) with (pages_per_range = 32);

alter table kymo.stream_epoch enable row level security;
alter table kymo.loss enable row level security;
alter table kymo.chunk enable row level security;
create policy own_rows on kymo.stream_epoch for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.loss for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.chunk for select to kymo_app using (org_id = kymo.current_org());
grant select on kymo.stream_epoch, kymo.loss, kymo.chunk to kymo_app;
alter table kymo.stream_epoch owner to kymo_writer;
alter table kymo.loss owner to kymo_writer;
alter table kymo.chunk owner to kymo_writer;

-- Little-endian numbers out of bytea. PostgreSQL has no cast for these.
create function kymo.u32_le(b bytea, at integer) returns bigint language sql immutable strict parallel safe
  return get_byte(b, at)::bigint | (get_byte(b, at + 1)::bigint << 8)
       | (get_byte(b, at + 2)::bigint << 16) | (get_byte(b, at + 3)::bigint << 24);

create function kymo.i64_le(b bytea, at integer) returns bigint language sql immutable strict parallel safe
  return kymo.u32_le(b, at) | (kymo.u32_le(b, at + 4) << 32);

create function kymo.i16_le(b bytea, at integer) returns integer language sql immutable strict parallel safe
  return ((get_byte(b, at) | (get_byte(b, at + 1) << 8)) # 32768) - 32768;

-- IEEE 754 binary32, exactly: value = mantissa * 2^exponent, both exact in float8.
create function kymo.float32_le(b bytea, at integer) returns real language plpgsql immutable strict parallel safe as $$
declare
  low integer := get_byte(b, at) | (get_byte(b, at + 1) << 8) | ((get_byte(b, at + 2) & 127) << 16);
  exponent integer := (get_byte(b, at + 2) >> 7) | ((get_byte(b, at + 3) & 127) << 1);
  sign float8 := case when get_byte(b, at + 3) > 127 then -1 else 1 end;
begin
  if exponent = 255 then
    return case when low <> 0 then 'NaN'::real when sign < 0 then '-Infinity'::real else 'Infinity'::real end;
  elsif exponent = 0 then
    return (sign * low * power(2::float8, -149))::real;
  end if;
  return (sign * (low + 8388608) * power(2::float8, exponent - 150))::real;
end $$;

-- The readings of one chunk: position in the chunk, device time, one value an axis.
create function kymo.chunk_readings(
  segments bytea, deltas bytea, data bytea, encoding text, axis_count integer, scale double precision[]
) returns table (i integer, time_us bigint, "values" double precision[])
language plpgsql immutable parallel safe as $$
declare
  segment integer;
  in_segment integer;
  period_ns bigint;
  first_us bigint;
  axis integer;
begin
  i := 0;
  for segment in 0 .. length(segments) / 24 - 1 loop
    period_ns := kymo.u32_le(segments, segment * 24 + 4);
    first_us := kymo.i64_le(segments, segment * 24 + 8);
    for in_segment in 0 .. (get_byte(segments, segment * 24) | (get_byte(segments, segment * 24 + 1) << 8)) - 1 loop
      time_us := first_us + case when deltas is null
        then (in_segment * period_ns + 500) / 1000 else kymo.u32_le(deltas, i * 4) end;
      "values" := array_fill(null::double precision, array[axis_count]);
      for axis in 0 .. axis_count - 1 loop
        "values"[axis + 1] := case encoding
          when 'float32' then kymo.float32_le(data, (i * axis_count + axis) * 4)
          else kymo.i16_le(data, (i * axis_count + axis) * 2) * scale[axis + 1] end;
      end loop;
      return next;
      i := i + 1;
    end loop;
  end loop;
end $$;

-- One row a reading, for plain SQL and Grafana. Give it a stream and a time range on first_us and last_us: unpacking
-- costs some microseconds a value.
create view kymo.reading with (security_invoker = true) as
  select c.org_id, c.stream_id, s.session_id, s.segment, c.epoch, c.first_seq + r.i as seq, r.time_us,
         to_timestamp(r.time_us / 1e6) as "time", r."values", c.first_us, c.last_us
    from kymo.chunk c
    join kymo.stream s on s.id = c.stream_id
   cross join lateral kymo.chunk_readings(c.segments, c.deltas, c.data, s.encoding, jsonb_array_length(s.axes), s.scale) r;
grant select on kymo.reading to kymo_app;
