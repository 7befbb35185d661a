-- For which day an organisation's people were last told how much happened, so that no day is told twice.

create table kymo.digest (
  org_id uuid primary key references kymo.organisation,
  -- UTC; it is over.
  day date not null
);

alter table kymo.digest enable row level security;
create policy own_rows on kymo.digest to kymo_app using (
  org_id = kymo.current_org() and kymo.current_patient() is null);
grant select, insert, update on kymo.digest to kymo_app;
