-- Roll-ups: count, least, largest value and sum of every axis, in buckets of device time. Made by the keeper
-- (store/rollup-keeper.ts, role kymo_writer) from committed readings, outside the flushes. Readable by plain SQL, at any
-- age: they outlive the readings that they were made of.

-- Set by the guard's update when readings were added, cleared when the roll-ups contain all that is committed. Only finds
-- the work: what the work is follows from committed and rolled. Unchanged values keep the guard's updates HOT.
alter table kymo.stream_epoch
  add column is_dirty boolean not null default false,
  add column committed_at timestamptz;
update kymo.stream_epoch set is_dirty = true where committed <> '{}';
create index stream_epoch_dirty on kymo.stream_epoch (stream_id, epoch) where is_dirty;
comment on column kymo.stream_epoch.is_dirty is 'readings are committed that no roll-up contains yet';
comment on column kymo.stream_epoch.committed_at is 'when readings were added last';

create table kymo.rollup_progress (
  stream_id uuid not null,
  epoch bigint not null,
  org_id uuid not null,
  rolled int8multirange not null default '{}',
  first_us bigint,
  last_us bigint,
  min_lag_us bigint,
  rolled_at timestamptz,
  primary key (stream_id, epoch)
) with (fillfactor = 50);
comment on table kymo.rollup_progress is
  'Per stream and epoch, what the roll-ups contain. A keeper holds the row''s lock while it works on the epoch.';
comment on column kymo.rollup_progress.rolled is
  'sequence numbers of the readings that the roll-ups contain; committed minus these is still to do';
comment on column kymo.rollup_progress.first_us is 'least device time of a rolled reading, microseconds';
comment on column kymo.rollup_progress.last_us is 'largest device time of a rolled reading, microseconds';
comment on column kymo.rollup_progress.min_lag_us is
  'smallest lag (arrival minus device time) of a rolled reading, microseconds';

create table kymo.rollup (
  org_id uuid not null,
  stream_id uuid not null,
  epoch bigint not null,
  bucket_us bigint not null,
  start_us bigint not null,
  seqs int8multirange not null,
  slots smallint[] not null,
  counts bigint[] not null,
  lags_us bigint[] not null,
  finites bigint[],
  mins float8[] not null,
  maxs float8[] not null,
  sums float8[] not null,
  primary key (stream_id, epoch, bucket_us, start_us)
) with (autovacuum_vacuum_scale_factor = 0.05);
-- Compression gains nothing on float8 and costs the keeper and every reader.
alter table kymo.rollup
  alter column mins set storage external, alter column maxs set storage external, alter column sums set storage external;
comment on table kymo.rollup is
  'One row: up to 60 consecutive buckets of device time of one stream and epoch. Buckets without readings are left out.';
comment on column kymo.rollup.bucket_us is
  'length of a bucket, microseconds: 1 s, 5 s, 10 s, 1 min, 10 min, 1 h, 12 h; shorter for streams above 500 Hz, longer for slow ones';
comment on column kymo.rollup.start_us is
  'device time at which the row begins, a multiple of 60 buckets; raw device time, microseconds since 1970';
comment on column kymo.rollup.seqs is
  'where the readings of the row are found: ranges of sequence numbers that hold all of them, and others between';
comment on column kymo.rollup.slots is 'which of the 60 buckets have readings, ascending from 0';
comment on column kymo.rollup.counts is 'readings, one number a slot';
comment on column kymo.rollup.lags_us is 'largest lag (arrival minus device time), microseconds, one a slot';
comment on column kymo.rollup.finites is
  'finite values, slot by slot, one an axis; null: every value of the row is finite';
comment on column kymo.rollup.mins is 'least finite value, slot by slot, one an axis; NaN where no value is finite';
comment on column kymo.rollup.maxs is 'largest finite value, like mins';
comment on column kymo.rollup.sums is
  'sum of finite values, like mins: of the shortest buckets in the order of sequence numbers, of longer ones the sum of the shorter ones in the order of time';

alter table kymo.rollup_progress enable row level security;
alter table kymo.rollup enable row level security;
create policy own_rows on kymo.rollup_progress for select to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.rollup for select to kymo_app using (org_id = kymo.current_org());
grant select on kymo.rollup_progress, kymo.rollup to kymo_app;
alter table kymo.rollup_progress owner to kymo_writer;
alter table kymo.rollup owner to kymo_writer;

-- How a stream packs its readings, its rate and whether it has ended: all that the keeper must know of it.
grant select (id, axes, encoding, scale, rate_hz, ended_at) on kymo.stream to kymo_writer;
create policy layouts_for_rollups on kymo.stream for select to kymo_writer using (true);

create view kymo.rollup_bucket with (security_invoker = true) as
  select r.org_id, r.stream_id, s.session_id, s.segment, r.epoch, r.bucket_us,
         r.start_us + b.slot * r.bucket_us as start_us,
         to_timestamp((r.start_us + b.slot * r.bucket_us) / 1e6) as "time",
         r.counts[b.i] as count, r.lags_us[b.i] as lag_us,
         array(select nullif(r.mins[(b.i - 1) * a.axes + k], 'NaN') from generate_series(1, a.axes) k) as min,
         array(select nullif(r.maxs[(b.i - 1) * a.axes + k], 'NaN') from generate_series(1, a.axes) k) as max,
         array(select r.sums[(b.i - 1) * a.axes + k]
                    / nullif(coalesce(r.finites[(b.i - 1) * a.axes + k], r.counts[b.i]), 0)
                 from generate_series(1, a.axes) k) as mean
    from kymo.rollup r
    join kymo.stream s on s.id = r.stream_id
   cross join lateral (select jsonb_array_length(s.axes) as axes) a
   cross join lateral unnest(r.slots) with ordinality b(slot, i);
grant select on kymo.rollup_bucket to kymo_app;
comment on view kymo.rollup_bucket is
  'One row a bucket, one array entry an axis. Give it a stream_id and a bucket_us, and a range of start_us.';
