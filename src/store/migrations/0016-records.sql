-- What a clinic writes down about a patient. What names a person is sealed under a key of that patient, which is wrapped by
-- a master key that is not in the database; erasing the patient begins with that key. Everything here goes with its patient:
-- a table that holds something of one refers to it with `on delete cascade` (or `set null`, where the row must stay).

-- A time as the REST API writes it.
create function kymo.iso(at timestamptz) returns text language sql stable parallel safe
  return to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Row-level security lets an index be used only for comparisons that tell nothing of hidden rows: lower() and LIKE are none,
-- a column of lower-case text in the order of its bytes is.
alter table kymo.patient
  add column code_key text collate "C" generated always as (lower(code)) stored,
  -- The purposes that stand granted now; kymo.patient_consent has the history.
  add column consents text[] not null default '{}';
drop index kymo.patient_by_code;
create unique index patient_by_code on kymo.patient (org_id, code_key);
create index patient_active_by_org on kymo.patient (org_id, created_at desc, id desc) where archived_at is null;
create index patient_archived_by_org on kymo.patient (org_id, created_at desc, id desc) where archived_at is not null;

-- How somebody walks at a glance (contract/clinic.ts, headlineMetrics): what patient pages read instead of all figures.
alter table kymo.session_summary add column headline jsonb generated always as (jsonb_path_query_array(figures,
  '$[*] ? (@.metric == "speed" || @.metric == "cadence" || @.metric == "stride-length" || @.metric == "stance-share")'))
  stored;

alter table kymo.session add column label_key text collate "C" generated always as (lower(label)) stored;
create index session_by_label on kymo.session (org_id, label_key, id) where label <> '';

-- Of each organisation: the key of its blind indexes, wrapped by the master key of this id.
create table kymo.organisation_key (
  org_id uuid primary key references kymo.organisation,
  wrapped bytea not null check (length(wrapped) between 32 and 256),
  master_key_id text not null check (master_key_id ~ '^[0-9a-f]{16}$'),
  created_at timestamptz not null default now()
);

create table kymo.patient_key (
  patient_id uuid primary key references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  wrapped bytea not null check (length(wrapped) between 32 and 256),
  master_key_id text not null check (master_key_id ~ '^[0-9a-f]{16}$'),
  created_at timestamptz not null default now()
);
create index organisation_key_by_master on kymo.organisation_key (master_key_id);
create index patient_key_by_master on kymo.patient_key (master_key_id);

create table kymo.patient_identifier (
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  kind text not null check (kind in ('name', 'birthDate', 'recordNumber', 'phone', 'email', 'address')),
  sealed bytea not null check (length(sealed) <= 4096),
  -- HMAC of the normalised text under the organisation's key: finds an exact value, tells nothing else. Null: not searched.
  blind bytea check (length(blind) = 32),
  updated_at timestamptz not null default now(),
  updated_by text not null default '',
  primary key (patient_id, kind)
);
create index patient_identifier_by_blind on kymo.patient_identifier (org_id, blind) where blind is not null;
-- One record number, one patient.
create unique index patient_identifier_by_record on kymo.patient_identifier (org_id, blind) where kind = 'recordNumber';

-- What was decided and when; never changed. The newest decision for a purpose counts.
create table kymo.patient_consent (
  id uuid primary key,
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  purpose text not null check (purpose in ('care', 'recording', 'research', 'teaching', 'sharing')),
  decision text not null check (decision in ('granted', 'withdrawn')),
  decided_at timestamptz not null,
  -- Such as the number of the signed form.
  reference text not null default '' check (length(reference) <= 200),
  recorded_at timestamptz not null default now(),
  recorded_by text not null default ''
);
create index patient_consent_by_patient on kymo.patient_consent (patient_id, purpose, decided_at desc, id desc);

create table kymo.patient_history (
  id uuid primary key,
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  kind text not null check (kind in ('diagnosis', 'surgery', 'injury', 'medication', 'fall', 'aid', 'other')),
  text text not null check (length(text) between 1 and 2000),
  begun_on date,
  ended_on date,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  updated_at timestamptz not null default now(),
  updated_by text not null default '',
  check (ended_on >= begun_on)
);
create index patient_history_by_patient on kymo.patient_history (patient_id, id desc);

create table kymo.note (
  id uuid primary key,
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  -- The session that it is about; signed off with it.
  session_id uuid references kymo.session on delete set null,
  text text not null check (length(text) <= 20000),
  -- Whether the patient's own account reads it.
  is_shared boolean not null default false,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  updated_at timestamptz not null default now(),
  updated_by text not null default '',
  -- Taken back: its text is in the revisions alone.
  withdrawn_at timestamptz
);
create index note_by_patient on kymo.note (patient_id, id desc);
create index note_by_session on kymo.note (session_id, id desc) where session_id is not null;

-- Every text that a note has had.
create table kymo.note_revision (
  note_id uuid not null references kymo.note on delete cascade,
  revision integer not null,
  org_id uuid not null references kymo.organisation,
  patient_id uuid not null references kymo.patient on delete cascade,
  text text not null,
  is_shared boolean not null,
  is_withdrawn boolean not null default false,
  written_at timestamptz not null default now(),
  written_by text not null default '',
  primary key (note_id, revision)
);
create index note_revision_by_patient on kymo.note_revision (patient_id);

-- Which notes have a word: a text index (GIN) is not used under row-level security, this is.
create table kymo.note_word (
  org_id uuid not null references kymo.organisation,
  word text collate "C" not null check (length(word) <= 64),
  note_id uuid not null references kymo.note on delete cascade,
  patient_id uuid not null references kymo.patient on delete cascade,
  primary key (org_id, word, note_id)
);
create index note_word_by_note on kymo.note_word (note_id);
create index note_word_by_patient on kymo.note_word (patient_id);

create table kymo.goal (
  id uuid primary key,
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  text text not null check (length(text) between 1 and 500),
  -- A figure of the sessions' summaries (motion/metric-catalogue.ts) and what it should become; null: words alone.
  metric text check (length(metric) <= 64),
  side text check (side in ('left', 'right')),
  direction text check (direction in ('at-least', 'at-most')),
  target double precision check (target > '-infinity' and target < 'infinity'),
  due_on date,
  state text not null default 'open' check (state in ('open', 'reached', 'dropped')),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  updated_at timestamptz not null default now(),
  updated_by text not null default '',
  check ((metric is null) = (target is null) and (metric is null) = (direction is null))
);
create index goal_by_patient on kymo.goal (patient_id, id desc);

create table kymo.programme (
  id uuid primary key,
  patient_id uuid not null references kymo.patient on delete cascade,
  org_id uuid not null references kymo.organisation,
  title text not null check (length(title) between 1 and 120),
  instructions text not null default '' check (length(instructions) <= 4000),
  -- [{"id": ..., "name": ..., "sets": ..., "repetitions": ..., "durationS": ..., "timesPerWeek": ...}] (contract/clinic.ts)
  exercises jsonb not null,
  begins_on date not null,
  ends_on date,
  state text not null default 'active' check (state in ('active', 'paused', 'ended')),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  updated_at timestamptz not null default now(),
  updated_by text not null default '',
  check (ends_on >= begins_on)
);
create index programme_by_patient on kymo.programme (patient_id, id desc);

-- What was done of a programme on a day; writing it again replaces it.
create table kymo.programme_entry (
  programme_id uuid not null references kymo.programme on delete cascade,
  day date not null,
  -- An exercise's id.
  exercise text not null check (length(exercise) between 1 and 32),
  org_id uuid not null references kymo.organisation,
  patient_id uuid not null references kymo.patient on delete cascade,
  times smallint not null check (times between 0 and 50),
  pain smallint check (pain between 0 and 10),
  effort smallint check (effort between 0 and 10),
  comment text not null default '' check (length(comment) <= 500),
  recorded_at timestamptz not null default now(),
  recorded_by text not null default '',
  primary key (programme_id, day, exercise)
);
create index programme_entry_by_patient on kymo.programme_entry (patient_id);

-- Patients that are being erased or were: ids and a time only. From its commit on nothing more is bound to them.
create table kymo.erased_patient (
  org_id uuid not null references kymo.organisation,
  patient_id uuid not null,
  erased_at timestamptz not null default now(),
  primary key (org_id, patient_id)
);

do $$
declare
  name text;
begin
  foreach name in array array['patient_key', 'patient_identifier', 'patient_consent', 'patient_history', 'goal', 'programme',
                              'programme_entry']
  loop
    execute format('alter table kymo.%I enable row level security', name);
    execute format('create policy own_rows on kymo.%I to kymo_app using (org_id = kymo.current_org()
      and (kymo.current_patient() is null or patient_id = kymo.current_patient()))', name);
  end loop;
  -- A patient's account reads what is shared with it, as it is now.
  foreach name in array array['organisation_key', 'note_revision', 'note_word', 'erased_patient']
  loop
    execute format('alter table kymo.%I enable row level security', name);
    execute format('create policy own_rows on kymo.%I to kymo_app using (org_id = kymo.current_org()
      and kymo.current_patient() is null)', name);
  end loop;
end $$;
alter table kymo.note enable row level security;
create policy own_rows on kymo.note to kymo_app using (org_id = kymo.current_org()
  and (kymo.current_patient() is null
       or (patient_id = kymo.current_patient() and is_shared and withdrawn_at is null)));

grant select, insert, update, delete on kymo.patient_identifier, kymo.patient_history, kymo.note, kymo.note_word, kymo.goal,
  kymo.programme, kymo.programme_entry to kymo_app;
grant select, insert on kymo.organisation_key, kymo.patient_consent, kymo.note_revision, kymo.erased_patient to kymo_app;
-- A key is made and destroyed; only the owner wraps it anew.
grant select, insert, delete on kymo.patient_key to kymo_app;
