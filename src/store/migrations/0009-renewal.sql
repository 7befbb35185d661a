-- For a server that finds readings missing whose commit it has seen: whatever the database says of its log, it went back.
-- Of several servers the first draws. `known`: the incarnation under which the commit was seen.
create function kymo.renew_incarnation(known uuid) returns void language sql security definer
set search_path = pg_catalog, pg_temp as $$
  update kymo.server s set incarnation = gen_random_uuid(), timeline = coalesce(kymo.timeline(), s.timeline)
   where s.incarnation = known
$$;
revoke execute on function kymo.renew_incarnation(uuid) from public;
grant execute on function kymo.renew_incarnation(uuid) to kymo_auth;
