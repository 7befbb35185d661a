-- When the database itself says that it may have lost something. Devices compare the incarnation that they are told with
-- the one they know, and state anew what they hold when it is another (docs/protocol.md). Until now only a restore drew a
-- new one. PostgreSQL begins a new timeline with every promotion of a standby and every recovery to a point in time, and
-- either may lack the newest commits: an incarnation belongs to the timeline on which it was drawn.
-- Drawn, not computed: two standbys of one server that are promoted one after the other may get the same timeline.
alter table kymo.server add column timeline bigint;

-- Null where it is not said: on a standby, and on managed databases that show nothing of their log.
create function kymo.timeline() returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if pg_is_in_recovery() then
    return null;
  end if;
  begin
    -- pg_control_checkpoint() shows a new timeline only after the first checkpoint on it.
    return ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint;
  exception when others then
    return (select c.timeline_id from pg_control_checkpoint() c);
  end;
exception when others then
  return null;
end $$;

-- The end of what is on disk: a crash of the database does not take it back. Null as above.
create function kymo.log_position() returns pg_lsn language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return pg_current_wal_flush_lsn();
exception when others then
  return null;
end $$;

-- The incarnation now; drawn anew when the timeline is another than that of the last one, or when the log ends before
-- `seen`, a position that the caller saw earlier: then the files of the database were put back to an earlier state.
create function kymo.incarnation(seen pg_lsn default null) returns uuid language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  timeline_now bigint := kymo.timeline();
  known record;
begin
  select s.incarnation, s.timeline into strict known from kymo.server s;
  if seen > kymo.log_position() then
    update kymo.server s set incarnation = gen_random_uuid(), timeline = timeline_now
      returning s.incarnation, s.timeline into known;
  elsif timeline_now is distinct from known.timeline and timeline_now is not null then
    -- Of several callers the first draws; the others wait for its row and then find the timeline right.
    update kymo.server s set incarnation = gen_random_uuid(), timeline = timeline_now
     where s.timeline is distinct from timeline_now;
    select s.incarnation, s.timeline into strict known from kymo.server s;
  end if;
  return known.incarnation;
end $$;
revoke execute on function kymo.incarnation(pg_lsn) from public;
grant execute on function kymo.incarnation(pg_lsn) to kymo_auth;

update kymo.server set timeline = kymo.timeline();
