-- Patients, and what a session is to a clinic. A patient is a code to everybody; what names a person is encrypted under a
-- key of that patient (0016). A connection that speaks for a patient's account sets kymo.patient beside kymo.org, and then
-- sees that patient's rows alone.

create function kymo.current_patient() returns uuid language sql stable parallel safe
  return nullif(current_setting('kymo.patient', true), '')::uuid;

create table kymo.patient (
  id uuid primary key,
  org_id uuid not null references kymo.organisation,
  -- What people say, write and search instead of a name.
  code text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$'),
  birth_year smallint check (birth_year between 1880 and 2200),
  sex text check (sex in ('female', 'male', 'other')),
  height_m real check (height_m between 0.3 and 2.6),
  mass_kg real check (mass_kg between 1 and 400),
  affected_side text check (affected_side in ('left', 'right', 'both', 'none')),
  -- A short clinical label, never a name.
  diagnosis text not null default '' check (length(diagnosis) <= 200),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  created_by text not null default '',
  updated_at timestamptz not null default now(),
  archived_at timestamptz,
  unique (org_id, code)
);
create index patient_by_org on kymo.patient (org_id, created_at desc, id desc);
create index patient_by_code on kymo.patient (org_id, lower(code) text_pattern_ops, id);

-- A planned session has no readings yet; its first stream makes it live. Ended as before; sealed: signed off, and what
-- comes later makes it amended.
alter table kymo.session
  add column patient_id uuid references kymo.patient,
  add column protocol_id uuid,
  add column is_planned boolean not null default false,
  add column planned_for timestamptz,
  add column sealed_at timestamptz,
  add column created_by text not null default '';
create index session_by_patient on kymo.session (patient_id, started_at desc, id desc) where patient_id is not null;

-- The figures of an ended session in one row: what progress over months, patient pages and lists are made of.
create table kymo.session_summary (
  session_id uuid primary key references kymo.session on delete cascade,
  org_id uuid not null references kymo.organisation,
  patient_id uuid references kymo.patient,
  started_at timestamptz not null,
  duration_s double precision not null,
  -- [{"metric": ..., "side": "left" | "right" | null, "value": ..., "sd": ... | null, "n": ...}] (contract/motion.ts)
  figures jsonb not null,
  -- Readings stored, lost and pending, gaps, uncalibrated sensors: what a reader must know before believing a figure.
  quality jsonb not null,
  algorithm text not null,
  algorithm_version text not null,
  input_revision bigint not null,
  computed_at timestamptz not null default now()
);
create index session_summary_by_patient on kymo.session_summary (patient_id, started_at desc, session_id desc)
  where patient_id is not null;

alter table kymo.patient enable row level security;
alter table kymo.session_summary enable row level security;
create policy own_rows on kymo.patient to kymo_app using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or id = kymo.current_patient()));
create policy own_rows on kymo.session_summary to kymo_app using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or patient_id = kymo.current_patient()));
alter policy own_rows on kymo.session using (
  org_id = kymo.current_org() and (kymo.current_patient() is null or patient_id = kymo.current_patient()));
alter policy own_rows on kymo.stream using (
  org_id = kymo.current_org()
  and (kymo.current_patient() is null or exists (select from kymo.session s where s.id = session_id)));

grant select, insert, update, delete on kymo.patient, kymo.session_summary to kymo_app;
