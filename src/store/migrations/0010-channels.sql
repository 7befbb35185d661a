-- Channels that keep what is published to them for good: chat, commands, notifications (store/channel-log.ts). The counter
-- row gives the offsets: it is locked until the transaction that publishes ends, so that offsets have no holes, stand in the
-- order of commits, and exist exactly when what caused the message does.

create table kymo.channel (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references kymo.organisation,
  name text not null check (length(name) between 1 and 200),
  -- By its name alone, so that no way of publishing forgets it: erasing a session takes its channels with it.
  session_id uuid references kymo.session on delete cascade generated always as (
    substring(name from '^session/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/')::uuid) stored,
  -- Offset of the newest message; 0: none yet.
  newest bigint not null default 0,
  unique (org_id, name)
) with (fillfactor = 50);
create index channel_by_session on kymo.channel (session_id) where session_id is not null;

create table kymo.channel_message (
  channel_id uuid not null references kymo.channel on delete cascade,
  channel_offset bigint not null,
  org_id uuid not null,
  time_us bigint not null,
  -- Who publishes again under the same key gets the first one's offset.
  key text check (length(key) between 1 and 64),
  -- UTF-8 JSON; the limit is that of protocol/publication.ts.
  payload bytea not null check (length(payload) <= 16384),
  primary key (channel_id, channel_offset)
);
create unique index channel_message_by_key on kymo.channel_message (channel_id, key) where key is not null;

alter table kymo.channel enable row level security;
alter table kymo.channel_message enable row level security;
create policy own_rows on kymo.channel to kymo_app using (org_id = kymo.current_org());
create policy own_rows on kymo.channel_message to kymo_app using (org_id = kymo.current_org());
grant select, insert, update (newest) on kymo.channel to kymo_app;
grant select, insert on kymo.channel_message to kymo_app;

-- Another one after every restore, promotion and recovery to a point in time: the messages after that point are others,
-- and an offset from before says nothing about them. Known before the first message, and the same after it.
create function kymo.channel_epoch(org uuid, name text) returns text language sql volatile security definer
  set search_path = pg_catalog, pg_temp
  return left(encode(sha256(convert_to(kymo.incarnation()::text || '/' || org::text || '/' || name, 'UTF8')), 'hex'), 16);
revoke execute on function kymo.channel_epoch(uuid, text) from public;
grant execute on function kymo.channel_epoch(uuid, text) to kymo_app;

-- Part of the transaction that causes the message, which must wait for the disk (synchronous_commit): an offset that was
-- told may not come again. Who appends to several channels does so in the order of their names.
create function kymo.append_to_channel(
  in_org uuid, in_name text, in_payload bytea, in_key text,
  out epoch text, out message_offset bigint, out newest bigint, out time_us bigint, out is_duplicate boolean
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  channel uuid;
begin
  select c.id, c.newest into channel, newest from kymo.channel c
   where c.org_id = in_org and c.name = in_name for no key update;
  if not found then
    -- The first of several makes it; the others wait for that and then for its row.
    insert into kymo.channel (org_id, name) values (in_org, in_name) on conflict do nothing;
    select c.id, c.newest into strict channel, newest from kymo.channel c
     where c.org_id = in_org and c.name = in_name for no key update;
  end if;
  epoch := kymo.channel_epoch(in_org, in_name);
  is_duplicate := false;
  if in_key is not null then
    select m.channel_offset, m.time_us into message_offset, time_us from kymo.channel_message m
     where m.channel_id = channel and m.key = in_key;
    is_duplicate := found;
  end if;
  if is_duplicate then
    return;
  end if;
  newest := newest + 1;
  message_offset := newest;
  time_us := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
  update kymo.channel c set newest = message_offset where c.id = channel;
  insert into kymo.channel_message (channel_id, channel_offset, org_id, time_us, key, payload)
    values (channel, message_offset, in_org, time_us, in_key, in_payload);
end $$;
revoke execute on function kymo.append_to_channel(uuid, text, bytea, text) from public;
grant execute on function kymo.append_to_channel(uuid, text, bytea, text) to kymo_app;
