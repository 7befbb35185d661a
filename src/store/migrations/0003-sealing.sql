-- Sealed readings: those of ended streams, and of past days, in few large compressed rows beside the hot ones. Sealing
-- (store/sealing.ts) moves readings here under the guard's row lock; a reading is in exactly one of the two tables.

-- One row: the readings [first_seq, first_seq + n) of one (stream, epoch), all committed on one day. `block` is a checked,
-- compressed block (store/sealed-codec.ts). Day and class are those of the hot rows, so that retention counts as before.
create table kymo.sealed_chunk (
  org_id uuid not null,
  stream_id uuid not null,
  epoch bigint not null,
  first_seq bigint not null,
  first_us bigint not null,
  last_us bigint not null,
  n integer not null,
  commit_day date not null,
  retention_class smallint not null,
  block bytea not null
) partition by list (retention_class);
-- Compressed already.
alter table kymo.sealed_chunk alter column block set storage external;
create index sealed_chunk_by_seq on kymo.sealed_chunk (stream_id, epoch, first_seq);

-- Every stored reading once, hot or sealed: what readers of chunks select from (store/chunk-reader.ts). A row has either
-- segments, deltas and data, or a block.
create view kymo.stored_chunk with (security_invoker = true) as
  select org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class,
         segments, deltas, data, null::bytea as block
    from kymo.chunk
   union all
  select org_id, stream_id, epoch, first_seq, first_us, last_us, n, commit_day, retention_class,
         null, null, null, block
    from kymo.sealed_chunk;
grant select on kymo.stored_chunk to kymo_writer, kymo_app;

-- The chunks of one epoch that touch [from_seq, to_seq) and [from_us, to_us), in seq order: at most max_chunks, and none
-- behind the one with which max_readings are reached. Chunks of an epoch do not overlap, so the last one that starts at or
-- before from_seq is the first that can hold it. Without statistics of one stream the planner thinks that the rest of it is
-- a row or two and would sort it; the settings make it walk the indexes on seq, and plan once a connection. Adding zero to
-- the times keeps it from the index on time, which finds the chunks of all streams.
create function kymo.read_chunks(
  of_stream uuid, of_epoch bigint, from_seq bigint, to_seq bigint, from_us bigint, to_us bigint,
  max_chunks integer, max_readings bigint
) returns table (
  stream_id uuid, first_seq bigint, first_us bigint, last_us bigint, n integer,
  segments bytea, deltas bytea, data bytea, block bytea
) language plpgsql stable rows 64
  set plan_cache_mode = force_generic_plan
  set enable_sort = off
  set enable_bitmapscan = off
  set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  first_day date;
  last_day date;
  start_seq bigint;
begin
  select e.first_commit_day, e.last_commit_day into first_day, last_day
    from kymo.stream_epoch e where e.stream_id = of_stream and e.epoch = of_epoch;
  if first_day is null then
    return;
  end if;
  select c.first_seq into start_seq from kymo.stored_chunk c
   where c.stream_id = of_stream and c.epoch = of_epoch and c.first_seq <= from_seq
     and c.commit_day between first_day and last_day
   order by c.first_seq desc limit 1;
  return query
    select w.stream_id, w.first_seq, w.first_us, w.last_us, w.n, w.segments, w.deltas, w.data, w.block from (
      select c.stream_id, c.first_seq, c.first_us, c.last_us, c.n, c.segments, c.deltas, c.data, c.block,
             sum(c.n) over (order by c.first_seq rows unbounded preceding) - c.n as before
        from kymo.stored_chunk c
       where c.stream_id = of_stream and c.epoch = of_epoch
         and c.first_seq >= coalesce(start_seq, 0) and c.first_seq < to_seq and c.first_seq + c.n > from_seq
         and c.commit_day between first_day and last_day
         and c.last_us + 0 >= from_us and c.first_us + 0 < to_us
       order by c.first_seq limit max_chunks) w
     where w.before < max_readings;
end $$;

-- One row for a stream that ended and was sealed. Readings that come after that make a new revision.
create table kymo.stream_sealing (
  stream_id uuid primary key,
  org_id uuid not null,
  -- Committed readings when the last of them was sealed.
  sealed_readings bigint not null,
  revision integer not null default 1
);

-- Streams that are to stay plain: `kymo unseal` wrote them back.
create table kymo.seal_hold (
  stream_id uuid primary key,
  org_id uuid not null,
  held_at timestamptz not null default now()
);

alter table kymo.sealed_chunk enable row level security;
alter table kymo.stream_sealing enable row level security;
alter table kymo.seal_hold enable row level security;
create policy own_rows on kymo.sealed_chunk for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.stream_sealing for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.seal_hold for select to kymo_app using (org_id = kymo.current_org());
grant select on kymo.sealed_chunk, kymo.stream_sealing, kymo.seal_hold to kymo_app;
alter table kymo.sealed_chunk owner to kymo_writer;
alter table kymo.stream_sealing owner to kymo_writer;
alter table kymo.seal_hold owner to kymo_writer;

-- The sealer must know which streams have ended, and how a reading is packed.
grant select (id, org_id, session_id, axes, encoding, ended_at) on kymo.stream to kymo_writer;
create policy sealer_reads on kymo.stream for select to kymo_writer using (true);
create index stream_by_end on kymo.stream (ended_at, id) where ended_at is not null;
