-- People, their sign-ins and second factors, what they are in which organisation, and invitations; keys that may only
-- some things, and keys of devices that are exchanged. A person belongs to no organisation by itself: membership says so.
-- Every secret is kept as a hash (or, where it has to be read again, sealed): a back-up lets nobody in.

create table kymo.person (
  id uuid primary key,
  email text not null check (length(email) between 3 and 254 and email = lower(email)),
  name text not null check (length(name) between 1 and 120),
  -- Argon2id, PHC string; null: this person signs in by links alone (the demo) or has not set one yet.
  password_hash text check (password_hash like '$argon2id$%'),
  password_set_at timestamptz,
  created_at timestamptz not null default now(),
  unique (email)
);

-- What a person is to an organisation. A patient's account reaches that one patient (contract/permissions.ts).
create table kymo.member (
  org_id uuid not null references kymo.organisation,
  person_id uuid not null references kymo.person on delete cascade,
  role text not null check (role in ('owner', 'clinician', 'assistant', 'patient')),
  patient_id uuid references kymo.patient on delete cascade,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  primary key (org_id, person_id),
  check ((role = 'patient') = (patient_id is not null))
);
create index member_by_person on kymo.member (person_id, created_at, org_id);
create index member_by_patient on kymo.member (patient_id) where patient_id is not null;

-- An account that belongs to no organisation any more is of no use to anyone: it goes with its last membership, also
-- with that of a patient who is erased.
create function kymo.forget_person() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  delete from kymo.person p where p.id = old.person_id
    and not exists (select from kymo.member m where m.person_id = p.id);
  return null;
end $$;
revoke all on function kymo.forget_person() from public;
create trigger forget_person after delete on kymo.member for each row execute function kymo.forget_person();

-- One cookie each. The organisation is the one that the person works in at the moment.
create table kymo.sign_in (
  id uuid primary key,
  token_hash bytea not null unique check (length(token_hash) = 32),
  person_id uuid not null references kymo.person on delete cascade,
  org_id uuid not null references kymo.organisation,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  address text not null default '',
  user_agent text not null default '' check (length(user_agent) <= 256)
);
create index sign_in_by_person on kymo.sign_in (person_id, created_at desc, id desc);
create index sign_in_by_end on kymo.sign_in (expires_at);

create table kymo.two_factor (
  person_id uuid primary key references kymo.person on delete cascade,
  -- Sealed by the installation's key (identity/secret-box.ts).
  secret bytea not null,
  -- Null until a first code has shown that the person has the secret; it counts from then on.
  confirmed_at timestamptz,
  -- RFC 6238 section 5.2: a time step is accepted once.
  last_step bigint not null default 0,
  -- Keyed hashes; one that was used is taken out.
  backup_hashes bytea[] not null default '{}',
  -- Wrong codes: a bucket that drains evenly (identity/second-factors.ts).
  failures real not null default 0,
  failed_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);

-- What is used once, until it ends: a sign-in link, the first owner's set-up, a password reset, the second step of a sign-in.
create table kymo.verification (
  id uuid primary key,
  kind text not null check (kind in ('link', 'set-up', 'reset', 'second-factor')),
  token_hash bytea not null unique check (length(token_hash) = 32),
  person_id uuid references kymo.person on delete cascade,
  org_id uuid references kymo.organisation,
  -- Good on the machine of the server alone.
  is_loopback boolean not null default false,
  attempts smallint not null default 0,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index verification_by_end on kymo.verification (expires_at);
create index verification_by_person on kymo.verification (person_id);

create table kymo.invitation (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  email text not null check (length(email) between 3 and 254 and email = lower(email)),
  role text not null check (role in ('owner', 'clinician', 'assistant', 'patient')),
  patient_id uuid references kymo.patient on delete cascade,
  token_hash bytea not null unique check (length(token_hash) = 32),
  invited_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz,
  check ((role = 'patient') = (patient_id is not null))
);
create index invitation_by_org on kymo.invitation (org_id, created_at desc, id desc);
create index invitation_by_patient on kymo.invitation (patient_id) where patient_id is not null;

-- A key with a list of permissions of its own has scope custom.
alter table kymo.access_key drop constraint access_key_scope_check;
alter table kymo.access_key
  add column permissions text[],
  add column created_by text not null default '',
  add constraint access_key_scope_check check (scope in ('read', 'admin', 'server', 'custom')),
  add constraint access_key_permissions_check check ((scope = 'custom') = (permissions is not null));

-- The key before the last rotation, good until its grace time is over.
alter table kymo.device
  add column previous_key_hash bytea unique check (length(previous_key_hash) = 32),
  add column previous_key_until timestamptz,
  add column rotated_at timestamptz;

alter table kymo.person enable row level security;
alter table kymo.member enable row level security;
alter table kymo.sign_in enable row level security;
alter table kymo.two_factor enable row level security;
alter table kymo.verification enable row level security;
alter table kymo.invitation enable row level security;

-- A patient's account sees nobody's membership but its own.
create policy own_rows on kymo.member to kymo_app using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or patient_id = kymo.current_patient()));
create policy own_rows on kymo.invitation to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
create policy own_rows on kymo.person for select to kymo_app using (
  exists (select from kymo.member m where m.person_id = id));
create policy own_rows on kymo.two_factor for select to kymo_app using (
  exists (select from kymo.member m where m.person_id = two_factor.person_id));
-- Who somebody is, is found out before an organisation is known.
create policy any_person on kymo.person to kymo_auth using (true);
create policy any_member on kymo.member to kymo_auth using (true);
create policy any_sign_in on kymo.sign_in to kymo_auth using (true);
create policy any_two_factor on kymo.two_factor to kymo_auth using (true);
create policy any_verification on kymo.verification to kymo_auth using (true);
create policy any_invitation on kymo.invitation to kymo_auth using (true);
create policy any_organisation on kymo.organisation for select to kymo_auth using (true);

-- Of a person the application sees who it is, never what it proves that with.
grant select (id, email, name, created_at) on kymo.person to kymo_app;
grant select (person_id, confirmed_at) on kymo.two_factor to kymo_app;
grant select, insert, update, delete on kymo.member, kymo.invitation to kymo_app;
grant select, insert, update, delete on kymo.person, kymo.sign_in, kymo.two_factor, kymo.verification to kymo_auth;
grant select, insert on kymo.member to kymo_auth;
grant select on kymo.invitation to kymo_auth;
grant update (accepted_at) on kymo.invitation to kymo_auth;
grant select (id, name) on kymo.organisation to kymo_auth;
